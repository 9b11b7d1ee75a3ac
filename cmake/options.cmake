# What every target of ours is compiled with. Baseline CPU: x86-64-v2 (newer instructions only by run-time dispatch).
set(HEADGATE_SANITIZE "" CACHE STRING "empty, or a -fsanitize= list: address,undefined or thread or fuzzer-no-link,address")

add_library(headgate_options INTERFACE)
target_compile_options(headgate_options INTERFACE
  -march=x86-64-v2 -Wall -Wextra -Wconversion -Wshadow -Werror
  -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports overlapping copies inside std::string's operator+ at -O3 (its bug 105651).
  target_compile_options(headgate_options INTERFACE -Wno-restrict)
endif()
if(HEADGATE_SANITIZE)
  target_compile_options(headgate_options INTERFACE -fsanitize=${HEADGATE_SANITIZE} -fno-sanitize-recover=undefined)
  target_link_options(headgate_options INTERFACE -fsanitize=${HEADGATE_SANITIZE})
endif()
target_include_directories(headgate_options INTERFACE ${PROJECT_SOURCE_DIR})

# headgate_library(NAME SOURCES a.cc ... DEPENDS lib ...): one static library per folder.
function(headgate_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  if(ARG_SOURCES)
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC ${ARG_DEPENDS} PRIVATE headgate_options)
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${ARG_DEPENDS})
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR})
  endif()
endfunction()

# headgate_test(NAME SOURCES a_test.cc ... DEPENDS lib ... [NO_MAIN]): one gtest executable per folder, one ctest per file set.
function(headgate_test name)
  cmake_parse_arguments(ARG "NO_MAIN" "TIMEOUT" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} headgate_options GTest::gmock GTest::gtest)
  if(NOT ARG_NO_MAIN)
    target_link_libraries(${name} PRIVATE GTest::gtest_main)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()
