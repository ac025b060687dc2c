# SPDX-License-Identifier: Apache-2.0
"""The modules that the hook and the wrapper import, in an interpreter started like theirs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(__file__).resolve().parents[2] / "bin"
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
FORBIDDEN = frozenset(
    [
        "json",
        "re",
        "typing",
        "dataclasses",
        "pathlib",
        "enum",
        "collections",
        "socket",
        "subprocess",
        "argparse",
        "logging",
        "yaml",
        "pyroute2",
        "contextlib",
        "functools",
        "cffi",
        "_cffi_backend",
    ]
)
STATE = {"id": "imports-test", "bundle": "/no/such/bundle", "pid": os.getpid(), "status": "created"}
BOUND = {**STATE, "annotations": {"bede.local": "64M"}}

# The program ends by os._exit, so the list of modules has to be printed before.
RUN = """
import sys
program = sys.argv[1]
sys.argv[:] = sys.argv[1:]
import os
def leave(code):
    os.write(1, " ".join(sys.modules).encode())
    end(0)
end, os._exit = os._exit, leave
with_file = {"__name__": "__main__", "__file__": program}
exec(compile(open(program).read(), program, "exec"), with_file)
"""


def _modules(program: str, *arguments: str, stdin: object = None, config: Path | None = None) -> set[str]:
    done = subprocess.run(
        [PYTHON, "-IS", "-c", RUN, str(BIN / program), *arguments],
        input=json.dumps(stdin),
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/nowhere", **({"BEDE_CONFIG": str(config)} if config else {})},
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("stage", ["createRuntime", "prestart", "poststart", "poststop"])
@pytest.mark.parametrize("state", [STATE, BOUND], ids=["plain", "bound"])
def test_the_hook_imports_almost_nothing(stage: str, state: dict[str, object]) -> None:
    loaded = _modules("bede-hook", stage, stdin=state)
    assert "ocihook.hook" in loaded
    assert loaded & FORBIDDEN == set()


def test_the_wrapper_imports_almost_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("runtime: /no/such/runtime\n")
    (tmp_path / "config.yaml").chmod(0o644)
    loaded = _modules(
        "bede-runtime", "create", "--bundle", str(tmp_path), "x", config=tmp_path / "config.yaml"
    )
    assert "ocihook.runtime.main" in loaded
    assert loaded & FORBIDDEN == set()


def test_the_wrapper_edits_a_bundle_without_more_imports(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"runtime: {tmp_path}/broken\n")
    (tmp_path / "config.yaml").chmod(0o644)
    # A runtime that cannot be executed: after the edit, this process is still the wrapper.
    (tmp_path / "broken").write_text("no program")
    (tmp_path / "broken").chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"annotations": {"bede.local": "64M"}}))
    loaded = _modules(
        "bede-runtime", "create", "--bundle", str(tmp_path), "x", config=tmp_path / "config.yaml"
    )
    assert "poststop" in (tmp_path / "config.json").read_text()
    assert loaded & FORBIDDEN == set()


@pytest.mark.parametrize(
    "name",
    [
        "errors",
        "fs",
        "config",
        "spec.size",
        "spec.annotation",
        "spec.fastjson",
        "spec.state",
        "spec.bundle",
        "cgroup.path",
        "cgroup.process",
        "cgroup.memory",
        "spec.nodelimit",
        "topology.nodes",
        "backends.choose",
        "backends.checks",
        "backends.node_limit",
        "backends.tier",
        "state.records",
        "control",
        "control.notify",
    ],
)
def test_each_lower_module_imports_almost_nothing(name: str) -> None:
    code = f"import sys; sys.path.append({str(BIN.parent)!r}); import ocihook.{name}; print(*sys.modules)"
    done = subprocess.run([PYTHON, "-IS", "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & FORBIDDEN == set()
