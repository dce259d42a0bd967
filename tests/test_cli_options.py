"""Messages of the library, followed by the options of the running command."""

from __future__ import annotations

import errno
from pathlib import Path

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
    @click.option("--message", default="wrong")
    def command(usage: str, fields: str, message: str, **options: str) -> None:
        named = fields.split() if fields else ()
        if usage:
            with usage_errors():
                raise InputError(message, fields=named)
        raise FileError(message, fields=named)

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


@pytest.mark.parametrize(
    ("fields", "message", "said"),
    [
        ("data_dir", "give data_dir", "give --data-dir"),
        ("", "give data_dir, not /a/data_dir", "give --data-dir, not /a/data_dir"),
        ("device", "no device has bf16; choose device='cpu'", "no device has bf16; choose --device cpu"),
        ("device", "a device; leave device out", "a device; leave --device out"),
        ("device data_dir", "leave device and data_dir out", "leave --device and --data-dir out"),
        ("device", "nothing for 'device'", "nothing for --device"),
        (
            "devices_per_job device",
            "here take devices_per_job=2",
            "here take --gpus-per-job 2 (--device)",
        ),
        ("track_spectrum", "train with track_spectrum", "train with --track-spectrum"),
        ("run_code", "give run_code=True, or not", "give --run-code, or not"),
    ],
)
def test_an_option_stands_in_the_place_of_its_field(leaf: None, fields: str, message: str, said: str) -> None:
    assert fails("study", "leaf", "--fields", fields, "--message", message) == f"Error: {said}"


def test_data_that_is_not_there_is_advised_by_the_option(tmp_path: Path) -> None:
    message = fails("train", "--dataset", "cifar10", "--data-dir", tmp_path)
    assert "holds no complete CIFAR-10; run this with --download, which downloads it, or unpacks files" in message
    assert "(--download)" not in message


@pytest.mark.parametrize(("words", "said"), [((), "the work is too large"), (("8 GB",), "8 GB")])
def test_memory_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str) -> None:
    @click.command()
    def command() -> None:
        raise MemoryError(*words)

    monkeypatch.setitem(main.commands, "big", command)
    assert fails("big") == f"Error: not enough memory: {said}"


def test_a_removed_current_directory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The import of torch would end the process there, with an error of MKL."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert fails("models") == "Error: the current directory was removed; change to another one"


@pytest.mark.parametrize("words", [["spectrum"], ["init", "--out"], ["train", "--out"], ["train", "--data-dir"]])
def test_an_empty_path_is_not_the_current_directory(words: list[str]) -> None:
    assert fails(*words, "", exit_code=2).endswith(": expected a path, got an empty text")


def test_what_the_system_refuses_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is too long, and a process that has no file to spare."""
    assert fails("spectrum", "x" * 300).endswith(": File name too long")
    assert fails("report", "x" * 300).endswith(": File name too long")
    refusal = OSError(errno.EMFILE, "Too many open files")

    def refuse(*_: object, **__: object) -> None:
        raise refusal

    monkeypatch.setattr(main.commands["models"], "callback", refuse)
    assert fails("models") == (
        "Error: Too many open files: ask for fewer workers, or raise the limit (ulimit -n, ulimit -u)"
    )
