"""The command line of tools/lab."""
from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from . import addresses as at
from .api import is_rpc_error
from .box import DAEMONS, WORKERS_MAX, Box, BoxOptions
from .config import Config
from .measure import PROGRAM as MEASURE
from .shell import REPOSITORY, CommandFailed, Refused, run
from .site import Site, SiteOptions

DEFAULT_RUN_DIR = Path("/run/headgate-lab")
BOX_OPTIONS = ("workers", "idle", "preset", "hugepages")  # of `up`, by their names in BoxOptions
NO_ANSWER = "a dataplane does not answer: tools/lab status says what runs, tools/lab logs box-a (or box-b) why"
EPILOG = """\
hosts: client, box-a, box-b, web1, web2, web3, net (the bridges and the router)
services: 192.0.2.100 and [2001:db8:1::100] full_nat, .101 nat, .102 dsr, .103 tunnel IPIP, .104 tunnel GUE, .105 and .106
tunnels with an outer header of the other family; on each TCP 80 (/, /client, /blob/SIZE, /upload), UDP 7 (echo), UDP 53;
on .100 the same by sessions: TCP 8080 (HTTP), TCP 8081 (TCP_PROXY)
"""
NEXT = """\
What to type next:
  tools/lab demo                                          what it can show you
  tools/lab exec client curl -s http://192.0.2.100/       one request (any host, any command; `bash` for a shell)
  tools/lab exec box-a headgate show services             the console of a box
  tools/lab stop web2; tools/lab start web2               end a web server as a crash would; start it
  tools/lab status                                        what runs, and where its logs are
  tools/lab down                                          remove all of it
"""


