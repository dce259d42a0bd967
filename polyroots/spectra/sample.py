"""Eigenvalues at some of the frequencies, drawn at random, and what they say with confidence about all of them.

Shares of the eigenvalues in a region fixed beforehand have Serfling's inequality [1]_; the intervals of quantiles are
those of `polyroots.spectra.quantiles`. Both take the share at a frequency for one number, however its eigenvalues
depend on each other.

References
----------
.. [1] R. J. Serfling, Probability inequalities for the sum in sampling without replacement, Annals of Statistics 2
       (1974), 39-48.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64, Int
from numpy.typing import NDArray

from polyroots.arguments import whole
from polyroots.errors import InputError, unknown_name
from polyroots.spectra.batched_qr import LANES
from polyroots.spectra.convolution import Convolution, principal
from polyroots.spectra.quantiles import Blocks, Quantile
from polyroots.spectra.spectrum import eigenvalues_at
from polyroots.spectra.values import EigenvalueSet
from polyroots.threads import Progress, chunks, in_threads

#: Parts of an eigenvalue that have quantiles.
PARTS: Mapping[str, Callable[[NDArray[Any]], NDArray[np.float64]]] = {
    "modulus": np.abs,
    "real": np.real,
    "imag": np.imag,
}


@dataclass(frozen=True, eq=False)
class SpectrumSample(EigenvalueSet):
    """The eigenvalues of a convolution with circular padding at frequencies drawn at random.

    Frequencies are drawn from the pairs theta and -theta, whose eigenvalues are conjugate; the self-conjugate ones, at
    most four, are always solved. `radius` and the other ends are those of the sample: the spectrum may reach further.

    Attributes
    ----------
    drawn : (N, n) complex128
        The n eigenvalues at one frequency of each drawn pair, in the order of drawing.
    alone : (S, n) complex128
        Those at the self-conjugate frequencies.
    chosen : (N,) int
        Positions of the drawn frequencies in one period of the symbol, row by row.
    convolution : Convolution

    See Also
    --------
    sample_eigenvalues : draws one
    extreme_eigenvalues : the ends of the whole spectrum
    """

    drawn: Complex128[np.ndarray, "N n"]
    alone: Complex128[np.ndarray, "S n"]
    chosen: Int[np.ndarray, "N"]
    convolution: Convolution

    def __repr__(self) -> str:
        shape, size = ("x".join(map(str, numbers)) for numbers in (self.convolution.weight.shape, self.grid))
        return f"SpectrumSample({self.solved} of {self.total} frequencies of {shape} at {size})"

    @property
    def grid(self) -> tuple[int, int]:
        """One period of the symbol, (y, x): the grid of its different frequencies."""
        return self.convolution.period

    @property
    def total(self) -> int:
        """Number of different frequencies of the symbol."""
        return math.prod(self.grid)

    @property
    def pairs(self) -> int:
        """Number of pairs of conjugate frequencies."""
        return (self.total - len(self.alone)) // 2

    @property
    def solved(self) -> int:
        """Number of frequencies whose eigenvalues are known, both of each pair."""
        return 2 * len(self.drawn) + len(self.alone)

    @property
    def is_whole(self) -> bool:
        """Whether all frequencies are known, and with them the quantiles."""
        return len(self.drawn) == self.pairs

    @cached_property
    def values(self) -> Complex128[np.ndarray, "M"]:  # type: ignore[override]
        """All known eigenvalues, closed under conjugation."""
        return np.concatenate([self.alone, self.drawn, self.drawn.conj()]).ravel()

    @cached_property
    def frequencies(self) -> Float64[np.ndarray, "M 2"]:
        """Frequency (theta_y, theta_x) of each value in radians, in (-pi, pi].

        Where the symbol repeats over the image's frequencies, it is the one nearest to 0.
        """
        ky, kx, partner = self.convolution.one_period()
        alone = np.flatnonzero(partner == np.arange(len(partner)))
        at = np.concatenate([alone, self.chosen, partner[self.chosen]])
        theta = np.stack([principal(ky[at], self.grid[0]), principal(kx[at], self.grid[1])], axis=1)
        theta *= np.array(self.grid) / np.array(self.convolution.size)
        return np.repeat(theta, self.drawn.shape[1], axis=0)

    def share_error(self, confidence: float = 0.95) -> float:
        """Return the largest error of the sample's share of eigenvalues in a region, at a confidence.

        Parameters
        ----------
        confidence : float
            For each region by itself, which does not depend on the sample.

        Returns
        -------
        float
            The share of all eigenvalues in the region is that of the sample plus or minus this number (Serfling), where
            a pair of drawn frequencies counts for all pairs.

        Raises
        ------
        InputError
            If the confidence is not in (0, 1).
        """
        count = len(self.drawn)
        risk = _risk(confidence)
        if self.is_whole:
            return 0.0
        left = 1 - (count - 1) / self.pairs
        return 2 * self.pairs / self.total * math.sqrt(left * math.log(2 / risk) / (2 * count))

    def quantiles(self, levels: Sequence[float], part: str = "modulus", confidence: float = 0.95) -> list[Quantile]:
        """Return quantiles of all eigenvalues, each with its interval.

        Parameters
        ----------
        levels : sequence of float
            Shares of the eigenvalues, in (0, 1).
        part : ``"modulus"``, ``"real"`` or ``"imag"``
        confidence : float
            Of each interval by itself.

        Returns
        -------
        list of Quantile

        Raises
        ------
        InputError
            If a level or the confidence is not in (0, 1), or the part is unknown.
        """
        if part not in PARTS:
            raise unknown_name("part", part, list(PARTS))
        wrong = [level for level in levels if not 0 < level < 1]
        if wrong:
            raise InputError(f"expected levels between 0 and 1 of quantiles, got {wrong[0]}", fields=["levels"])
        risk = _risk(confidence) / 2
        score = PARTS[part]
        blocks = Blocks(
            np.sort(score(np.concatenate([self.drawn, self.drawn.conj()], axis=1)), axis=1),
            np.sort(score(self.alone).ravel()),
            self.alone.shape[0],
            self.total,
        )
        found = []
        for level in levels:
            estimate = blocks.quantile(level)
            if self.is_whole:
                found.append(Quantile(level, estimate, estimate, estimate))
                continue
            least = 0.0 if part == "modulus" else -math.inf
            low, high = max(-blocks.negative().upper_end(1 - level, risk), least), blocks.upper_end(level, risk)
            found.append(Quantile(level, estimate, min(low, estimate), max(high, estimate)))
        return found

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the sample as named arrays for an ``.npz`` archive."""
        A = self.convolution
        geometry = {"weight": A.weight, "size": A.size, "dilation": A.dilation, "groups": A.groups}
        values = {"drawn": self.drawn, "alone": self.alone, "chosen": self.chosen}
        return {name: np.asarray(value) for name, value in (geometry | values).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> SpectrumSample:
        """Return the sample whose `to_arrays` gave these arrays."""
        convolution = Convolution.of(
            arrays["weight"],
            tuple(arrays["size"].tolist()),
            dilation=tuple(arrays["dilation"].tolist()),
            groups=int(arrays["groups"]),
            name="sample",
        )
        return cls(arrays["drawn"], arrays["alone"], arrays["chosen"], convolution)


def sample_eigenvalues(
    weight: Any,
    size: int | tuple[int, int],
    count: int,
    *,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    seed: int = 0,
    workers: int | None = None,
) -> SpectrumSample:
    """Return the eigenvalues of a convolution with circular padding at frequencies drawn at random.

    Parameters
    ----------
    weight : (c, c // groups, kh, kw) or (kh, kw) array or tensor, any real dtype; or torch.nn.Conv2d
    size : int or (H, W)
        The image in pixels.
    count : int
        Number of pairs of conjugate frequencies that are drawn, without replacement; all if there are fewer.
    dilation : int or (int, int)
    groups : int
    seed : int
        Of the draw.
    workers : int, optional
        Threads; by default one for each core that this process may use.

    Returns
    -------
    SpectrumSample

    Raises
    ------
    InputError
        If the operator is not square or not finite, or size, dilation, groups or count don't fit.

    Examples
    --------
    >>> from polyroots.spectra import eigenvalues
    >>> K = np.random.default_rng(5).standard_normal((8, 8, 3, 3)) / 8
    >>> sample = sample_eigenvalues(K, 32, 60)
    >>> sample
    SpectrumSample(124 of 1024 frequencies of 8x8x3x3 at 32x32)
    >>> median = sample.quantiles([0.5])[0]
    >>> bool(median.low <= np.median(abs(eigenvalues(K, 32).values)) <= median.high)
    True
    """
    convolution = Convolution.of(weight, size, dilation=dilation, groups=groups)
    return sample_eigenvalues_of(convolution, count, seed=seed, workers=workers)


def sample_eigenvalues_of(
    convolution: Convolution,
    count: int,
    *,
    seed: int = 0,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> SpectrumSample:
    """Return the eigenvalues of a `Convolution` at frequencies drawn at random; see `sample_eigenvalues`.

    Raises
    ------
    InputError
        If the operator is not square, its padding is not circular, or count is not a whole number of at least 1.
    """
    convolution.require_square("eigenvalues")
    if convolution.padding != "circular":
        raise InputError(f"{convolution.name}: frequencies need circular padding, got {convolution.padding}")
    if whole(count, "count") < 1:
        raise InputError(f"expected at least one frequency to draw, got {count}", fields=["sample"])
    operator, scale = convolution.normalized()
    ky, kx, partner = operator.one_period()
    index = np.arange(len(partner))
    alone, pairs = index[index == partner], index[index < partner]
    chosen = np.random.default_rng(seed).permutation(pairs)[:count]
    groups, m, _, _, _ = operator.kernels.shape
    at = np.concatenate([alone, chosen])
    values = np.empty((len(at), groups * m), dtype=np.complex128)

    def solve(rows: Int[np.ndarray, "F"]) -> None:
        is_real = bool(rows[-1] < len(alone))
        values[rows] = eigenvalues_at(operator, ky[at[rows]], kx[at[rows]], is_real).reshape(len(rows), -1)

    positions, block = np.arange(len(at)), (groups, m, m)
    tasks = chunks(positions[len(alone) :], block, workers, LANES) + chunks(positions[: len(alone)], block, workers)
    in_threads(solve, tasks, workers, on_progress)
    return SpectrumSample(values[len(alone) :] * scale, values[: len(alone)] * scale, chosen, convolution)


def _risk(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise InputError(f"expected a confidence between 0 and 1, got {confidence}", fields=["confidence"])
    return 1 - confidence
