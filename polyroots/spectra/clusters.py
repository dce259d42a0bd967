"""Clusters of nearby eigenvalues."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex128, Float64, Int
from scipy.sparse import coo_array


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
    # Parts of scipy that few commands need are imported where they are used.
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    xy = np.stack([values.real, values.imag], axis=-1)
    tree, widths = cKDTree(xy), np.broadcast_to(width, len(values))
    pairs = []
    for step in np.unique(widths):
        members = np.flatnonzero(widths == step)
        if len(members) == len(values):
            pairs.append(tree.query_pairs(step, output_type="ndarray"))
        else:
            near = cKDTree(xy[members]).sparse_distance_matrix(tree, step, output_type="ndarray")
            pairs.append(np.stack([members[near["i"]], near["j"]], axis=-1))
    near = np.concatenate(pairs)
    graph = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(values), len(values)))
    return connected_components(graph, directed=False)[1]
