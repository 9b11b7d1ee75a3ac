"""The candidate and files: load, save, comment, discard; what a script says of them."""
from __future__ import annotations

import re
from pathlib import Path

from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import hold, script

WEIGHT = "set pool web backend web1 weight 7"
CHANGE = "+ pool web backend web1 weight 7"


def configured(site: Site) -> str:
    return site.box.cli("show", "configuration").stdout


def test_a_saved_candidate_is_loaded_as_it_was(site: Site, tmp_path: Path) -> None:
    before, saved = configured(site), tmp_path / "saved.txtpb"
    said = script(site, WEIGHT, f"save {saved}", "discard", "compare", f"load {saved}", "compare").stdout
    assert said.index("no changes") < said.index(CHANGE), said
    assert "weight: 7" in saved.read_text()
    assert configured(site) == before, "nothing was committed"
    refused = script(site, f"save {tmp_path}/no/such/folder/file", check=False)
    assert refused.returncode == 1 and "cannot write" in refused.stderr


def test_a_file_of_set_commands_is_loaded_whole_or_not_at_all(site: Site, tmp_path: Path) -> None:
    commands = tmp_path / "commands"
    commands.write_text(f"# first\n\n{WEIGHT}\nset pool web comment \"two words\"\ndelete pool web backend web3\n")
    said = script(site, f"load {commands}", "compare").stdout
    assert CHANGE in said and "+ pool web comment \"two words\"" in said and "- pool web backend web3" in said, said
    commands.write_text(f"{WEIGHT}\nset pool web backend web1 wieght 8\n")
    refused = script(site, f"load {commands}", check=False)
    assert refused.returncode == 1 and f"{commands}:2" in refused.stderr and "wieght" in refused.stderr, refused.stderr
    commands.write_text(f"{WEIGHT}\ncommit\n")
    refused = script(site, f"load {commands}", check=False)
    assert f"{commands}:2: only set and delete can be loaded" in refused.stderr, refused.stderr


def test_a_file_that_cannot_be_read_changes_nothing(site: Site, tmp_path: Path) -> None:
    broken = tmp_path / "broken.txtpb"
    broken.write_text("pool { name: \"web\"\n  colour: 3 }\n")
    refused = script(site, f"load {broken}", check=False)
    assert refused.returncode == 1 and ":2:" in refused.stderr and "colour" in refused.stderr, refused.stderr
    assert "No such file" in script(site, f"load {tmp_path}/absent", check=False).stderr
    assert "takes the name of a file" in script(site, "load", check=False).stderr


def test_all_that_is_wrong_with_a_file_is_said_when_it_is_loaded(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "wrong.txtpb"
    file.write_text(configured(site) + "pool {\n  name: \"two\"\n  colour: 3\n  backend { name: \"b\" adress: \"10.10.0.9\" }\n}\n")
    refused = script(site, f"load {file}", check=False)
    lines = configured(site).count("\n")
    assert refused.returncode == 1 and "the candidate is as it was" in refused.stderr
    for place, word, path in ((lines + 3, "colour", "pool two"), (lines + 4, "adress", "pool two backend b")):
        assert re.search(rf"{file}:{place}:\d+: .*{word}.* \({path}\)\n", refused.stderr), refused.stderr
    file.write_text(configured(site) + "pool {\n  name: \"two\"  # behind\n  backend { name: \"b\" }\n}\n")
    loaded = script(site, f"load {file}", "compare")
    assert f"{file}:{lines + 2}:" in loaded.stdout and "this comment is not kept" in loaded.stdout, loaded.stdout
    assert re.search(rf"{file}:{lines + 3}:\d+: .*\(pool two backend b\)\n", loaded.stderr), loaded.stderr
    assert "cannot be committed" in loaded.stdout and "+ pool two backend b" in loaded.stdout
    assert "the changes are gone" in loaded.stderr


def test_only_the_changes_are_saved_and_made_again_on_another_configuration(site: Site, tmp_path: Path) -> None:
    saved = tmp_path / "changes"
    script(site, WEIGHT, "delete pool web backend web3", f"save {saved} changes")
    assert saved.read_text() == f"delete pool web backend web3\n{WEIGHT}\n"
    assert saved.stat().st_mode & 0o777 == 0o600, "it may hold secrets"
    said = script(site, "set pool web comment other", f"load {saved}", "compare").stdout
    assert "+ pool web comment other" in said and CHANGE in said and "- pool web backend web3" in said


def test_a_comment_is_kept_with_its_entry_until_it_is_removed(site: Site) -> None:
    before = configured(site)
    script(site, "comment pool web backend web1 \"ask anna first\"", "commit")
    try:
        assert "ask anna first" in configured(site)
        assert "set pool web backend web1 comment \"ask anna first\"" in site.box.cli("show", "configuration", "set").stdout
    finally:
        script(site, "comment pool web backend web1 \"\"", "commit")
    assert configured(site) == before
    assert "write it like: comment" in script(site, "comment pool", check=False).stderr
    assert "there is no pool nosuch" in script(site, "comment pool nosuch \"x\"", check=False).stderr
    assert "takes no comment" in script(site, "comment pool \"x\"", check=False).stderr


def test_discard_forgets_changes_and_begins_from_what_runs(site: Site) -> None:
    said = script(site, WEIGHT, "discard", "compare", "commit").stdout
    assert "no changes" in said and "nothing to commit" in said, said
    said = script(site, WEIGHT, "exit", "configure", "compare").stdout
    assert "no changes" in said, "a script's exit asks nobody"


def test_filters_of_a_script(site: Site) -> None:
    said = script(site, "show set | match backend.web1.address | except :", "show set | count").stdout.splitlines()
    assert said[0] == "set pool web backend web1 address 10.10.0.21"
    assert all("web1 address" in line and ":" not in line for line in said[:-1]), said
    assert said[-1].endswith(" lines") and int(said[-1].split()[0]) > 10
    refused = script(site, "show set | match [", check=False)
    assert refused.returncode == 1 and "no pattern" in refused.stderr


def test_a_check_says_how_many_flows_a_change_touches(site: Site) -> None:
    holder = hold(site, 6, 4)  # two on each backend
    try:
        wait_for(lambda: "flows now: 2; they go on until they end" in script(site, "delete pool web backend web3", "check").stdout,
                 "two flows on web3", 5)
        said = script(site, "delete pool web backend web3", "set pool web on_removal reset", "check").stdout
        assert "pool web backend web3: removed; flows now: 2; they are reset" in said, said
        said = script(site, "delete service web", "check").stdout
        found = re.search(r"service web: removed; flows now: (\d+); they go on until they end", said)  # others have its addresses
        assert found and 6 <= int(found[1]) < 20, said
        said = script(site, "rename service web to shop", "check").stdout
        assert "service shop: is web under a new name" in said, said
    finally:
        holder.communicate()
