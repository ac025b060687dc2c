# SPDX-License-Identifier: Apache-2.0
"""The machine's `bede-image`: the content of the Redis image. Here the programs are this host's."""

import io
import os
import runpy
import tarfile
from pathlib import Path

import pytest

from vmlab import image

PROGRAM = image.GUEST / "root/usr/local/bin/bede-image"


def test_an_image_has_the_programs_and_every_library_that_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "rootfs.tar", "w") as tar:
        link = tarfile.TarInfo("./lib64")
        link.type, link.linkname = tarfile.SYMTYPE, "usr/lib64"
        tar.addfile(link)
    layer_of = runpy.run_path(str(PROGRAM))["layer_of"]
    monkeypatch.setitem(layer_of.__globals__, "ROOT", str(tmp_path / "rootfs.tar"))
    monkeypatch.setitem(layer_of.__globals__, "REDIS", ("ls", "env"))
    with tarfile.open(fileobj=io.BytesIO(layer_of("base"))) as tar:
        assert tar.getnames() == ["./lib64"]
    with tarfile.open(fileobj=io.BytesIO(layer_of("redis"))) as tar:
        files = {member.name: member for member in tar}
        loader = next(name for name in files if "ld-linux" in name)
        assert "./lib64" in files
        assert {"usr/bin/ls", "usr/bin/env"} < set(files)
        assert any(name.endswith("/libc.so.6") for name in files)
        assert loader.startswith("usr/lib")
        for name, member in files.items():
            assert member.isfile() or name == "./lib64", "a link would lead nowhere there"
        program = tar.extractfile("usr/bin/env")
        assert program is not None
        assert program.read() == Path(os.path.realpath("/usr/bin/env")).read_bytes()
