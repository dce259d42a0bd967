"""How long the analysis of layers takes, estimated before the work from one small eigenvalue problem."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polyroots.analysis.layers import Analysis, Layer, why_no_eigenvalues
from polyroots.threads import usable_cores

# Seconds for n^3 operations of LAPACK's eigenvalues of a complex n x n matrix on a slow core; where they promise less
# than a second in all, nothing is timed.
_SLOW = 2e-8
_PROBE = 128
# Shares of that time which singular values, and real eigenvalues with vectors, take.
_SINGULAR, _DENSE = 0.2, 0.7


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
    operations: dict[tuple[tuple[int, ...], tuple[int, int]], list[float]] = {}
    for layer in layers:
        operations.setdefault((layer.shape, layer.conv.size), []).append(_operations(layer, analysis))
    total = sum(map(sum, operations.values()))
    workers = min(analysis.workers or usable_cores(), usable_cores())
    rate = (_measured() if total * _SLOW / workers > 1 else _SLOW) / workers
    found = [Work(shape, size, len(each), rate * sum(each)) for (shape, size), each in operations.items()]
    return sorted(found, key=lambda work: -work.seconds)


def _operations(layer: Layer, analysis: Analysis) -> float:
    """Return the cost of a layer in units of n^3 for the eigenvalues of a complex n x n matrix."""
    if analysis.k:
        return 0.0
    conv, groups = layer.conv, layer.conv.groups
    padding = analysis.padding_for(layer)
    # A kernel of zeros, because the weight is not to be read yet.
    operator = conv.convolution(np.zeros(layer.shape), padding)
    rows, columns = layer.shape[0] // groups, layer.shape[1]
    has_eigenvalues = analysis.kind != "singular" and not why_no_eigenvalues(layer)
    if padding == "circular":
        matrices = groups * math.prod(operator.period) / 2
        cost = matrices * rows**3 if has_eigenvalues else 0.0
        if analysis.kind != "eigenvalues":
            s = math.prod(conv.stride)
            cost += _SINGULAR * matrices / s * min(rows, columns * s) ** 2 * max(rows, columns * s)
        return cost
    n = columns * math.prod(conv.size)
    return groups * n**3 * (_DENSE * has_eigenvalues + _SINGULAR * (analysis.kind != "eigenvalues"))


def _measured() -> float:
    """Return the measured seconds for n^3 operations of a complex eigenvalue problem."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((_PROBE, _PROBE)) + 1j * rng.standard_normal((_PROBE, _PROBE))
    times = []
    for _ in range(3):
        start = time.perf_counter()
        np.linalg.eigvals(A)
        times.append(time.perf_counter() - start)
    return min(times) / _PROBE**3
