"""Pages of --help: they fit 80 columns, the options are in groups, and the rare ones are on the page of --help-all."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from commands import fails, run

from polyroots_cli.help import GroupedCommand
from polyroots_cli.main import main
from polyroots_cli.types import Number, Whole


def commands(group: click.Group, *above: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*above, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)


COMMANDS = {" ".join(words): command for words, command in [((), main), *commands(main)]}


@pytest.mark.parametrize("words", COMMANDS)
def test_pages_fit_80_columns(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a wide terminal, too; and only those of `train` and `init` are longer than 60 lines."""
    monkeypatch.setenv("COLUMNS", "200")
    command = COMMANDS[words]
    pages = [run(*words.split(), "--help").stdout]
    if isinstance(command, GroupedCommand) and command.rare:
        pages.append(run(*words.split(), "--help-all").stdout)
    for page in pages:
        assert max(map(len, page.splitlines())) <= 80
    assert len(pages[0].splitlines()) <= (80 if words in {"train", "init"} else 60)


@pytest.mark.parametrize("words", [words for words, command in COMMANDS.items() if isinstance(command, GroupedCommand)])
def test_every_option_is_in_one_group(words: str) -> None:
    command = COMMANDS[words]
    assert isinstance(command, GroupedCommand)
    options = {str(param.name): param for param in command.params if isinstance(param, click.Option)}
    grouped = [name for names in command.sections.values() for name in names]
    assert sorted(grouped) == sorted(options)
    assert set(command.rare) <= set(grouped)
    page, whole = (run(*words.split(), flag).stdout for flag in ("--help", "--help-all" if command.rare else "-h"))
    for name, option in options.items():
        where = re.compile(rf"^  {re.escape(option.opts[0])}\b", flags=re.M)
        assert where.search(whole)
        assert bool(where.search(page)) == (name not in command.rare), name
    if command.rare:
        assert f"--help-all  Show all options, {len(command.rare)} more." in page


def test_no_page_sends_the_reader_to_itself() -> None:
    for words in COMMANDS:
        assert f"'polyroots {words} --help'" not in run(*words.split(), "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("init", "--degree", "three"), "'--degree': expected a whole number of at least 0, got 'three'"),
        (("train", "--epochs", "1.5"), "'--epochs': expected a whole number of at least 1, got '1.5'"),
        (("train", "--seed", "4294967296"), "expected a whole number from 0 to 4294967295, got '4294967296'"),
        (("figures", "--level", "one", "--out", "f"), "'--level': expected a whole number, got 'one'"),
        (("train", "--lr", "fast"), "'--lr': expected a number above 0, got 'fast'"),
        (("train", "--lr", "nan"), "expected a number above 0, got 'nan'"),
        (("train", "--warmup", "inf"), "expected a number of at least 0, got 'inf'"),
        (("train", "--val-fraction", "0.7"), "expected a number from 0 to 0.5, got '0.7'"),
        (("train", "--momentum", "1"), "expected a number of at least 0 and below 1, got '1'"),
    ],
)
def test_a_wrong_number_is_answered_with_the_right_ones(arguments: tuple[str, ...], message: str) -> None:
    assert message in fails(*arguments, exit_code=2)


def test_numbers() -> None:
    assert (Whole(0).convert("007", None, None), Whole().convert("-2", None, None)) == (7, -2)
    assert Number(0).convert("1e-3", None, None) == 1e-3
