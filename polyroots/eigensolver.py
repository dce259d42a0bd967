"""Which eigensolver takes the symbols: LAPACK on the CPU's cores, or a GPU where it was measured to be faster.

General eigenvalues of many small matrices are known to be slow on GPUs, so that the burden of proof is theirs:
``cuda_eigenvalues.json`` holds what ``benchmarks/cuda_eigenvalues.py`` measured, and a device that is not in it gets
nothing to solve.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

Eigensolver = Callable[[NDArray[Any]], NDArray[Any]]


def choose_eigensolver(weight: Any, channels: int) -> Eigensolver:
    """Return the function that computes the eigenvalues of a stack of matrices.

    Parameters
    ----------
    weight : array or tensor
        The kernel: only a CUDA tensor can lead to a GPU.
    channels : int
        Rows of the matrices.
    """
    device = getattr(weight, "device", None)
    if getattr(device, "type", None) != "cuda":
        return np.linalg.eigvals
    import torch

    if not gpu_is_faster(measurements(), torch.cuda.get_device_name(device), channels):
        return np.linalg.eigvals
    return lambda stack: torch_eigenvalues(stack, device)


def gpu_is_faster(rows: Iterable[Mapping[str, Any]], device: str, channels: int) -> bool:
    """Whether a device beat its machine's cores at the largest measured matrices that are no larger than these.

    >>> rows = [{"device": "X", "channels": 64, "cpu_seconds": 2.0, "gpu_seconds": 9.0},
    ...         {"device": "X", "channels": 512, "cpu_seconds": 2.0, "gpu_seconds": 1.0}]
    >>> [gpu_is_faster(rows, "X", c) for c in (16, 64, 256, 512, 1024)]
    [False, False, False, True, True]
    >>> gpu_is_faster(rows, "Y", 512)
    False
    """
    fitting = [row for row in rows if row["device"] == device and row["channels"] <= channels]
    nearest = max(fitting, key=lambda row: row["channels"], default=None)
    return nearest is not None and nearest["gpu_seconds"] < nearest["cpu_seconds"]


@cache
def measurements() -> list[dict[str, Any]]:
    """Return the measured rows: device, channels, matrices, cpu_seconds, gpu_seconds, versions."""
    return json.loads((files("polyroots") / "cuda_eigenvalues.json").read_text(encoding="utf-8"))["rows"]


def torch_eigenvalues(stack: NDArray[Any], device: Any) -> NDArray[Any]:
    """Eigenvalues of a stack of matrices by torch on a device."""
    import torch

    return torch.linalg.eigvals(torch.from_numpy(np.ascontiguousarray(stack)).to(device)).cpu().numpy()
