# SPDX-License-Identifier: Apache-2.0
"""`bede configure` and `bede unconfigure` on the real engines, which are asked what they have read."""

import json
import os
import shutil
import tomllib
from pathlib import Path

import pytest
from detached import restart
from helpers import EXAMPLES, FIRST, IMAGE, MIB, have_image, run, wait_until
from on import STOCK, on

pytestmark = on(STOCK)

BOUND = 64
NOTE = ("--annotation", f"bede.local={BOUND}M")
DOCKER = Path("/etc/docker/daemon.json")
CONTAINERD = Path("/etc/containerd/config.toml")
DROP_IN = Path("/etc/containerd/conf.d/bede.toml")
SHARE = Path("/usr/share/containers/oci/hooks.d")
PODMAN = Path("/etc/containers")
CRI = "io.containerd.grpc.v1.cri"
USER = 12345
SCRIPTS = Path("/etc/bede")
#: Replaces NVIDIA's runtime, which needs a GPU: like that one it changes the bundle and becomes runc.
FAKE = Path("/usr/local/bin/fake-nvidia-container-runtime")
FAKE_TEXT = """#!/usr/bin/python3
import json, os, sys
if "create" in sys.argv:
    path = sys.argv[sys.argv.index("--bundle") + 1] + "/config.json"
    with open(path) as file:
        config = json.load(file)
    config["process"]["env"].append("FAKE_GPU=there")
    with open(path, "w") as file:
        json.dump(config, file)
os.execvp("runc", ["runc", *sys.argv[1:]])
"""


@pytest.fixture(scope="module", autouse=True)
def as_before(tmp_path_factory):
    """Restore the files of all engines after these tests, and restart their daemons."""
    places = [DOCKER.parent, CONTAINERD.parent, PODMAN, SHARE]
    kept = tmp_path_factory.mktemp("kept")
    for number, place in enumerate(places):
        shutil.copytree(place, kept / str(number), symlinks=True)
    yield
    for number, place in enumerate(places):
        shutil.rmtree(place)
        shutil.copytree(kept / str(number), place, symlinks=True)
    restart("containerd")
    restart("docker")


def bede(*words, status=0):
    """The lines that `bede WORDS` prints."""
    done = run("bede", *words)
    assert done.returncode == status, (done.stdout, done.stderr)
    return (done.stdout if status == 0 else done.stderr).splitlines()


def high(*command):
    """memory.high of a container, read inside it from the kernel's file; None if it is not bound."""
    done = run(*command, IMAGE, *(["configured"] if command[0] == "ctr" else []), "sh", "-c", FIRST)
    assert done.returncode == 0, (command, done.stderr)
    return None if done.stdout.strip() == "max" else int(done.stdout)


def bound(*command):
    """Whether a container that *command* starts is bound."""
    value = high(*command)
    assert value is None or (BOUND - 4) * MIB < value <= (BOUND + 4) * MIB
    return value is not None


def gpu(*command):
    """Whether the fake runtime has changed a container that *command* starts, and whether it is bound."""
    words = [*command, IMAGE, *(["gpu"] if command[0] == "ctr" else [])]
    done = run(*words, "sh", "-c", f"{FIRST}; echo gpu: $FAKE_GPU")
    assert done.returncode == 0, (command, done.stderr)
    high, _, rest = done.stdout.partition("\n")
    return rest == "gpu: there\n", high != "max" and int(high) <= (BOUND + 4) * MIB


def backups(place):
    """The backup files in a directory or below."""
    return sorted(place.rglob("*.bede-*"))


def podman(*options):
    """The words that start a container with an annotation."""
    have_image("podman")
    return ["podman", *options, "run", "--rm", "--network", "none", *NOTE]


def docker(*options):
    have_image("docker")
    return ["docker", "run", "--rm", "--network", "none", *NOTE, *options]


def info():
    """(runtimes, default runtime) as Docker's daemon reports them."""
    done = run("docker", "info", "--format", "[{{json .Runtimes}}, {{json .DefaultRuntime}}]")
    assert done.returncode == 0, done.stderr
    runtimes, default = json.loads(done.stdout)
    return runtimes, default


