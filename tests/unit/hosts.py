# SPDX-License-Identifier: Apache-2.0
"""Replaces this host by another one made of plain files."""

from pathlib import Path

import pytest

from ocihook import host

#: short name in tests → the kernel's directory
SHORT = {"node": host.NODES, "tiers": host.TIERS, "cgroup": host.CGROUP, "proc": "/proc"}


def redirect(monkeypatch: pytest.MonkeyPatch, root: Path, **elsewhere: Path) -> None:
    """Redirect the paths of the host's files to below *root*.

    ``root/node`` stands for the directory "node" of SHORT, and so on; *elsewhere* names other places.
    """
    monkeypatch.setattr(host, "ROOT", str(root))
    for name, path in SHORT.items():
        link, target = root / path[1:], elsewhere.get(name, root / name)
        if link != target:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)


def put(root: Path, name: str, text: str) -> None:
    """Write *text* to the host's file *name* below *root*."""
    (root / name[1:]).parent.mkdir(parents=True, exist_ok=True)
    (root / name[1:]).write_text(text)
