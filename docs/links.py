# SPDX-License-Identifier: Apache-2.0
"""mkdocs' hook: the pages of a checkout that lie outside of docs/, and the links from and to them."""

import os.path
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

#: in the checkout → in the site
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "overview.md",
    "SECURITY.md": "security.md",
    "kernel-patch/README.md": "node-limit.md",
}
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those that are there."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=_root(config).joinpath(source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the checkout into links between pages of the site."""
    docs = Path(config.docs_dir).name
    sources = {target: source for source, target in PAGES.items()}
    origin = os.path.dirname(sources.get(page.file.src_uri, f"{docs}/{page.file.src_uri}"))

    def turned(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        path = os.path.normpath(os.path.join(origin, target))
        if "://" in target or not _root(config).joinpath(path).exists():
            return link[0]
        if path in PAGES:
            return f"[{text}]({PAGES[path]}{anchor})"
        if path.startswith(f"{docs}/"):
            return f"[{text}]({path.removeprefix(f'{docs}/')}{anchor})"
        return text  # a file of the checkout that the site does not have

    return LINK.sub(turned, markdown)


def _root(config: MkDocsConfig) -> Path:
    return Path(config.docs_dir).parent
