"""SIGKILL at random moments, and at each system call of a checkpoint's writing; Ctrl-C during imports.

``python -m tests.kills --count 50 --seed 1`` kills runs, studies, reports and initialisations 50 times each, starts
each again until it is done, and compares the end state with that of work that was not killed. The suite has fewer.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent))

from forked import start, status_of
from small_runs import require_same
from small_studies import FOUR, four
from victims import (
    REFUSED,
    descendants,
    initialise,
    processor_time,
    report_on,
    run_study,
    save,
    seconds_until_gone,
    train_run,
    train_with_processes,
)

from polyroots.checkpoints import load_checkpoint
from polyroots.training import load_run

# Seconds in which the processes of a killed one have to end.
_PATIENCE = 10.0
# System calls by which a checkpoint is written.
_CALLS = (
    "open,openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,chmod,fchmod,fchmodat,mkdir,"
    "close"
)


@dataclass
class Kills:
    """Kills of one kind of work.

    Attributes
    ----------
    count : int
        Number of processes that were killed before they were done.
    rounds : int
        Number of times that the work was brought to its end.
    slowest : float
        Longest time until the processes that a killed one had started were gone.
    shares : list of float
        Processor time of each killed process and of those that it had started, as shares of the longest that ended.
    """

    count: int = 0
    rounds: int = 0
    slowest: float = 0.0
    shares: list[float] = field(default_factory=list)
    _most: float = 0.0

    def measure(self, function: Callable[..., None], *arguments: Any) -> None:
        """Let work end; the processor time that it takes says when it can be killed."""
        self._kill_at(float("inf"), start(function, *arguments))

    def until_done(self, rng: random.Random, most: int, function: Callable[..., None], *arguments: Any) -> None:
        """Start work again and again, kill it at random moments at most `most` times in all, and let it end."""
        is_killed = True
        while is_killed:
            # On a busy machine the time that has passed says little about how far the work is.
            moment = rng.uniform(0, self._most) if self.count < most else float("inf")
            is_killed = self._kill_at(moment, start(function, *arguments))
        self.rounds += 1

    def _kill_at(self, moment: float, process: ForkServerProcess) -> bool:
        """Kill a process when it has used this processor time; return whether it lived until then."""
        # On a busy machine work takes many times its processor time.
        used, deadline = 0.0, time.monotonic() + 3600
        while process.is_alive() and used <= moment:
            used = max(used, processor_time(process.pid))
            process.join(0.03)
            assert time.monotonic() < deadline
        started = descendants(process.pid)
        process.kill()
        status = status_of(process)
        if status == 0:
            self._most = max(self._most, used)
            return False
        assert status == -signal.SIGKILL, f"it ended with status {status}"
        self.count += 1
        self.shares.append(used / self._most)
        self.slowest = max(self.slowest, seconds_until_gone(started, _PATIENCE))
        return True


def kill_runs(directory: Path, count: int, seed: int, *, with_processes: bool = False) -> Kills:
    """Kill runs with tracked spectra and loading workers; their end state is that of a run without kills."""
    function = train_with_processes if with_processes else train_run
    whole, kills, rng = directory / "whole", Kills(), random.Random(seed)
    kills.measure(function, whole)
    while kills.count < count:
        out = directory / f"run-{kills.rounds}"
        kills.until_done(rng, count, function, out)
        require_same(whole, out)
        assert [s.epoch for s in load_run(out).snapshots] == [s.epoch for s in load_run(whole).snapshots]
        assert not list(out.glob("spectra/*.pt"))
    return kills


def kill_studies(directory: Path, count: int, seed: int) -> Kills:
    """Kill the command that runs a study; each of its runs ends with the same bits."""
    text = FOUR.replace("[11, 23]", "[11]")
    file, kills, rng = four(directory, epochs=4, text=text), Kills(), random.Random(seed)
    kills.measure(run_study, file, directory / "whole")
    while kills.count < count:
        out = directory / f"study-{kills.rounds}"
        kills.until_done(rng, count, run_study, file, out)
        names = sorted(path.name for path in (directory / "whole" / "runs").iterdir())
        assert sorted(path.name for path in (out / "runs").iterdir()) == names
        for name in names:
            require_same(directory / "whole" / "runs" / name, out / "runs" / name)
    return kills


def kill_reports(directory: Path, count: int, seed: int) -> Kills:
    """Kill reports on a run; a page is there as a whole or not at all, and the run is unchanged."""
    run, kills, rng = directory / "run", Kills(), random.Random(seed)
    assert status_of(start(train_run, run), 600) == 0
    kills.measure(report_on, run)
    page = (run / "report.html").read_bytes()
    files = _contents(run)
    while kills.count < count:
        (run / "report.html").unlink()
        kills.until_done(rng, count, report_on, run)
        assert (run / "report.html").read_bytes() == page
        for left in run.glob(".report-*"):
            left.unlink()
        assert _contents(run) == files
    return kills


def kill_initialisations(directory: Path, count: int, seed: int) -> Kills:
    """Kill 'polyroots init --out'; the file is there as a whole or not at all."""
    kills, rng = Kills(), random.Random(seed)
    kills.measure(initialise, directory / "whole.pt")
    whole = load_checkpoint(directory / "whole.pt")
    while kills.count < count:
        out = directory / f"init-{kills.rounds}.pt"
        kills.until_done(rng, count, initialise, out)
        found = load_checkpoint(out)
        assert found.init == whole.init
        assert all((weight == whole.weights[name]).all() for name, weight in found.weights.items())
    return kills


def break_each_call(directory: Path) -> Iterator[tuple[str, int]]:
    """Yield (fault, number of system calls) after a checkpoint's writing met a fault at each of its system calls.

    The faults are SIGKILL, a full disk, and an error of the disk, injected by strace. The file then is the old one or
    the new one, and where the process lives on, it says that it could not write, or it has written.
    """
    path = directory / "last.pt"
    status, log = _traced(path, 1.0, "")
    assert status == 0
    calls = Counter(re.findall(r"^\d+ +(\w+)\(", log, flags=re.M))
    for fault in ("signal=KILL", "error=ENOSPC", "error=EIO"):
        for call, number in ((name, number) for name in calls for number in range(1, calls[name] + 1)):
            assert _traced(path, 1.0, "")[0] == 0
            status, log = _traced(path, 2.0, f"-e inject={call}:{fault}:when={number}")
            assert re.search(r"\(INJECTED\)|killed by SIGKILL", log)
            (value,) = {float(weight.flatten()[0]) for weight in load_checkpoint(path).weights.values()}
            assert value in (1.0, 2.0)
            if status == 0:
                assert value == 2.0
            elif fault != "signal=KILL":
                assert (status, value) == (REFUSED, 1.0)
        yield fault, calls.total()


def _traced(path: Path, value: float, injection: str) -> tuple[int, str]:
    """Write a checkpoint under strace; return the exit status and the log of strace."""
    process = start(save, path, value)
    log = path.with_suffix(".log")
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.002)
    words = ["strace", "-f", "-p", str(process.pid), "-o", str(log), "-e", f"trace={_CALLS}", *injection.split()]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as tracer:
        assert "attached" in tracer.stderr.readline()
        os.kill(process.pid, signal.SIGCONT)
        status = status_of(process)
        tracer.communicate()
    for left in path.parent.glob(".last-*"):
        left.unlink()
    return status, log.read_text()


def interrupt_imports(directory: Path, count: int, seed: int) -> Counter[str]:
    """Send SIGINT to commands while they import torch and others; each ends in one line, or had imported everything.

    Before the first tenth of a second of a processor Python itself starts.
    """
    file, said, rng = directory / "init.pt", directory / "said", random.Random(seed)
    assert status_of(start(initialise, file), 600) == 0
    words = [str(Path(sys.executable).parent / "polyroots"), "spectrum", str(file)]
    most, outcomes = float("inf"), Counter[str]()
    for index in range(count + 1):
        moment = rng.uniform(0.1, most) if index else most
        # A shell starts background programs with SIGINT ignored.
        with (
            said.open("w") as stream,
            subprocess.Popen(
                words,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            ) as process,
        ):
            used = 0.0
            while process.poll() is None and used <= moment:
                used = max(used, processor_time(process.pid))
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            status = process.wait(600)
        most = min(most, used)
        text = said.read_text()
        # An interpreter that ends has no handlers any more.
        assert (status, text.strip()) in ((0, ""), (-signal.SIGINT, ""), (1, "Aborted!")), (moment, status, text)
        outcomes[text.strip() if index else ""] += 1
    return outcomes


def _contents(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


KINDS: dict[str, Callable[[Path, int, int], Kills]] = {
    "train": kill_runs,
    "study": kill_studies,
    "report": kill_reports,
    "init": kill_initialisations,
}


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=50, show_default=True, help="Kills of each kind.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--only", multiple=True, type=click.Choice([*KINDS, "processes", "calls", "imports"]), help="Kinds. [default: all]"
)
def main(count: int, seed: int, only: tuple[str, ...]) -> None:
    """Kill work at random moments, and a checkpoint's writing at each system call."""
    for kind in only or (*KINDS, "processes", "calls", "imports"):
        directory = Path(tempfile.mkdtemp(prefix=f"kills-{kind}-"))
        if kind == "imports":
            found = interrupt_imports(directory, count, seed)
            click.echo(f"imports: {count} interrupts, {found['Aborted!']} in imports, each answered by one line")
        elif kind == "calls":
            for fault, calls in break_each_call(directory):
                click.echo(f"{fault}: at each of {calls} system calls the checkpoint is whole")
        else:
            # The process that tracks spectra imports torch for each of them.
            kills = (
                kill_runs(directory, max(1, count // 10), seed, with_processes=True)
                if kind == "processes"
                else KINDS[kind](directory, count, seed)
            )
            shares = [min(3, int(4 * share)) for share in kills.shares]
            quarters = ", ".join(str(shares.count(quarter)) for quarter in range(4))
            click.echo(
                f"{kind}: {kills.count} kills, {kills.rounds} times done with the same end; the processes of a killed "
                f"one were gone after {kills.slowest:.1f} s at most; by quarters of the processor time: {quarters}"
            )
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
