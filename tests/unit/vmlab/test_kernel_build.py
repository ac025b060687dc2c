# SPDX-License-Identifier: Apache-2.0
"""Recipes of kernels: what makes a kernel be built again, and what is refused."""

from pathlib import Path

import pytest

from ocihook.errors import MachineError
from vmlab import kernel_build, kernel_source, kernels


def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: object) -> kernel_build.Recipe:
    where = tmp_path / "6.12"
    where.mkdir(exist_ok=True)
    (tmp_path / "config").write_text("CONFIG_A=y\n")
    (where / "config").write_text("CONFIG_B=y\n")
    (where / "series").write_text("# in this order\n0002-b.patch\n\n0001-a.patch\n")
    (where / "0001-a.patch").write_text("a")
    (where / "0002-b.patch").write_text("b")
    monkeypatch.setattr(kernel_build, "PATCHES", tmp_path)
    return kernel_build.Recipe("6.12", **options)  # type: ignore[arg-type]


def test_series_is_in_its_own_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe(tmp_path, monkeypatch)
    assert [path.name for path in made.patches()] == ["0002-b.patch", "0001-a.patch"]
    assert made.config() == "CONFIG_A=y\nCONFIG_B=y\nCONFIG_MEMCG_NODE_LIMIT=y\n"


def test_plain_kernel_has_no_patches_and_no_option_of_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(tmp_path, monkeypatch, patched=False)
    assert made.patches() == []
    assert made.config() == "CONFIG_A=y\nCONFIG_B=y\n"


@pytest.mark.parametrize("name", ("config", "6.12/config", "6.12/series", "6.12/0001-a.patch"))
def test_each_part_of_a_recipe_decides(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe(tmp_path, monkeypatch)
    before = made.digest("6.12.1-1")
    assert made.digest("6.12.2-1") != before
    assert made.digest("6.12.1-1") == before
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(
        text.replace("0001-a.patch\n", "") if "series" in name else text + "CONFIG_C=y\n"
    )
    assert made.digest("6.12.1-1") != before


def test_an_option_that_does_not_take_is_a_mistake() -> None:
    wanted = "# of all\nCONFIG_A=y\nCONFIG_B=18\nCONFIG_C=n\n"
    kernel_build._check_config(wanted, "CONFIG_A=y\nCONFIG_B=18\n# CONFIG_C is not set\n")
    with pytest.raises(MachineError, match="did not take CONFIG_B=18"):
        kernel_build._check_config(wanted, "CONFIG_A=y\n")


def test_without_a_checkout_the_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_build, "PATCHES", tmp_path / "none")
    monkeypatch.setattr(kernel_build, "HEADERS", {})
    monkeypatch.setattr(kernel_build, "TOOLS", {})
    with pytest.raises(MachineError, match="no kernel-patch/"):
        kernel_build.need()


def test_missing_header_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_build, "HEADERS", {"/nonexistent.h": "libsomething-dev"})
    monkeypatch.setattr(kernel_build, "TOOLS", {})
    with pytest.raises(MachineError) as caught:
        kernel_build.need()
    assert "libsomething-dev" in str(caught.value.hint)


def test_a_patch_that_does_not_apply_is_named(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    patch = tmp_path / "0001-a.patch"
    patch.write_text("--- a/none\n+++ b/none\n@@ -1 +1 @@\n-a\n+b\n")
    with pytest.raises(MachineError, match=r"0001-a\.patch does not apply"):
        kernel_build._apply(patch, tmp_path / "tree")


def test_no_mirror_is_named() -> None:
    words = kernel_source.command("root", "6.12", "/c")
    assert not [word for word in words if "://" in word]
    assert words[-1] == "trixie"
    assert any("linux-source-6.12" in word for word in words)


@pytest.mark.parametrize("series", ("6.12", "7.3"))
def test_the_project_has_both_series_complete(series: str) -> None:
    made = kernels.RECIPES[f"bede-{series}"]
    listed = made.patches()
    assert listed and all(path.read_text().startswith("From ") for path in listed)
    assert sorted(listed) == sorted((kernel_build.PATCHES / series).glob("*.patch"))
    assert "CONFIG_MEMCG_NODE_LIMIT=y" in made.config()
