# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ocihook import config
from ocihook.errors import AccessError, InputError

EXAMPLE = """\
---
# the host's settings
runtime: /usr/bin/crun   # not runc

on_unsupported: "warn"
far_nodes: [2, 1]
"""


def _write(path: Path, text: str, mode: int = 0o644) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_missing_file_has_the_defaults(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "none/none"):
        found = config.load(str(path))
        assert (found.runtime, found.on_unsupported, found.far_nodes) == (None, "refuse", ())


def test_every_key(tmp_path: Path) -> None:
    found = config.load(_write(tmp_path / "config.yaml", EXAMPLE))
    assert (found.runtime, found.on_unsupported, found.far_nodes) == ("/usr/bin/crun", "warn", (1, 2))


def test_the_environment_may_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDE_CONFIG", _write(tmp_path / "c", "runtime: crun"))
    assert config.load().runtime == "crun"
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    monkeypatch.setattr(config, "PATH", str(tmp_path / "none"))
    assert config.load().runtime is None


@pytest.mark.parametrize("text", ["", "\n\n# nothing\n", "---\n"])
def test_an_empty_file_has_the_defaults(text: str) -> None:
    assert config.parse(text).on_unsupported == "refuse"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("runtime: runc\nruntme: crun", "line 2: unknown key 'runtme'"),
        ("promotion: kernel", "line 1: promotion is neither bede nor balancing nor none"),
        ("promotion: [none]", "line 1: promotion"),
        ("move_rate: fast", "line 1: move_rate"),
        ("move_rate: [1]", "line 1: move_rate"),
        ("move_rate: 9999999", "line 1: move_rate"),
        ("runtime: runc\nruntime: crun", "line 2: runtime is set a second time"),
        ("on_unsupported: ignore", "line 1: on_unsupported"),
        ("on_unsupported: yes", "line 1: cannot read 'yes'"),
        ("runtime:", "line 1: runtime has no value"),
        ("runtime: ''", "line 1: runtime"),
        ("runtime: ./runc", "line 1"),
        ("runtime: bin/runc", "line 1: runtime"),
        ("runtime: [runc]", "line 1: runtime"),
        ("runtime: 7", "line 1: runtime"),
        ("runtime: a b", "line 1: cannot read 'b'"),
        ("runtime: 'a''b'", "line 1: cannot read"),
        ('runtime: "a\\n"', "line 1: cannot read"),
        ("runtime: 'a'#b", "line 1"),
        ("runtime:runc", "line 1: not of the form"),
        (" runtime: runc", "line 1: not of the form"),
        ("r" * 1025 + ": runc", "line 1: not of the form"),
        ("far_nodes:\n- 1", "line 1: far_nodes has no value"),
        ("far_nodes: [1", "line 1: a list is not closed"),
        ("far_nodes: [1] 2", "line 1: cannot read"),
        ("far_nodes: [1, 1]", "line 1: far_nodes"),
        ("far_nodes: [01]", "line 1: cannot read '01'"),
        ("far_nodes: [-1]", "line 1: cannot read '-1'"),
        ("far_nodes: [a]", "line 1: far_nodes"),
        ("far_nodes: [9999]", "line 1: far_nodes"),
        ("runtime: r\x1bunc", "line 1: a character"),
    ],
)
def test_mistakes_name_the_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        config.parse(text, "FILE")
    assert caught.value.message.startswith("FILE, line ")
    assert message in caught.value.message


def test_a_file_others_can_write_is_not_obeyed(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="others"):
        config.load(_write(tmp_path / "c", "runtime: crun", 0o666))
    (tmp_path / "link").symlink_to("c")
    with pytest.raises(AccessError, match="cannot be read"):
        config.load(str(tmp_path / "link"))


def test_what_is_no_text_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"runtime: \xff")
    (tmp_path / "c").chmod(0o644)
    with pytest.raises(InputError, match="UTF-8"):
        config.load(str(tmp_path / "c"))


def test_yaml_reads_the_example_alike() -> None:
    assert config.read_flat(EXAMPLE) == yaml.safe_load(EXAMPLE)


_WORD = st.text("abnoyestruefalse019_./+-~ '\"#,[]:{}", max_size=8)
_LINE = st.one_of(
    st.builds("{}: {}".format, _WORD, _WORD),
    st.builds("{}: [{}]".format, st.sampled_from("abc"), st.lists(_WORD, max_size=3).map(", ".join)),
    st.builds("{}: {} # {}".format, st.sampled_from("abc"), _WORD, _WORD),
    _WORD,
)


@given(st.lists(_LINE, max_size=4).map("\n".join) | st.text(max_size=30))
def test_what_is_accepted_yaml_reads_alike(text: str) -> None:
    try:
        found = config.read_flat(text)
    except InputError:
        return
    assert (yaml.safe_load(text) or {}) == found


@pytest.mark.parametrize("value", ["", " ", " # later", " ~", " null", " Null # x"])
def test_a_setting_without_a_value_is_told_as_that(value: str) -> None:
    with pytest.raises(InputError) as refused:
        config.parse(f"move_rate: 7\nfar_nodes:{value}\n")
    assert refused.value.message == f"{config.PATH}, line 2: far_nodes has no value"
    assert refused.value.hint == "Write it on that line, or take the line out"


@pytest.mark.parametrize("key", ["exempt_cgroups", "let_go"])
def test_cgroups_are_exempt_by_either_name(key: str) -> None:
    assert config.parse(f"{key}: [/debug.slice]\n").exempt_cgroups == ("/debug.slice",)


def test_both_names_at_once_are_refused() -> None:
    with pytest.raises(InputError, match="let_go is given under its other name, too"):
        config.parse("exempt_cgroups: [/debug.slice]\nlet_go: [/other]\n")


def test_both_names_are_refused_in_either_order_and_empty() -> None:
    for text in ("let_go: []\nexempt_cgroups: [/a]\n", "exempt_cgroups: []\nlet_go: [/a]\n"):
        with pytest.raises(InputError, match="under its other name"):
            config.parse(text)
