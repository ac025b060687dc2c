# SPDX-License-Identifier: Apache-2.0
"""The metrics, scraped by a real Prometheus and compared with the kernel's figures."""

import contextlib
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from helpers import DEADLINE, EXAMPLES, IS_PATCHED, MIB, Container, pid_of, run, wait_until
from on import PATCHED, on

pytestmark = [on("debian-6.12"), on(PATCHED, rarely=True), pytest.mark.usefixtures("unbalanced")]
URL = "http://127.0.0.1:9475/metrics"
UNIT = "bede-metrics.service"
DASHBOARD = json.loads((EXAMPLES / "prometheus/grafana-dashboard.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def unit():
    """The unit of the metrics, which is off until a test starts it."""
    assert run("systemctl", "is-active", UNIT).stdout.strip() == "inactive"
    subprocess.run(["systemctl", "start", UNIT], check=True)
    yield
    subprocess.run(["systemctl", "stop", UNIT], check=True)


@pytest.fixture
def container():
    with Container("podman-crun", "figures", "32M", 96) as one:
        yield one.fill()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """A real Prometheus with the example's configuration, except for its interval."""
    where = tmp_path_factory.mktemp("prometheus")
    text = (EXAMPLES / "prometheus/prometheus.yml").read_text()
    assert "scrape_interval: 15s" in text
    (where / "prometheus.yml").write_text(text.replace("15s", "1s"))
    command = ["prometheus", f"--config.file={where}/prometheus.yml", f"--storage.tsdb.path={where}/data"]
    with (where / "log").open("w") as log:
        process = subprocess.Popen([*command, "--web.listen-address=127.0.0.1:9090"], stdout=log, stderr=log)
        try:
            wait_until("Prometheus is up", lambda: _answers("/-/ready"), 120)
            yield
        finally:
            process.terminate()
            process.wait(60)


def get(url):
    with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
        return answer.read().decode()


def _answers(path):
    with contextlib.suppress(OSError):
        return get(f"http://127.0.0.1:9090{path}")
    return None


def query(expression):
    """The series that Prometheus returns for *expression*."""
    text = get("http://127.0.0.1:9090/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
    answer = json.loads(text)
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


def test_the_figures_are_the_kernels(container):
    text = get(URL)
    lines = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line[:1] != "#"
    }
    of = {name.partition("{")[0]: value for name, value in lines.items() if 'name="figures"' in name}
    local, far = container.sample()
    assert of["bede_container_bound_bytes"] == 32 * MIB
    assert abs(of["bede_container_local_bytes"] - local) <= 4 * MIB
    assert abs(of["bede_container_far_bytes"] - far) <= 8 * MIB
    assert f'cgroup="{str(container.cgroup)[14:]}"' in text
    stat = dict(line.split() for line in container.read("memory.stat").splitlines())
    demoted = sum(int(pages) for name, pages in stat.items() if name.startswith("pgdemote_")) * 4096
    assert abs(of["bede_container_demoted_bytes_total"] - demoted) <= 16 * MIB
    nodes = {name: value for name, value in lines.items() if name.startswith("bede_node_memory_bytes")}
    for node, tier in ((0, "local"), (1, "far")):
        total = int(Path(f"/sys/devices/system/node/node{node}/meminfo").read_text().split()[3])
        assert nodes[f'bede_node_memory_bytes{{node="{node}",tier="{tier}"}}'] == total * 1024
    assert (lines["bede_up"], lines["bede_containers"]) == (1, 1)


@pytest.mark.rarely
def test_names_and_units_are_as_prometheus_wants_them(container):
    done = run("promtool", "check", "metrics", input=get(URL), stdin=None)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_real_prometheus_and_every_panel_of_the_dashboard(container, prometheus):
    wait_until("it has scraped", lambda: query('up{job="bede"} == 1'), 120)
    wait_until("it has scraped twice", lambda: query("rate(bede_container_demoted_bytes_total[1m])"), 120)
    assert len(DASHBOARD["panels"]) >= 8
    seen = 0
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "1m")
            for variable in ("$instance", "$name"):
                expression = expression.replace(variable, ".*")
            found = query(expression)
            if IS_PATCHED and "stalls" in expression:
                continue  # a metric of the agent, and there is no agent
            if "hits" in expression or "mover" in expression:
                continue  # only where the agent promotes: tests/unit/metrics has all of these
            assert found, f"{panel['title']}: nothing for {expression}"
            seen += 1
            for name in ("container", "name"):
                if f"{{{{{name}}}}}" in target["legendFormat"]:
                    assert name in found[0]["metric"], target
    assert seen >= 10
    (local,) = query('bede_container_local_bytes{name="figures"}')
    assert abs(float(local["value"][1]) - container.sample()[0]) <= 4 * MIB


@on("debian-6.12")  # the other kernels need no agent
def test_without_an_agent_it_says_so(container, agent):
    subprocess.run(["systemctl", "stop", "bede-agent.socket", "bede-agent.service"], check=True)
    assert "\nbede_up 0.0\n" in get(URL)


def test_it_has_no_power_and_one_path():
    status = Path(f"/proc/{pid_of(UNIT)}/status").read_text()
    assert "CapEff:\t0000000000000000" in status
    with pytest.raises(urllib.error.HTTPError) as error:
        get("http://127.0.0.1:9475/etc/passwd")
    assert error.value.code == 404
    listening = run("ss", "-Hltn", "sport", "=", ":9475").stdout.split()
    assert listening[3] == "127.0.0.1:9475"


@pytest.mark.parametrize(
    "where", ["0.0.0.0:9475", "[::]:1", "192.168.1.1:80", "nowhere", "127.0.0.1", "127.0.0.1:99999"]
)
def test_where_it_does_not_listen(where):
    done = run("bede", "metrics", "--listen", where)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "loopback" in done.stderr


@pytest.mark.rarely
def test_a_socket_will_do(container):
    where = "/run/bede/metrics.sock"
    process = subprocess.Popen(["bede", "metrics", "--listen", where])
    try:
        wait_until("it listens", lambda: Path(where).exists())
        code = (
            "import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(60);"
            f"s.connect({where!r}); s.sendall(b'GET /metrics HTTP/1.0\\r\\n\\r\\n');"
            "print(s.makefile().read())"
        )
        done = wait_until("it answers", lambda: run("python3", "-c", code).stdout)
        assert 'name="figures"' in done
        assert Path(where).stat().st_mode & 0o007 == 0
    finally:
        process.terminate()
        assert process.wait(30) == 0
