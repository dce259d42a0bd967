"""How long the analysis of layers takes, estimated before the work from two small eigenvalue problems."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from polyroots.analysis.layers import Analysis, Layer, why_no_eigenvalues
from polyroots.spectra import LANES, eigvals
from polyroots.threads import usable_cores

# Seconds for n^3 operations of LAPACK's eigenvalues of a complex n x n matrix on a slow core; where they promise less
# than a second in all, nothing is timed.
_SLOW = 2e-8
_PROBE = 128
# Shares of that time which singular values, and real eigenvalues with vectors, take.
_SINGULAR, _DENSE = 0.2, 0.7


class Operations(NamedTuple):
    """Operations in units of n^3 for the eigenvalues of a complex n x n matrix: of a stack of them, and of LAPACK."""

    stacked: float
    by_lapack: float


@dataclass(frozen=True)
class Work:
    """Layers of one shape on one grid.

    Attributes
    ----------
    shape : tuple of int
    size : (H, W)
    count : int
        Number of such layers.
    seconds : float
        Estimated time for all of them.
    """

    shape: tuple[int, ...]
    size: tuple[int, int]
    count: int
    seconds: float


def estimate(layers: Sequence[Layer], analysis: Analysis) -> list[Work]:
    """Return the estimated time of the analysis by shape and size of the layers, the longest first.

    The number of operations is that of LAPACK's algorithms on all matrices of the symbols, or on the dense matrix with
    zero padding; the time of one is measured. Extremes (``analysis.k``) are searched for, and not estimated.

    Parameters
    ----------
    layers : sequence of Layer
    analysis : Analysis

    Returns
    -------
    list of Work
    """
    operations: dict[tuple[tuple[int, ...], tuple[int, int]], list[Operations]] = {}
    for layer in layers:
        operations.setdefault((layer.shape, layer.conv.size), []).append(_operations(layer, analysis))
    workers = min(analysis.workers or usable_cores(), usable_cores())
    total = sum(sum(each) for found in operations.values() for each in found)
    stacked, by_lapack = _measured() if total * _SLOW / workers > 1 else (_SLOW, _SLOW)
    work = []
    for (shape, size), found in operations.items():
        seconds = sum(stacked * each.stacked + by_lapack * each.by_lapack for each in found) / workers
        work.append(Work(shape, size, len(found), seconds))
    return sorted(work, key=lambda work: -work.seconds)


def _operations(layer: Layer, analysis: Analysis) -> Operations:
    if analysis.k:
        return Operations(0, 0)
    conv, groups = layer.conv, layer.conv.groups
    padding = analysis.padding_for(layer)
    # The shape decides, so that the weight is not read yet.
    operator = conv.convolution(np.zeros(layer.shape), padding)
    rows, columns = layer.shape[0] // groups, layer.shape[1]
    has_eigenvalues = analysis.kind != "singular" and not why_no_eigenvalues(layer)
    if padding == "circular":
        frequencies = math.prod(operator.period) / 2
        matrices = groups * min(frequencies, analysis.sample or frequencies)
        singular = 0.0
        if analysis.kind != "eigenvalues":
            s = math.prod(conv.stride)
            singular = _SINGULAR * matrices / s * min(rows, columns * s) ** 2 * max(rows, columns * s)
        return Operations(matrices * rows**3 if has_eigenvalues else 0.0, singular)
    n = columns * math.prod(conv.size)
    return Operations(0, groups * n**3 * (_DENSE * has_eigenvalues + _SINGULAR * (analysis.kind != "eigenvalues")))


def _measured() -> tuple[float, float]:
    """Return the measured seconds for n^3 operations of a stack of complex eigenvalue problems, and of LAPACK's."""
    rng = np.random.default_rng(0)
    stack = rng.standard_normal((LANES, _PROBE, _PROBE)) + 1j * rng.standard_normal((LANES, _PROBE, _PROBE))
    seconds = []
    for solve in (lambda: eigvals(stack), lambda: np.linalg.eigvals(stack[0])):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            solve()
            times.append(time.perf_counter() - start)
        seconds.append(min(times))
    return seconds[0] / LANES / _PROBE**3, seconds[1] / _PROBE**3
