"""Zero-padded convolutions as block triangular matrices: their blocks on lines of pixels, which may be tridiagonal.

If all taps lie in a closed half-plane through the centre, as those of a causal kernel do, and the lines of pixels along
its edge are put in order across it, A is block triangular. Its diagonal blocks belong to the taps on the edge alone:
one for each line, alike for lines of the same length. Taps on one line through the centre leave a direct sum.

References
----------
.. [1] S. Noschese, L. Pasquini, L. Reichel, Tridiagonal Toeplitz matrices: properties and novel applications, Numerical
   Linear Algebra with Applications 20 (2013), 302-326: eigenvalues, eigenvectors and their conditions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Complex128, Float64, Int

from polyroots.spectra.convolution import Convolution


@dataclass(frozen=True, eq=False)
class DiagonalBlock:
    """A diagonal block of a block triangular convolution.

    Attributes
    ----------
    operator : Convolution
        The block, a convolution of a line of pixels, or of the image if it has no lines.
    copies : int
        How often the block is on the diagonal.
    is_coupled : bool
        Whether there may be other blocks beside those on the diagonal.
    """

    operator: Convolution
    copies: int
    is_coupled: bool


def diagonal_blocks(operator: Convolution) -> list[DiagonalBlock]:
    """Return the diagonal blocks of a zero-padded convolution of one group; the operator itself if there are no lines.

    Parameters
    ----------
    operator : Convolution
        Square.

    Returns
    -------
    list of DiagonalBlock
        The eigenvalues of A are theirs.
    """
    H, W = operator.size
    y, x = np.meshgrid(*operator.offsets, indexing="ij")
    # Taps that don't reach a second pixel of the image read zeros only.
    there = operator.weight.any(axis=(0, 1)) & (np.abs(y) < H) & (np.abs(x) < W)
    taps = np.stack([y[there], x[there]], axis=-1)
    kernel = operator.weight[:, :, there]
    step = _edge(taps)
    if step is None:
        return [DiagonalBlock(operator, 1, is_coupled=False)]
    is_on_edge = _cross(step, taps) == 0
    edge, positions = kernel[:, :, is_on_edge], taps[is_on_edge] @ step // (step @ step)
    if positions.min(initial=0) < 0 < positions.max(initial=0):
        lengths, copies = np.unique(_lengths(operator.size, step), return_counts=True)
        return [
            DiagonalBlock(_line(operator, edge, positions, length), count, is_coupled=not is_on_edge.all())
            for length, count in zip(lengths.tolist(), copies.tolist(), strict=True)
        ]
    # One-sided lines are block triangular themselves, with the centre on their diagonal.
    is_centre = positions == 0
    block = _line(operator, edge[:, :, is_centre], positions[is_centre], 1)
    return [DiagonalBlock(block, H * W, is_coupled=bool(taps.any()))]


def is_tridiagonal(operator: Convolution) -> bool:
    """Return whether an operator is a line of one channel whose taps reach one pixel, both with entries."""
    weight = operator.weight
    return weight.shape == (1, 1, 1, 3) and operator.size[0] == 1 and bool(weight[0, 0, 0, [0, 2]].all())


def tridiagonal_eigenvalues(
    operator: Convolution,
) -> tuple[Complex128[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Return the eigenvalues a + 2 sqrt(b c) cos(k pi / (n + 1)) of a tridiagonal line, with their conditions [1]_."""
    n = operator.size[1]
    b, a, c = operator.weight[0, 0, 0].tolist()
    k = np.arange(1, n + 1)
    # A sine of symmetric angles, so that opposite values are so to the last bit.
    cosines = np.sin(np.pi * (n + 1 - 2 * k) / (2 * (n + 1)))
    radius = 2 * math.sqrt(abs(b)) * math.sqrt(abs(c))
    values = a + (radius * cosines if (b > 0) == (c > 0) else 1j * (radius * cosines))
    # The entries of the eigenvectors are r^p sin(k p pi / (n + 1)) and r^-p sin(k p pi / (n + 1)), r^4 = |b / c|^2; the
    # sum of r^(2 p) sin^2 is one of geometric series.
    log_ratio = -abs(math.log(abs(b)) - math.log(abs(c)))
    if log_ratio == 0:
        return values.astype(np.complex128), np.ones(n)
    turn = np.exp(log_ratio + 2j * np.pi * k / (n + 1))
    last = math.exp(n * log_ratio)
    plain = math.exp(log_ratio) * math.expm1(n * log_ratio) / math.expm1(log_ratio)
    turned = (turn * (1 - last * np.exp(2j * np.pi * (k * n % (n + 1)) / (n + 1))) / (1 - turn)).real
    with np.errstate(over="ignore", divide="ignore"):
        logs = np.log((plain - turned) / (n + 1)) - (n + 1) / 2 * log_ratio
        return values.astype(np.complex128), np.maximum(np.exp(logs), 1.0)


def _edge(taps: Int[np.ndarray, "n 2"]) -> Int[np.ndarray, "2"] | None:
    """Return the step along an edge of a closed half-plane that holds all taps, or None if there is none.

    It is the greatest common divisor of the taps on the edge; any step if there is only the centre.
    """
    for tap in taps[taps.any(axis=1)]:
        across = _cross(tap, taps)
        if (across >= 0).all() or (across <= 0).all():
            direction = tap // math.gcd(*tap.tolist())
            along = (taps[across == 0] @ direction) // (direction @ direction)
            return direction * math.gcd(*along.tolist())
    return None if taps.any() else np.array([0, 1])


def _cross(step: Int[np.ndarray, "2"], taps: Int[np.ndarray, "n 2"]) -> Int[np.ndarray, "n"]:
    """Return the cross product of a vector with each tap: its sign has the side that the tap is on."""
    return step[0] * taps[:, 1] - step[1] * taps[:, 0]


def _lengths(size: tuple[int, int], step: Int[np.ndarray, "2"]) -> Int[np.ndarray, "lines"]:
    """Return the number of pixels of each line p, p + step, p + 2 step, ... within an image."""
    pixels = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), axis=-1).reshape(-1, 2)
    before = pixels - step
    first = pixels[((before < 0) | (before >= size)).any(axis=1)]
    lengths = np.full(len(first), max(size))
    for axis in (0, 1):
        if step[axis]:
            room = size[axis] - 1 - first[:, axis] if step[axis] > 0 else first[:, axis]
            lengths = np.minimum(lengths, room // abs(step[axis]) + 1)
    return lengths


def _line(
    operator: Convolution, kernel: Float64[np.ndarray, "c_out c_in n"], positions: Int[np.ndarray, "n"], length: int
) -> Convolution:
    """Return the convolution of a line of pixels with taps at some positions along it."""
    reach = int(np.abs(positions).max(initial=0))
    weight = np.zeros((*kernel.shape[:2], 1, 2 * reach + 1))
    weight[:, :, 0, positions + reach] = kernel
    return replace(operator, weight=weight, size=(1, length), dilation=(1, 1))
