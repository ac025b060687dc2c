# SPDX-License-Identifier: Apache-2.0
"""containerd's files get a runtime class, lose no setting, and are restored byte for byte."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ocihook.engines import containerd, containerd_dump, containerd_files, edits, programs, real, toml
from ocihook.engines.containerd_files import File
from ocihook.errors import InputError, RuntimeMissingError

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/containerd/bede.toml"
V2, V3 = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"
DEBIAN = """version = 2

# where Debian has them
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"  # and this
  [plugins."io.containerd.internal.v1.opt"]
    path = "/var/lib/containerd/opt"
"""
WHOLE = """version = 3
imports = []

[plugins]
  [plugins.'io.containerd.cri.v1.runtime']
    enable_cdi = true

    [plugins.'io.containerd.cri.v1.runtime'.containerd]
      default_runtime_name = 'runc'

      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes]
        [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
          runtime_type = 'io.containerd.runc.v2'

          [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
            SystemdCgroup = true
"""
RUNC: dict[str, Any] = {
    "runtime_type": containerd_files.RUNC,
    "sandbox_mode": "podsandbox",
    "pod_annotations": [],
    "options": {"SystemdCgroup": False, "BinaryName": "", "IoUid": 0},
}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock of containerd, which merges files of version 2 as 1.7 does, and of version 3 as 2 does."""

    def dump(files: list[File], version: int) -> dict[str, Any]:
        name = containerd_files.plugin(version)
        given: dict[str, Any] = {}
        for file in files:
            for plugin, section in file.data.get("plugins", {}).items():
                given[plugin] = (
                    section if version == 2 else containerd._merged(given.get(plugin, {}), section)
                )
        known = {"enable_cdi": False, "cni": {"bin_dir": "/opt/cni/bin"}}
        known["containerd"] = {"default_runtime_name": "runc", "runtimes": {"runc": copy.deepcopy(RUNC)}}
        said = copy.deepcopy(given.get(name, {}))
        runtimes = toml.get(said, "containerd", "runtimes")
        if runtimes and version == 2:
            known["containerd"]["runtimes"] = {}  # as in 1.7: a map in a file replaces the built-in one
        given[name] = containerd._merged(known, said)
        return {"version": version, "imports": [file.path for file in files], "plugins": given}

    monkeypatch.setattr(programs, "find", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(containerd_dump, "dump", dump)
    monkeypatch.setattr(containerd_dump, "speaks", lambda: 2)
    monkeypatch.setattr(containerd, "version_of", lambda name: "1.7.24")


def put(text: str, name: str = "config.toml") -> Path:
    path = Path(containerd_files.CONFIG).parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def carry_out(plan: edits.Plan) -> None:
    edits.apply(plan.changes())


def runtimes(path: Path, plugin: str = V2) -> dict[str, Any]:
    return dict(tomllib.loads(path.read_text())["plugins"][plugin]["containerd"]["runtimes"])


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("default", [False, True])
@pytest.mark.parametrize("ending", ["\n", "", "\r\n"])
def test_a_file_with_settings_of_the_plugin_gets_the_runtime_itself(default: bool, ending: str) -> None:
    text = DEBIAN.rstrip("\n") + "\n" if ending != "" else DEBIAN.rstrip("\n")
    text = text.replace("\n", "\r\n") if ending == "\r\n" else text
    path = put("")
    path.write_bytes(text.encode())
    carry_out(containerd.configure(default))
    assert path.read_bytes().decode().startswith(text)
    assert runtimes(path)["bede"] == {
        "runtime_type": containerd_files.RUNC,
        "sandbox_mode": "podsandbox",
        "pod_annotations": ["bede.*", "bede.*/*"],
        "container_annotations": ["bede.*", "bede.*/*"],
        "options": {"BinaryName": "/usr/bin/bede-runtime"},
    }
    assert runtimes(path)["runc"] == {"runtime_type": containerd_files.RUNC, "sandbox_mode": "podsandbox"}
    assert containerd.state()[3:5] == (True, default)
    assert not containerd.configure(False).changes()
    assert len(list(path.parent.glob("config.toml.bede-*"))) == 1
    carry_out(containerd.unconfigure())
    assert path.read_bytes().decode() == text
    assert not containerd.unconfigure().changes()
    assert not containerd.state().configured


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("default", [False, True])
def test_options_and_the_default_of_a_whole_file(default: bool) -> None:
    path = put(WHOLE)
    carry_out(containerd.configure(default))
    bede = runtimes(path, V3)["bede"]
    assert bede["options"] == {"SystemdCgroup": True, "BinaryName": "/usr/bin/bede-runtime"}
    assert ("default_runtime_name = 'bede'" in path.read_text()) == default
    assert not containerd.configure(False).changes()
    carry_out(containerd.unconfigure())
    assert path.read_text() == WHOLE


@pytest.mark.usefixtures("engine")
def test_a_default_is_put_into_a_table_that_is_there() -> None:
    text = WHOLE.replace("      default_runtime_name = 'runc'\n", "")
    path = put(text)
    carry_out(containerd.configure(True))
    assert containerd.state().default
    assert not containerd.configure(True).changes()
    carry_out(containerd.unconfigure())
    assert path.read_text() == text


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("version, plugin", [(2, V2), (3, V3)])
@pytest.mark.parametrize("pattern", ["conf.d/*.toml", "/etc/x/*.toml", None])
def test_a_drop_in_where_one_is_imported(version: int, plugin: str, pattern: str | None) -> None:
    text = f"version = {version}\n"
    if pattern:
        text += f'imports = ["{pattern}"]\n'
    path = put(text)
    carry_out(containerd.configure(True))
    own = Path(containerd_files.OWN)
    there = pattern == "conf.d/*.toml"
    assert own.exists() == there
    assert (path.read_text() == text) == there
    assert "bede" in runtimes(own if there else path, plugin)
    assert containerd.state()[3:5] == (True, True)
    assert not containerd.configure(False).changes()
    carry_out(containerd.unconfigure())
    assert path.read_text() == text
    assert not own.exists()


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("text", [None, "", "# nothing yet\n"])
def test_no_configuration_at_all(text: str | None) -> None:
    path = Path(containerd_files.CONFIG)
    if text is not None:
        put(text)
    carry_out(containerd.configure(True))
    assert tomllib.loads(path.read_text())["version"] == 2
    assert set(runtimes(path)) == {"runc", "bede"}
    assert not containerd.configure(False).changes()
    carry_out(containerd.unconfigure())
    assert (path.read_text() if path.exists() else None) == text


@pytest.mark.usefixtures("engine")
def test_the_last_file_that_has_the_section_gets_the_runtime() -> None:
    main = put(f'imports = ["conf.d/*.toml"]\n{DEBIAN}')
    other = put(f'version = 2\n[plugins."{V2}"]\nenable_cdi = true\n', "conf.d/zz.toml")
    before = (main.read_text(), other.read_text())
    carry_out(containerd.configure(False))
    assert main.read_text() == before[0]
    assert "bede" in runtimes(other)
    assert containerd.state().configured
    carry_out(containerd.unconfigure())
    assert (main.read_text(), other.read_text()) == before


@pytest.mark.usefixtures("engine")
def test_the_example_s_drop_in_gives_way_to_a_section_that_it_would_replace() -> None:
    main = put(f'imports = ["conf.d/*.toml"]\n{DEBIAN}')
    own = put(EXAMPLE.read_text(), "conf.d/bede.toml")
    carry_out(containerd.configure(False))
    assert not own.exists()
    assert set(runtimes(main)) == {"runc", "bede"}
    carry_out(containerd.unconfigure())
    assert main.read_text() == f'imports = ["conf.d/*.toml"]\n{DEBIAN}'


@pytest.mark.usefixtures("engine")
def test_a_runtime_by_hand_is_taken_out() -> None:
    hand = f'\n[plugins."{V2}".containerd.runtimes.bede]\nruntime_type = "io.containerd.runc.v2"\n'
    hand += f'[plugins."{V2}".containerd.runtimes.bede.options]\nBinaryName = "/opt/bede-runtime"\n'
    path = put(DEBIAN + hand)
    assert containerd.state().configured
    carry_out(containerd.unconfigure())
    assert not containerd.state().configured
    assert "# and this" in path.read_text()
    assert toml.get(tomllib.loads(path.read_text()), "plugins", V2, "cni", "bin_dir") == "/usr/lib/cni"


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    "text, words",
    [
        ("[plugins", "not TOML"),
        ('disabled_plugins = ["cri"]\n', "version 1"),
        ("version = 1\n[plugins.cri]\n", "version 1"),
        (f'version = 2\n[plugins."{V2}".containerd]\ndefault_runtime_name = "kata"\n', '"kata"'),
        (f'version = 2\n[plugins."{V2}".containerd.runtimes.bede]\nruntime_type = "x"\n', "not Bede's"),
        (f'version = 2\nplugins = {{"{V2}" = {{}}}}\n', "not TOML"),
    ],
)
def test_what_is_somebody_elses_or_wrong_is_refused(text: str, words: str) -> None:
    put(text)
    with pytest.raises(InputError, match=words) as refused:
        containerd.configure(True)
    assert refused.value.hint


@pytest.mark.usefixtures("engine")
def test_a_setting_that_would_be_lost_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    put(DEBIAN)
    dump = containerd_dump.dump

    def forgetful(files: list[File], version: int) -> dict[str, Any] | None:
        dumped = dump(files, version)
        if dumped and any("bede" in file.text for file in files):
            del dumped["plugins"][V2]["cni"]["bin_dir"]
        return dumped

    monkeypatch.setattr(containerd_dump, "dump", forgetful)
    with pytest.raises(InputError, match=r"cni\.bin_dir"):
        containerd.configure(False)


def test_the_example_is_what_is_written_where_nothing_else_is() -> None:
    put('version = 2\nimports = ["conf.d/*.toml"]\n')
    carry_out(containerd.configure(False))
    assert Path(containerd_files.OWN).read_text() == EXAMPLE.read_text()


def test_containerd_is_asked_of_copies_that_import_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(f'imports = ["conf.d/*.toml"]\n{DEBIAN}')
    seen: dict[str, str] = {}

    def output(*words: str) -> str:
        main = tomllib.loads(Path(words[2]).read_text())
        seen.update({name: Path(name).read_text() for name in main["imports"]})
        if "enable_cdi" in "".join(seen.values()):
            raise RuntimeMissingError(f"containerd --config x failed: {main['imports'][0]}: wrong")
        return "version = 2\n"

    monkeypatch.setattr(programs, "find", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(programs, "output", output)
    assert containerd_dump.dump(containerd_files.load(), 2) == {"version": 2}
    assert list(seen.values()) == [DEBIAN]
    assert not any(Path(name).exists() for name in seen)
    put(f'{DEBIAN}  [plugins."{V2}".x]\n  enable_cdi = 1\n')
    with pytest.raises(InputError, match=f"configuration: {path}: wrong"):
        containerd_dump.dump(containerd_files.load(), 2)


def test_without_containerd_a_dry_run_goes_by_the_files() -> None:
    path = put(DEBIAN)
    plan = containerd.configure(False)
    assert path.read_text() == DEBIAN
    assert "bede-runtime" in edits.diff(plan.changes())
    assert containerd.state().installed is False


@pytest.mark.usefixtures("engine")
def test_a_runtime_of_an_earlier_bede_does_not_pass_on_bounds_of_single_containers() -> None:
    path = put(DEBIAN)
    carry_out(containerd.configure(False))
    assert not containerd.state().lacks
    text = path.read_text()
    for patterns in ('"*", "*/*"', '"bede.local*", "bede.local*/*"', '"[a-c]*", "b?de.*/*"'):
        path.write_text(text.replace('"bede.*", "bede.*/*"', patterns))
        assert not containerd.state().lacks, patterns
    path.write_text(text.replace(', "bede.*/*"', ""))
    state = containerd.state()
    assert state.configured
    assert "single containers do not reach Bede" in state.lacks
    carry_out(containerd.configure(False))
    assert runtimes(path)["bede"]["pod_annotations"] == ["bede.*", "bede.*/*"]


def test_a_runtime_that_is_not_runc_s_is_no_pattern() -> None:
    kata = {"runtime_type": "io.containerd.kata.v2", "options": {"ConfigPath": "/x"}}
    assert containerd.runtime("/b/bede-runtime", kata) == {
        "runtime_type": containerd_files.RUNC,
        "pod_annotations": ["bede.*", "bede.*/*"],
        "container_annotations": ["bede.*", "bede.*/*"],
        "options": {"BinaryName": "/b/bede-runtime"},
    }


NVIDIA = """
    [plugins."{0}".containerd]
      default_runtime_name = "nvidia"  # theirs
    [plugins."{0}".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
    [plugins."{0}".containerd.runtimes.nvidia]
      runtime_type = "io.containerd.runc.v2"
    [plugins."{0}".containerd.runtimes.nvidia.options]
      BinaryName = "/opt/fake/nvidia-container-runtime"
      SystemdCgroup = true
"""


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("default", [False, True])
@pytest.mark.parametrize("version, plugin", [(2, V2), (3, V3)])
@pytest.mark.parametrize("drop_in", [False, True])
def test_a_default_handler_with_another_program_goes_behind(
    default: bool, version: int, plugin: str, drop_in: bool
) -> None:
    """Otherwise pods under bede would silently lack what that program does for every pod."""
    imports = 'imports = ["conf.d/*.toml"]\n' if drop_in else ""
    text = f"version = {version}\n{imports}" + NVIDIA.format(plugin)
    path = put(text)
    plan = containerd.configure(default)
    (note,) = plan.notes
    assert "nvidia (/opt/fake/nvidia-container-runtime)" in note
    carry_out(plan)
    script = Path(real.script("containerd"))
    first = "#!/usr/bin/bede-runtime --real=/opt/fake/nvidia-container-runtime"
    assert script.read_text().splitlines()[0] == first
    there = Path(containerd_files.OWN)
    bede = runtimes(there if there.exists() else path, plugin)["bede"]
    assert bede["options"] == {"SystemdCgroup": True, "BinaryName": str(script)}
    assert containerd.state()[3:5] == (True, default)
    assert containerd.state().lost == ""
    assert not containerd.configure(False).changes()
    assert not containerd.configure(default).changes()
    carry_out(containerd.unconfigure())
    assert path.read_text() == text
    assert not script.exists()
    assert not containerd.unconfigure().changes()


@pytest.mark.usefixtures("engine")
def test_it_is_told_where_it_is_not_behind() -> None:
    hand = f'[plugins."{V2}".containerd.runtimes.bede]\nruntime_type = "io.containerd.runc.v2"\n'
    hand += f'[plugins."{V2}".containerd.runtimes.bede.options]\nBinaryName = "/usr/bin/bede-runtime"\n'
    put("version = 2\n" + NVIDIA.format(V2) + hand)
    assert containerd.state().lost == "nvidia"
    carry_out(containerd.configure(False))
    assert containerd.state().lost == ""
    assert containerd.state().configured


@pytest.mark.usefixtures("engine")
def test_another_handler_can_be_put_behind_and_stays_there() -> None:
    text = "version = 2\n" + NVIDIA.format(V2)
    path = put(text)
    carry_out(containerd.configure(True, "runc"))
    assert "--real=runc\n" in Path(real.script("containerd")).read_text()
    assert "SystemdCgroup" not in runtimes(path)["bede"]["options"]
    assert not containerd.configure(False).changes()
    carry_out(containerd.unconfigure())
    assert path.read_text() == text
    put(text.replace('"nvidia"  #', '"runc"  #'))
    carry_out(containerd.configure(False, "nvidia"))
    assert runtimes(path)["bede"]["options"]["SystemdCgroup"] is True
    with pytest.raises(InputError, match="no-such"):
        containerd.configure(False, "no-such")


@pytest.mark.usefixtures("engine")
def test_a_default_that_is_no_program_is_told() -> None:
    text = "version = 2\n" + NVIDIA.format(V2).replace(
        'runtimes.nvidia]\n      runtime_type = "io.containerd.runc.v2"',
        'runtimes.nvidia]\n      runtime_type = "io.containerd.kata.v2"',
    )
    put(text)
    assert "do without the default runtime of containerd" in containerd.configure(False).notes[0]
    assert not containerd.configure(False).edits[0].path.endswith("bede-runtime-containerd")
