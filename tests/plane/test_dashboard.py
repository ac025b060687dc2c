# SPDX-License-Identifier: Apache-2.0
"""Every panel of the cluster's dashboard, with a real Prometheus that asks a real controller."""

import http.client
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bede_plane import PODS, ROOT, System, pod, wait_until

from ocihook.cluster import words
from ocihook.cluster.api import MERGE
from vmlab import debian
from vmlab.cluster.plane import free_ports
from vmlab.progress import Progress

EXAMPLES = ROOT / "examples/prometheus"
EACH = 1 << 30
Query = Callable[[str], list[Any]]


@pytest.fixture(scope="session")
def unpacked() -> Path:
    """Debian's Prometheus; unpacked once, which takes a minute."""
    return debian.ensure("prometheus", ("prometheus",), Progress())


@pytest.fixture(scope="module")
def query(system: System, unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Query]:
    """What asks a Prometheus that scrapes the controller."""
    system.run(2, EACH)
    where = tmp_path_factory.mktemp("prometheus")
    target = f"127.0.0.1:{system.metrics}"
    job = {"job_name": "bede-controller", "static_configs": [{"targets": [target]}]}
    (where / "prometheus.yml").write_text(
        json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]})
    )
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    command = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}"]

    def ask(expression: str) -> list[Any]:
        words = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"http://{address}/api/v1/query?{words}", timeout=30) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == http.client.SERVICE_UNAVAILABLE:
                return []  # it is not ready yet
            raise AssertionError(f"{expression}: {error.read().decode()}") from None
        except OSError:
            return []  # it does not listen yet
        assert told["status"] == "success", told
        found: list[Any] = told["data"]["result"]
        return found

    with (where / "log").open("wb") as log:
        line = [*debian.program(unpacked, "usr/bin/prometheus"), *command]
        process = subprocess.Popen(line, cwd=where, stdout=log, stderr=log)
        try:
            wait_until("it has scraped twice", lambda: ask("rate(bede_controller_errors_total[10s])"))
            yield ask
        finally:
            process.kill()
            process.wait()


def test_each_panel_shows_something(system: System, query: Query) -> None:
    system.api.send("POST", PODS, pod("web", **{words.RESOURCE: "64Mi"}))
    system.api.send("POST", PODS, pod("other", **{words.RESOURCE: "32Mi"}))
    wait_until("they are bound", lambda: query("max(bede_cluster_bound_bytes) == 96 * 1024 * 1024"))
    local = next(one for one in system.items(words.NODES) if one["status"].get("containers"))
    # One that suffers, and a node that cannot hold bounds: the mock tells of neither.
    held = [{**one, "suffers": 250} for one in local["status"]["containers"]]
    conditions = [{"type": "Ready", "status": "False", "reason": "AgentDown", "message": "x"}]
    body = {"status": {"containers": held, "conditions": conditions}}
    system.api.send("PATCH", f"{words.NODES}/{local['metadata']['name']}/status", body, MERGE)
    wait_until("that is known", lambda: query("bede_cluster_suffering_ratio == 0.25"))
    dashboard = json.loads((EXAMPLES / "grafana-cluster.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "10s").replace("$node", ".*")
            wait_until(f"{panel['title']}: {expression}", lambda e=expression: query(e))


def test_the_example_of_a_job_is_accepted(unpacked: Path) -> None:
    line = [*debian.program(unpacked, "usr/bin/promtool"), "check", "config", str(EXAMPLES / "cluster.yml")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
