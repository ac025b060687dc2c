# SPDX-License-Identifier: Apache-2.0
"""The modules that the hook and the wrapper import, in an interpreter started like theirs."""

import ast
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


TOP = BIN.parent
#: Imports inside of functions that a start does not reach, each with the reason.
ALLOWED = {"spec.fastjson": {"json"}}  # what it does not parse itself
#: What a container's start may load: all of these rooms, so that a new module is in by itself ...
ROOMS = ("spec", "state", "cgroup", "topology", "control", "backends")
MODULES = ("errors", "fs", "config", "host", "hook")
#: ... but what only the agent and the commands load, each with the reason.
HEAVY = {
    "backends.holding": "the agent's: it starts the native code",
    "backends.telling": "words for people",
    "backends.migrate.told": "words for people",
    "backends.node_limit.told": "words for people",
    "backends.tier.told": "words for people",
    "backends.node_limit.cgroups": "for `bede top` and `bede stats`",
    "cgroup.names": "names for people",
    "control.client": "for commands",
    "control.status": "for the agent and commands",
}


def _light() -> list[str]:
    paths = [path for room in ROOMS for path in (TOP / "ocihook" / room).rglob("*.py")]
    names = [".".join(path.relative_to(TOP / "ocihook").with_suffix("").parts) for path in paths]
    return sorted({*MODULES, *(name.removesuffix(".__init__") for name in names)}.difference(HEAVY))


def _imports(text: str) -> set[str]:
    """The top-level names of all imports, also inside functions, but not those for type checks alone."""
    tree = ast.parse(text)
    checks = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    unseen = {id(inner) for node in checks for part in node.body for inner in ast.walk(part)}
    found = set()
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("name", _light())
def test_each_module_of_the_start_imports_almost_nothing(name: str) -> None:
    code = f"import sys; sys.path.append({str(TOP)!r}); import ocihook.{name}; print(*sys.modules)"
    done = subprocess.run([PYTHON, "-IS", "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & FORBIDDEN == set()


def test_nothing_is_heavy_without_need() -> None:
    for name in HEAVY:
        path = TOP / "ocihook" / name.replace(".", "/")
        assert path.with_suffix(".py").exists()


@pytest.mark.parametrize("name", _light())
def test_no_function_of_the_start_imports_more(name: str) -> None:
    path = TOP / "ocihook" / name.replace(".", "/")
    text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    assert _imports(text) & FORBIDDEN <= ALLOWED.get(name, set())


def test_a_plain_container_loads_no_backend() -> None:
    for stage in ("createRuntime", "prestart", "poststart", "poststop"):
        loaded = _modules("bede-hook", stage, stdin=STATE)
        assert not {name for name in loaded if name.startswith(("ocihook.backends", "ocihook.topology"))}
