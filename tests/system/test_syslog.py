"""Events reach a real collector (rsyslog), also what happened while it was away."""
from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Iterator

import pytest
from lab_lib.shell import wait_for
from lab_lib.site import Site

CONF = """
module(load="imtcp")
template(name="json" type="list" option.jsonf="on") {{
  property(outname="severity" name="syslogseverity-text" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="text" name="msg" format="jsonf")
  property(outname="protocol" name="protocol-version" format="jsonf")
}}
ruleset(name="all") {{ action(type="omfile" file="{out}" template="json") }}
input(type="imtcp" port="6514" address="127.0.0.1" ruleset="all")
"""


class Collector:
    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder, self.out = site, folder, folder / "out.json"
        (folder / "rsyslog.conf").write_text(CONF.format(out=self.out))
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = self.site.popen("box-a", "rsyslogd", "-n", "-f", str(self.folder / "rsyslog.conf"), "-i", str(self.folder / "pid"))

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate(timeout=10)
            self.process = None

    def messages(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()] if self.out.exists() else []

    def find(self, **wanted: str) -> dict[str, str] | None:
        return next((message for message in self.messages() if all(text in message[key] for key, text in wanted.items())), None)


@pytest.fixture
def collector(site: Site, tmp_path: Path) -> Iterator[Collector]:
    collector = Collector(site, tmp_path)
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()
        configure(site, "delete log")


def configure(site: Site, *lines: str) -> None:
    site.exec("box-a", str(site.box.bin / "headgate"), "--management", str(site.box.management),
              stdin="configure\n" + "".join(line + "\n" for line in lines) + "commit\n")


def test_events_reach_the_collector_with_who_and_what(site: Site, collector: Collector) -> None:
    configure(site, "set log collector 127.0.0.1", "set log port 6514")
    site.box.cli("backend", "web/web2", "drain")
    site.box.cli("backend", "web/web2", "enable")
    found = wait_for(lambda: collector.find(text="web/web2 drained by root"), "the event at the collector", 10)
    assert found["severity"] == "notice" and found["app"] == "headgate" and found["msgid"] == "operation" and found["protocol"] == "1"
    assert 'kind="operation"' in found["data"] and 'user="root"' in found["data"]


def test_less_than_the_minimum_is_not_sent_and_what_waited_is(site: Site, collector: Collector) -> None:
    configure(site, "set log collector 127.0.0.1", "set log port 6514", "set log minimum_severity notice")
    site.box.cli("backend", "web/web2", "drain")
    wait_for(lambda: collector.find(text="web/web2 drained"), "connected", 10)
    collector.stop()
    site.box.cli("ping", "127.0.0.1", "--count", "1")  # informational
    site.box.cli("backend", "web/web2", "enable")
    collector.start()
    wait_for(lambda: collector.find(text="web/web2 enabled"), "what happened meanwhile", 40)
    assert collector.find(text="ping 127.0.0.1") is None
