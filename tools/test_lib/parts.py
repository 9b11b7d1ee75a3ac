"""The parts of a test run. Each returns what passed, what failed, and says what it left out."""
from __future__ import annotations

import json
import os
import random
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JOBS = os.cpu_count() or 2
PYTHON = "/usr/bin/python3"
FUZZ_SECONDS = {"default": 10, "full": 120}
FUZZ_JUDGES = ("tests/fuzz/coverage", "tests/fuzz/planted")  # is the corpus good, and is a bug found at all?
SWAP_TESTS = re.compile(r"snapshot|mailbox|publisher|runner|telemetry|base|health", re.IGNORECASE)  # what threads share
TELLING = re.compile(r"error|failure|failed|assert|summary|timeout|stopped after|HEADGATE_SEED", re.IGNORECASE)  # lines that say what was wrong
PASSED = re.compile(r"^\[ +(RUN|OK) ")  # whatever the name of the test is


@dataclass
class Outcome:
    passed: int = 0
    failed: int = 0
    left_out: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # what failed, with the first lines that say why

    def fail(self, text: str) -> Outcome:
        print(f"FAIL {text}", flush=True)
        self.failed += 1
        name, _, said = text.partition("\n")
        telling = [line.strip()[:300] for line in said.splitlines() if TELLING.search(line) and not PASSED.match(line)]
        self.failures.append("\n    ".join([name, *telling[:6]]))
        return self


def command(*arguments: str, timeout: float = 3600) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(arguments, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                              errors="replace", stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as late:
        output = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout or ""
        return subprocess.CompletedProcess(arguments, 124, output + f"\nstopped after {timeout:g} s\n")


# -- build and ctest -----------------------------------------------------------------------------------------------------


def configure(preset: str, outcome: Outcome) -> bool:
    done = command("cmake", "--preset", preset)
    if done.returncode != 0:
        outcome.fail(f"cmake --preset {preset}\n{done.stdout[-4000:]}")
    return done.returncode == 0


def build(preset: str, targets: list[str], outcome: Outcome) -> bool:
    """Builds these targets, or everything. -k 0: one broken target does not hide another."""
    chosen = ["--target", *targets] if targets else []
    done = command("cmake", "--build", "--preset", preset, *chosen, "--", "-k", "0")
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if re.search(r"error|FAILED|undefined", line)]
        outcome.fail(f"cmake --build --preset {preset}\n" + ("\n".join(errors[:40]) or done.stdout[-4000:]))
    return done.returncode == 0


@dataclass(frozen=True)
class CTest:
    name: str
    target: str
    labels: tuple[str, ...]


def known_tests(preset: str) -> list[CTest]:
    done = command("ctest", "--test-dir", f"build/{preset}", "--show-only=json-v1")
    tests = []
    for test in json.loads(done.stdout[done.stdout.index("{"):])["tests"]:
        properties = {entry["name"]: entry["value"] for entry in test.get("properties", [])}
        target = Path(test["command"][0]).name if test.get("command") else test["name"]
        tests.append(CTest(test["name"], target, tuple(properties.get("LABELS", []))))
    return tests


def failed_tests(output: str) -> str:
    """Of what a GoogleTest program said, that which belongs to the tests that failed; everything when it is not of that form."""
    tests = re.findall(r"^\[ RUN +\].*?^\[ +(?:OK|FAILED) +\][^\n]*\n", output, re.MULTILINE | re.DOTALL)
    return "".join(test for test in tests if "\n[  FAILED  ]" in test) or output


def run_ctest(preset: str, tests: list[CTest], outcome: Outcome, environment: dict[str, str] | None = None) -> None:
    if not tests:
        return
    report = ROOT / "build" / preset / "ctest.xml"
    report.unlink(missing_ok=True)
    pattern = "^(" + "|".join(re.escape(test.name) for test in tests) + ")$"
    settings = [f"{name}={value}" for name, value in (environment or {}).items()]
    done = command("env", *settings, "ctest", "--test-dir", f"build/{preset}", "-R", pattern, "-j", str(JOBS), "--output-on-failure",
                   "--output-junit", str(report))
    if not report.exists():
        print(done.stdout[-4000:])
        outcome.fail(f"ctest in build/{preset}")
        return
    passed = 0
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        if case.get("status") == "run":
            passed += 1
        else:
            outcome.fail(f"{preset}: {case.get('name')}\n{failed_tests(case.findtext('system-out') or '')[-6000:]}")
    outcome.passed += passed


def head() -> str:
    return command("git", "-c", "safe.directory=*", "rev-parse", "HEAD").stdout


def seeds_of_the_commit() -> dict[str, str]:
    """Where random tests begin, unless all they could find is wanted: two runs of one commit are the same run."""
    return {"HEADGATE_BASE_SEED": str(random.Random(head()).getrandbits(32))}


