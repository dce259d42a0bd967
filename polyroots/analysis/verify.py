"""A check of the numbers by the definition: torch's own convolution, applied to every unit vector of a small grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eig
from torch.nn.functional import conv2d

from polyroots.analysis.layers import Analysis, Layer, analyse, layer_of, why_no_eigenvalues
from polyroots.spectra import Convolution, match

# A grid whose sides differ, so that a transposition shows; so many channels give a matrix of 1,000 rows at most.
_GRID = (5, 4)
_CHANNELS = 48


# Relative to the norm: what rounding may do to singular values, and to eigenvalues of condition 1.
_ROUNDING = 1e-11
# So many eigenvalues that can't be matched are looked at one by one.
_INSPECTED = 12


@dataclass(frozen=True)
class Verification:
    """Largest differences from the explicit operator.

    Attributes
    ----------
    size : (H, W) of the small grid
    shape : of the kernel that was compared; of wide layers the leading channels
    eigenvalue_error : largest distance in the best matching, relative to the norm; None without eigenvalues
    condition : largest eigenvalue condition of the explicit matrix; None without eigenvalues
    singular_error : largest difference, relative to the norm; None without singular values
    is_matched : whether each eigenvalue is as near to its partner as that one's condition allows
    is_good : whether all differences are rounding errors. Eigenvalues too ill-conditioned to be matched are good if
        each is an eigenvalue of a matrix within 1e-11, and the traces of A and its square agree
    """

    size: tuple[int, int]
    shape: tuple[int, ...]
    eigenvalue_error: float | None
    condition: float | None
    singular_error: float | None
    is_matched: bool
    is_good: bool


def verify(layer: Layer, analysis: Analysis) -> Verification:
    """Compare a layer's eigenvalues and singular values on a small grid with those of its explicit matrix.

    Parameters
    ----------
    layer : Layer
        One that the analysis can take.
    analysis : Analysis
        What is compared, and with which padding.

    Raises
    ------
    InputError
        If the weights are not finite.
    """
    small = _small(layer)
    # The leading channels of a layer that is not square may be.
    kind = "singular" if why_no_eigenvalues(layer) else analysis.kind
    result = analyse(small, replace(analysis, kind=kind, extremes=None))
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
        # Far from normal neither side is a reference: LAPACK's values may be the worse ones.
        far |= (conditions[partner] > 1e8) & (distances > _ROUNDING)
        is_matched = not far.any()
        worst = ours[far][np.argsort(-distances[far])[:_INSPECTED]]
        is_good = is_good and (is_matched or _is_backward_stable(A / norm, ours / norm, worst / norm))
    conv = small.conv
    return Verification(
        conv.size, small.shape, eigenvalue_error, condition, singular_error, bool(is_matched), bool(is_good)
    )


def _is_backward_stable(A: NDArray[np.float64], values: NDArray[Any], worst: NDArray[Any]) -> bool:
    """Whether some values are eigenvalues of matrices near A, and all have the traces of A and its square."""
    identity = np.eye(len(A))
    near = all(np.linalg.svd(A - value * identity, compute_uv=False)[-1] <= _ROUNDING for value in worst)
    traces = ((values.sum(), np.trace(A)), ((values**2).sum(), (A * A.T).sum()))
    return near and all(abs(x - y) <= _ROUNDING * len(A) for x, y in traces)


def unit_responses(operator: Convolution) -> NDArray[np.float64]:
    """Matrix of a convolution, column by column: what torch's conv2d makes of each unit vector."""
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
    """The layer on a small grid that its stride divides, with the leading channels of its leading groups."""
    conv = layer.conv
    m_out, m_in = layer.shape[0] // conv.groups, layer.shape[1]
    groups = min(conv.groups, max(1, _CHANNELS // max(m_out, m_in)))
    out_kept, in_kept = min(m_out, _CHANNELS), min(m_in, _CHANNELS)
    weight: Any = torch.as_tensor(layer.read()).detach()
    weight = weight.reshape(conv.groups, m_out, *layer.shape[1:])[:groups, :out_kept, :in_kept]
    size = (-(-_GRID[0] // conv.stride[0]) * conv.stride[0], -(-_GRID[1] // conv.stride[1]) * conv.stride[1])
    kept = weight.reshape(groups * out_kept, in_kept, *layer.shape[2:])
    return layer_of(replace(conv, size=size, groups=groups), kept)
