"""Spectra and coefficients of a network while it trains.

They are computed by a process of their own, beside the training, which neither waits for it nor shares its threads.
What it works on is a checkpoint in the run directory: what a killed run has left undone is done when it goes on.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64
from torch import nn

from polyroots.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.errors import FileError, InputError
from polyroots.files import reading_archive, replacing
from polyroots.initialization import groups_of
from polyroots.models import MgNet, PolyMgNet, PolyStep, SmoothingLevel
from polyroots.polynomials import ResidualPolynomial, polynomial_of_blocks
from polyroots.spectra import Convolution, eigenvalues_of
from polyroots.training.runs.directory import Run

_NAME = re.compile(r"epoch-(\d+)")


@dataclass(frozen=True)
class TrackedOperator:
    """A convolution A and the blocks that share it, at the end of an epoch.

    Attributes
    ----------
    level : from 1
    name : of its weight
    values : (N,) complex128, its spectrum with circular padding
    letters : of the blocks; none for a network without polynomials
    alphas : coefficients of each block
    """

    level: int
    name: str
    values: Complex128[np.ndarray, "N"]
    letters: tuple[str, ...]
    alphas: tuple[Float64[np.ndarray, "powers"], ...]

    @property
    def radius(self) -> float:
        """Spectral radius."""
        return float(np.abs(self.values).max())

    @property
    def q(self) -> ResidualPolynomial | None:
        """The residual polynomial of all blocks; None without blocks, or if all coefficients of one are zero."""
        if not self.letters:
            return None
        try:
            return polynomial_of_blocks(zip(self.letters, (a.tolist() for a in self.alphas), strict=True))
        except InputError:
            return None


@dataclass(frozen=True)
class Snapshot:
    """Every A of a network at the end of an epoch; epoch 0 is the start."""

    epoch: int
    operators: tuple[TrackedOperator, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Number of each A in its level, from 1; 0 where the level has but one."""
        count_at, seen = Counter(A.level for A in self.operators), Counter[int]()
        numbers = []
        for A in self.operators:
            seen[A.level] += 1
            numbers.append(seen[A.level] if count_at[A.level] > 1 else 0)
        return tuple(numbers)

    @classmethod
    def of(cls, network: nn.Module, epoch: int) -> Snapshot:
        """Compute the spectra of a network of `polyroots.models.build` that has convolutions A.

        Raises
        ------
        InputError
            If it has none, or weights are not finite.
        """
        if not isinstance(network, MgNet):
            raise InputError(f"expected a network with convolutions A, got a {type(network).__name__}")
        names = {module: f"{name}.weight" for name, module in network.named_modules()}
        steps: Mapping[nn.Module, list[PolyStep]] = dict(groups_of(network)) if isinstance(network, PolyMgNet) else {}
        operators = []
        for number, (level, size) in enumerate(zip(network.levels, network.config.sizes, strict=True), 1):
            assert isinstance(level, SmoothingLevel)
            for A in dict.fromkeys(level.operators):
                blocks = steps.get(A, [])
                operators.append(
                    TrackedOperator(
                        number,
                        names[A],
                        eigenvalues_of(Convolution.of(A.weight, size, name=names[A])).values,
                        tuple(step.letter for step in blocks),
                        tuple(step.alphas.detach().double().numpy() for step in blocks),
                    )
                )
        return cls(epoch, tuple(operators))

    def save(self, path: str | Path) -> None:
        """Write an .npz file, whole or not at all."""
        arrays: dict[str, Any] = {"epoch": self.epoch, "names": [operator.name for operator in self.operators]}
        for index, operator in enumerate(self.operators):
            arrays |= {
                f"{index}/level": operator.level,
                f"{index}/values": operator.values,
                f"{index}/letters": ",".join(operator.letters),
                **{f"{index}/alphas{block}": alphas for block, alphas in enumerate(operator.alphas)},
            }
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Snapshot:
        """Read a file that `save` wrote."""
        with reading_archive(path, "holds no tracked spectra", "polyroots"), np.load(path) as arrays:
            operators = []
            for index, name in enumerate(arrays["names"].tolist()):
                letters = tuple(filter(None, str(arrays[f"{index}/letters"]).split(",")))
                alphas = tuple(arrays[f"{index}/alphas{block}"] for block in range(len(letters)))
                operators.append(
                    TrackedOperator(int(arrays[f"{index}/level"]), name, arrays[f"{index}/values"], letters, alphas)
                )
            return cls(int(arrays["epoch"]), tuple(operators))


def snapshots_of(run: Run) -> list[Snapshot]:
    """Return what a run has tracked so far, in the order of the epochs."""
    return [Snapshot.load(path) for path in sorted(run.spectra.glob("epoch-*.npz"))]


class Tracker:
    """Computes the snapshots of a run, one after the other, in a process beside it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.problems: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._path = run.spectra
        self._killed: set[Path] = set()

    def add(self, epoch: int, checkpoint: Checkpoint) -> None:
        """Put the network of an epoch into the queue."""
        try:
            save_checkpoint(self.run.spectra / f"epoch-{epoch:06}.pt", checkpoint)
        except FileError as error:
            self.problems.append(str(error))

    def forget_after(self, epoch: int) -> None:
        """Leave out of the queue, and of what is done, epochs that the run has yet to reach."""
        for path in self.run.spectra.glob("epoch-*"):
            found = _NAME.match(path.name)
            if found and int(found[1]) > epoch:
                path.unlink(missing_ok=True)

    def advance(self) -> None:
        """Begin the next one, if the process is free."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._finish()
        waiting = sorted(set(self.run.spectra.glob("epoch-*.pt")) - self._killed)
        if not waiting:
            return
        self._path = waiting[0]
        command = [sys.executable, "-c", f"import sys; from {__name__} import work; work(sys.argv[1])", str(self._path)]
        try:
            self._process = subprocess.Popen(
                command,
                env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                # Ctrl-C is for the run, which then ends this process. Not a new session: that would share the cores
                # with the training as an equal.
                process_group=0,
            )
        except OSError as error:
            self._killed.add(self._path)
            self.problems.append(f"no process can be started: {error}")

    def wait(self) -> None:
        """Finish the queue."""
        self.advance()
        while self._process is not None:
            self._finish()
            self.advance()

    def stop(self) -> None:
        """End the process; the queue stays, for when the run goes on."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
            self._process = None

    def _finish(self) -> None:
        """Wait for the process and note what went wrong."""
        assert self._process is not None
        _, words = self._process.communicate()
        # The process of a run that was killed may have done it in the meantime.
        if self._process.returncode and not self._path.with_suffix(".npz").exists():
            if self._process.returncode < 0:
                self._killed.add(self._path)  # for when the run goes on
            else:
                self._path.unlink(missing_ok=True)  # a second try would end in the same way
            lines = words.decode(errors="replace").strip().splitlines()
            self.problems.append(lines[-1] if lines else f"its process ended with status {self._process.returncode}")
        self._process = None


def work(name: str) -> None:
    """Turn a checkpoint epoch-N.pt into the snapshot epoch-N.npz beside it."""
    # The training goes first.
    with suppress(OSError, AttributeError):
        os.nice(10)
    path = Path(name)
    found = _NAME.match(path.name)
    assert found
    Snapshot.of(load_checkpoint(path).model(), int(found[1])).save(path.with_suffix(".npz"))
    path.unlink(missing_ok=True)
