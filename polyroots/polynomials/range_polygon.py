"""The numerical range as a polygon around it, and the bound on the norm of q(A) that it proves.

For every polynomial, |q(A)| <= (1 + sqrt(2)) max |q| over the numerical range W(A) [1]_.

References
----------
.. [1] M. Crouzeix, C. Palencia, The numerical range is a (1 + sqrt(2))-spectral set, SIAM Journal on Matrix Analysis
   and Applications 38 (2017), 649-655.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64, Int

from polyroots.spectra import OperatorBlocks, support_of_blocks
from polyroots.threads import in_threads, usable_cores

#: Crouzeix and Palencia's constant.
CROUZEIX_PALENCIA = 1 + float(np.sqrt(2))

# Directions, and accuracy of the support in them relative to the norm.
_ANGLES, _RESOLUTION = 64, 1e-12
# Chebyshev points on each edge for each root: max |q| on the edge is at most 1.0004 times that on the points.
_POINTS = 64
# Blocks to begin with in each direction.
_FIRST = 8


@dataclass(frozen=True, eq=False)
class RangePolygon:
    """A polygon around the numerical range of blocks and of their conjugates, symmetric to the real axis.

    Attributes
    ----------
    support : (n,) float64
        Support function in n equally spaced directions from 0 on.
    """

    support: Float64[np.ndarray, "n"]

    @classmethod
    def of(cls, blocks: OperatorBlocks) -> RangePolygon:
        """Return the polygon of the blocks, which is kept with them.

        Raises
        ------
        ConvergenceError
            If Lanczos' method fails on a large zero-padded operator.
        """
        if "range" not in blocks.solved:
            blocks.solved["range"] = cls(_support(blocks))
        return blocks.solved["range"]

    @property
    def holds_zero(self) -> bool:
        """Whether 0 lies in the numerical range: a line that separates it could be taken to be vertical."""
        return bool(self.support[0] >= 0 and self.support[len(self.support) // 2] >= 0)

    @property
    def corners(self) -> Complex128[np.ndarray, "n"]:
        """Where the line of each direction meets that of the next one."""
        n = len(self.support)
        step = 2 * np.pi / n
        along = (np.roll(self.support, -1) - self.support * np.cos(step)) / np.sin(step)
        return np.exp(1j * step * np.arange(n)) * (self.support + 1j * along)

    def points(self, roots: int) -> Complex128[np.ndarray, "N"]:
        """Return the corners, and Chebyshev points on each edge, of the upper half-plane and a little beyond.

        They are so many that polynomials with some roots are at most 1.0004 times larger between them.
        """
        each = _POINTS * roots
        half = len(self.support) // 2 + 1
        ends = self.corners
        first, last = np.roll(ends, 1)[:half, None], ends[:half, None]
        nodes = np.cos((2 * np.arange(each) + 1) * np.pi / (2 * each))
        return np.concatenate([ends[:half], ((first + last) / 2 + (last - first) / 2 * nodes).ravel()])

    def bound(self, q: Callable[[Complex128[np.ndarray, "N"]], Any], roots: int, unit: float) -> float:
        """Return an upper bound of max |q| over the polygon times a unit; q has some roots.

        A polynomial with n roots is at most 1 / cos(n pi / 2 m) times its maximum on m Chebyshev points of an interval
        (H. Ehlich, K. Zeller, Schwankung von Polynomen zwischen Gitterpunkten, Mathematische Zeitschrift 86 (1964),
        41-44), and the largest modulus is on the boundary.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            largest = float(np.abs(q(unit * self.points(roots))).max())
        return np.inf if np.isnan(largest) else largest / float(np.cos(np.pi / (2 * _POINTS)))


def _support(blocks: OperatorBlocks) -> Float64[np.ndarray, "n"]:
    """Return the support function of the numerical range of the blocks and their conjugates."""
    phi = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    support = np.empty(_ANGLES)
    resolution = _RESOLUTION * blocks.norm_bound

    def solve(run: Int[np.ndarray, "_"]) -> None:
        # The block that is outermost in one direction is nearly so in the next.
        first = blocks.numbers[:: max(1, len(blocks.numbers) // _FIRST)]
        for number in run:
            support[number], _, outermost = support_of_blocks(blocks, float(phi[number]), first, resolution)
            first = np.array([outermost])

    in_threads(solve, np.array_split(np.arange(_ANGLES), usable_cores()))
    # The conjugate blocks reach as far in the mirrored directions.
    return np.maximum(support, support[-np.arange(_ANGLES) % _ANGLES]) + resolution
