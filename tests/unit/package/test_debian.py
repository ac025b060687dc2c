# SPDX-License-Identifier: Apache-2.0
"""The Debian package: its content, and that its texts agree with the program. tests/vm installs it."""

import argparse
import gzip
import re
import subprocess
from pathlib import Path

import packages
import pytest
import yaml

from ocihook import config
from ocihook.cli import main

UNITS = sorted(path.name for path in (packages.ROOT / "ocihook/agent/units").iterdir())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the package was built."""
    work = tmp_path_factory.mktemp("debian")
    packages.built(packages.checkout(work / "bede"))
    return work


@pytest.fixture(scope="module")
def root(built: Path) -> Path:
    """The directory with the unpacked files of the package."""
    (deb,) = built.glob("bede_*.deb")
    subprocess.run(["dpkg-deb", "-R", deb, built / "root"], check=True)
    return built / "root"


@pytest.fixture
def parsers(monkeypatch: pytest.MonkeyPatch) -> dict[str, argparse.ArgumentParser]:
    """Manual page → argument parser, for each command in the package."""
    installed = {name: text for name, text in main.COMMANDS.items() if name not in main.CHECKOUT_ONLY}
    monkeypatch.setattr(main, "commands", lambda: installed)
    names = [name for name in main.commands() if f"ocihook/cli/{name}.py" in packages.tracked()]
    return {"bede": main.top_parser()} | {f"bede-{name}": main.command_parser(name) for name in names}


def test_lintian_finds_nothing(built: Path) -> None:
    (changes,) = built.glob("*.changes")
    line = ["lintian", "--allow-root", "--fail-on", "error,warning", str(changes)]
    done = subprocess.run(line, env=packages.BUILD, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_build_leaves_nothing_in_the_source_that_clean_would_not_take(built: Path) -> None:
    source = built / "bede"
    subprocess.run(["debian/rules", "clean"], cwd=source, env=packages.BUILD, check=True, capture_output=True)
    left = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert left == set(packages.tracked())


def test_it_has_the_version_of_the_checkout_and_the_dependencies_of_the_wheel(root: Path) -> None:
    fields = dict(re.findall(r"(?m)^(\S+): (.*)", (root / "DEBIAN/control").read_text()))
    assert fields["Version"] == packages.version()
    depends = fields["Depends"]
    requires = re.search(r"install_requires=\[(.*?)\]", (packages.ROOT / "setup.py").read_text(), re.DOTALL)
    assert requires is not None
    for name in re.findall(r'"([a-z0-9-]+)[>=]', requires[1]):
        package = {"cffi": "python3-cffi-backend", "pyyaml": "python3-yaml"}.get(
            name, f"python3-{name.removeprefix('python-')}"
        )
        assert package in depends
    assert "python3 (>= 3.11)" in depends
    assert "<<" not in depends, "bound to the Python of the host that built it"


def test_it_has_all_of_the_package_but_what_needs_a_checkout(root: Path) -> None:
    library = root / "usr/lib/bede"
    names = {str(path.relative_to(library)) for path in library.rglob("*") if path.is_file()}
    only = tuple(f"ocihook/{name}" for name in ("cli/vm.py", "cli/demo.py", "agent/units/"))
    wanted = {name for name in packages.tracked() if name.startswith("ocihook/")}
    wanted -= {name for name in wanted if name.startswith(only) or name.endswith(".pyi")}
    assert names == wanted | {"ocihook/_native.abi3.so"}
    for name in ("bede", "bede-hook", "bede-runtime"):
        assert (root / "usr/bin" / name).read_text().startswith("#!/usr/bin/python3")
        assert (root / "usr/bin" / name).stat().st_mode & 0o777 == 0o755


def test_its_copyright_file_names_the_licenses_that_the_checkout_has(root: Path) -> None:
    text = (root / "usr/share/doc/bede/copyright").read_text()
    files = dict(re.findall(r"(?m)^Files: (.*)\nCopyright: .*\nLicense: (.*)$", text))
    assert files == {"*": "Apache-2.0", "kernel-patch/*/*.patch": "GPL-2"}
    ours = {"Apache-2.0": "Apache-2.0.txt", "GPL-2": "GPL-2.0-only.txt"}
    assert {path.name for path in (packages.ROOT / "LICENSES").iterdir()} == set(ours.values())
    for name, file in ours.items():
        common = Path("/usr/share/common-licenses") / name
        assert re.search(rf"(?m)^License: {name}\n (?s:.*?){common}\.", text)
        assert (packages.ROOT / "LICENSES" / file).read_text() == common.read_text()


def test_the_agent_alone_is_started(root: Path) -> None:
    there = root / "usr/lib/systemd/system"
    assert sorted(path.name for path in there.iterdir()) == UNITS
    started = re.findall(r"deb-systemd-invoke \$_dh_action (.*?) >", (root / "DEBIAN/postinst").read_text())
    # This command starts enabled units only, and only these two are enabled.
    assert sorted(" ".join(started).replace("'", "").split()) == UNITS
    enabled = re.findall(r"was-enabled '(\S+)'; then\n\s*# Enables", (root / "DEBIAN/postinst").read_text())
    assert enabled == ["bede-agent.service", "bede-agent.socket"]


def test_podman_finds_the_hooks_of_the_examples(root: Path) -> None:
    for example in (packages.ROOT / "examples/podman").glob("*.json"):
        there = root / "usr/share/containers/oci/hooks.d" / example.name
        assert there.read_text() == example.read_text()


def test_the_chart_finds_the_files_that_it_is_made_of(root: Path) -> None:
    assert packages.linked()
    for name in packages.linked():
        there = root / "usr/share/bede" / name
        files = {path.name for path in (packages.ROOT / name).iterdir()}
        assert {path.name for path in there.iterdir()} == files, name


def test_the_configuration_is_a_conffile_that_says_the_defaults(root: Path) -> None:
    assert (root / "DEBIAN/conffiles").read_text().split() == ["/etc/bede/config.yaml"]
    text = (root / "etc/bede/config.yaml").read_text()
    assert yaml.safe_load(text) is None
    defaults, plain = config.Config(), config.parse(text)
    # Commented lines have the defaults, too, except that of runtime, which depends on the host.
    said = config.parse(re.sub(r"(?m)^#(\w+:)", r"\1", text))
    for name in config.Config.__slots__:
        assert getattr(plain, name) == getattr(defaults, name)
        assert re.search(rf"(?m)^#{name}:", text), f"{name} is not explained"
        if name != "runtime":
            assert getattr(said, name) == getattr(defaults, name)


def test_there_is_a_page_of_each_command_that_says_what_its_help_says(
    root: Path, parsers: dict[str, argparse.ArgumentParser]
) -> None:
    there = root / "usr/share/man/man1"
    assert {path.name for path in there.iterdir()} == {f"{name}.1.gz" for name in parsers}
    for name, parser in parsers.items():
        line = ["man", "--warnings", "-E", "UTF-8", "-l", str(there / f"{name}.1.gz")]
        environment = packages.BUILD | {"MANWIDTH": "400"}
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        page = " ".join(done.stdout.replace("‐", "-").replace("−", "-").split())
        assert f"NAME {name} - " in page
        said = re.sub(r"(?m)^usage:|:$", "", parser.format_help())  # a manual page has other headings
        for word in re.findall(r"[\w.,:`/-]+", said):
            assert word.lower() in page.lower(), f"{name}: {word!r} of --help is missing"
        for action in parser._actions:
            assert all(option in page for option in action.option_strings)


def test_the_pages_of_the_hook_and_the_wrapper_name_what_they_take(root: Path) -> None:
    there = root / "usr/share/man/man8"
    hook, wrapper = (
        gzip.decompress((there / f"bede-{name}.8.gz").read_bytes()).decode() for name in ("hook", "runtime")
    )
    usage = (packages.ROOT / "ocihook/hook.py").read_text()
    stages = re.search(r'_USAGE = "Usage: bede-hook (\S+) \[(\S+) ', usage)
    assert stages is not None
    for word in (*stages[1].split("|"), stages[2].replace("-", "\\-")):
        assert word in hook
    assert "config.yaml" in wrapper


def test_both_shells_take_their_completion(root: Path, parsers: dict[str, argparse.ArgumentParser]) -> None:
    script = root / "usr/share/bash-completion/completions/bede"
    line = ["bash", "-c", '. "$0"; complete -p bede', str(script)]
    assert "-F _shtab_bede" in subprocess.run(line, capture_output=True, text=True, check=True).stdout
    text = script.read_text()
    for name in parsers:
        assert name == "bede" or f"_shtab_{name.replace('-', '_')}_option_strings=" in text
    assert "_shtab_bede_vm" not in text
    zsh = root / "usr/share/zsh/vendor-completions/_bede"
    assert zsh.read_text().startswith("#compdef bede\n")
    done = subprocess.run(["zsh", "-n", zsh], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
