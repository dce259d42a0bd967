"""Clusters of nearby eigenvalues."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex128, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree


def cluster_labels(values: Complex128[np.ndarray, "N"], width: float) -> Int[np.ndarray, "N"]:
    """Number of the cluster, from 0, that each value belongs to: values within `width` of each other share one.

    Chains count: a value is in a cluster if it is near to any of its members.

    >>> cluster_labels(np.array([1, 2, 1.1, 1.2 + 0j]), 0.15)
    array([0, 1, 0, 0], dtype=int32)
    """
    near = cKDTree(np.stack([values.real, values.imag], axis=-1)).query_pairs(width, output_type="ndarray")
    graph = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(values), len(values)))
    return connected_components(graph, directed=False)[1]
