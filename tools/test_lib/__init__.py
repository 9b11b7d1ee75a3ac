"""The parts of tools/test: build and ctest, sanitizers, fuzzing, rules, system tests."""
