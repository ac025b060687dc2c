# SPDX-License-Identifier: Apache-2.0
"""The package `bede`: Python in `ocihook`, C in `native` by cffi, and programs in `bin`."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "ocihook/__init__.py").read_text())
assert VERSION is not None
#: commands that use `vmlab`, which needs a checkout: these are in the sdist, but not in the wheel
CHECKOUT_ONLY = ("vm", "demo")


class BuildPy(build_py):
    """Leaves out the commands that need a checkout."""

    def finalize_options(self) -> None:
        """Add `vmlab` if the checkout itself is installed (pip's -e)."""
        if self.editable_mode:
            self.distribution.packages.append("vmlab")
        super().finalize_options()

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """(package, module, file) of each module."""
        found: list[tuple[str, str, str]] = super().find_package_modules(package, package_dir)
        return [one for one in found if one[0] != "ocihook.cli" or one[1] not in CHECKOUT_ONLY]


class Sdist(sdist):
    """Has the chart's links to directories as well, which setuptools leaves out."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Make the tree that becomes the archive."""
        super().make_release_tree(base_dir, files)
        for path in (HERE / "kubernetes/chart").iterdir():
            if path.is_symlink():
                (Path(base_dir) / path.relative_to(HERE)).symlink_to(path.readlink())


def examples() -> list[tuple[str, list[str]]]:
    """(target directory, files) of each example."""
    found = sorted(path for path in (HERE / "examples").iterdir() if path.is_dir())
    return [
        (
            f"share/doc/bede/examples/{where.name}",
            [str(path.relative_to(HERE)) for path in sorted(where.iterdir())],
        )
        for where in found
    ]


setup(
    name="bede",
    version=VERSION[1],
    description="Hold a container's local memory (DRAM) to a bound on tiered-memory hosts",
    # The license of the installed files; the sdist also has patches of the kernel, which are GPL-2.0-only.
    # setuptools before 77 (Debian 12 has an older one) does not know this argument, and only warns.
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: C",
        "Programming Language :: Python :: 3",
        "Topic :: System :: Systems Administration",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["ocihook", "ocihook.*"]),
    package_data={"ocihook": ["agent/units/*"]},
    cmdclass={"build_py": BuildPy, "sdist": Sdist},
    cffi_modules=["native/build.py:ffi"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    scripts=["bin/bede", "bin/bede-node", "bin/bede-controller", "bin/bede-webhook"],
    # Not as scripts: an installer would rewrite their first line without -IS, and every start of a container
    # would spend time on site-packages.
    data_files=[("bin", ["bin/bede-hook", "bin/bede-runtime"]), *examples()],
    install_requires=[
        "cffi>=1.15,<3",  # loads the extension that holds a bound; Debian 12 has 1.15
        "pyroute2>=0.7.7,<0.10",  # subscribes to the kernel's process connector
        "pyyaml>=6,<7",  # the agent checks that a YAML parser reads the configuration as the hook does
        "python-prctl>=1.8,<2",  # the agent sets its name and drops privileges that it does not need
        "rich>=13.3,<16",  # `bede top`
        "tomlkit>=0.11,<1",  # edits containerd's configuration, keeping its comments and order
        "prometheus-client>=0.16,<1",  # the text that Prometheus reads
    ],
    extras_require={
        "dev": [
            "pytest>=8,<10",  # runs every test
            "pytest-xdist>=3,<4",  # unit tests on all CPUs
            "build>=1,<2",  # makes the wheel and the sdist
            "hypothesis>=6,<7",  # properties of the parsers
            # evaluates kubernetes/cel; cel-python has no optional fields, and checks no types
            "cel-expr-python>=0.1.3,<0.2",
            "protobuf>=5,<8",  # the messages that its expressions make
            "ruff>=0.8,<1",  # linter and formatter
            "clang-format>=23,<24",  # formatter for C; each version formats a little differently
            "codespell>=2.4.3,<3",  # British spelling; older versions only know American
            "mypy>=1.13,<3",  # types
            "types-PyYAML>=6,<7",  # yaml's types
            "types-cffi>=1.15,<3",  # cffi's types
            "types-setuptools>=68",  # setup.py's types
            "setuptools>=77,<82",  # builds the extension in place
        ],
        "plot": ["matplotlib>=3.6,<4"],  # pictures of `bede plot` and of the demo
        "completion": ["shtab>=1.5,<2"],  # makes shells' completion from the argument parsers
        "docs": ["mkdocs>=1.6,<2"],  # the site made of docs/
        "kubernetes": ["kubernetes>=22.6,<38"],  # reaches the API server; Debian 12 has 22.6
    },
)