def dump():
    """The CRI plugin's section as containerd reports it."""
    done = run("containerd", "config", "dump")
    assert done.returncode == 0, done.stderr
    return tomllib.loads(done.stdout)["plugins"][CRI]


def test_podman_runs_a_packages_hooks_until_they_are_masked():
    assert bede("configure", "podman")[-1] == "nothing to do"
    assert bound(*podman())
    assert [line.split()[0] for line in bede("unconfigure", "podman")[:4]] == ["wrote"] * 4
    assert bede("unconfigure", "podman") == [
        f"Files in {PODMAN}/oci/hooks.d now mask those of a package in {SHARE}.",
        "nothing to do",
    ]
    assert not bound(*podman())
    assert [line.split()[0] for line in bede("configure", "podman")[:4]] == ["removed"] * 4
    assert bound(*podman())
    assert backups(PODMAN) == []


@pytest.mark.rarely
def test_podman_runs_hooks_of_etc_once_it_is_told_of_them(tmp_path):
    theirs = PODMAN / "containers.conf.d/aa-theirs.conf"
    theirs.write_text('[engine]\nhooks_dir = ["/opt/theirs"]\n')
    shutil.copytree(SHARE, tmp_path / "share")
    for path in SHARE.iterdir():
        path.unlink()
    try:
        assert not bound(*podman())
        bede("configure", "podman")
        assert bound(*podman("--runtime", "crun"))
        assert bound(*podman("--runtime", "runc"))
        assert f"[/opt/theirs,{PODMAN}/oci/hooks.d]" in run("podman", "--help").stdout
        for path in (PODMAN / "oci/hooks.d").iterdir():
            assert path.read_bytes() == (EXAMPLES / "podman" / path.name).read_bytes()
        assert bede("configure", "podman") == ["nothing to do"]
        bede("unconfigure", "podman")
        assert not bound(*podman())
        assert "[/opt/theirs]" in run("podman", "--help").stdout
    finally:
        theirs.unlink()
        shutil.copytree(tmp_path / "share", SHARE, dirs_exist_ok=True)
    assert bound(*podman())


def test_a_user_has_hooks_of_ones_own(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for path in [*home.parents, home]:
        if path != Path("/") and path.stat().st_mode & 0o55 != 0o55:
            path.chmod(0o755)
    os.chown(home, USER, USER)
    user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "env", f"HOME={home}"]
    hidden = SHARE.with_name("hidden")
    SHARE.rename(hidden)
    try:
        done = run(*user, "bede", "configure", "podman")
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 4), done.stderr
        assert done.stderr == ""
        assert f"{home}/.config/containers/oci/hooks.d]" in run(*user, "podman", "--help").stdout
        assert run(*user, "bede", "configure", "podman").stdout == "nothing to do\n"
        done = run(*user, "bede", "unconfigure", "podman")
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 4), done.stderr
    finally:
        hidden.rename(SHARE)
    done = run(*user, "bede", "configure", "docker")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    for engine in ("docker", "containerd", "crio"):
        done = run(*user, "bede", "configure", engine, "--set-default", "--dry-run")
        assert done.returncode == 0, done.stderr
        assert "+++ /etc/" in done.stdout


