// Commands about the pair itself: which box is the other one, by which key, and whose configuration holds.
#pragma once

#include <string>

#include "controlplane/console/client.h"

namespace headgate::console {

// Without a code: prints one for the other box. With the one that the other box printed: pairs.
int pair_box(Client& client, const std::string& code);
int unpair_box(Client& client);
int rotate_key(Client& client);
// whose: peer or local.
int adopt(Client& client, const std::string& whose);

// The line has a code in it: no history may keep it.
bool names_pairing_code(const std::string& line);

}  // namespace headgate::console
