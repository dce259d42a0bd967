"""Errors of the system at each step of writing files: ``python -m tests.faults``."""

from __future__ import annotations

import builtins
import errno
import io
import itertools
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from small_runs import require_same, small
from small_studies import FOUR

import polyroots as pr
from polyroots.analysis.export import save_results, write_csv
from polyroots.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.errors import FileError
from polyroots.files import write_json
from polyroots.plotting import save_figure
from polyroots.study import Plan, StudyDirectory, make_plan
from polyroots.training import Run, TrainConfig, open_data, resume, train
from polyroots.training.runs.directory import COLUMNS, begin
from polyroots.training.runs.tracking import Snapshot

#: A full disk, an error of the disk, a file system that is read-only, and a user's share that is used up.
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT)


class Faults:
    """Steps of writing below a directory: one of them, or all from it on, raise an error.

    A new name, opening, writing, closing, flushing to the disk, permissions, renames, links and directories are steps.
    Removing a file is none, since it needs no room. A write that fails has written half of its bytes.

    Parameters
    ----------
    root : Path
    at : int
        Number of the step, counted from 1.
    number : int
        Of the error.
    is_for_good : bool
        Whether all later steps fail as well.
    """

    def __init__(self, root: Path, at: int, number: int, *, is_for_good: bool = False) -> None:
        self.root, self.at, self.number, self.is_for_good = root.resolve(), at, number, is_for_good
        self.seen: list[str] = []

    def is_below(self, file: Any) -> bool:
        """Return whether a path or a file descriptor is one of a file below the directory."""
        path = Path(f"/proc/self/fd/{file}").readlink() if isinstance(file, int) else file
        return Path(os.fsdecode(path)).is_relative_to(self.root)

    def step(self, name: str) -> None:
        """Count a step, and raise an error if it is one that fails."""
        self.seen.append(name)
        if len(self.seen) == self.at or (self.is_for_good and len(self.seen) > self.at):
            raise OSError(self.number, os.strerror(self.number))

    @contextmanager
    def happening(self) -> Iterator[None]:
        """Let the steps within a block fail."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("fsync", "chmod", "replace", "link", "mkdir"):
                patch.setattr(os, name, self._call(name, getattr(os, name)))
            patch.setattr(os, "open", self._os_open(os.open))
            opened = self._open(io.open)
            patch.setattr(io, "open", opened)
            patch.setattr(builtins, "open", opened)
            yield

    def _call(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.is_below(args[0]):
                self.step(name)
            # What reaches the disk is not looked at, and flushing takes time.
            return None if name == "fsync" else original(*args, **kwargs)

        return call

    def _os_open(self, original: Callable[..., int]) -> Callable[..., int]:
        def open_file(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            if flags & os.O_CREAT and self.is_below(path):
                self.step("new name")
            return original(path, flags, *args, **kwargs)

        return open_file

    def _open(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def open_file(
            file: Any,
            mode: str = "r",
            buffering: int = -1,
            encoding: str | None = None,
            errors: str | None = None,
            newline: str | None = None,
            closefd: bool = True,
            opener: Any = None,
        ) -> Any:
            if not set(mode) & set("wax+") or not self.is_below(file):
                return original(file, mode, buffering, encoding, errors, newline, closefd, opener)
            if not isinstance(file, int):
                self.step("open")
            raw = _Raw(file, mode.replace("b", ""), closefd, opener)
            raw.faults = self
            if buffering == 0:
                return raw
            binary: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return binary if "b" in mode else io.TextIOWrapper(binary, encoding, errors, newline)

        return open_file


class _Raw(io.FileIO):
    """A file whose writes and whose closing are steps."""

    faults: Faults | None = None

    def write(self, data: Any) -> int:
        if self.faults is not None:
            try:
                self.faults.step("write")
            except OSError:
                super().write(bytes(data)[: len(data) // 2])
                raise
        return super().write(data)

    def close(self) -> None:
        faults, self.faults = self.faults, None
        super().close()
        if faults is not None:
            faults.step("close")


def require_sentence(error: BaseException, number: int) -> None:
    """Require that a message is one sentence with the system's reason."""
    if "\n" in str(error) or os.strerror(number) not in str(error):
        raise AssertionError(f"{os.strerror(number)}: {error}") from error


