# SPDX-License-Identifier: Apache-2.0
"""The certificate that `kubernetes/certificate.sh` makes and renews, with the real kubectl and openssl."""

import base64
import os
import subprocess
from pathlib import Path

import yaml
from charts import KUBERNETES, check_certificate

SCRIPT = KUBERNETES / "certificate.sh"


def make(programs: Path, where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run(
        ["/bin/sh", SCRIPT, *words], cwd=where, env=env, capture_output=True, text=True, check=False
    )


def made(programs: Path, where: Path, *words: str) -> dict[str, bytes]:
    """The files in the Secret that it prints."""
    done = make(programs, where, *words)
    assert (done.returncode, done.stderr) == (0, "")
    secret = yaml.safe_load(done.stdout)
    assert (secret["kind"], secret["metadata"]["name"]) == ("Secret", "bede-webhook")
    assert secret["metadata"]["namespace"] == (words[0] if words else "bede-system")
    return {name: base64.b64decode(data) for name, data in secret["data"].items()}


def test_it_is_made_and_renewed_by_the_same_authority(programs: Path, tmp_path: Path) -> None:
    first = made(programs, tmp_path)
    second = made(programs, tmp_path)
    for number, files in enumerate((first, second)):
        check_certificate(files, tmp_path / f"{number}", "bede-webhook.bede-system.svc")
    assert first["ca.crt"] == second["ca.crt"]
    assert first["tls.key"] != second["tls.key"]
    kept = tmp_path / "certificate"
    assert kept.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in kept.iterdir()} <= {"ca.crt", "ca.key", "ca.srl"}


def test_it_is_for_the_namespace_that_is_named(programs: Path, tmp_path: Path) -> None:
    long = "a" * 63  # longer than a common name may be
    check_certificate(made(programs, tmp_path, long, "kept"), tmp_path / "out", f"bede-webhook.{long}.svc")
    assert (tmp_path / "kept/ca.key").exists()


def test_where_it_fails_nothing_is_applied(programs: Path, tmp_path: Path) -> None:
    made(programs, tmp_path)
    (tmp_path / "certificate/ca.key").write_text("no key")
    done = make(programs, tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "ca.key" in done.stderr
    assert not list((tmp_path / "certificate").glob("new.*"))
