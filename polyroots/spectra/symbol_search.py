"""A search for the frequencies at which the eigenvalues of a symbol are extreme."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64, Inexact, Int
from numpy.typing import NDArray

from polyroots.spectra.batched_qr import LANES, eigvals
from polyroots.spectra.convolution import Convolution, principal
from polyroots.threads import chunks, in_threads

#: The ends of a spectrum, named as the properties of `Spectrum`, and the measure that is largest there.
ENDS: Mapping[str, Callable[[NDArray[np.complex128]], NDArray[np.float64]]] = {
    "min_real": lambda z: -z.real,
    "max_real": lambda z: z.real,
    "max_imag": lambda z: z.imag,
    "radius": np.abs,
}

# Frequencies per side of the coarse grid for a 3 x 3 kernel, whose symbol is a trigonometric polynomial of degree 1;
# larger kernels have a finer grid.
_COARSE = 24
# Local maxima of the coarse grid that are refined at each end.
_PEAKS = 6
_REFINEMENTS = 30
# Number of frequencies up to which all are solved: for matrices of up to _NARROW rows, where a call costs more than the
# computation, and for larger ones.
_NARROW = 32
_WORTHWHILE = (250 * 250, 100 * 100)
_GROWTHS = 200


@dataclass(frozen=True, eq=False)
class Candidates:
    """Eigenvalues among which are the outermost ones at every end.

    Attributes
    ----------
    values : (N,) complex128
    frequencies : (N, 2) float64
    heights : mapping of str to float
        Largest value of each end's measure on the continuous symbol; empty if all eigenvalues were computed.
    method : str
        A sentence about the search and its check; empty if all eigenvalues were computed.
    """

    values: Complex128[np.ndarray, "N"]
    frequencies: Float64[np.ndarray, "N 2"]
    heights: Mapping[str, float] = field(default_factory=dict)
    method: str = ""


class SymbolSearch:
    """Search for the extreme eigenvalues of a symbol.

    The steps: a coarse grid of frequencies, refinement of its maxima on the continuous symbol, a check on a second
    grid, and the image's own frequencies around the maxima.

    Parameters
    ----------
    operator : Convolution
        Square, with circular padding.
    workers : int, optional
        Threads.
    """

    def __init__(self, operator: Convolution, workers: int | None) -> None:
        self.original, self.workers = operator, workers
        self.operator, self.inverse = _without_dilation(operator)
        (kh, kw), dilation = operator.weight.shape[2:], self.operator.dilation
        self.shape = tuple(
            min(n, _COARSE * max(1, d * (k - 1) // 2))
            for n, k, d in zip(self.operator.period, (kh, kw), dilation, strict=True)
        )
        self.known = np.empty((0, 2), dtype=np.intp)
        self.values = np.empty((0, operator.c_in), dtype=np.complex128)

    def run(self, k: int) -> Candidates:
        """Return eigenvalues among which are the `k` outermost ones of each end."""
        rows, columns = self.operator.period
        wide = self.operator.kernels.shape[1] > _NARROW
        if rows * columns <= max(_WORTHWHILE[wide], 4 * self.shape[0] * self.shape[1]):
            self._add(np.stack(np.divmod(np.arange(rows * columns), columns), axis=-1))
            return Candidates(*self._on_image(k))

        first, second = self._image_grid(0.0), self._image_grid(0.5)
        coarse, check = self._solve(self._theta(first)), self._solve(self._theta(second))
        self._add(np.concatenate([first, second]))
        heights, beyond = {}, 0
        for name, measure in ENDS.items():
            where, height = self._refine(name, self._starts(name, coarse))
            tops = measure(check).max(axis=1)
            better = np.flatnonzero(tops > height.max() + 1e-12 * np.abs(check).max())
            beyond += len(better)
            if len(better):
                highest = better[np.argsort(-tops[better])[:_PEAKS]]
                more, higher = self._refine(name, self._theta(second)[highest])
                where, height = np.concatenate([where, more]), np.concatenate([height, higher])
            heights[name] = float(height.max())
            self._add(_around(np.round(where * np.array(self.operator.size) / (2 * np.pi)).astype(np.intp)))
        self._grow(k)
        # An eigenvalue at a frequency of the image can be beyond the refined maximum by rounding.
        heights = {name: max(heights[name], float(self._height(name).max())) for name in ENDS}
        outcome = f"{beyond} were beyond and refined too" if beyond else "none was beyond"
        method = (
            f"Estimate from {self.shape[0]}x{self.shape[1]} frequencies, refined on the continuous symbol; "
            f"checked at {len(second)} further ones: {outcome}."
        )
        return Candidates(*self._on_image(k), heights, method)

    def _image_grid(self, shift: float) -> Int[np.ndarray, "F 2"]:
        """Return the indices of a coarse subset of the frequencies of one period."""
        axes = [
            np.round((np.arange(m) + shift) * period / m).astype(np.intp) % period
            for m, period in zip(self.shape, self.operator.period, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)

    def _add(self, indices: Int[np.ndarray, "F 2"]) -> bool:
        """Solve those of the frequencies that are not known yet; return whether there were any."""
        period = np.array(self.operator.period)
        indices = indices % period
        partner = -indices % period
        # The smaller of k and -k is solved; the other has the conjugate eigenvalues.
        is_first = (indices[:, 0] < partner[:, 0]) | (
            (indices[:, 0] == partner[:, 0]) & (indices[:, 1] <= partner[:, 1])
        )
        chosen = np.where(is_first[:, None], indices, partner)
        numbers = np.unique(chosen[:, 0] * period[1] + chosen[:, 1])
        numbers = np.setdiff1d(numbers, self.known[:, 0] * period[1] + self.known[:, 1], assume_unique=True)
        new = np.stack(np.divmod(numbers, period[1]), axis=-1)
        is_real = (new == -new % period).all(axis=1)
        self.known = np.concatenate([self.known, new[~is_real], new[is_real]])
        self.values = np.concatenate([self.values, self._at(new[~is_real]), self._at(new[is_real], real=True)])
        return len(new) > 0

    def _grow(self, k: int) -> None:
        """Solve the neighbours of the outermost frequencies until all are known, so that ridges are followed."""
        for _ in range(_GROWTHS):
            outermost = [np.argsort(-self._height(name).ravel())[:k] // self.values.shape[1] for name in ENDS]
            if not self._add(_around(self.known[np.unique(np.concatenate(outermost))])):
                break

    def _height(self, name: str) -> Float64[np.ndarray, "F c"]:
        """Return an end's measure of the known values; a frequency represents its conjugate partner, too."""
        return np.abs(self.values.imag) if name == "max_imag" else ENDS[name](self.values)

    def _on_image(self, k: int) -> tuple[Complex128[np.ndarray, "N"], Float64[np.ndarray, "N 2"]]:
        """Return the known eigenvalues, with conjugates and up to `k` copies, and their frequencies on the image."""
        period = np.array(self.operator.period)
        has_partner = (self.known != -self.known % period).any(axis=1)
        values = np.concatenate([self.values, self.values[has_partner].conj()])
        indices = np.concatenate([self.known, -self.known[has_partner]])
        indices = indices * np.array(self.inverse) % period
        # A symbol with a shorter period than the image takes each value at several frequencies.
        H, W = self.original.size
        copies = np.stack(
            np.meshgrid(np.arange(0, H, period[0])[:k], np.arange(0, W, period[1])[:k], indexing="ij"), axis=-1
        ).reshape(-1, 2)[:k]
        ky, kx = (indices + copies[:, None, :]).reshape(-1, 2).T
        theta = np.stack([principal(ky, H), principal(kx, W)], axis=-1)
        return np.tile(values.ravel(), len(copies)), np.repeat(theta, values.shape[1], axis=0)

    def _at(self, indices: Int[np.ndarray, "F 2"], real: bool = False) -> Complex128[np.ndarray, "F c"]:
        """Return the eigenvalues at some frequencies of the image."""

        def symbols(chosen: Int[np.ndarray, "f"]) -> Inexact[np.ndarray, "f groups m m"]:
            blocks = self.operator.symbol_at(indices[chosen, 0], indices[chosen, 1])
            return blocks.real if real else blocks

        return self._eigenvalues(symbols, len(indices))

    def _solve(self, theta: Float64[np.ndarray, "F 2"]) -> Complex128[np.ndarray, "F c"]:
        """Return the eigenvalues at any frequencies in radians."""
        return self._eigenvalues(lambda chosen: self.operator.symbol_at_angles(theta[chosen]), len(theta))

    def _eigenvalues(
        self, symbols: Callable[[NDArray[np.intp]], NDArray[Any]], total: int
    ) -> Complex128[np.ndarray, "F c"]:
        """Return the eigenvalues of `total` symbols, computed in threads."""
        result = np.empty((total, self.operator.c_in), dtype=np.complex128)

        def solve(chosen: Int[np.ndarray, "f"]) -> None:
            result[chosen] = eigvals(symbols(chosen)).reshape(len(chosen), -1)

        groups, m, _, _, _ = self.operator.kernels.shape
        in_threads(solve, chunks(np.arange(total), (groups, m, m), self.workers, LANES), self.workers)
        return result

    def _theta(self, indices: Int[np.ndarray, "F 2"]) -> Float64[np.ndarray, "F 2"]:
        """Return frequencies in radians."""
        H, W = self.operator.size
        return np.stack([principal(indices[:, 0], H), principal(indices[:, 1], W)], axis=-1)

    def _starts(self, name: str, coarse: Complex128[np.ndarray, "F c"]) -> Float64[np.ndarray, "n 2"]:
        """Return the frequencies of the highest local maxima on the coarse grid."""
        height = ENDS[name](coarse).max(axis=1).reshape(self.shape)
        shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
        is_peak = np.all([height >= np.roll(height, shift, axis=(0, 1)) for shift in shifts], axis=0).ravel()
        candidates = np.flatnonzero(is_peak)
        return self._theta(self._image_grid(0.0))[candidates[np.argsort(-height.ravel()[candidates])[:_PEAKS]]]

    def _refine(
        self, name: str, starts: Float64[np.ndarray, "n 2"]
    ) -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, "n"]]:
        """Return local maxima of an end's measure on the continuous symbol, and their heights.

        The method is a pattern search on a rotating 3 x 3 stencil, with a Newton step to the maximum of the quadratic
        through it. The pattern alone makes progress where eigenvalues cross and the measure has kinks and cusps.
        """
        count = len(starts)
        # Half of the coarse grid's spacing, and 0 along an axis with one tap, where the symbol is constant.
        step = np.pi * np.array(self.operator.period) / np.array(self.operator.size) / np.array(self.shape)
        step = np.tile(np.where(np.array(self.shape) == 1, 0.0, step), (count, 1))
        stencil = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)], dtype=float)

        def height(points: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "n points"]:
            return ENDS[name](self._solve(points.reshape(-1, 2))).max(axis=1).reshape(count, -1)

        best = starts
        for number in range(_REFINEMENTS):
            # Rotation by one radian per step: a sharp ridge between two directions is met by a later stencil.
            cos, sin = math.cos(number), math.sin(number)
            turn = np.array([[cos, sin], [-sin, cos]])
            points = best[:, None, :] + stencil @ turn * step[:, None, :]
            heights = height(points)
            move = np.clip(_newton_step(heights), -1.5, 1.5)
            newton = best + move @ turn * step
            points = np.concatenate([points, newton[:, None, :]], axis=1)
            heights = np.concatenate([heights, height(newton)], axis=1)
            # The centre is kept unless another point is higher by more than rounding.
            gain = heights - heights[:, 4:5]
            top = np.where(gain.max(axis=1) > 1e-14 * np.abs(heights).max(axis=1), gain.argmax(axis=1), 4)
            best = points[np.arange(count), top]
            # The step is reduced unless the maximum is at the edge of the stencil.
            is_near = (top == 4) | ((top == 9) & (np.abs(move).max(axis=1) < 0.5))
            step = np.where(is_near[:, None], step / 4, step)
            if step.max() < 1e-6:
                break
        return best, height(best)[:, 0]


