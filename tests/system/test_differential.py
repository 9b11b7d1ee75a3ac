"""The corpus of malformed and odd requests (tests/golden/http/requests.txt) on real connections: through our box, which must answer each
as the corpus says, and beside it through Debian's HAProxy and nginx as reverse proxies, each with a backend that records.

Where those two do otherwise than our box, tests/golden/http/differences.txt has what they do and why that is as expected; one that
is not in there fails, and so does one in there that is none any more.
"""
from __future__ import annotations

import json
from collections import Counter
from typing import Any, Iterator

import pytest
from lab_lib import addresses as at
from lab_lib.shell import wait_for
from lab_lib.site import Site

import corpus
from bare import bare_site, networks
from corpus import Case, Difference
from helpers import HERE, PYTHON
from results import Table

LANES = 16
CLIENT = "198.51.100.7"  # as the corpus has it
SERVICE_NUMBER, SERVICE_PORT = 120, 8100
PORTS = {"headgate": SERVICE_PORT, "haproxy": 8200, "nginx": 8300}       # of the first lane
RECORDERS = {"headgate": 9100, "haproxy": 9200, "nginx": 9300}
IDLE_S, IDLE_AGAIN_S = 0.4, 2.0  # without a byte, after which a client takes it that no more comes; the second time round

NETWORK = """
route { prefix: "198.51.100.0/24" next_hop { gateway: "192.0.2.10" interface: "front" } }
"""
LANE = """
pool {{ id: {id} name: "lane{id}" algorithm: ROUND_ROBIN backend {{ id: {id} name: "web1" address: "10.10.0.21" port: {recorder} weight: 1 }} }}
service {{ id: {id} name: "lane{id}" address: "{address}" port: {port} protocol: HTTP mode: FULL_NAT pool_id: {id} }}
"""
HAPROXY = """
global
  maxconn 1000
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout http-request 30s
  option forwardfor
"""
HAPROXY_LANE = """
listen lane{port}
  bind {address}:{port}
  server web1 {server}:{recorder}
"""
NGINX = """
daemon off;
user root;
worker_processes 1;
pid {home}/reference.pid;
error_log {home}/reference.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  proxy_http_version 1.1;
  proxy_request_buffering off;
  proxy_set_header Host $http_host;
  proxy_set_header Connection "";
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
{lanes}
}}
"""
NGINX_LANE = "  server {{ listen {address}:{port}; location / {{ proxy_pass http://{server}:{recorder}; }} }}\n"

TABLE = Table("Malformed and odd requests: beside HAProxy and nginx", ("proxy", "judgement", "cases", "for instance", "what it does with that"))


def lanes(template: str, proxy: str, **values: Any) -> str:
    return "".join(template.format(port=PORTS[proxy] + lane, recorder=RECORDERS[proxy] + lane, server=at.web("web1"), id=lane + 1, **values)
                   for lane in range(LANES))


def start_references(site: Site) -> None:
    box, home = site.box.host, site.run_dir / "reference"
    home.mkdir()
    address = at.front(at.BOX_NUMBER)
    (home / "haproxy.cfg").write_text(HAPROXY + lanes(HAPROXY_LANE, "haproxy", address=address))
    (home / "nginx.conf").write_text(NGINX.format(home=home, lanes=lanes(NGINX_LANE, "nginx", address=address)))
    site.servers.spawn(box, "haproxy", "haproxy", "-db", "-f", str(home / "haproxy.cfg"))
    site.servers.spawn(box, "nginx", "nginx", "-p", str(home), "-e", str(home / "reference.log"), "-c", str(home / "nginx.conf"))
    site.servers.wait_listening(box, *(f":{PORTS[name] + LANES - 1} " for name in ("haproxy", "nginx")))
    site.network.ip(box, "route", "add", f"{CLIENT}/32", "via", at.front(at.CLIENT_NUMBER))


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with bare_site(request, networks() + NETWORK + lanes(LANE, "headgate", address=at.front(SERVICE_NUMBER))) as site:
        site.network.ip("client", "addr", "add", f"{CLIENT}/32", "dev", "lo")
        for first in RECORDERS.values():
            site.servers.spawn("web1", f"recorder{first}", PYTHON, str(HERE / "recorder.py"), str(site.run_dir / f"recorder{first}.sock"),
                               str(first), str(first + LANES - 1))
        site.servers.wait_listening("web1", *(f":{first + LANES - 1} " for first in RECORDERS.values()))
        start_references(site)
        wait_for(lambda: site.curl(at.url(at.front(SERVICE_NUMBER), port=SERVICE_PORT), check=False, timeout=1).returncode == 0,
                 "the first answer", 20, 0.2)
        yield site


