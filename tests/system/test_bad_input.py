"""What a person gets wrong is answered with one sentence and exit code 1, never with a crash or a half-started box."""
from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from lab_lib.config import Config
from lab_lib.shell import wait_for
from lab_lib.site import Site

DATAPLANE, CONTROLPLANE = "headgate-dataplane", "headgate-controlplane"


def dataplane(site: Site, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    return site.exec("box-a", "timeout", "-k1", "20", str(site.box.bin / DATAPLANE), "--socket", str(home / "dataplane.sock"),
                     "--state-dir", str(home), *arguments, check=False, timeout=30)


def own_sentence(done: subprocess.CompletedProcess[str], program: str) -> str:
    """The one line in which our program says what is wrong (libraries may add theirs)."""
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(f"{program}: ")]
    assert len(lines) == 1, done.stdout + done.stderr
    return lines[0]


def test_a_missing_interface_is_named(site: Site, tmp_path: Path) -> None:
    done = dataplane(site, tmp_path, "--no-huge", "--port", "front=af_xdp:eth-nowhere")
    assert "eth-nowhere" in own_sentence(done, DATAPLANE)


def test_a_missing_pci_device_is_named(site: Site, tmp_path: Path) -> None:
    done = dataplane(site, tmp_path, "--no-huge", "--port", "front=pci:0000:7f:00.0")
    assert "0000:7f:00.0" in own_sentence(done, DATAPLANE)


def test_a_port_that_cannot_be_understood_is_explained(site: Site, tmp_path: Path) -> None:
    done = dataplane(site, tmp_path, "--no-huge", "--port", "front=af_xpd:eth-front")
    assert "af_xpd" in own_sentence(done, DATAPLANE)


def test_missing_hugepages_are_named(site: Site, tmp_path: Path) -> None:
    if int(Path("/proc/sys/vm/nr_hugepages").read_text()) > 0:
        pytest.skip("this machine has hugepages reserved")
    done = dataplane(site, tmp_path, "--port", "x=null")
    assert "hugepages" in own_sentence(done, DATAPLANE)


def test_without_permission_it_says_so(site: Site) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        program = shutil.copy(site.box.bin / DATAPLANE, folder)  # the repository may be out of nobody's reach
        done = site.exec("box-a", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "timeout", "-k1", "20", program,
                         "--no-huge", "--port", "front=af_xdp:eth-front", "--socket", f"{folder}/s", "--state-dir", folder,
                         check=False)
    assert re.search("root|permission|CAP_", own_sentence(done, DATAPLANE), re.IGNORECASE)


def test_an_interface_that_another_dataplane_uses_is_refused(site: Site, tmp_path: Path) -> None:
    done = dataplane(site, tmp_path, "--no-huge", "--port", "front=af_xdp:eth-front,queues=1")
    assert "eth-front" in own_sentence(done, DATAPLANE)
    assert site.answers("http://192.0.2.100/", 3).count("none") == 0, "the first one was disturbed"


def test_a_second_instance_with_the_same_state_is_refused(site: Site) -> None:
    done = site.exec("box-a", "timeout", "-k1", "20", str(site.box.bin / DATAPLANE), *site.box.options.dataplane_arguments(site.box.home),
                     check=False, timeout=30)
    assert "another" in own_sentence(done, DATAPLANE)
    assert site.answers("http://192.0.2.100/", 3).count("none") == 0, "the first one was disturbed"


BROKEN = """\
pool {
  name: "web"
  backend { name: "web1" address: "10.10.0.300" }
}
service {
  name: "web"
  address: "192.0.2.100"
  port: 70000
  protocol: TCP
  pool: "wbe"
}
"""


def test_every_error_of_a_configuration_has_its_place(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "broken.txtpb"
    file.write_text(BROKEN)
    done = site.exec("box-a", "timeout", "-k1", "20", str(site.box.bin / CONTROLPLANE), "--config", str(file), "--dataplane",
                     str(site.box.socket), "--state-dir", str(tmp_path), check=False, timeout=30)
    assert done.returncode == 1
    for line in (3, 8, 10):
        assert f"{file.name}:{line}:" in done.stdout + done.stderr, done.stdout + done.stderr


def test_a_broken_configuration_on_reload_leaves_everything_as_it_was(site: Site) -> None:
    before = site.box.running()
    good = site.box.config_file.read_text()
    site.box.config_file.write_text(good + BROKEN)
    try:
        site.box.signal(CONTROLPLANE, signal.SIGHUP)
        wait_for(lambda: site.box.config_file.name + ":" in site.box.log_tail(40), "the errors in the log")
        assert site.box.running().generation == before.generation
        assert site.answers("http://192.0.2.100/", 3).count("none") == 0
    finally:
        site.box.write_config(Config())
        site.box.signal(CONTROLPLANE, signal.SIGHUP)
