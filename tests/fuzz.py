"""Random damage to everything that is read: ``python -m tests.fuzz --count 100000 --seed 1``.

The outcome of each input is a result or one sentence: no other error, no code of a file run, no more than 5 s of a
processor nor a minute of waiting, no memory above 500 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import re
import resource
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import polyroots as pr
from polyroots.checkpoints import Checkpoint, read_layers
from polyroots.errors import PolyrootsError
from polyroots.study import make_plan
from polyroots_cli.main import main as command

# On a busy machine the time that has passed says little about the work.
_SECONDS, _SECONDS_OF_WAITING, _MEGABYTES = 5, 60, 500
# Bytes that are numbers, lengths or instructions of the formats.
_ODD = (b"\0", b"\xff", b"\xff" * 8, b"\x7f" * 4, b"(", b"R", b"}", b"]", b".", b"[", b'"', b"\x1b[31m", b"nan", b"-1")
_CODE = b"cposix\nsystem\n(X\x10\0\0\0touch /tmp/fuzzedtR"
STUDY = """title = "a"
seeds = 2
[base]
epochs = 1
limit = 40
[axes]
model = ["q2", "q4"]
channels = [[4, 8], [8, 16]]
[[include]]
model = "L,C"
lr = 0.05
[[exclude]]
model = "q2"
"""
_WORDS = re.split(
    r"\s+",
    """spectrum init train evaluate models figures report study plan run table --out --model --degree --roots
    --channels --size --layer --epochs --batch-size --lr --relax --signs --list --json --kind both --padding zeros
    --no-limits --limit --entry --stride --groups q4 L,L,C extremal 0.1 -1 nan inf 1e308 99999999999999999999999 8x8
    * [ 0""",
)


class SlowError(Exception):
    """An input took more than five seconds of a processor, or a minute."""


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Note events that no reader causes while inputs are read; a hook of Python, which stays to the end."""
    if _WATCHING and event in (
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "subprocess.Popen",
        "socket.connect",
        "os.remove_all",
    ):
        _EVENTS.append(f"{event} {arguments}")


_EVENTS: list[str] = []
_WATCHING: list[bool] = []


def watched_events(*, begin: bool = False) -> list[str]:
    """Return the events that were noted since the last call; from the call with `begin` on they are."""
    if begin:
        _WATCHING.append(True)
    found = _EVENTS.copy()
    _EVENTS.clear()
    return found


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return data with some bytes changed, removed, repeated or put in."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 9))):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + rng.choice((1, 1, 2, 4, 30)))
        kind = rng.randrange(6)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[at:end]
        elif kind == 2:
            out[at:at] = rng.choice(_ODD) * rng.choice((1, 1, 3, 1000))
        elif kind == 3:
            out[at:end] = rng.choice(_ODD)
        elif kind == 4:
            out[at:at] = out[at:end] * rng.choice((1, 2, 100))
        else:
            out[at:at] = _CODE
    return bytes(out)


def rezipped(data: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """Return an archive with other contents, whose checksums are right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return out.getvalue()


def damaged_inside(data: bytes, rng: random.Random) -> bytes:
    """Return an archive whose pickle or one other entry is damaged."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
    chosen = rng.choice([name for name in names if name.endswith("data.pkl")] * 8 + names)
    return rezipped(data, lambda name, content: damaged(content, rng) if name == chosen else content)


class Fuzzer:
    """Inputs of all kinds, from a directory with whole ones."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        torch.manual_seed(1)
        config = pr.models.model_config("q2", image_size=8, in_channels=1, channels=(2,))
        model = pr.models.build(config)
        own = Checkpoint(config, model.state_dict(), init=pr.initialize(model).to_dict())
        pr.save_checkpoint(directory / "own.pt", own)
        torch.save({"a.weight": torch.randn(2, 2, 3, 3), "step": 3}, directory / "other.pt")
        torch.save({"a.weight": torch.ones(2, 2, 3, 3)}, directory / "old.pt", _use_new_zipfile_serialization=False)
        self.whole = {path.name: path.read_bytes() for path in directory.glob("*.pt")}
        self.run = directory / "run"
        self.run.mkdir()
        stored = Path(__file__).parent / "stored" / "run-0.1.0"
        self.run_files = {
            name: (stored / name).read_bytes()
            for name in ("config.json", "init.json", "result.json", "metrics.csv", "last.pt")
        }
        for name, data in self.run_files.items():
            (self.run / name).write_bytes(data)
        # What the first whole file imports can take longer than an input may, and an import that is interrupted fails
        # for all that follow.
        for path in directory.glob("*.pt"):
            read_layers(path)

    def checkpoint(self, rng: random.Random) -> None:
        """Read a damaged checkpoint."""
        data = rng.choice(list(self.whole.values()))
        is_zip = data.startswith(b"PK") and rng.random() < 0.7
        path = self.directory / "damaged"
        path.write_bytes(damaged_inside(data, rng) if is_zip else damaged(data, rng))
        if rng.random() < 0.5:
            pr.load_checkpoint(path).model()
        else:
            read_layers(path)

    def run_directory(self, rng: random.Random) -> None:
        """Read a run with a damaged file."""
        name = rng.choice(list(self.run_files))
        (self.run / name).write_bytes(damaged(self.run_files[name], rng))
        try:
            run = pr.training.load_run(self.run)
            _ = run.init, run.result, run.metrics
            if name == "last.pt":
                _ = run.model
        finally:
            (self.run / name).write_bytes(self.run_files[name])

    def study(self, rng: random.Random) -> None:
        """Plan a damaged study."""
        path = self.directory / "study.toml"
        path.write_bytes(damaged(STUDY.encode(), rng))
        make_plan(path)

    def options(self, rng: random.Random) -> None:
        """Parse a random command line; the command itself isn't run."""
        words = [rng.choice(_WORDS) for _ in range(rng.randrange(1, 9))]
        if rng.random() < 0.3:
            at = rng.randrange(len(words))
            words[at] = damaged(words[at].encode(), rng).decode("utf-8", "surrogateescape").replace("\0", "")
        import click

        found: click.Command = command
        with contextlib.suppress(click.ClickException, click.exceptions.Exit), _silent():
            context = command.make_context("polyroots", words)
            # Without a subcommand a group prints its help or an error.
            while isinstance(found, click.Group) and (rest := [*context.protected_args, *context.args]):
                name, inner, words = found.resolve_command(context, rest)
                assert inner is not None
                found, context = inner, inner.make_context(name, words, parent=context)

    @property
    def kinds(self) -> list[Callable[[random.Random], None]]:
        """The kinds of inputs, the most frequent ones several times."""
        return [*(self.checkpoint,) * 5, *(self.run_directory,) * 3, self.study, self.options]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _slow(number: int, frame: FrameType | None) -> None:
    raise SlowError


def fuzz(count: int, seed: int, directory: Path) -> tuple[Counter[str], list[str]]:
    """Return the numbers of outcomes, and a line for each input that has another outcome than those allowed."""
    fuzzer = Fuzzer(directory)
    outcomes: Counter[str] = Counter()
    problems: list[str] = []
    before = {number: signal.signal(number, _slow) for number in (signal.SIGPROF, signal.SIGALRM)}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    watched_events(begin=True)
    try:
        for index in range(count):
            rng = random.Random(f"{seed} {index}")
            kind = rng.choice(fuzzer.kinds)
            signal.setitimer(signal.ITIMER_PROF, _SECONDS)
            signal.alarm(_SECONDS_OF_WAITING)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    kind(rng)
                outcome = "result"
            except PolyrootsError as error:
                outcome = "sentence"
                if "\n" in str(error) or not str(error):
                    problems.append(f"{seed} {index} {kind.__name__}: not one sentence: {error}")
            except Exception as error:
                outcome = type(error).__name__
                problems.append(f"{seed} {index} {kind.__name__}: {outcome}: {str(error)[:200]}")
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                signal.alarm(0)
            outcomes[f"{kind.__name__}: {outcome}"] += 1
            now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if now - memory > 1024 * _MEGABYTES:
                problems.append(f"{seed} {index} {kind.__name__}: {(now - memory) // 1024} MB")
                memory = now
            problems += [f"{seed} {index} {kind.__name__}: ran {event}" for event in watched_events()]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _WATCHING.clear()
    return outcomes, problems


def main() -> int:
    """Fuzz from the command line; the exit status is 1 if an input had another outcome than those allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.addaudithook(audit)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        outcomes, problems = fuzz(given.count, given.seed, Path(directory))
    for name, number in sorted(outcomes.items()):
        print(f"{number:8,} {name}")
    print(*problems, sep="\n")
    print(f"{given.count:,} inputs, seed {given.seed}, {time.monotonic() - start:.0f} s: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