def _without_dilation(operator: Convolution) -> tuple[Convolution, tuple[int, int]]:
    """Return a convolution without dilation on a smaller image, which has the same symbols, and two factors.

    With an odd number of taps, the symbol with dilation d at theta is that without dilation at d theta. An index on the
    smaller image times the factor, modulo the period, is the index on the image: the factor is the inverse of d modulo
    n / gcd(d, n).
    """
    size, dilation, inverse = [], [], []
    for n, k, d in zip(operator.size, operator.weight.shape[2:], operator.dilation, strict=True):
        period = 1 if k == 1 else n // math.gcd(d, n)
        is_odd = k % 2 == 1
        size.append(period if is_odd else n)
        dilation.append(1 if is_odd else d)
        inverse.append(pow(d // math.gcd(d, n), -1, period) if is_odd and period > 1 else 1)
    reduced = replace(operator, size=(size[0], size[1]), dilation=(dilation[0], dilation[1]))
    return reduced, (inverse[0], inverse[1])


def _around(indices: Int[np.ndarray, "n 2"]) -> Int[np.ndarray, "9*n 2"]:
    """Return the indices and their eight neighbours."""
    window = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), axis=-1).reshape(-1, 2)
    return (indices[:, None, :] + window).reshape(-1, 2)


def _newton_step(height: Float64[np.ndarray, "n 9"]) -> Float64[np.ndarray, "n 2"]:
    """Return Newton's step to the maximum of the quadratic through a 3 x 3 stencil, in units of its spacing.

    It is zero along directions in which the stencil is flat, and in both if the quadratic has no maximum.
    """
    f = height.reshape(-1, 3, 3)
    gradient = np.stack([f[:, 2, 1] - f[:, 0, 1], f[:, 1, 2] - f[:, 1, 0]], axis=-1) / 2
    yy, xx = f[:, 2, 1] - 2 * f[:, 1, 1] + f[:, 0, 1], f[:, 1, 2] - 2 * f[:, 1, 1] + f[:, 1, 0]
    yx = (f[:, 2, 2] - f[:, 2, 0] - f[:, 0, 2] + f[:, 0, 0]) / 4
    curvature, axes = np.linalg.eigh(np.stack([yy, yx, yx, xx], axis=-1).reshape(-1, 2, 2))
    slope = np.einsum("nij,ni->nj", axes, gradient)
    rounding = 1e-13 * np.abs(f).max(axis=(1, 2))[:, None]
    flat = np.where(np.abs(slope) <= rounding, 0.0, np.inf)
    step = np.where(curvature < -rounding, -slope / np.where(curvature < -rounding, curvature, 1.0), flat)
    is_maximum = np.isfinite(step).all(axis=1, keepdims=True)
    return np.einsum("nij,nj->ni", axes, np.where(is_maximum, step, 0.0))