def sampled(tests: list[CTest], share: int) -> list[CTest]:
    """One in `share`, chosen by the commit, so that a run can be repeated and all have their turn."""
    if share == 1 or not tests:
        return tests
    return random.Random(head()).sample(tests, -(-len(tests) // share))


def ctest_part(preset: str, labels: set[str], whole: bool, names: re.Pattern[str] | None = None,
               environment: dict[str, str] | None = None, share: int = 1) -> Outcome:
    """Builds a preset (whole, or only its tests) and runs the tests that have one of the labels (empty: all of them)."""
    outcome = Outcome()
    if not configure(preset, outcome):
        return outcome
    tests = known_tests(preset)
    chosen = sampled([test for test in tests if (not labels or labels & set(test.labels)) and (names is None or names.search(test.name))],
                     share)
    build(preset, [] if whole else sorted({test.target for test in chosen}), outcome)
    run_ctest(preset, chosen, outcome, environment)
    outcome.left_out = [f"{test.name} ({', '.join(test.labels)}) in build/{preset}" for test in tests if test not in chosen]
    return outcome


# -- fuzzing -------------------------------------------------------------------------------------------------------------


def fuzz_part(tier: str) -> Outcome:
    """Each libFuzzer target for some seconds, from the kept corpus; what it finds stays in build/fuzz."""
    outcome = Outcome()
    if not configure("fuzz", outcome):
        return outcome
    listed = command("cmake", "--build", "--preset", "fuzz", "--target", "help").stdout
    targets = sorted(set(re.findall(r"^(\w+_fuzz|fuzz_\w+): phony", listed, re.MULTILINE)))
    if not targets:
        return outcome.fail("there is no fuzz target (executables named *_fuzz)")
    build("fuzz", targets, outcome)
    run_ctest("fuzz", [test for test in known_tests("fuzz") if "fuzz" in test.labels], outcome)  # the kept corpus alone
    for target in targets:
        fuzz_one(target, FUZZ_SECONDS[tier], outcome)
    for script in FUZZ_JUDGES:
        done = command(script, timeout=900)
        print("".join(f"     {line}\n" for line in done.stdout.splitlines()[-3:]), end="")
        if done.returncode == 0:
            outcome.passed += 1
        else:
            outcome.fail(f"{script}\n{done.stdout[-3000:]}")
    return outcome


def fuzz_one(target: str, seconds: int, outcome: Outcome) -> None:
    programs = [path for path in (ROOT / "build/fuzz").rglob(target) if path.is_file() and os.access(path, os.X_OK)]
    if not programs:
        outcome.fail(f"{target} was not built")
        return
    found = ROOT / "build/fuzz/found" / target
    found.mkdir(parents=True, exist_ok=True)
    short = target.removesuffix("_fuzz").removeprefix("fuzz_")
    kept = [str(path) for name in (target, short) if (path := ROOT / "tests/fuzz/corpus" / name).is_dir()]
    done = command(str(programs[0]), f"-max_total_time={seconds}", "-rss_limit_mb=4096", "-timeout=10", "-print_final_stats=1",
                   f"-artifact_prefix={found}/", str(found), *kept, timeout=seconds + 120)
    runs = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    if done.returncode != 0:
        outcome.fail(f"{target}\n{done.stdout[-3000:]}")
        return
    outcome.passed += 1
    print(f"     {target}: {runs[1] if runs else '?'} inputs in {seconds} s")


# -- rules and system tests ----------------------------------------------------------------------------------------------


def rules_part(tidy: str) -> Outcome:
    outcome = Outcome()
    done = command("tools/rules", "--tidy", tidy)
    print(done.stdout.rstrip())
    summary = re.search(r"^(\d+) rules passed, (\d+) failed$", done.stdout, re.MULTILINE)
    if not summary:
        return outcome.fail("tools/rules did not finish")
    outcome.passed, outcome.failed = int(summary[1]), int(summary[2])
    outcome.failures = [": ".join(pair) for pair in re.findall(r"^FAIL (.*)\n +(.*)$", done.stdout, re.MULTILINE)]
    if tidy != "all":
        outcome.left_out = [f"clang-tidy of {'every' if tidy == 'none' else 'most'} source"]
    return outcome


def system_part(tier: str) -> Outcome:
    """pytest with real clients in namespaces; its output is shown as it comes."""
    outcome = Outcome()
    if os.geteuid() != 0:
        return outcome.fail("the system tests need root: sudo tools/test")
    report = ROOT / "build" / "system.xml"
    report.unlink(missing_ok=True)
    subprocess.run([PYTHON, "-m", "pytest", "-q", "-ra", "--tb=short", "-p", "no:cacheprovider", f"--tier={tier}", f"--junitxml={report}",
                    "tests/system"], cwd=ROOT, stdin=subprocess.DEVNULL)
    if not report.exists():
        return outcome.fail("pytest did not finish")
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        if (fault := case.find("failure")) is not None or (fault := case.find("error")) is not None:
            outcome.failed += 1
            message = (fault.get("message") or "").partition("\n")[0]
            outcome.failures.append(f"{case.get('classname')}::{case.get('name')}\n    {message}")
        elif (skipped := case.find("skipped")) is not None:
            outcome.left_out.append(f"{case.get('name')}: {skipped.get('message')}")
        else:
            outcome.passed += 1
    return outcome