def test_docker_gets_a_runtime_and_loses_it():
    assert bede("configure", "docker") == ["nothing to do"]
    bede("unconfigure", "docker")
    assert not DOCKER.exists()
    before = b'{\n\t"log-level": "warn",   "shutdown-timeout": 9,\n\t"runtimes": {}\n}'
    DOCKER.write_bytes(before)
    DOCKER.chmod(0o640)
    restart("docker")
    runtimes, default = info()
    assert "bede" not in runtimes
    assert default == "runc"
    assert not bound(*docker())
    shown = run("bede", "configure", "docker", "--dry-run").stdout
    assert '+\t"runtimes": {"bede": {"path": "/usr/bin/bede-runtime"}}' in shown.splitlines()
    assert DOCKER.read_bytes() == before
    said = bede("configure", "docker")
    assert said[1:] == ["now run: systemctl reload docker"]
    assert [path.read_bytes() for path in backups(DOCKER.parent)] == [before]
    assert DOCKER.stat().st_mode & 0o777 == 0o640
    assert bede("configure", "docker") == ["nothing to do"]
    assert len(backups(DOCKER.parent)) == 1
    assert run("systemctl", "reload", "docker").returncode == 0  # a reload only sends a signal
    wait_until("Docker has taken notice", lambda: "bede" in info()[0])
    assert bound(*docker("--runtime", "bede"))
    assert not bound(*docker())
    assert info()[0]["bede"]["path"] == "/usr/bin/bede-runtime"
    bede("configure", "docker", "--set-default")  # the next test checks the result
    assert json.loads(DOCKER.read_text())["default-runtime"] == "bede"
    assert "do not start" in bede("unconfigure", "docker")[1]
    # The empty "runtimes" is removed with Bede's; all else stays byte for byte.
    assert DOCKER.read_bytes() == before.replace(b',\n\t"runtimes": {}', b"")


@pytest.fixture
def fake():
    FAKE.write_text(FAKE_TEXT)
    FAKE.chmod(0o755)
    yield str(FAKE)
    FAKE.unlink()
    for path in SCRIPTS.glob("bede-runtime-*"):
        path.unlink()


@pytest.mark.rarely
def test_docker_s_default_runtime_does_its_work_beside_a_bound(fake):
    text = json.dumps({"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": fake}}})
    DOCKER.write_text(text)
    restart("docker")
    assert gpu(*docker()) == (True, False)
    said = bede("configure", "docker")
    script = SCRIPTS / "bede-runtime-docker"
    assert f"Behind bede-runtime docker has its runtime nvidia ({fake}), by {script}." in said
    restart("docker")
    assert gpu(*docker("--runtime", "bede")) == (True, True)
    assert gpu(*docker()) == (True, False)
    bede("configure", "docker", "--set-default")
    restart("docker")
    assert info()[1] == "bede"
    assert gpu(*docker()) == (True, True)
    # A running container is stopped by the script that has started it.
    have_image("docker")
    running = run("docker", "run", "-d", "--name", "runs", "--network", "none", *NOTE, IMAGE, "sleep", "600")
    assert running.returncode == 0, running.stderr
    assert any("stays while containers run by it" in line for line in bede("unconfigure", "docker"))
    assert DOCKER.read_text() == text
    assert script.exists()
    done = run("docker", "rm", "-f", "runs")
    assert done.returncode == 0, done.stderr
    wait_until("its shim has gone", lambda: not list(Path("/run/containerd").glob("*.task/moby/*/runtime")))
    assert bede("unconfigure", "docker")[0] == f"removed {script}"
    restart("docker")
    assert info()[1] == "nvidia"
    assert gpu(*docker()) == (True, False)


@pytest.mark.rarely
def test_what_docker_takes_for_nothing_is_no_error():
    for text in ("null", '{"runtimes": null}', '{"default-runtime": null}', '{"default-runtime": ""}'):
        DOCKER.write_text(text)
        done = run("dockerd", "--validate", "--config-file", DOCKER)
        assert done.returncode == 0, (text, done.stderr)
        assert bede("configure", "docker")[0].startswith(f"wrote {DOCKER}")
        bede("unconfigure", "docker")


def test_docker_s_own_validation_is_asked_first():
    text = '{"no-such-setting": 1}\n'
    DOCKER.write_text(text)
    (line,) = bede("configure", "docker", status=2)
    assert "no-such-setting" in line
    assert str(DOCKER) in line
    assert DOCKER.read_text() == text


