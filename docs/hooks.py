"""Hooks of mkdocs: pages from outside of docs/ and generated ones, links between them, and formulas as MathML."""

from __future__ import annotations

import html
import logging
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from reference import commands_page, linked, public_names, python_pages  # noqa: E402 - beside this file

#: Files outside of docs/ that are pages of the manual, and what they are called there.
PAGES = {
    "README.md": "index.md",
    "BENCHMARKS.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "results/README.md": "runs.md",
}
#: Names of the library, as the pages write them, with their full paths.
NAMES = {name: path for names in public_names().values() for name, path in names.items()}
TARGET = r"\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)"
PICTURE = re.compile(r"(!)\[([^\]]*)\]" + TARGET)
#: A link, whose text may be a picture.
LINK = re.compile(r"((?<!!))\[((?:!\[[^\]]*\]\([^)]*\)|[^\[\]])*)\]" + TARGET)
FENCE = re.compile(r"(^ *```.*?^ *```$)", flags=re.M | re.S)
#: What pymdownx.arithmatex makes of $...$ and $$...$$.
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', flags=re.S)

#: Solidus, | and || without the space that operators have around them.
TIGHT = "<mo([^>]*)>(&#x0002F;|&#x0007C;|&#x02016;)</mo>"
#: The script that the theme loads where pages are files, and the copy of it in the site.
SHIM, OUR_SHIM = "https://unpkg.com/iframe-worker/shim", "assets/iframe-worker.js"

#: The root of relative links, but where a page is a file.
BASE = '<base href="/"><script>location.protocol == "file:" && document.querySelector("base").remove()</script>'

log = logging.getLogger("mkdocs.hooks.polyroots")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and pictures that are outside of docs/."""
    outside = {**PAGES, **{path: path for path in pictures_outside()}}
    for source, page in outside.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for path, text in (*python_pages(), ("reference/commands.md", commands_page())):
        files.append(File.generated(config, path, content=text))
    return files


def pictures_outside() -> list[str]:
    """Return the pictures of results/, relative to the repository."""
    return [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("results/*/*.png"))]


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links of files in the repository into links of pages."""
    sources = {its: source for source, its in PAGES.items()}
    here = page.file.src_uri
    source = sources.get(here, f"docs/{here}")
    if here.startswith("reference/"):
        return linked(markdown, NAMES) if here == "reference/index.md" else markdown
    parts = FENCE.split(markdown)
    for index in range(0, len(parts), 2):
        for pattern in (PICTURE, LINK):
            parts[index] = pattern.sub(lambda match: link(match, source, here), parts[index])
        parts[index] = linked(parts[index], NAMES)
    return "".join(parts)


def link(match: re.Match[str], source: str, here: str) -> str:
    """Return a link of the page `here`, made of a file `source`; only its text where the target is no page."""
    mark, text, target, anchor = match.groups()
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if path in PAGES:
        page = PAGES[path]
    elif path.startswith("docs/"):
        page = path.removeprefix("docs/")
    elif path in pictures_outside():
        page = path
    elif (ROOT / path).exists():
        return text
    else:
        log.warning("%s links to %s, which is not there", source, target)
        return text
    return f"{mark}[{text}]({posixpath.relpath(page, posixpath.dirname(here) or '.')}{anchor or ''})"


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Take the script that the search needs where pages are files from the site instead of from the network."""
    return output.replace(SHIM, posixpath.relpath(OUR_SHIM, posixpath.dirname(page.file.dest_uri) or "."))


def on_post_template(output_content: str, template_name: str, **_: Any) -> str:
    """Do so in the page for addresses that are not there, and let it find its style without a server, too.

    A server shows it at any address, so that its links begin at the root; as a file it lies beside the other pages.
    """
    if template_name != "404.html":
        return output_content
    output = re.sub(r'\b(href|src)="/(?!/)', r'\1="', output_content.replace(SHIM, OUR_SHIM))
    return output.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n      {BASE}', 1)


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Write formulas as MathML, which browsers draw without a script."""

    def formula(match: re.Match[str]) -> str:
        display = "block" if match[1] == "div" else "inline"
        mathml = convert(html.unescape(match[2].strip()), display=display)
        mathml = re.sub(TIGHT, r'<mo\1 lspace="0" rspace="0">\2</mo>', mathml)
        return mathml if display == "inline" else f'<div class="formula">{mathml}</div>'

    if FORMULA.search(content) is None and "arithmatex" in content:
        log.warning("%s has a formula that is not understood", page.file.src_uri)
    # In tables code has \| for |, as other readers of Markdown need it.
    content = re.sub(r"<code>[^<]*</code>", lambda code: code[0].replace("\\|", "|"), content)
    return FORMULA.sub(formula, content)