class Outcome:
    """What a proxy did with a case, without the words that it said it with."""

    def __init__(self, reply: dict) -> None:
        self.heard, self.closed, self.requests = reply["heard"], reply["closed"], reply["requests"]

    @property
    def statuses(self) -> tuple[str, ...]:
        """Of final responses: neither heads nor bodies have a version anywhere else."""
        found = [part[2:5] for part in self.heard.split("HTTP/1.")[1:]]
        return tuple(status for status in found if status >= "200")

    @property
    def answers(self) -> str:
        return " ".join(self.statuses) or ("closed" if self.closed else "wait")

    @property
    def backend(self) -> str:
        """As it goes into a file of lines and columns. A part of a request is nothing: whether one was sent on is chance."""
        return "; ".join(self.seen(request) for request in self.requests if request["state"] != "aborted") or "nothing"

    def does(self, *ways: tuple[str, str]) -> bool:
        """Requires: answers and backend, each as in the file."""
        return (self.answers, self.backend) in ways

    @staticmethod
    def seen(request: dict) -> str:
        if request["state"] != "whole":
            return request["state"]
        method, _, rest = request["line"].partition(" ")
        text = f"{method} {rest.removesuffix(' HTTP/1.1')}" + (f" body={request['body']}" if request["body"] else "")
        text = text.encode("latin1").decode("ascii", "backslashreplace")
        text = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text).replace("|", "\\|").replace(";", "\\;")
        return text if len(text) < 100 else f"{text[:60]}... of {len(text)}"


def send(site: Site, cases: list[Case], proxies: list[str], idle: float) -> dict[tuple[str, str], Outcome]:
    addresses = {"headgate": at.front(SERVICE_NUMBER)}
    text = json.dumps([(case.name, case.bytes.hex()) for case in reversed(cases)])
    # One process for each proxy: the recorders' answers must not wait for each other.
    targets = [[str(site.run_dir / f"recorder{RECORDERS[name]}.sock"), CLIENT, str(idle), str(LANES),
                f"{name},{addresses.get(name, at.front(at.BOX_NUMBER))},{PORTS[name]},{RECORDERS[name]}"] for name in proxies]
    running = [site.popen("client", PYTHON, str(HERE / "corpus_client.py"), *target, stdin=-1) for target in targets]
    for process in running:
        process.stdin.write(text)
        process.stdin.close()
    outcomes = {}
    for process in running:
        for line in process.stdout:
            assert line.startswith("{"), line + process.stdout.read()
            reply = json.loads(line)
            outcomes[reply["case"], reply["proxy"]] = Outcome(reply)
        assert process.wait(60) == 0
    return outcomes


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {case.name: case for case in corpus.requests()}


@pytest.fixture(scope="module")
def outcomes(site: Site, cases: dict[str, Case]) -> dict[tuple[str, str], Outcome]:
    """Of every case at every proxy. One that is not as it should be is tried once more, more patiently: the machine may be busy."""
    outcomes = send(site, list(cases.values()), list(PORTS), IDLE_S)
    for proxy in PORTS:
        odd = [case for case in cases.values() if not as_expected(case, proxy, outcomes)]
        if odd:
            outcomes |= send(site, odd, [proxy], IDLE_AGAIN_S)
    return outcomes


def known(name: str, proxy: str) -> list[Difference]:
    """What is expected of a case where it is not what our box does; several when that is not always the same."""
    return [entry for entry in corpus.differences()[0] if (entry.name, entry.proxy) == (name, proxy)]


