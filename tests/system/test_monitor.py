"""What a Prometheus would scrape of the box, and what a load balancer of boxes would ask."""
from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

from lab_lib.shell import wait_for
from lab_lib.site import Site

from helpers import WEB


MONITORING = Path(__file__).resolve().parents[2] / "tools" / "monitoring"
RULES = MONITORING / "headgate.rules.yml"
DASHBOARD = MONITORING / "headgate.dashboard.json"


def get(site: Site, path: str) -> tuple[int, str]:
    done = site.curl(f"http://127.0.0.1:9101{path}", "-w", "\n%{http_code}", host="box-a", check=False)
    body, _, code = done.stdout.rpartition("\n")
    return int(code or 0), body


def value(text: str, sample: str) -> float:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    assert found, f"no {sample} in\n{text[:2000]}"
    return float(found[1])


def test_metrics_count_what_clients_do(site: Site) -> None:
    started = 'headgate_service_flows_started_total{service="web/v4"}'
    before = value(get(site, "/metrics")[1], started)
    site.answers(WEB, 12)
    code, after = get(site, "/metrics")
    assert code == 200
    assert value(after, started) - before == 12
    assert value(after, "headgate_dataplane_in_sync") == 1
    for backend in ("web1", "web2", "web3"):
        assert value(after, f'headgate_backend_up{{pool="web/v4",backend="{backend}"}}') == 1
    assert value(after, 'headgate_port_up{port="front"}') == 1
    assert value(after, 'headgate_resource_free{resource="packet_buffers"}') > 0


def test_readiness_follows_the_dataplane(site: Site) -> None:
    assert get(site, "/healthz") == (200, "ok\n")
    assert get(site, "/readyz") == (200, "ready\n")
    pid = site.box.signal("headgate-dataplane", signal.SIGSTOP)
    site.box.signal("headgate-dataplane", signal.SIGKILL)
    wait_for(lambda: get(site, "/readyz")[0] == 503, "not ready without a dataplane", 10, interval=0.02)
    site.box.wait_new_pid("headgate-dataplane", pid)
    wait_for(lambda: get(site, "/readyz")[0] == 200, "ready again", 15)


def test_promtool_accepts_the_metrics_and_the_rules(site: Site) -> None:
    checked = subprocess.run(["promtool", "check", "metrics"], input=get(site, "/metrics")[1], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    checked = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dashboard_and_the_rules_name_only_metrics_that_exist(site: Site) -> None:
    site.answers(WEB, 3)
    exported = set(re.findall(r"^# TYPE (\S+)", get(site, "/metrics")[1], re.MULTILINE))
    # What only exists once it has happened; the exporter's unit test has it.
    exported |= {"headgate_service_refused_total", "headgate_handed_over_packets_total", "headgate_backend_probe_latency_seconds",
                 "headgate_http_refused_total", "headgate_http_bad_responses_total"}
    # A histogram's series have names of their own.
    exported |= {f"{name}_bucket" for name in exported if name.endswith("_seconds")}
    # What only a box with groups has, which this one is not; likewise.
    groups = {"headgate_failover_peer_up", "headgate_failover_peer_agreed", "headgate_group_class", "headgate_group_role",
              "headgate_group_transitions_total", "headgate_group_withheld_total", "headgate_group_lease_gaps_total"}
    exported |= groups
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries += [entry["expr"] for entry in dashboard["annotations"]["list"]]
    assert len(queries) > 30
    assert groups <= set(re.findall(r"\bheadgate_\w+", " ".join(queries))), "failover has its panels"
    for text in [*queries, json.dumps(dashboard["templating"]), RULES.read_text()]:
        unknown = set(re.findall(r"\bheadgate_\w+", text)) - exported
        assert not unknown, f"{unknown} in {text[:200]}"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_a_prometheus_understands_every_query_of_the_dashboard(site: Site, tmp_path: Path) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    rules = tmp_path / "queries.yml"
    lines = ["groups:", "  - name: dashboard", "    rules:"]
    for number, target in enumerate(target for panel in dashboard["panels"] for target in panel.get("targets", [])):
        query = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
        lines += [f"      - record: dashboard:q{number}", f"        expr: {json.dumps(query)}"]
    rules.write_text("\n".join(lines) + "\n")
    checked = subprocess.run(["promtool", "check", "rules", str(rules)], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_prometheus_scrapes_the_box_and_its_alerts_are_quiet(site: Site, tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text(f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{RULES}]\n"
                      "scrape_configs:\n  - job_name: headgate\n    static_configs: [{targets: ['127.0.0.1:9101']}]\n")
    prometheus = site.popen("box-a", "prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data",
                            "--web.listen-address=127.0.0.1:9090")
    try:
        def ask(path: str, query: str = "") -> dict:
            done = site.curl(f"http://127.0.0.1:9090/api/v1/{path}", "--fail", "-G", "--data-urlencode", f"query={query}", host="box-a", check=False)
            return json.loads(done.stdout).get("data", {}) if done.returncode == 0 else {}

        query = 'count(headgate_backend_up{pool="web/v4"} == 1)'
        wait_for(lambda: [entry["value"][1] for entry in ask("query", query).get("result", [])] == ["3"], "three backends up", 30)
        firing = [alert["labels"]["alertname"] for alert in ask("alerts")["alerts"] if alert["state"] == "firing"]
        assert firing == []
    finally:
        prometheus.kill()
        prometheus.communicate()
