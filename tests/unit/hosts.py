# SPDX-License-Identifier: Apache-2.0
"""Another host, made of plain files, in place of this one."""

from pathlib import Path

import pytest

from ocihook import host

#: the kernel's directories by the short names that tests use for them
SHORT = {"node": host.NODES, "tiers": host.TIERS, "cgroup": host.CGROUP, "proc": "/proc"}


def redirect(monkeypatch: pytest.MonkeyPatch, root: Path, **elsewhere: Path) -> None:
    """Have the host's files looked for below *root*.

    ``root/node`` and the others of SHORT, or what *elsewhere* names, are what they are short for.
    """
    monkeypatch.setattr(host, "ROOT", str(root))
    for name, path in SHORT.items():
        link, target = root / path[1:], elsewhere.get(name, root / name)
        if link != target:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)


def put(root: Path, name: str, text: str) -> None:
    """Have the host's file *name* below *root* hold *text*."""
    (root / name[1:]).parent.mkdir(parents=True, exist_ok=True)
    (root / name[1:]).write_text(text)
