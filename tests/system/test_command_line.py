"""What the programs say to a wrong command line: one sentence that names what is wrong, and exit status 1."""
from __future__ import annotations

import pytest

from lab_lib.shell import REPOSITORY, run

WRONG = [
    ("headgate-controlplane", ["--bogus"], "there is no option --bogus"),
    ("headgate-controlplane", ["--config"], "--config"),
    ("headgate-controlplane", [], "--config is required"),
    ("headgate-supervisor", ["--bogus"], "there is no option --bogus"),
    ("headgate-supervisor", ["--config"], "--config needs a value"),
    ("headgate-supervisor", [], "--config FILE is missing"),
    ("headgate", ["show", "bogus"], "there is no 'headgate show bogus'; there are: backends, commits"),
    ("headgate", ["show", "drops", "--bogus"], "there is no option --bogus"),
    ("headgate", ["explain", "tcp", "192.0.2.10", "192.0.2.100:80"], "tcp needs two ports and '192.0.2.10' has none"),
    ("headgate", ["explain", "tcp", "192.0.2.10:1", "192.0.2.100:99999"], "'192.0.2.100:99999' is no ADDRESS:PORT"),
]


@pytest.mark.parametrize("program,arguments,says", WRONG, ids=[" ".join([case[0], *case[1]]) for case in WRONG])
def test_a_wrong_command_line_is_told_in_one_sentence(request: pytest.FixtureRequest, program: str, arguments: list[str],
                                                      says: str) -> None:
    binary = REPOSITORY / "build" / request.config.getoption("--preset") / "bin" / program
    done = run(str(binary), *arguments, check=False)
    assert done.returncode == 1
    assert done.stdout == "" and says in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
