"""Comparison of spectra with the explicit matrix, which is torch's convolution of every unit vector of a small grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float64
from scipy.linalg import eig
from torch.nn.functional import conv2d

from polyroots.analysis.layers import Analysis, Layer, analyse, layer_of, why_no_eigenvalues
from polyroots.spectra import Convolution, match

# The sides of the grid differ, so that a transposition shows. The matrix has 1,000 rows at most.
_GRID = (5, 4)
_CHANNELS = 48


# Bound on rounding errors of singular values, and of eigenvalues of condition 1, relative to the norm.
_ROUNDING = 1e-11
# Number of eigenvalues without a near partner that are checked one by one.
_INSPECTED = 12


@dataclass(frozen=True)
class Verification:
    """Largest differences from the explicit matrix.

    Attributes
    ----------
    size : (int, int)
        Height and width of the small grid.
    shape : tuple of int
        Shape of the kernel that was compared: the leading channels of wide layers.
    eigenvalue_error : float or None
        Largest distance in the optimal matching, relative to the norm; None without eigenvalues.
    condition : float or None
        Largest eigenvalue condition of the explicit matrix; None without eigenvalues.
    singular_error : float or None
        Largest difference, relative to the norm; None without singular values.
    is_matched : bool
        Whether the distance of each eigenvalue from its partner is explained by the partner's condition.
    is_good : bool
        Whether all differences are rounding errors. Eigenvalues too ill-conditioned to be matched are good if each is
        an eigenvalue of a matrix within 1e-11, and the traces of A and its square agree.
    """

    size: tuple[int, int]
    shape: tuple[int, ...]
    eigenvalue_error: float | None
    condition: float | None
    singular_error: float | None
    is_matched: bool
    is_good: bool


def verify(layer: Layer, analysis: Analysis) -> Verification:
    """Return how a layer's eigenvalues and singular values on a small grid differ from those of its explicit matrix.

    On the small grid all values are computed, in double precision, whatever part of them the analysis takes.

    Parameters
    ----------
    layer : Layer
        A layer for which ``analysis.why_not`` is None.
    analysis : Analysis
        Kind of values, and padding.

    Returns
    -------
    Verification

    Raises
    ------
    InputError
        If the weights are not finite.
    """
    small = _small(layer)
    # The leading channels can be square where the layer is not.
    kind = "singular" if why_no_eigenvalues(layer) else analysis.kind
    # All values in double precision, also where the analysis takes some of them, or single precision.
    result = analyse(small, Analysis(analysis.padding, kind, workers=analysis.workers))
    operator, scale = small.convolution(result.padding).normalized()
    A = unit_responses(operator)
    exact = np.linalg.svd(A, compute_uv=False)
    norm = float(exact[0]) or 1.0
    eigenvalue_error = condition = singular_error = None
    is_matched = is_good = True
    if result.sigma is not None:
        singular_error = float(np.abs(result.sigma / scale - exact).max()) / norm
        is_good = singular_error <= _ROUNDING
    if result.spectrum is not None:
        ours = result.spectrum.values / scale
        theirs, left, right = eig(A, left=True, right=True)
        with np.errstate(divide="ignore"):
            conditions = 1 / np.abs((left.conj() * right).sum(axis=0))
        partner = match(ours, theirs)
        distances = np.abs(ours - theirs[partner]) / norm
        eigenvalue_error, condition = float(distances.max()), float(conditions.max())
        far = distances > _ROUNDING + 100 * np.finfo(float).eps * conditions[partner]
        # Of very ill-conditioned eigenvalues the reference has large errors, too.
        far |= (conditions[partner] > 1e8) & (distances > _ROUNDING)
        is_matched = not far.any()
        worst = ours[far][np.argsort(-distances[far])[:_INSPECTED]]
        is_good = is_good and (is_matched or _is_backward_stable(A / norm, ours / norm, worst / norm))
    conv = small.conv
    return Verification(
        conv.size, small.shape, eigenvalue_error, condition, singular_error, bool(is_matched), bool(is_good)
    )


def _is_backward_stable(
    A: Float64[np.ndarray, "n n"], values: Complex[np.ndarray, "n"], worst: Complex[np.ndarray, "m"]
) -> bool:
    """Return whether the worst values are eigenvalues of matrices near A, and the traces of A and its square agree."""
    identity = np.eye(len(A))
    near = all(np.linalg.svd(A - value * identity, compute_uv=False)[-1] <= _ROUNDING for value in worst)
    traces = ((values.sum(), np.trace(A)), ((values**2).sum(), (A * A.T).sum()))
    return near and all(abs(x - y) <= _ROUNDING * len(A) for x, y in traces)


def unit_responses(operator: Convolution) -> Float64[np.ndarray, "outputs inputs"]:
    """Return the matrix of a convolution, whose columns are torch's conv2d of the unit vectors."""
    H, W = operator.size
    images = np.eye(operator.shape[1]).reshape(-1, operator.c_in, H, W)
    reach = [d * (k - 1) for k, d in zip(operator.weight.shape[2:], operator.dilation, strict=True)]
    pads = [(0, 0), (0, 0), *((total // 2, total - total // 2) for total in reach)]
    padded = np.pad(images, pads, mode="wrap" if operator.padding == "circular" else "constant")
    with torch.no_grad():
        responses = conv2d(
            torch.from_numpy(padded),
            torch.from_numpy(operator.weight),
            stride=operator.stride,
            dilation=operator.dilation,
            groups=operator.groups,
        )
    return responses.reshape(len(images), -1).numpy().T


def _small(layer: Layer) -> Layer:
    """Return a layer on a small grid that its stride divides, with the leading channels of its leading groups."""
    conv = layer.conv
    m_out, m_in = layer.shape[0] // conv.groups, layer.shape[1]
    groups = min(conv.groups, max(1, _CHANNELS // max(m_out, m_in)))
    out_kept, in_kept = min(m_out, _CHANNELS), min(m_in, _CHANNELS)
    weight: Any = torch.as_tensor(layer.read()).detach()
    weight = weight.reshape(conv.groups, m_out, *layer.shape[1:])[:groups, :out_kept, :in_kept]
    size = (-(-_GRID[0] // conv.stride[0]) * conv.stride[0], -(-_GRID[1] // conv.stride[1]) * conv.stride[1])
    kept = weight.reshape(groups * out_kept, in_kept, *layer.shape[2:])
    return layer_of(replace(conv, size=size, groups=groups), kept)
