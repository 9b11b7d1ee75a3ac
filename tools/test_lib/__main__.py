"""The command line of tools/test: which parts a tier runs, their times, and the sum."""
from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Callable

from .parts import SWAP_TESTS, Outcome, ctest_part, fuzz_part, rules_part, seeds_of_the_commit, system_part

EPILOG = """\
tiers:
  --quick   unit tests (preset dev) and the repository rules; under 3 minutes once packages are there
  (none)    also threads, fuzzing 10 s each, system tests in namespaces, and a quarter of the unit tests under sanitizers, which
            the commit chooses
  --full    also what the default tier samples: every download, all of clang-tidy, every test under each sanitizer, longer fuzzing
Random tests begin at a seed that the commit gives (HEADGATE_BASE_SEED), with --full at another each time.
The last line is `N passed, N failed`; the exit code is 0 when nothing failed.
"""
UNIT = {"unit"}
SANITIZED_SHARE = 4  # the default tier builds one unit test in so many once more for the sanitizers: they cost as much as all else
FULL_SIZE = {"HEADGATE_COMMITS": "1000", "HEADGATE_SCHEDULES": "10000"}  # what tests that take a size do in the full tier
UNDER_ASAN = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
UNDER_TSAN = {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"}

Part = tuple[str, Callable[[], Outcome]]


def parts_of(tier: str) -> list[Part]:
    if tier == "quick":
        return [("unit tests (dev)", lambda: ctest_part("dev", UNIT, whole=False)),
                ("rules", lambda: rules_part("none"))]
    full = tier == "full"
    everything: set[str] = set()
    return [
        ("build and ctest (dev)", lambda: ctest_part("dev", everything, whole=True, environment=FULL_SIZE if full else None)),
        ("rules", lambda: rules_part("all" if full else "sample")),
        ("system tests", lambda: system_part(tier)),
        # In the fuzzers' tree: its objects are those of the preset asan with coverage besides, and one build is long enough.
        ("address and undefined behaviour (fuzz)",
         lambda: ctest_part("fuzz", everything if full else UNIT, whole=full, environment=UNDER_ASAN, share=1 if full else SANITIZED_SHARE)),
        ("threads (tsan)", lambda: ctest_part("tsan", UNIT | {"tsan"}, whole=False, names=None if full else SWAP_TESTS,
                                              environment=UNDER_TSAN)),
        ("fuzzing", lambda: fuzz_part(tier)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/test", description="Runs the tests of the repository.", epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="tier", action="store_const", const="quick", default="default")
    size.add_argument("--full", dest="tier", action="store_const", const="full")
    parser.add_argument("--only", metavar="WORD", help="only the parts whose name contains WORD")
    arguments = parser.parse_args()
    if arguments.tier != "full":
        os.environ.update(seeds_of_the_commit() | os.environ)
    total, left_out, times, failures = Outcome(), [], [], []
    for name, part in parts_of(arguments.tier):
        if arguments.only and arguments.only not in name:
            left_out.append(f"{name}: not asked for")
            continue
        print(f"== {name}", flush=True)
        started = time.monotonic()
        outcome = part()
        took = time.monotonic() - started
        times.append(f"{took:7.0f} s  {outcome.passed:4} passed  {outcome.failed:4} failed  {name}")
        print(f"== {name}: {outcome.passed} passed, {outcome.failed} failed, {took:.0f} s\n", flush=True)
        total.passed += outcome.passed
        total.failed += outcome.failed
        left_out += [f"{name}: {entry}" for entry in outcome.left_out]
        failures += [f"{name}: {entry}" for entry in outcome.failures]
    print("\n".join(times))
    if arguments.tier == "quick":
        left_out.append("sanitizers, threads, fuzzing, system tests, clang-tidy")
    if left_out:
        print(f"Left out by tier {arguments.tier}:")
        print("\n".join(f"  {entry}" for entry in left_out))
    if failures:  # again, since what they said when they failed is far above
        print("Failed:")
        print("\n".join(f"  {entry}" for entry in failures))
    print(f"{total.passed} passed, {total.failed} failed", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
