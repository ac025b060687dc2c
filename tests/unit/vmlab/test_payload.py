# SPDX-License-Identifier: Apache-2.0
"""The files that are unpacked over the machine's root."""

import io
import json
import tarfile

from vmlab import cluster, payload, run


def contents() -> tarfile.TarFile:
    job = payload.Job(["sh", "-c", "exit 3"], {"A": "b"})
    return tarfile.open(fileobj=io.BytesIO(payload.build(job)))


def test_the_job_and_the_checkout_are_in_it_but_not_the_machine_builder() -> None:
    names = contents().getnames()
    assert "usr/lib/bede/ocihook/errors.py" in names
    assert "usr/lib/bede-vm/runner.py" in names
    assert "etc/systemd/system/bede-run.service" in names
    assert not [n for n in names if "__pycache__" in n]
    assert {n.split("/")[4] for n in names if n.startswith("usr/lib/bede/vmlab/")} == {"__init__.py", "demo"}


def test_the_job_is_what_the_runner_reads() -> None:
    file = contents().extractfile("etc/bede-vm/run.json")
    assert file is not None
    assert json.load(file) == {"argv": ["sh", "-c", "exit 3"], "env": {"A": "b"}, "tty": None, "model": False}


def test_units_are_masked_by_links() -> None:
    tar = contents()
    assert tar.getmember("etc/systemd/system/systemd-udevd.service").linkname == "/dev/null"
    assert tar.getmember("etc/systemd/system-generators/systemd-fstab-generator").linkname == "/dev/null"


def test_a_disk_has_whole_sectors() -> None:
    assert len(payload.build(payload.Job(["true"], {}))) % 512 == 0


def test_a_bare_machine_has_the_runner_and_nothing_of_bede() -> None:
    files = payload.members(bare=True)
    assert "usr/lib/bede-vm/runner.py" in files
    assert not [name for name in files if name.startswith(("usr/lib/bede/", "usr/bin/", payload.UNITS[1:]))]
    assert not [path for path in files.values() if payload.GUEST not in path.parents]
    assert "PYTHONPATH" not in run.environment(run.Options([], bare=True))


def test_further_files_are_added_and_units_among_them_do_not_start() -> None:
    job = payload.Job(["true"], {}, more=cluster.members())
    with tarfile.open(fileobj=io.BytesIO(payload.build(job))) as tar:
        names = set(tar.getnames())
    assert cluster.members().keys() <= names
    assert f"{payload.WANTS}/bede-agent.service" in names
    assert f"{payload.WANTS}/kubelet.service" not in names