def as_expected(case: Case, proxy: str, outcomes: dict[tuple[str, str], Outcome]) -> bool:
    ours, outcome = outcomes[case.name, "headgate"], outcomes[case.name, proxy]
    if proxy == "headgate":
        return not wrong(case, outcome)
    return outcome.does(*[(entry.answers, entry.backend) for entry in known(case.name, proxy)] or [(ours.answers, ours.backend)])


def values(request: dict, name: str) -> list[str]:
    return [value for key, value in request["fields"] if key.lower() == name]


def wrong_request(wanted: str, request: dict) -> str:
    """What is wrong with a request that the backend saw; `wanted` as in the corpus."""
    method, target, *words = wanted.split()
    body = next((word.removeprefix("body=") for word in words if word.startswith("body=")), "")
    line = f"{method} {corpus.unescape(target).decode('latin1')} HTTP/1.1"
    if (request["line"], request["body"].encode("latin1"), request["state"]) != (line, corpus.unescape(body), "whole"):
        return f"the backend saw {request}, not {wanted}"
    for word in words:
        name, equals, value = word.partition("=")
        found = values(request, name.removeprefix("+").removeprefix("-").lower())
        good = bool(found) if word[0] == "+" else not found if word[0] == "-" else name == "body" or found == [value]
        if not good or (word[0] not in "+-" and not equals):
            return f"the backend saw {found} for {word}"
    return ""


def wrong(case: Case, outcome: Outcome) -> str:
    """What our box did otherwise than the corpus says; empty when nothing."""
    if outcome.statuses != case.statuses:
        return f"answered {outcome.statuses}, not {case.statuses}"
    if any(answer not in ("pass", "wait") for answer in case.answers) and not outcome.closed:
        return "the connection of a refused request stays open"
    whole = [request for request in outcome.requests if request["state"] == "whole"]
    wanted = [entry for entry in case.backend if entry not in ("nothing", "aborted")]
    if len(whole) != len(wanted):
        return f"the backend saw {outcome.backend}, not {case.backend}"
    if len(whole) != len(outcome.requests) and "aborted" not in case.backend:
        return f"the backend saw {outcome.backend}, not {case.backend}"
    return next((text for entry, request in zip(wanted, whole) if (text := wrong_request(entry, request))), "")


def test_our_box_answers_each_as_the_corpus_says(outcomes: dict, cases: dict[str, Case]) -> None:
    faults = {name: text for name, case in cases.items() if (text := wrong(case, outcomes[name, "headgate"]))}
    TABLE.note(f"headgate: {len(cases) - len(faults)} of {len(cases)} as the corpus says")
    assert not faults, "\n".join(f"{name}: {text}" for name, text in faults.items())


@pytest.mark.parametrize("proxy", ["haproxy", "nginx"])
def test_differences_to_others_are_known_and_judged(outcomes: dict, cases: dict[str, Case], proxy: str) -> None:
    _, sentences = corpus.differences()
    new, gone, judged = [], [], Counter()
    example: dict[str, tuple[str, str]] = {}
    for name, case in cases.items():
        ours, theirs = outcomes[name, "headgate"], outcomes[name, proxy]
        if not as_expected(case, proxy, outcomes):
            (gone if theirs.does((ours.answers, ours.backend)) else new).append(f"{name} | {proxy} | {theirs.answers} | {theirs.backend} | ?")
            continue
        for entry in known(name, proxy)[:1]:
            judged[entry.judgement] += 1
            example.setdefault(entry.judgement, (name, f"{theirs.answers}; {theirs.backend}"))
    for judgement, count in sorted(judged.items()):
        TABLE.add(proxy, judgement, count, *example[judgement])
        TABLE.note(f"{judgement}: {sentences[judgement]}")
    TABLE.note(f"{proxy}: {len(cases) - sum(judged.values()) - len(new)} cases as our box, {sum(judged.values())} judged, {len(new)} not")
    assert not new, "not judged in differences.txt:\n" + "\n".join(new)
    assert not gone, "in differences.txt, and no difference any more:\n" + "\n".join(gone)


def test_the_kept_file_is_about_cases_that_exist(cases: dict[str, Case]) -> None:
    entries, sentences = corpus.differences()
    assert {entry.name for entry in entries} <= set(cases)
    assert {entry.judgement for entry in entries} == set(sentences)
