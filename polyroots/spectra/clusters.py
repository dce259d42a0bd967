"""Clusters of nearby eigenvalues."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex128, Float64, Int
from scipy.sparse import coo_array

# Unit numbers that are not parallel to the axes, on which many spectra have many points.
_DIRECTIONS = np.exp(1j * np.array([0.3, 1.4, 2.5]))


def cluster_labels(
    values: Complex128[np.ndarray, "N"], width: float | Float64[np.ndarray, "N"]
) -> Int[np.ndarray, "N"]:
    """Number of the cluster, from 0, that each value belongs to: values within `width` of each other share one.

    Chains count: a value is in a cluster if it is near to any of its members. If each value has a width of its own, the
    larger one counts.

    >>> cluster_labels(np.array([1, 2, 1.1, 1.2 + 0j]), 0.15)
    array([0, 1, 0, 0], dtype=int32)
    >>> cluster_labels(np.array([1, 2, 1.1, 1.2 + 0j]), np.array([0.05, 0.85, 0.05, 0.05]))
    array([0, 1, 2, 1], dtype=int32)
    """
    count, widths = len(values), np.broadcast_to(width, len(values))
    candidates = _maybe_near(values, float(widths.max(initial=0.0)))
    if not len(candidates):
        return np.arange(count, dtype=np.int32)
    # These parts of scipy take 0.2 s to be imported, and few spectra need them.
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    xy, widths = np.stack([values.real, values.imag], axis=-1)[candidates], widths[candidates]
    tree, pairs = cKDTree(xy), []
    for step in np.unique(widths):
        members = np.flatnonzero(widths == step)
        if len(members) == len(xy):
            pairs.append(tree.query_pairs(step, output_type="ndarray"))
        else:
            near = cKDTree(xy[members]).sparse_distance_matrix(tree, step, output_type="ndarray")
            pairs.append(np.stack([members[near["i"]], near["j"]], axis=-1))
    near = candidates[np.concatenate(pairs)]
    graph = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def distances_to_nearest(values: Complex128[np.ndarray, "N"], width: float) -> Float64[np.ndarray, "N"]:
    """Distance of each value to the nearest other one; infinite, or as it is, where it is more than `width`.

    >>> distances_to_nearest(np.array([1, 2, 1.125, 1j]), 0.2)
    array([0.125,   inf, 0.125,   inf])
    """
    distances, candidates = np.full(len(values), np.inf), _maybe_near(values, width)
    if len(candidates):
        from scipy.spatial import cKDTree

        xy = np.stack([values.real, values.imag], axis=-1)[candidates]
        distances[candidates] = cKDTree(xy).query(xy, k=2)[0][:, 1]
    return distances


def _maybe_near(values: Complex128[np.ndarray, "N"], width: float) -> Int[np.ndarray, "k"]:
    """Return the positions of all values that are within `width` of another one, and of few others, in rising order.

    Values that are near are near in each direction as well, so that three sorts are enough.
    """
    left = np.arange(len(values))
    for direction in _DIRECTIONS:
        along = (values[left] * direction).real
        order = np.argsort(along)
        # Rounding errors of the projections must not lose a pair.
        is_near = np.diff(along[order]) <= width + 4 * np.finfo(float).eps * np.abs(along).max(initial=0.0)
        left = left[np.union1d(order[:-1][is_near], order[1:][is_near])]
    return left
