"""Work that is killed: functions for forked processes, and the processes that these have started."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import torch
from forked import snapshots_without_processes
from small_runs import TRACKED, small

import polyroots as pr
from polyroots.checkpoints import Checkpoint, save_checkpoint
from polyroots.errors import is_out_of_memory
from polyroots.files import write_json
from polyroots.report import write_report
from polyroots.study import LocalRunner, StudyDirectory, conduct, directory as study_directory
from polyroots.study.worker import main as work
from polyroots.training import Reporter, StoppedError, TrainConfig, open_data, resume, train
from polyroots.training.runs import directory

#: A run whose images are read ahead by processes, and whose spectra are tracked.
OPTIONS: dict[str, Any] = TRACKED | {"loading": "workers", "workers": 1}

#: Exit status of `save` after an error of the library.
REFUSED = 3

# Packages of the extras, which only some commands need.
_EXTRAS = ("jinja2", "plotly", "submitit", "tensorboard")
# Small networks through all commands but `study run --cluster` and `report`.
_COMMANDS = (
    "init --model q2 --channels 4,8 --out init.pt",
    "train --init init.pt --epochs 2 --limit 20 --track-spectrum 1 --device cpu --out run",
    "spectrum run/last.pt --plot spectra",
    "figures --only 3 --out figures",
    "figures --only flow --only spectra --run run --out figures",
    "study plan study.toml",
    "report run",
)


def train_run(out: Path) -> None:
    """Begin or resume a run; tracked spectra are computed in this process."""
    with snapshots_without_processes():
        train_with_processes(out)


def train_with_processes(out: Path) -> None:
    """Begin or resume a run; tracked spectra are computed by processes of their own."""
    if (out / "config.json").exists():
        resume(out)
    else:
        source = open_data("digits")
        train(small(source, **OPTIONS), source, out)


def train_in_little_memory(config: TrainConfig, out: Path, more: int, said: Path) -> None:
    """Train with a limit on the address space, this many bytes above what the process has, and write what it says."""
    handle = os.open(said, os.O_WRONLY | os.O_CREAT)
    os.dup2(handle, 2)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        train(config, open_data("digits"), out)
    except Exception as error:
        if not isinstance(error, pr.PolyrootsError) and not is_out_of_memory(error):
            traceback.print_exc()
            os._exit(2)
        os.write(2, f"not enough memory: {error}".encode())
        os._exit(1)
    os._exit(0)


def run_study(file: Path, out: Path) -> None:
    """Run a study by the command; its workers are forked, since an import takes longer than their work."""
    from polyroots_cli.main import main

    def forked(runner: LocalRunner, name: str, slot: int, output: IO[bytes]) -> Any:
        return ForkedWorker(runner.directory, name, output)

    LocalRunner._worker = forked  # type: ignore[assignment,method-assign]
    conduct._SECONDS_BETWEEN_LOOKS = 0.02
    _silent()
    main(["study", "run", str(file), "--out", str(out), "--device", "cpu", "--jobs", "2"])


def report_on(run: Path) -> None:
    """Write the report of a run, with one still picture, which takes as long as the rest of the page."""
    from polyroots.report import html  # with plotly

    html._PICTURED = 1
    write_report(run)


def initialise(out: Path) -> None:
    """Write a file of 'polyroots init'."""
    from polyroots_cli.main import main

    _silent()
    words = ["init", "--dataset", "digits", "--model", "q4", "--channels", "8,16", "--seed", "5"]
    main([*words, "--out", str(out)])


def commands_without_extras(directory: Path, said: Path) -> None:
    """Run the commands in a process without any extra, and write the message of the first error."""
    import click

    from polyroots_cli.main import main
    from polyroots_figures import operators

    assert not any(name in sys.modules for name in _EXTRAS)
    sys.modules |= dict.fromkeys(_EXTRAS)
    os.chdir(directory)
    _silent()
    operators.CHANNELS, operators.SIZE = 4, (8, 8)
    for module, name, value in (
        ("polyroots_figures.make", "FORMATS", ("pdf",)),
        ("polyroots.plotting.style", "DPI", 20),
    ):
        setattr(import_module(module), name, value)
    with snapshots_without_processes():
        for command in _COMMANDS:
            try:
                main(command.split(), standalone_mode=False)
            except click.ClickException as error:
                said.write_text(f"{command}: {error.message}")
                break


def save(path: Path, value: float) -> None:
    """Stop until SIGCONT comes, and write a checkpoint whose weights are all equal."""
    model = pr.models.build("q2", image_size=8, channels=(2, 4))
    weights = {name: torch.full_like(weight, value) for name, weight in model.state_dict().items()}
    # torch imports modules when it saves for the first time.
    torch.save(weights, io.BytesIO())
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        save_checkpoint(path, Checkpoint(model.config, weights))
    except pr.FileError:
        os._exit(REFUSED)
    os._exit(0)


def begin_and_stop(out: Path) -> None:
    """Begin a run and stop it after its second epoch."""

    class Stop(Reporter):
        def on_epoch(self, row: dict[str, float]) -> None:
            if row["epoch"] == 2:
                raise StoppedError("enough")

    source = open_data("digits")
    with snapshots_without_processes(), contextlib.suppress(StoppedError):
        train(small(source, **OPTIONS), source, out, reporter=Stop())


def resume_and_say(out: Path, said: Path) -> None:
    """Resume a run without waiting for its lock, and write to a file whether this succeeded."""
    directory._PATIENCE = 0.0
    try:
        train_run(out)
        said.write_text("done")
    except pr.FileError as error:
        said.write_text(str(error))


def study_and_say(file: Path, out: Path, said: Path) -> None:
    """Run a study without waiting for its lock, and write to a file whether this succeeded."""
    study_directory._PATIENCE = 0.0
    handle = os.open(said, os.O_WRONLY | os.O_CREAT)
    os.dup2(handle, 2)
    try:
        run_study(file, out)
    except SystemExit as stop:
        if not stop.code:
            said.write_text("done")


def keep_writing(out: Path) -> None:
    """Write the checkpoint and the config.json of a run again and again; all weights have the number of the write."""
    source = open_data("digits")
    config = small(source, "q2", (2, 4), epochs=1)
    weights = pr.models.build(config.model).state_dict()
    write_json(out / "config.json", {"config": config.model_dump(mode="json")})
    parent = os.getppid()
    for number in itertools.count(1):
        if os.getppid() != parent:  # the reader has ended
            break
        filled = {name: torch.full_like(weight, number) for name, weight in weights.items()}
        save_checkpoint(out / "last.pt", Checkpoint(config.model, filled))
        write_json(out / "config.json", {"config": config.model_dump(mode="json"), "number": number})


class ForkedWorker:
    """A forked process with the interface of the `subprocess.Popen` that a study starts for a run."""

    def __init__(self, directory: StudyDirectory, name: str, output: IO[bytes]) -> None:
        parent = os.getpid()
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            for number in (1, 2):
                os.dup2(output.fileno(), number)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os._exit(work(str(directory.path), name, str(parent)))

    def poll(self) -> int | None:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("worker", timeout)
            time.sleep(0.01)
        assert self.status is not None
        return self.status

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def descendants(pid: int) -> list[int]:
    """Return the processes that a process and its descendants have started."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


def processor_time(pid: int) -> float:
    """Return the seconds of a processor that a process, those that it has started, and ended ones have used."""
    process = Path(f"/proc/{pid}")
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        started = [int(word) for path in process.glob("task/*/children") for word in path.read_text().split()]
    except OSError:  # it has ended
        return 0.0
    # User and system time of the process and of its ended children.
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + sum(map(processor_time, started))


def seconds_until_gone(pids: Sequence[int], most: float) -> float:
    """Return the seconds until all of these processes have ended; raise AssertionError after `most`."""
    started = time.monotonic()
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() - started < most, f"processes {[pid for pid in pids if _runs(pid)]} are left"
        time.sleep(0.02)
    return time.monotonic() - started


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _silent() -> None:
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 1)
    sys.argv = ["polyroots"]
