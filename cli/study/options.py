"""Arguments and options of ``polyroots study``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from polyroots.text import quoted
from polyroots_cli.types import DIRECTORY, FILE

file_argument = click.argument("file", type=FILE)
data_dir_option = click.option("--data-dir", type=DIRECTORY, help="Where the data lie, in place of the study file's.")


def pairs(texts: Sequence[str], option: str, missing: str | None = None) -> dict[str, str]:
    """Return texts KEY=VALUE as a dictionary; `missing` is the value of a text without one, unless it is None.

    Raises
    ------
    InputError
        If a text has another form.
    """
    from polyroots.errors import InputError

    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals and missing is not None:
            value = missing
        elif not equals or not key:
            raise InputError(f"expected {option} KEY=VALUE, got {quoted(text)}")
        found[key.strip()] = value.strip()
    return found
