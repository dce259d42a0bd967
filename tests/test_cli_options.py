"""Messages of the library, followed by the options of the running command."""

from __future__ import annotations

import click
import pytest
from commands import fails

from polyroots.errors import FileError, InputError
from polyroots_cli.main import main
from polyroots_cli.options import usage_errors


@pytest.fixture
def leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """`polyroots study leaf`, which fails."""

    @click.command()
    @click.option("--data-dir")
    @click.option("--device")
    @click.option("--gpus-per-job")
    @click.option("--usage", is_flag=True)
    @click.option("--fields")
    def command(usage: str, fields: str, **options: str) -> None:
        named = fields.split() if fields else ()
        if usage:
            with usage_errors():
                raise InputError("wrong", fields=named)
        raise FileError("wrong", fields=named)

    study = main.commands["study"]
    assert isinstance(study, click.Group)
    monkeypatch.setitem(study.commands, "leaf", command)


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ("data_dir", " (--data-dir)"),
        ("device data_dir", " (--device, --data-dir)"),
        ("devices_per_job", " (--gpus-per-job)"),
        ("num_workers", ""),
        ("", ""),
    ],
)
def test_a_message_is_followed_by_the_options_of_the_fields_that_it_names(
    leaf: None, fields: str, options: str
) -> None:
    assert fails("study", "leaf", "--fields", fields) == f"Error: wrong{options}"
    assert fails("study", "leaf", "--fields", fields, "--usage", exit_code=2) == f"Error: wrong{options}"


@pytest.mark.parametrize(("words", "said"), [((), "the work is too large"), (("8 GB",), "8 GB")])
def test_memory_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str) -> None:
    @click.command()
    def command() -> None:
        raise MemoryError(*words)

    monkeypatch.setitem(main.commands, "big", command)
    assert fails("big") == f"Error: not enough memory: {said}"
