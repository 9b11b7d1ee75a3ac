// Checks of our own logic: always on, in every build. Never for input from a wire, a peer, a file or a user.
#pragma once

#include <cstdio>
#include <cstdlib>

#define HEADGATE_CHECK(condition)                                                            \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