def main() -> int:
    try:
        try:
            return command()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # `| head`: nobody reads on, and the interpreter must not try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def command() -> int:
    arguments = parser().parse_args()
    try:
        return arguments.run(arguments) or 0
    except BrokenPipeError:
        raise
    except Refused as refusal:
        print(f"tools/lab: {refusal}", file=sys.stderr)
    except (CommandFailed, TimeoutError) as failure:
        print(f"tools/lab: {failure}", file=sys.stderr)
    except KeyboardInterrupt:
        print("tools/lab: interrupted", file=sys.stderr)
    except Exception as error:
        if not is_rpc_error(error):
            raise
        print(f"tools/lab: {NO_ANSWER}", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="tools/lab", description="A whole Headgate site in network namespaces of this machine.",
                                  epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    up_command = commands.add_parser("up", help="install what is missing, build, start everything, show traffic")
    up_command.add_argument("--single", action="store_true", help="one box instead of a pair")
    up_command.add_argument("--workers", type=int, help="workers of a dataplane (default 1)")
    up_command.add_argument("--idle", choices=("adaptive", "poll"), help="what idle workers do (default adaptive)")
    up_command.add_argument("--preset", help="CMake preset to build and run (default release)")
    up_command.add_argument("--no-build", action="store_true", help="run what is built already")
    up_command.add_argument("--hugepages", action="store_true", default=None, help="use 2 MB pages (reserved here, given back by down)")
    up_command.set_defaults(run=up)

    commands.add_parser("down", help="remove everything the lab made, also after a crash").set_defaults(run=down)
    commands.add_parser("status", help="what runs").set_defaults(run=status)

    demo_command = commands.add_parser("demo", help="show one behaviour; without a name, list them")
    demo_command.add_argument("name", nargs="?")
    demo_command.set_defaults(run=demo)

    exec_command = commands.add_parser("exec", help="run a command on a host")
    exec_command.add_argument("host")
    exec_command.add_argument("command", nargs=argparse.REMAINDER)
    exec_command.set_defaults(run=execute)

    logs_command = commands.add_parser("logs", help="the logs of a host, or of all")
    logs_command.add_argument("host", nargs="?")
    logs_command.add_argument("--lines", type=int, default=20, help="of each log (default 20)")
    logs_command.set_defaults(run=logs)

    for name, action, what in (("start", start_server, "start a web server's nginx"), ("stop", stop_server, "end it as a crash would")):
        server_command = commands.add_parser(name, help=what)
        server_command.add_argument("host", help=", ".join(at.WEB_SERVERS))
        server_command.set_defaults(run=action)

    reload_command = commands.add_parser("reload", help="have a box read its configuration file again")
    reload_command.add_argument("box", nargs="?", help="box-a (default) or box-b; in a pair the commit goes to both")
    reload_command.set_defaults(run=reload)
    return top


def existing_site() -> Site:
    options = SiteOptions.load(DEFAULT_RUN_DIR)
    if options is None:
        raise Refused("the lab is not up: tools/lab up")
    return Site(options)


# -- up and down ---------------------------------------------------------------------------------------------------------


def up(arguments: argparse.Namespace) -> int:
    asked = {name: value for name in BOX_OPTIONS if (value := getattr(arguments, name)) is not None}
    if not 1 <= asked.get("workers", 1) <= WORKERS_MAX:
        raise Refused(f"--workers {asked['workers']}: a dataplane has 1 to {WORKERS_MAX} workers")
    options = SiteOptions(box=BoxOptions(**asked), pair=not arguments.single)
    site = Site(options)
    site.check()
    with site.exclusive():
        existing = SiteOptions.load(DEFAULT_RUN_DIR)
        if existing is not None and is_whole(existing):
            refuse_other_options(existing, asked, arguments.single)
            print("The lab is up already (tools/lab down removes it).")
            site = Site(existing)
        else:
            if not arguments.no_build:
                build(options.box.preset)
            site.box.check_binaries()
            site.down()  # what a crash or an interrupted `up` left
            make(site)
        show_traffic(site)
    print(NEXT, end="")
    return 0


def refuse_other_options(existing: SiteOptions, asked: dict[str, Any], single: bool) -> None:
    box = existing.box
    other = [f"--{name} is {getattr(box, name)}, not {value}" for name, value in asked.items() if getattr(box, name) != value]
    other += ["it has two boxes, not a --single one"] if single and existing.pair else []
    if other:
        raise Refused(f"the lab is up with other options ({'; '.join(other)}): tools/lab down first")


def is_whole(options: SiteOptions) -> bool:
    """True when everything that a lab started still runs."""
    site = Site(options)
    return (all(site.processes.pid(host, name) for host, name in site.processes.names())
            and all(box.daemon_pid(DAEMONS[0]) is not None for box in site.boxes))


# What a site runs, and what the demo of a failover measures with; tests and benchmarks are built by tools/test and tools/bench.
PROGRAMS = (*DAEMONS, "headgate-supervisor", "headgate", MEASURE)


def build(preset: str) -> None:
    started = time.monotonic()
    print(f"Building ({preset}); the first time takes minutes ...", flush=True)
    for command in (["cmake", "--preset", preset], ["cmake", "--build", "--preset", preset, "--target", *PROGRAMS]):
        done = run(*command_in_repository(command), check=False, timeout=3600)
        if done.returncode != 0:
            print((done.stdout + done.stderr)[-6000:], file=sys.stderr)
            raise Refused(f"the build failed: `{' '.join(command)}` in the repository shows it again")
    print(f"Built in {time.monotonic() - started:.0f} s.")


def command_in_repository(command: list[str]) -> list[str]:
    return ["env", "-C", str(REPOSITORY), *command]


def make(site: Site) -> None:
    started = time.monotonic()
    what = "two boxes" if site.options.pair else "one box"
    print(f"Starting client, router, {what} and three web servers ...", flush=True)
    try:
        site.up(Config())
    except BaseException:
        print("Removing what was started ...", file=sys.stderr)
        site.down()
        raise
    print(f"Ready after {time.monotonic() - started:.1f} s: client 192.0.2.10 -> {what} -> web1..3 10.10.0.21-23, through AF_XDP.\n")


def show_traffic(site: Site) -> None:
    target = at.url(at.front(100))
    answers = site.answers(target, 12)
    print(f"12 x tools/lab exec client curl -s {target}\n  {' '.join(answers)}")
    print("  " + ", ".join(f"{name}: {count}" for name, count in sorted(Counter(answers).items())) + "\n")


def down(arguments: argparse.Namespace) -> int:
    if os.geteuid() != 0:
        raise Refused("removing namespaces needs root: run this with sudo")
    site = Site(SiteOptions.load(DEFAULT_RUN_DIR) or SiteOptions())
    with site.exclusive(wait=10):
        existed = site.exists() or site.run_dir.exists()
        site.down()
    print("The lab is down." if existed else "There was no lab.")
    return 0


# -- looking -------------------------------------------------------------------------------------------------------------


def status(arguments: argparse.Namespace) -> int:
    site = existing_site()
    wanted = sorted({*site.processes.names(), *((name, "nginx") for name in site.web_servers)})
    dead = [f"{host}.{name}" for host, name in wanted if site.processes.pid(host, name) is None]
    print(f"run directory  {site.run_dir}\nlogs           {site.processes.logs} (tools/lab logs [HOST])\n"
          f"namespaces     {' '.join(site.network.recorded())}")
    print(f"processes      {len(wanted) - len(dead)} of {len(wanted)} run" + (f"; dead: {', '.join(dead)}" if dead else ""))
    answers = [box_status(box) for box in site.boxes]
    return 0 if all(answers) and not dead else 1


def box_status(box: Box) -> bool:
    """Says what runs of a box; true when all of it does."""
    pids = {name: box.daemon_pid(name) for name in DAEMONS}
    print(f"\n{box.host}\n" + "".join(f"  {name:22} {pid or 'does not run'}\n" for name, pid in pids.items()), end="")
    running = box.running_or_none()
    print(f"  configuration          {box.config_file}")
    if running is None:
        print("  dataplane API          no answer")
        return False
    print(f"  generation             {running.generation} on {running.workers} worker(s)")
    if (group := box.group_state()) is not None:
        print(f"  group {group.name:16} {box.role()}{f': {group.cause}' if group.cause else ''}")
    for port in box.api.call("Stats").port:
        print(f"  port {port.name:9} {'up' if port.link_up else 'DOWN'}, {port.driver}, steering {port.steering}, "
              f"rx {port.rx_packets} tx {port.tx_packets} packets")
    return all(pids.values())


def execute(arguments: argparse.Namespace) -> int:
    site = existing_site()
    host = arguments.host.removeprefix("hg-")
    if site.network.namespace(host) not in site.network.recorded():
        raise Refused(f"there is no host {arguments.host}; there are: {', '.join(site.hosts())}")
    command = arguments.command or ["bash"]
    environment = os.environ | {"PATH": f"{site.box.bin}:{os.environ.get('PATH', '')}"}
    box = next((box for box in site.boxes if box.host == host), None)
    if box and command[0] == "headgate":  # the lab's socket is not at the appliance's place
        command = ["headgate", "--management", str(box.management), *command[1:]]
    os.execvpe("ip", ["ip", "netns", "exec", site.network.namespace(host), *command], environment)


def logs(arguments: argparse.Namespace) -> int:
    site = existing_site()
    host = (arguments.host or "").removeprefix("hg-")
    found = sorted([*site.processes.logs.glob(f"{host or '*'}.*"), *site.run_dir.glob(f"{host or '*'}/*.log")])
    if not found:
        raise Refused(f"there is no log of {arguments.host or 'any host'}")
    for log in found:
        lines = log.read_text(errors="replace").splitlines()
        if lines:
            print(f"==> {log}")
            print("\n".join(lines[-arguments.lines:]))
    return 0


def reload(arguments: argparse.Namespace) -> int:
    site = existing_site()
    wanted_host = (arguments.box or site.box.host).removeprefix("hg-")
    box = next((box for box in site.boxes if box.host == wanted_host), None)
    if box is None:
        raise Refused(f"{arguments.box} is no box; there are: {', '.join(box.host for box in site.boxes)}")
    who = f"{box.host}: " if len(site.boxes) > 1 else ""
    before = box.running()
    judgement = box.judge_config()
    print("".join(f"{who}{line}\n" for line in judgement.said), end="")
    if not judgement.good:
        raise Refused(f"{who}the file has errors; generation {before.generation} goes on as before")
    try:
        changed = box.reload_file()
    except TimeoutError as late:
        raise TimeoutError(f"{who}{late}\nThe last lines of the box's log:\n{box.log_tail()}") from None
    if changed:
        print(f"{who}Generation {box.running().generation} runs.")
    else:
        print(f"{who}The file says what runs already: generation {before.generation} goes on.")
    return 0


def web_server(arguments: argparse.Namespace) -> tuple[Site, str]:
    site = existing_site()
    host = arguments.host.removeprefix("hg-")
    if host not in site.web_servers:
        raise Refused(f"{arguments.host} is no web server; there are: {', '.join(site.web_servers)}")
    return site, host


def start_server(arguments: argparse.Namespace) -> int:
    site, host = web_server(arguments)
    if site.processes.pid(host, "nginx") is not None:
        raise Refused(f"nginx on {host} runs already")
    site.servers.start_nginx(host)
    site.servers.wait_listening(host, ":80 ")
    print(f"nginx on {host} runs; it is taken back after two good probes.")
    return 0


def stop_server(arguments: argparse.Namespace) -> int:
    site, host = web_server(arguments)
    if site.processes.pid(host, "nginx") is None:
        raise Refused(f"nginx on {host} does not run")
    site.processes.stop(host, "nginx", signal.SIGKILL)
    print(f"nginx on {host} is dead; it is taken out after three failed probes. tools/lab start {host} starts it again.")
    return 0


def demo(arguments: argparse.Namespace) -> int:
    from . import demos
    if arguments.name is None:
        demos.list_demos()
    else:
        demos.run_demo(existing_site(), arguments.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