def test_containerd_gets_a_runtime_class_and_loses_nothing():
    # The example, if installed by hand, replaces the section of config.toml.
    assert DROP_IN.exists()
    original = CONTAINERD.read_bytes() + b"# and a comment, at the end"
    CONTAINERD.write_bytes(original)
    bede("configure", "containerd")
    assert not DROP_IN.exists()
    text = CONTAINERD.read_bytes()
    assert text.startswith(original)
    section = dump()
    assert section["cni"]["bin_dir"] == "/usr/lib/cni"
    assert set(section["containerd"]["runtimes"]) == {"runc", "bede"}
    assert section["containerd"]["default_runtime_name"] == "runc"
    one = section["containerd"]["runtimes"]["bede"]
    assert one["options"]["BinaryName"] == "/usr/bin/bede-runtime"
    assert one["pod_annotations"] == one["container_annotations"] == ["bede.*", "bede.*/*"]
    assert bede("configure", "containerd") == ["nothing to do"]
    assert CONTAINERD.read_bytes() == text
    assert len(backups(CONTAINERD.parent)) == 1
    restart("containerd")
    assert plugin() == "ok"
    bede("configure", "containerd", "--set-default")
    assert dump()["containerd"]["default_runtime_name"] == "bede"
    restart("containerd")
    assert plugin() == "ok"
    have_image("ctr")
    mount = "type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro"
    assert bound("ctr", "run", "--rm", "--runc-binary", "/usr/bin/bede-runtime", "--mount", mount, *NOTE)
    assert bede("unconfigure", "containerd")[-1] == "now run: systemctl restart containerd"
    assert CONTAINERD.read_bytes() == original
    assert bede("unconfigure", "containerd") == ["nothing to do"]
    section = dump()
    assert list(section["containerd"]["runtimes"]) == ["runc"]
    assert section["cni"]["bin_dir"] == "/usr/lib/cni"


@pytest.mark.rarely
def test_a_drop_in_where_containerd_imports_one_and_says_nothing_else():
    text = b'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n'
    CONTAINERD.write_bytes(text)
    bede("configure", "containerd", "--set-default")
    assert CONTAINERD.read_bytes() == text
    section = dump()["containerd"]
    assert set(section["runtimes"]) == {"runc", "bede"}
    assert section["default_runtime_name"] == "bede"
    assert bede("configure", "containerd") == ["nothing to do"]
    bede("unconfigure", "containerd")
    assert not DROP_IN.exists()
    CONTAINERD.unlink()
    bede("configure", "containerd")
    assert set(dump()["containerd"]["runtimes"]) == {"runc", "bede"}
    bede("unconfigure", "containerd")
    assert not CONTAINERD.exists()


@pytest.mark.rarely
def test_containerd_s_default_handler_does_its_work_beside_a_bound(fake):
    text = f"""version = 2
[plugins."{CRI}".containerd]
  default_runtime_name = "nvidia"
[plugins."{CRI}".containerd.runtimes.nvidia]
  runtime_type = "io.containerd.runc.v2"
[plugins."{CRI}".containerd.runtimes.nvidia.options]
  BinaryName = "{fake}"
"""
    CONTAINERD.write_text(text)
    script = SCRIPTS / "bede-runtime-containerd"
    bede("configure", "containerd", "--set-default")
    section = dump()["containerd"]
    assert section["default_runtime_name"] == "bede"
    assert section["runtimes"]["bede"]["options"]["BinaryName"] == str(script)
    restart("containerd")
    assert plugin() == "ok"
    have_image("ctr")
    mount = "type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro"
    words = ("ctr", "run", "--rm", "--mount", mount, *NOTE, "--runc-binary")
    assert gpu(*words, "/usr/bin/bede-runtime") == (False, True)
    assert gpu(*words, str(script)) == (True, True)
    bede("unconfigure", "containerd")
    assert CONTAINERD.read_text() == text
    assert not script.exists()


def test_what_containerd_does_not_take_is_said_in_one_line():
    text = b'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n  enable_cdi = "so"\n'
    CONTAINERD.write_bytes(text)
    (line,) = bede("configure", "containerd", status=2)
    assert "containerd refuses its configuration" in line
    assert CONTAINERD.read_bytes() == text


def plugin():
    """containerd's status of its CRI plugin, which reads the runtimes."""
    lines = [line.split() for line in run("ctr", "plugins", "ls").stdout.splitlines()]
    return next(words[-1] for words in lines if words[:2] == ["io.containerd.grpc.v1", "cri"])
