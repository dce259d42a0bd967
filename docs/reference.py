"""The generated part of the manual: the public names of the library and the commands, from their own descriptions."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent
# .ci/packages has cli/ under the name that it is imported by. mkdocs restores the path after it has loaded its hooks.
sys.path[:0] = [str(ROOT), str(ROOT / ".ci" / "packages")]

import polyroots  # noqa: E402
from polyroots_cli.main import main  # noqa: E402

#: Packages of the library with public names, and titles of their pages: those of help(polyroots), and the packages that
#: are public themselves.
PACKAGES = {
    **{package: title for package, (title, _) in polyroots._PUBLIC.items() if package},
    **{package: package.capitalize() for package in polyroots._PUBLIC[None][1]},
}


def source_of(module: str) -> Path:
    """Return the file of a module of the library."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imported(module: str) -> dict[str, str]:
    """Return the names that a module imports from the library, each with its module."""
    tree = ast.parse(source_of(module).read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {alias.name: node.module for node in found for alias in node.names if node.module.startswith("polyroots")}


def definition_of(module: str, name: str) -> str:
    """Return the full path of a name, such as polyroots.models.build.build."""
    while name in (names := imported(module)):
        module = names[name]
    return f"{module}.{name}"


def public_names() -> dict[str, dict[str, str]]:
    """Return for each package the names of its page, as users write them, with their full paths."""
    pages: dict[str, dict[str, str]] = {package: {} for package in PACKAGES}
    for name, package in polyroots._PACKAGES.items():
        if package is not None:
            pages[package][f"pr.{name}"] = definition_of(f"polyroots.{package}", name)
    for package in polyroots._PUBLIC[None][1]:
        tree = ast.parse(source_of(f"polyroots.{package}").read_text())
        (names,) = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
        ]
        others = {path.split(".")[-1] for path in pages[package].values()}
        for name in names:
            path = definition_of(f"polyroots.{package}", name)
            if name not in others and is_described(path):
                pages[package][f"pr.{package}.{name}"] = path
    return {package: dict(sorted(names.items(), key=_functions_first)) for package, names in pages.items()}


def _functions_first(item: tuple[str, str]) -> tuple[int, bool, str]:
    """Sort names of `pr` before those of its packages, and functions before classes."""
    name = item[0]
    return name.count("."), name.split(".")[-1][0].isupper(), name


def is_described(path: str) -> bool:
    """Return whether a path is that of a function or class; constants have no description of their own."""
    module, _, name = path.rpartition(".")
    nodes = ast.parse(source_of(module).read_text()).body
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name for node in nodes)


def python_pages() -> Iterator[tuple[str, str]]:
    """Return the path and text of each page on the library."""
    lists = [
        "# Python\n\n`import polyroots as pr`; names are imported when they are first used.\n",
        "| page | names |\n| --- | --- |",
    ]
    for package, names in public_names().items():
        words = ", ".join(f"`{name}`" for name in names)
        lists.append(f"| [{PACKAGES[package]}]({package}.md) | {words} |")
        parts = [f"# {PACKAGES[package]}\n"]
        parts += [f"::: {path}\n    options:\n      heading: {name}\n" for name, path in names.items()]
        yield f"reference/{package}.md", "\n".join(parts)
    yield "reference/index.md", "\n".join(lists) + "\n"


def commands_page() -> str:
    """Return the text of the page on commands: for each its description, its options and their meaning."""
    parts = ["# Commands\n", "The help of each command with all its options.\n"]
    for words, command in commands(main, ()):
        options = {name for parameter in command.get_params(click.Context(command)) for name in parameter.opts}
        every = "--help-all" if "--help-all" in options else "--help"
        result = CliRunner().invoke(main, [*words, every], prog_name="polyroots", terminal_width=80)
        parts.append(f"## {' '.join(words)}\n\n```text\n{result.stdout.rstrip()}\n```\n")
    return "\n".join(parts)


def commands(group: click.Group, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Return each command below a group with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))
        elif not command.hidden:
            yield (*names, name), command


def linked(markdown: str, names: dict[str, str]) -> str:
    """Make names of the library in code spans, such as `pr.symbol`, links to their descriptions."""

    def link(match: re.Match[str]) -> str:
        path = names.get(match[1])
        return match[0] if path is None else f"[{match[0]}][{path}]"

    return re.sub(r"(?<![`\[])`(pr(?:\.\w+)+)(?:\([^`]*\))?`(?![`\]])", link, markdown)
