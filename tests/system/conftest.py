"""Fixtures of the system tests: one site per module, made before its first test and removed after its last, also on failure.

A module says what it needs with SITE (keyword arguments of SiteOptions; `box` may be a dictionary) and CONFIG. The sites have
names of their own (namespaces hgt-*), so a lab that is up is not disturbed.
"""
from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from lab_lib import __main__ as lab  # noqa: E402
from lab_lib.box import BoxOptions  # noqa: E402
from lab_lib.config import Config  # noqa: E402
from lab_lib.site import Site, SiteOptions  # noqa: E402

import results  # noqa: E402

TIERS = ("quick", "default", "full")
CASES_NAMED = 20  # of one test that are left out: of more, the number is printed
left_out: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tier", choices=TIERS, default="default", help="how much to run (default: default)")
    parser.addoption("--preset", default="dev", help="CMake preset whose binaries to run (default: dev)")
    parser.addoption("--prefix", default="hgt", help="prefix of the namespaces (default: hgt)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tier(name): the smallest tier that runs this test; default without it")
    if os.geteuid() != 0:
        raise pytest.UsageError("the system tests build network namespaces: run them as root")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    runs = TIERS.index(config.getoption("--tier"))
    kept = []
    for item in items:
        marker = item.get_closest_marker("tier")
        (kept if TIERS.index(marker.args[0] if marker else "default") <= runs else left_out).append(item)
    left_out[:] = [item.nodeid if isinstance(item, pytest.Item) else item for item in left_out]
    items[:] = kept


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for line in results.lines():
        terminalreporter.write_line(line)
    if left_out:
        tier = config.getoption("--tier")
        terminalreporter.write_line(f"Left out by tier {tier}: {len(left_out)} test(s):")
        cases = Counter(name.partition("[")[0] for name in left_out)
        for test, count in cases.items():
            names = [name for name in left_out if name.partition("[")[0] == test] if count <= CASES_NAMED else [f"{test}: {count} cases"]
            for name in names:
                terminalreporter.write_line(f"  {name}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failed test shows the end of each box's log."""
    outcome: Any = yield
    report = outcome.get_result()
    site = getattr(item, "funcargs", {}).get("site")
    if report.failed and isinstance(site, Site):
        report.sections += [(f"log of {box.host}", box.log_tail(40)) for box in site.boxes]


def make_options(request: pytest.FixtureRequest, wanted: dict[str, Any]) -> SiteOptions:
    prefix = request.config.getoption("--prefix")
    box = BoxOptions(**({"preset": request.config.getoption("--preset")} | wanted.get("box", {})))
    return SiteOptions(**(wanted | {"prefix": prefix, "run_dir": Path(f"/run/headgate-{prefix}"), "box": box}))


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site that is up, as the module describes it."""
    config = getattr(request.module, "CONFIG", Config())
    site = Site(make_options(request, getattr(request.module, "SITE", {})))
    with site.exclusive(wait=600):
        site.down()
        try:
            site.up(config, start_box=getattr(request.module, "START_BOX", True))
            yield site
        finally:
            site.down()


@pytest.fixture
def configure(site: Site, request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """Has the box run another configuration until the test ends."""
    original = getattr(request.module, "CONFIG", Config())
    yield lambda config: site.box.reload(config) and None
    site.box.reload(original)


@pytest.fixture
def tool(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs tools/lab with these words; exit status, and all that it said."""
    monkeypatch.setattr(lab, "DEFAULT_RUN_DIR", site.run_dir)

    def call(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tools/lab", *words])
        status = lab.main()
        said = capsys.readouterr()
        return status, said.out + said.err
    return call
