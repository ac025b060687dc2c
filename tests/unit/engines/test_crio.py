# SPDX-License-Identifier: Apache-2.0
"""The drop-in for CRI-O, compared with its documentation, since there is no package of CRI-O."""

import tomllib
from pathlib import Path

import pytest

from ocihook.engines import crio, edits, real
from ocihook.errors import InputError

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/crio/99-bede.conf"
#: crio.conf(5) of CRI-O 1.3x, "CRIO.RUNTIME.RUNTIMES TABLE": the options of a handler, and their types.
HANDLER = {
    "runtime_path": str,
    "runtime_type": str,  # "oci" or "vm" (or "pod")
    "runtime_root": str,
    "runtime_config_path": str,  # for "vm" only
    "inherit_default_runtime": bool,
    "privileged_without_host_devices": bool,
    "allowed_annotations": list,  # experimental ones of CRI-O; it passes on all others
    "monitor_path": str,
    "monitor_cgroup": str,
    "monitor_exec_cgroup": str,
    "monitor_env": list,
    "platform_runtime_paths": dict,
    "container_min_memory": str,
    "no_sync_log": bool,
    "default_annotations": dict,
    "stream_websockets": bool,
}
#: a file such as packages of CRI-O have
PACKAGE = """[crio.image]
signature_policy = "/etc/crio/policy.json"

[crio.runtime]
default_runtime = "crun"

[crio.runtime.runtimes.crun]
runtime_path = "/usr/libexec/crio/crun"
runtime_root = "/run/crun"
monitor_path = "/usr/libexec/crio/conmon"
allowed_annotations = ["io.containers.trace-syscall"]

[crio.runtime.runtimes.runc]
runtime_path = "/usr/libexec/crio/runc"
runtime_root = "/run/runc"
monitor_path = "/usr/libexec/crio/conmon"
"""


def package() -> None:
    Path(crio.DIRECTORY).mkdir(parents=True)
    (Path(crio.DIRECTORY) / "10-crio.conf").write_text(PACKAGE)


def carry_out(plan: edits.Plan) -> None:
    edits.apply(plan.changes())


def drop_in() -> dict[str, object]:
    data = tomllib.loads((Path(crio.DIRECTORY) / crio.NAME).read_text())
    assert list(data) == ["crio"]
    assert list(data["crio"]) == ["runtime"]
    (handler,) = data["crio"]["runtime"]["runtimes"].values()
    for name, value in handler.items():
        assert type(value) is HANDLER[name]
    assert handler["runtime_type"] == "oci"
    return dict(data["crio"]["runtime"])


def test_the_example_is_what_is_written_where_nothing_is() -> None:
    carry_out(crio.configure(False))
    assert (Path(crio.DIRECTORY) / crio.NAME).read_text() == EXAMPLE.read_text()


@pytest.mark.parametrize("default", [False, True])
def test_the_handler_is_the_default_ones_with_another_program(default: bool) -> None:
    package()
    carry_out(crio.configure(default))
    runtime = drop_in()
    assert runtime["runtimes"] == {
        "bede": {
            "runtime_path": real.script("crio"),
            "runtime_type": "oci",
            "runtime_root": "/run/crun",
            "monitor_path": "/usr/libexec/crio/conmon",
            "allowed_annotations": ["io.containers.trace-syscall"],
        }
    }
    # Without this, bede-runtime would look on PATH, and for runc first.
    assert (
        Path(real.script("crio"))
        .read_text()
        .startswith("#!/usr/bin/bede-runtime --real=/usr/libexec/crio/crun\n")
    )
    assert runtime.get("default_runtime") == ("bede" if default else None)
    assert crio.state()[3:5] == (True, default)
    assert not crio.configure(False).changes()
    carry_out(crio.unconfigure())
    assert [path.name for path in Path(crio.DIRECTORY).iterdir()] == ["10-crio.conf"]
    assert not crio.state().configured
    assert not Path(real.script("crio")).exists()


def test_another_handler_can_be_put_behind_and_stays_there() -> None:
    package()
    carry_out(crio.configure(False, "runc"))
    (handler,) = drop_in()["runtimes"].values()  # type: ignore[attr-defined]
    assert handler["runtime_root"] == "/run/runc"
    assert "--real=/usr/libexec/crio/runc\n" in Path(real.script("crio")).read_text()
    assert not crio.configure(False).changes()
    with pytest.raises(InputError, match="no-such") as refused:
        crio.configure(False, "no-such")
    assert "crun, runc" in refused.value.hint


def test_a_default_handler_that_is_not_behind_is_told() -> None:
    package()
    (Path(crio.DIRECTORY) / crio.NAME).write_text(EXAMPLE.read_text())
    assert crio.state()[3:5] == (True, False)
    assert crio.state().lost == "crun"
    carry_out(crio.configure(False))
    assert crio.state().lost == ""


def test_only_options_that_are_documented_are_copied() -> None:
    assert set(crio.COPIED) < set(HANDLER)
    assert "runtime_path" not in crio.COPIED
    assert "platform_runtime_paths" not in crio.COPIED


def test_a_later_file_has_the_last_word() -> None:
    package()
    carry_out(crio.configure(True))
    (Path(crio.DIRECTORY) / "99-z.conf").write_text('[crio.runtime]\ndefault_runtime = "crun"\n')
    assert crio.state()[3:5] == (True, False)


def test_a_handler_of_somebody_elses_is_refused() -> None:
    package()
    other = '[crio.runtime.runtimes.bede]\nruntime_path = "/usr/bin/other"\n'
    (Path(crio.DIRECTORY) / "50-other.conf").write_text(other)
    with pytest.raises(InputError):
        crio.configure(False)


def test_what_is_not_toml_is_refused_and_told() -> None:
    package()
    (Path(crio.DIRECTORY) / "50-other.conf").write_text("[crio")
    with pytest.raises(InputError, match="not TOML"):
        crio.configure(False)
    assert "not TOML" in crio.state().note


def test_an_old_text_is_not_where_crio_reads() -> None:
    package()
    carry_out(crio.configure(False))
    path = Path(crio.DIRECTORY) / crio.NAME
    path.write_text("# mine\n" + path.read_text())
    carry_out(crio.configure(False))
    assert sorted(one.name for one in path.parent.iterdir()) == ["10-crio.conf", crio.NAME]
    assert len(list(path.parent.parent.glob(f"{crio.NAME}.bede-*"))) == 1
