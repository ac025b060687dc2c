# SPDX-License-Identifier: Apache-2.0
"""The kernels that a machine can boot: name → where its files come from.

A kernel is a bzImage and the modules that the initramfs must load before it can see the root disk. A kernel
that Bede builds has these built in, and so an empty list.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ocihook.errors import InputError
from vmlab import kernel_build
from vmlab.progress import Progress


@dataclass(frozen=True)
class Kernel:
    """A kernel that is ready to boot."""

    name: str
    image: Path
    modules: tuple[Path, ...]  #: uncompressed, in the order in which they are to be loaded
    mapped: tuple[Path, ...] | None = None  #: the same where disks are mapped; None if it has no such driver


Source = Callable[[str, Path, Progress], Kernel]


def debian(name: str, image: Path, progress: Progress) -> Kernel:
    """Debian's own kernel, unmodified: it was unpacked when the image was built."""
    where = image / "kernels" / name
    disk, mapped = (tuple(sorted((where / kind).glob("*.ko"))) for kind in (".", "mapped"))
    return Kernel(name, where / "vmlinuz", disk, mapped)


def built(recipe: kernel_build.Recipe) -> Source:
    """A kernel that Bede builds from Debian's source, or takes from the cache."""

    def source(name: str, image: Path, progress: Progress) -> Kernel:
        return Kernel(name, kernel_build.ensure(name, recipe, progress) / "vmlinuz", ())

    return source


#: name → what it is built from. *plain* is the same kernel without the patches, for comparison; *debug* has
#: every check on that can notice a mistake.
RECIPES = {
    f"bede-{series}{kind}": kernel_build.Recipe(series, fragments, patched)
    for series in ("6.12", "7.3")
    for kind, fragments, patched in (
        ("", ("config",), True),
        ("-plain", ("config",), False),
        ("-debug", ("config", "config.debug"), True),
    )
}
#: name → the function that provides it
SOURCES: dict[str, Source] = {
    "debian-6.12": debian,
    "debian-7.3": debian,
    **{name: built(recipe) for name, recipe in RECIPES.items()},
}
DEFAULT = "debian-6.12"


def ensure(name: str, image: Path, progress: Progress) -> Kernel:
    """The kernel *name* for the machine's *image*, built if it is missing."""
    source = SOURCES.get(name)
    if source is None:
        raise InputError(f"no kernel is called {name!r}", "The kernels are " + ", ".join(SOURCES))
    return source(name, image, progress)
