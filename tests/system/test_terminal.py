"""The console on terminals of several widths: what it shows fits, and nothing of it is lost."""
from __future__ import annotations

import json
import os
import re

import pexpect
import pytest
from lab_lib import addresses as at
from lab_lib.site import Site

from helpers import hold
from test_configure import ESCAPES, Console

SHOWS = ("version", "system", "health", "backends", "services", "pools", "traffic", "flows", "interfaces", "routes", "neighbors", "ports",
         "workers", "drops", "running", "commits", "log")
COLOUR = re.compile(r"\x1b\[3[0-9]m")


def one_shot(site: Site, width: int, *words: str, **environment: str) -> str:
    """What a command prints on a terminal so wide, escapes included."""
    child = pexpect.spawn("ip", ["netns", "exec", site.network.namespace("box-a"), str(site.box.bin / "headgate"), "--management",
                                 str(site.box.management), *words], encoding="utf-8", timeout=10, dimensions=(200, width),
                          env=os.environ | {"TERM": "xterm"} | environment)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    return child.before.replace("\r", "")


def too_long(text: str, width: int) -> list[str]:
    return [line for line in ESCAPES.sub("", text).splitlines() if len(line) > width]


@pytest.mark.parametrize("width", [80, 120])
def test_every_show_fits_the_terminal(site: Site, width: int) -> None:
    holder = hold(site, 4, 6)  # long addresses in the table of flows
    console = Console(site, width)
    try:
        for name in SHOWS:
            alone = one_shot(site, width, "show", name)
            assert not too_long(alone, width), name
            said = console.line(f"show {name}", r"> $").partition("\n")[2].rpartition("\n")[0]
            assert not too_long(said, width), name
            assert len(said.splitlines()) >= 2, said
    finally:
        console.close()
        holder.communicate()


def test_what_matters_is_there_at_80_columns(site: Site) -> None:
    interfaces = one_shot(site, 80, "show", "interfaces")
    for family in (4, 6):
        assert at.front(at.GATEWAY_NUMBER, family) in interfaces, interfaces
    assert "not shown for want of width" in interfaces and "MAC" in interfaces
    wide = one_shot(site, 250, "show", "interfaces")
    assert "not shown" not in wide and "MAC" in wide
    site.box.cli("backend", "web/web1", "disable")
    try:
        backends = " ".join(one_shot(site, 80, "show", "backends").split())
        assert "disabled by command" in backends, backends
    finally:
        site.box.cli("backend", "web/web1", "enable")


def test_states_have_a_colour_on_a_terminal_alone(site: Site) -> None:
    assert "\x1b[32mup\x1b[0m" in one_shot(site, 80, "show", "backends")
    assert not COLOUR.search(one_shot(site, 80, "show", "backends", NO_COLOR="1"))
    assert not COLOUR.search(site.box.cli("show", "backends").stdout)
    site.box.cli("backend", "web/web1", "disable")
    try:
        assert re.search(r"\x1b\[33mdisabled\x1b\[0m", one_shot(site, 80, "show", "backends"))
    finally:
        site.box.cli("backend", "web/web1", "enable")


def test_filters_see_whole_lines(site: Site) -> None:
    console = Console(site, 80)
    try:
        said = console.line("show interfaces | match front", r"> $")
        line = next(line for line in said.splitlines() if line.startswith("front"))
        assert at.front(at.GATEWAY_NUMBER, 4) in line and at.front(at.GATEWAY_NUMBER, 6) in line
        counted = console.line("show backends | count", r"> $")
        assert f"{len(site.box.cli('show', 'backends').stdout.splitlines())} lines" in counted
        assert json.loads(console.line("show version | json", r"> $").partition("\n")[2].rpartition("\n")[0])["console"]
        assert "web1" not in console.line("show backends | except web1", r"> $").partition("\n")[2]
        assert "there can be: match WORD" in console.line("show backends | sort", r"> $")
    finally:
        console.close()