def contents(directory: Path) -> dict[str, bytes]:
    """Return the content of each file below a directory."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def _checkpoint(directory: Path, version: int) -> None:
    config = pr.models.model_config("q2", image_size=8, channels=(2,))
    weights = {name: torch.full((3,), float(version)) for name in ("first", "second")}
    save_checkpoint(directory / "last.pt", Checkpoint(config, weights))


def _beginning(directory: Path, version: int) -> None:
    """Begin a run, which none has done before."""
    if version == 2:
        begin(directory / "run", {"config": {}})


def _beginning_without_links(directory: Path, version: int) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", refuse)
        _beginning(directory, version)


def _metrics(directory: Path, version: int) -> None:
    Run(directory).write_metrics([dict.fromkeys(COLUMNS, epoch) for epoch in range(version)])


def _line_of_metrics(directory: Path, version: int) -> None:
    run = Run(directory)
    if not run.metrics.exists():
        run.write_metrics([])
    run.append_metrics(dict.fromkeys(COLUMNS, version))


def _report(directory: Path, version: int) -> None:
    """A report of a run that costs no time: what its page shows is not looked at."""
    from polyroots.report import html, page, summary

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "summarise", lambda run: version)
        patch.setattr(html, "render", lambda shown: f"<html>{shown}</html>\n" * 1000)
        patch.setattr(page, "load_run", lambda run: None)
        pr.write_report(directory, directory / "report.html")


@cache
def _plan(version: int) -> tuple[Plan, str]:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "study.toml"
        file.write_text(FOUR.format(epochs=version))
        plan, description = make_plan(file)
        return plan, description.text


@cache
def _spectrum(version: int) -> pr.Spectrum:
    return pr.eigenvalues(np.full((1, 1, 3, 3), float(version)), 4)


@cache
def _layers(version: int) -> dict[str, Any]:
    model = pr.models.build("q2", image_size=4, channels=(2,))
    with torch.no_grad():
        for number, weight in enumerate(model.parameters(), version):
            weight.copy_(torch.linspace(-1, number, weight.numel()).reshape(weight.shape))
    return dict(pr.model_spectra(model, 4).layers)


def _picture(directory: Path, version: int) -> None:
    from matplotlib.figure import Figure

    figure = Figure((0.2, 0.2))
    figure.text(0, 0, str(version))
    save_figure(figure, directory / "picture", ["png", "svg"])


#: What writes a file of a run, a study or a command: functions of a directory and the version of the content.
WRITERS: dict[str, Callable[[Path, int], object]] = {
    "config.json": _beginning,
    "config.json without links": _beginning_without_links,
    "checkpoint": _checkpoint,
    "result.json": lambda directory, version: write_json(directory / "result.json", {"epochs": [version] * 99}),
    "metrics.csv": _metrics,
    "line of metrics.csv": _line_of_metrics,
    "report": _report,
    "study": lambda directory, version: StudyDirectory(directory).write(*_plan(version)),
    "spectrum": lambda directory, version: _spectrum(version).save(directory / "spectrum.npz"),
    "tracked spectrum": lambda directory, version: Snapshot(version, (), ()).save(directory / "epoch-0001.npz"),
    "layers": lambda directory, version: save_results(directory / "layers.npz", _layers(version)),
    "table of layers": lambda directory, version: write_csv(directory / "layers.csv", _layers(version)),
    "picture": _picture,
}


def fail_writing(directory: Path, name: str, numbers: Sequence[int], *, in_turn: bool = False) -> Counter[str]:
    """Write a file again with each error at each of its steps, or with the errors in turn, once and for good.

    After an error each file is the old or the new one, no other file is there, and writing once more ends well.

    Returns
    -------
    Counter
        Number of failures by step.
    """
    write, counts = WRITERS[name], Counter[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        for place, versions in (("old", (1,)), ("new", (1, 2))):
            (directory / place).mkdir()
            for version in versions:
                write(directory / place, version)
        before, after = contents(directory / "old"), contents(directory / "new")
        assert before != after
        for turn, is_for_good in itertools.product(range(1 if in_turn else len(numbers)), (False, True)):
            for at in itertools.count(1):
                number = numbers[(turn + at * in_turn) % len(numbers)]
                faults = Faults(directory / "old", at, number, is_for_good=is_for_good)
                if not _fail_step(faults, write, before, after):
                    break
                counts[faults.seen[at - 1]] += 1
    return counts


def _fail_step(
    faults: Faults, write: Callable[[Path, int], object], before: dict[str, bytes], after: dict[str, bytes]
) -> bool:
    """Return whether the writing has as many steps."""
    for left in faults.root.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        elif left.name not in before:
            left.unlink()
    for path, content in before.items():
        (faults.root / path).write_bytes(content)
    with faults.happening():
        try:
            write(faults.root, 2)
        except FileError as error:
            require_sentence(error, faults.number)
    found = contents(faults.root)
    assert all(any(path.iterdir()) for path in faults.root.rglob("*") if path.is_dir()), faults.seen
    assert before.keys() <= found.keys() <= after.keys(), (faults.seen, sorted(found))
    for path, content in found.items():
        assert content in (before.get(path), after[path]), (faults.seen, path)
    if len(faults.seen) < faults.at:
        assert found == after
        return False
    if found != after:
        write(faults.root, 2)
        assert contents(faults.root) == after, faults.seen
    return True


def fail_at(faults: Faults, config: TrainConfig, whole: Path, out: Path) -> str:
    """Let a run fail at a step, check what is left, resume it, and require the end state of a run without failure.

    Returns
    -------
    str
        The step; empty if the run has fewer.
    """
    source = open_data("digits")
    with faults.happening(), suppress(FileError):
        try:
            train(config, source, out)
        except FileError as error:
            require_sentence(error, faults.number)
            raise
    if len(faults.seen) < faults.at:
        return ""
    assert not list(out.glob(".*")), (faults.seen, list(out.glob(".*")))
    for name in ("last.pt", "best.pt"):
        if (out / name).exists():
            load_checkpoint(out / name).model()
    if (out / "config.json").exists():
        resume(out)
    else:
        assert not out.exists()
        train(config, source, out)
    require_same(whole, out)
    return faults.seen[faults.at - 1]


def fail_everywhere(directory: Path, numbers: Sequence[int], every: int = 1) -> Counter[str]:
    """Let runs fail at every step, or at each `every`-th one, by the errors in turn, and count the runs by step."""
    source, counts = open_data("digits"), Counter[str]()
    config = small(source, limit=100, epochs=2, val_fraction=0.2)
    train(config, source, directory / "whole")
    for at in range(1, 1000, every):
        out = directory / f"run-{at}"
        number = numbers[at // every % len(numbers)]
        step = fail_at(Faults(out, at, number, is_for_good=bool(at % 2)), config, directory / "whole", out)
        shutil.rmtree(out)
        if not step:
            break
        counts[step] += 1
    return counts


@click.command()
@click.option("--every", type=click.IntRange(min=1), default=1, show_default=True, help="Take each N-th step.")
def main(every: int) -> None:
    """Let files and runs fail at each step of writing, by each error."""
    for name in WRITERS:
        with tempfile.TemporaryDirectory(prefix="faults-") as directory:
            counts = fail_writing(Path(directory), name, ERRORS)
        click.echo(f"{name}: {sum(counts.values())} failures; the old file or the new one is whole")
    counts = Counter[str]()
    for number in ERRORS:
        with tempfile.TemporaryDirectory(prefix="faults-") as directory:
            counts += fail_everywhere(Path(directory), (number,), every)
    steps = ", ".join(f"{count} at {step}" for step, count in counts.items())
    click.echo(f"runs: {sum(counts.values())} failures ({steps}): a sentence each, and resumed to the same bits")


if __name__ == "__main__":
    main()
