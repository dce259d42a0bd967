"""Spectra and coefficients of a network while it trains.

A separate process computes them, so that the training doesn't wait for them. Its input is a queue of checkpoints in the
run directory; spectra that a killed run has left in the queue are computed when the run is resumed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64
from torch import nn

from polyroots.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.errors import FileError, InputError
from polyroots.files import cannot_write, reading_archive, replacing
from polyroots.models import (
    ConvOperator,
    MgNet,
    ModelConfig,
    PolyMgNet,
    PolyPart,
    PolyStep,
    SmoothingLevel,
    effective_operator,
)
from polyroots.polynomials import ResidualPolynomial, polynomial_of_blocks
from polyroots.training.data.given import GIVEN
from polyroots.training.runs.directory import Run
from polyroots.training.runs.parts import OwnOperator, described, own_operators

# Networks in the queue and snapshots; the user may keep other files beside them.
_NAME = re.compile(r"epoch-(\d{6,})\.(pt|npz)")
# Prefix of the arrays on a level's operator.
_LEVEL = "effective/"


@dataclass(frozen=True)
class TrackedOperator:
    """A convolution A and the blocks that share it, at the end of an epoch.

    Attributes
    ----------
    level : int
        Number of its level, from 1.
    name : str
        Name of its weight.
    values : (N,) complex128 array
        Its spectrum with circular padding.
    letters : tuple of str
        Letters of the blocks; empty for a network without polynomials.
    alphas : tuple of array
        Coefficients of each block.
    """

    level: int
    name: str
    values: Complex128[np.ndarray, "N"]
    letters: tuple[str, ...]
    alphas: tuple[Float64[np.ndarray, "_"], ...]

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
class TrackedLevel:
    """What a level applies to its residual with its batch norms, at the end of an epoch; ReLU is the identity.

    Attributes
    ----------
    level : int
        Number of the level, from 1.
    radius, high, median : float
        Largest modulus of the eigenvalues, the one that 90 % are below, and the median.
    norm : float
        Spectral norm.

    See Also
    --------
    polyroots.effective_operator
    """

    level: int
    radius: float
    high: float
    median: float
    norm: float


@dataclass(frozen=True)
class Snapshot:
    """All convolutions A of a network at the end of an epoch; epoch 0 is before the first step.

    Attributes
    ----------
    epoch : int
    operators : tuple of TrackedOperator
        In the order of the levels.
    levels : tuple of TrackedLevel
        Without those levels whose batch norms have no statistics of data yet, or whose operator overflows; empty in
        files of versions that did not compute them.
    """

    epoch: int
    operators: tuple[TrackedOperator, ...]
    levels: tuple[TrackedLevel, ...] = ()

    def level(self, number: int) -> TrackedLevel | None:
        """Return what a level applies to its residual; None if that is not known."""
        return next((level for level in self.levels if level.level == number), None)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Number of each A in its level, from 1; 0 in a level with one A."""
        count_at, seen = Counter(A.level for A in self.operators), Counter[int]()
        numbers = []
        for A in self.operators:
            seen[A.level] += 1
            numbers.append(seen[A.level] if count_at[A.level] > 1 else 0)
        return tuple(numbers)

    @classmethod
    def of(cls, network: nn.Module, epoch: int) -> Snapshot:
        """Return the spectra and coefficients of a network.

        Parameters
        ----------
        network : nn.Module
            A network with convolutions A, from `polyroots.models.build`.
        epoch : int

        Returns
        -------
        Snapshot

        Raises
        ------
        InputError
            If the network has no convolutions A, or its weights are not finite.
        """
        if not isinstance(network, MgNet):
            raise InputError(f"expected a network with convolutions A, got a {type(network).__name__}")
        names = {module: f"{name}.weight" for name, module in network.named_modules()}
        steps: Mapping[nn.Module, list[PolyStep]] = dict(network.groups) if isinstance(network, PolyMgNet) else {}
        operators = []
        for number, (level, size) in enumerate(zip(network.levels, network.config.sizes, strict=True), 1):
            assert isinstance(level, SmoothingLevel)
            for A in dict.fromkeys(level.operators):
                blocks = steps.get(A, [])
                operators.append(
                    TrackedOperator(
                        number,
                        names[A],
                        A.spectrum(size, names[A]).values,
                        tuple(step.letter for step in blocks),
                        tuple(step.alphas.detach().double().numpy() for step in blocks),
                    )
                )
        return cls(epoch, tuple(operators), tuple(_levels_of(network)))

    def save(self, path: str | Path) -> None:
        """Write an .npz file in an existing directory, complete or not at all."""
        arrays: dict[str, Any] = {"epoch": self.epoch, "names": [operator.name for operator in self.operators]}
        for index, operator in enumerate(self.operators):
            arrays |= {
                f"{index}/level": operator.level,
                f"{index}/values": operator.values,
                f"{index}/letters": ",".join(operator.letters),
                **{f"{index}/alphas{block}": alphas for block, alphas in enumerate(operator.alphas)},
            }
        for level in self.levels:
            arrays[f"{_LEVEL}{level.level}"] = [level.radius, level.high, level.median, level.norm]
        with replacing(path, make_parents=False) as temporary:
            np.savez(temporary, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Snapshot:
        """Return the snapshot of a file that `save` wrote; raise FileError if it is none."""
        with reading_archive(path, "holds no tracked spectra", "polyroots"), np.load(path) as arrays:
            operators = []
            for index, name in enumerate(arrays["names"].tolist()):
                letters = tuple(filter(None, str(arrays[f"{index}/letters"]).split(",")))
                alphas = tuple(_vector(arrays[f"{index}/alphas{block}"], np.float64) for block in range(len(letters)))
                values = _vector(arrays[f"{index}/values"], np.complex128)
                operators.append(TrackedOperator(int(arrays[f"{index}/level"]), str(name), values, letters, alphas))
            numbers = sorted(int(name.removeprefix(_LEVEL)) for name in arrays if name.startswith(_LEVEL))
            levels = [TrackedLevel(number, *arrays[f"{_LEVEL}{number}"].tolist()) for number in numbers]
            return cls(int(arrays["epoch"]), tuple(operators), tuple(levels))


def _levels_of(network: MgNet) -> Iterator[TrackedLevel]:
    """Yield what each level applies to its residual, of the levels for which that is known."""
    for number in range(1, len(network.levels) + 1):
        with suppress(InputError):  # no statistics of data yet, or a diverged training
            applied = effective_operator(network, number)
            high = float(np.quantile(np.abs(applied.values), 0.9))
            yield TrackedLevel(number, applied.radius, high, applied.median, applied.norm)


def _vector(array: np.ndarray, kind: type[Any]) -> np.ndarray:
    """Return an array of a file; raise TypeError or ValueError unless it is one of numbers with one dimension."""
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "fc":
        raise ValueError(f"expected an array of numbers, got the shape {array.shape} of {array.dtype}")
    return array.astype(kind, casting="same_kind", copy=False)


def snapshots_of(run: Run) -> list[Snapshot]:
    """Return the snapshots of a run in the order of the epochs."""
    return [Snapshot.load(path) for path in sorted(run.spectra.glob("epoch-*.npz"))]


class Tracker:
    """Queue of networks whose snapshots are computed one after the other, each in a process beside the training.

    Attributes
    ----------
    problems : list of str
        Messages about snapshots that could not be computed.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.problems: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._path = run.spectra
        self._killed: set[Path] = set()

    def add(self, epoch: int, checkpoint: Checkpoint) -> None:
        """Add the network of an epoch to the queue."""
        try:
            self.run.spectra.mkdir(exist_ok=True)
            save_checkpoint(self.run.spectra / f"epoch-{epoch:06}.pt", checkpoint, make_parents=False)
        except FileError as error:
            self.problems.append(str(error))
        except OSError as error:
            self.problems.append(str(cannot_write(self.run.spectra, error)))

    def forget_after(self, epoch: int) -> None:
        """Remove the snapshots and the queued networks of later epochs, which a resumed run trains again."""
        for path in self.run.spectra.glob("epoch-*"):
            found = _NAME.fullmatch(path.name)
            if found and int(found[1]) > epoch:
                path.unlink(missing_ok=True)

    def advance(self) -> None:
        """Start the process of the next snapshot unless one is running."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._finish()
        waiting = self._waiting()
        if not waiting:
            return
        self._path = waiting[0]
        # It ends with the training, also while it imports torch.
        code = (
            "import sys; from polyroots.processes import stop_without; stop_without(int(sys.argv[1])); "
            f"from {__name__} import work; work(sys.argv[2])"
        )
        command = [sys.executable, "-c", code, str(os.getpid()), str(self._path)]
        try:
            self._process = subprocess.Popen(
                command,
                # The safe path: files in the current directory are not imported.
                env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONSAFEPATH": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                # Ctrl-C reaches the training alone, which then ends this process. In a new session, Linux would give
                # the process as much of the cores as the training.
                process_group=0,
            )
        except OSError as error:
            self._killed.add(self._path)
            self.problems.append(f"no process can be started: {error}")

    @property
    def is_busy(self) -> bool:
        """Whether a network is in the queue, or its snapshot is being computed."""
        return self._process is not None or bool(self._waiting())

    def wait(self) -> None:
        """Wait until the queue is empty."""
        self.advance()
        while self._process is not None:
            self._finish()
            self.advance()

    def stop(self) -> None:
        """End the process; the queue stays for when the run is resumed."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
            self._process = None

    def _waiting(self) -> list[Path]:
        """Return the networks in the queue, in the order of the epochs."""
        paths = set(self.run.spectra.glob("epoch-*.pt")) - self._killed
        return sorted(path for path in paths if _NAME.fullmatch(path.name))

    def _finish(self) -> None:
        """Wait for the process and add its error, if any, to `problems`."""
        assert self._process is not None
        _, words = self._process.communicate()
        # A process that a killed run has left may have computed the snapshot in the meantime.
        if self._process.returncode and not self._path.with_suffix(".npz").exists():
            if self._process.returncode < 0:
                self._killed.add(self._path)  # stays in the queue until the run is resumed
            else:
                self._path.unlink(missing_ok=True)  # it would fail again
            lines = words.decode(errors="replace").strip().splitlines()
            self.problems.append(lines[-1] if lines else f"its process ended with status {self._process.returncode}")
        self._process = None


def work(name: str) -> None:
    """Write the snapshot epoch-N.npz of the checkpoint epoch-N.pt beside it, and remove the checkpoint."""
    # The training has priority.
    with suppress(OSError, AttributeError):
        os.nice(10)
    path = Path(name)
    found = _NAME.fullmatch(path.name)
    assert found
    checkpoint, epoch = load_checkpoint(path), int(found[1])
    own = own_operators(checkpoint)
    snapshot = _of_parts(own, epoch) if own else Snapshot.of(checkpoint.model(), epoch)
    snapshot.save(path.with_suffix(".npz"))
    path.unlink(missing_ok=True)


def to_track(config: ModelConfig, network: nn.Module, parts: Sequence[PolyPart]) -> Checkpoint:
    """Return what a snapshot is computed from: the network, or of the user's own its polynomial levels alone."""
    if not config.is_own:
        return Checkpoint(config, network.state_dict())
    parameters = dict(network.named_parameters())
    entry = described(network, parts)
    weights = {item["name"]: parameters[item["name"]].detach().cpu() for items in entry.values() for item in items}
    # Entries that every checkpoint of training has, beside the levels.
    training = {"epoch": 0, "config": {"dataset": GIVEN}, "classes": ["-"], "mean": [0.0], "std": [1.0]}
    return Checkpoint(config, weights, training=training | entry)


def _of_parts(operators: Sequence[OwnOperator], epoch: int) -> Snapshot:
    """Return the snapshot of the polynomial levels that `to_track` has put into a checkpoint."""
    tracked = []
    for number, own in enumerate(operators, 1):
        A = ConvOperator(len(own.weight))
        A.load_state_dict({"weight": own.weight})
        values, alphas = A.spectrum(own.size, own.name).values, tuple(np.array(each) for each in own.alphas)
        tracked.append(TrackedOperator(number, own.name, values, own.letters, alphas))
    return Snapshot(epoch, tuple(tracked))
