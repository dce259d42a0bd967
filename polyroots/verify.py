"""A check of the numbers by the definition: torch's own convolution, applied to every unit vector of a small grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eig
from torch.nn.functional import conv2d

from polyroots.compare import match
from polyroots.layers import Analysis, Layer, analyse, layer_of, why_no_eigenvalues
from polyroots.operators import Operator

# A grid whose sides differ, so that a transposition shows; so many channels give a matrix of 1,000 rows at most.
_GRID = (5, 4)
_CHANNELS = 48


@dataclass(frozen=True)
class Verification:
    """Largest differences from the explicit operator.

    Attributes
    ----------
    size : (H, W) of the small grid
    shape : of the kernel that was compared; of wide layers the leading channels
    eigenvalue_error : largest distance in the best matching, relative to the spectral radius; None without eigenvalues
    condition : largest eigenvalue condition of the explicit matrix; None without eigenvalues
    singular_error : largest difference, relative to the norm; None without singular values
    tolerance : what the larger of the errors may be: 1e-11, or what the condition explains
    """

    size: tuple[int, int]
    shape: tuple[int, ...]
    eigenvalue_error: float | None
    condition: float | None
    singular_error: float | None
    tolerance: float

    @property
    def error(self) -> float:
        """The larger of the errors."""
        return max(error for error in (self.eigenvalue_error, self.singular_error) if error is not None)

    @property
    def is_good(self) -> bool:
        """Whether the errors are rounding errors."""
        return self.error <= self.tolerance


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
    A = unit_responses(small.operator(small.read(), result.padding))
    eigenvalue_error = condition = singular_error = None
    tolerance = 1e-11
    if result.spectrum is not None:
        exact, left, right = eig(A, left=True, right=True)
        with np.errstate(divide="ignore"):
            condition = float((1 / np.abs((left.conj() * right).sum(axis=0))).max())
        scale = float(np.abs(exact).max()) or 1.0
        eigenvalue_error = float(match(result.spectrum.values, exact).max()) / scale
        explained = 10 * np.finfo(float).eps * condition * float(np.linalg.norm(A)) / scale
        # A defective pair loses half of the digits, whatever the method.
        tolerance = max(tolerance, min(explained, 1e-3) if np.isfinite(explained) else 1e-3)
    if result.sigma is not None:
        exact = np.linalg.svd(A, compute_uv=False)
        singular_error = float(np.abs(result.sigma - exact).max()) / (float(exact[0]) or 1.0)
    conv = small.conv
    return Verification(conv.size, small.shape, eigenvalue_error, condition, singular_error, tolerance)


def unit_responses(operator: Operator) -> NDArray[np.float64]:
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
