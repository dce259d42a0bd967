"""The blocks of the manual's pages, and how they are run: Python as it is, commands in this process and smaller."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.core import ParameterSource
from commands import run
from small_studies import FOUR

from polyroots_cli.main import main

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

#: Why commands of a page are parsed and not run, as the comment before the block says.
REASONS = ("a cluster", "several GPUs", "a download", "half an hour")
#: Programs of developers, which are not run here.
TOOLS = ("pip", "pytest", "ruff", "mypy", "mkdocs", "pre-commit", "git", ".ci/run")
#: Options that commands get where the page gives none: the page's networks and epochs would take minutes.
SMALLER: dict[str, dict[str, object]] = {
    "train": {"epochs": 2, "limit": 60, "channels": "4,8", "device": "cpu"},
    "init": {"channels": "4,8"},
    "evaluate": {"limit": 60},
    "figures": {"only": "2"},
}
#: Options and arguments beside which a command decides these by itself.
DECIDED = {
    "channels": ("resume", "init_file", "scale", "checkpoint"),
    "epochs": ("resume",),
    "limit": ("resume",),
    "device": ("resume",),
}


class Block(NamedTuple):
    """A block of code: its title (a file), lines, the line of the page that it begins on, and why it is not run."""

    language: str
    title: str | None
    code: str
    line: int
    reason: str | None


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    pattern = r'(?:<!-- not run: needs (.*?) -->\n)?```(python|sh|toml)(?: title="(.*?)")?\n(.*?)```'
    return [
        Block(match[2], match[3], match[4], text.count("\n", 0, match.start(4)), match[1])
        for match in re.finditer(pattern, text, flags=re.S)
    ]


def command_lines(code: str) -> Iterator[str]:
    """Return each command of a block, without comments."""
    for line in code.replace("\\\n", " ").splitlines():
        for part in re.split(r" && ", line):
            if words := shlex.split(part, comments=True):
                yield shlex.join(words) if ">" not in words else " ".join(map(shlex.quote, words)).replace("'>'", ">")


def parsed(arguments: list[str]) -> tuple[str, click.Context]:
    """Return the name of a command and what it understands, without running it."""
    command: click.Command = main
    names = []
    arguments = [argument for argument in arguments if argument != "..."]
    while isinstance(command, click.Group):
        names.append(arguments.pop(0))
        command = command.commands[names[-1]]
    return " ".join(names), command.make_context("", arguments)


def smaller(arguments: list[str]) -> list[str]:
    """Return the arguments with options for a small network and few images where they have none."""
    name, context = parsed(arguments)
    given = {key for key in context.params if context.get_parameter_source(key) is ParameterSource.COMMANDLINE}
    if ":" in str(context.params.get("model")):
        given.add("channels")  # a network of the user's own
    added = []
    for key, value in SMALLER.get(name, {}).items():
        if key not in given and not given & set(DECIDED.get(key, ())):
            added += [f"--{key.replace('_', '-')}", str(value)]
    return arguments + added


def run_line(line: str) -> None:
    """Run a command of polyroots in the current directory; compare an installation's extras with setup.cfg."""
    line, _, target = line.partition(" > ")
    program, *arguments = shlex.split(line)
    if program == "pip":
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        assert set(",".join(re.findall(r"\[(.*?)\]", line)).split(",")) <= {"", *setup["options.extras_require"]}
    if program in TOOLS:
        return
    assert program == "polyroots", line
    result = run(*smaller(arguments))
    if target:
        Path(target).write_text(result.stdout)


def run_page(page: Path, directory: Path) -> dict[str, Any]:
    """Run the blocks of a page one after another, in a directory with results/ and small studies/."""
    (directory / "results").symlink_to(ROOT / "results")
    shutil.copytree(ROOT / "studies", directory / "studies")
    (directory / "studies" / "quick.toml").write_text(FOUR.format(epochs=1))
    names: dict[str, Any] = {}
    for block in blocks_of(page):
        if block.title is not None:
            (directory / block.title).write_text(block.code)
        elif block.language == "python":
            # Line numbers of tracebacks are those of the page.
            exec(compile("\n" * block.line + block.code, page.name, "exec"), names)
        for line in command_lines(block.code) if block.language == "sh" else ():
            if block.reason is None:
                run_line(line)
            elif line.startswith("polyroots "):
                parsed(shlex.split(line.split(" > ")[0])[1:])
    # Modules that the page has written are its own: other tests write some of the same name.
    for block in blocks_of(page):
        if block.title is not None:
            sys.modules.pop(Path(block.title).stem, None)
    return names
