"""Restriction and prolongation between a grid and the one with half as many points a side, and what they couple.

On the coarse grid the four harmonics theta, theta + (pi, 0), theta + (0, pi), theta + (pi, pi) of the fine one are the
same function. Operators on the fine grid that the symbol block-diagonalises have one block for each set of four.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64, Int

from polyroots.errors import InputError, unknown_name
from polyroots.spectra.batched_qr import LANES
from polyroots.spectra.convolution import Convolution, as_float64, conjugate_grid
from polyroots.text import count_of
from polyroots.threads import chunks

_LINE = np.array([1.0, 2.0, 1.0])

#: Restrictions by name, as stencils.
RESTRICTIONS = {
    "full-weighting": np.outer(_LINE, _LINE) / 16,
    "half-weighting": np.array([[0.0, 1.0, 0.0], [1.0, 4.0, 1.0], [0.0, 1.0, 0.0]]) / 8,
    "injection": np.ones((1, 1)),
}

#: Prolongations by name, as stencils of transposed convolutions.
PROLONGATIONS = {"bilinear": np.outer(_LINE, _LINE) / 4}

# Order of matrices up to which several at once are solved faster.
_LARGEST_IN_LANES = 512

# Relative to the sum of the moduli of a stencil's moment: smaller ones are zero, also in kernels of 32 bits.
_MOMENT = 1e-6


def transfer_of(given: Any, fine: Convolution, kind: str) -> Convolution:
    """Return a restriction, or the transpose of a prolongation, as a convolution of stride 2.

    Parameters
    ----------
    given : str, (kh, kw) or (c_coarse, c, kh, kw) array or tensor, torch.nn.Conv2d, or Convolution
        A name in `RESTRICTIONS` or `PROLONGATIONS`; a stencil, applied to each channel; a kernel; or a convolution with
        stride 2, which may have groups.
    fine : Convolution
        The operator on the fine grid.
    kind : ``"restriction"`` or ``"prolongation"``

    Returns
    -------
    Convolution

    Raises
    ------
    InputError
        If there is no such name, or stride, grid, channels or padding don't fit.
    """
    if isinstance(given, str):
        known = RESTRICTIONS if kind == "restriction" else PROLONGATIONS
        if given not in known:
            raise unknown_name(kind, given, known)
        given = known[given]
    if isinstance(given, Convolution):
        found = given
    elif hasattr(given, "forward"):
        found = Convolution.of(given, fine.size, name=kind)
    else:
        K, c = as_float64(given, kind), fine.c_in
        if K.ndim == 2:
            found = Convolution.of(np.broadcast_to(K, (c, 1, *K.shape)), fine.size, stride=2, groups=c, name=kind)
        else:
            found = Convolution.of(K, fine.size, stride=2, name=kind)
    _require_circular(found)
    if found.stride != (2, 2):
        raise InputError(
            f"{found.name}: expected a {kind} with stride 2, which is standard coarsening, got {_by(found.stride)}"
        )
    if found.size != fine.size:
        raise InputError(
            f"{found.name}: expected a {kind} on the fine grid of {_by(fine.size)}, got one on {_by(found.size)}"
        )
    if found.c_in != fine.c_in:
        raise InputError(
            f"{found.name}: expected a {kind} whose kernel (c_coarse, c, kh, kw) has the "
            f"{count_of(fine.c_in, 'channel')} of the fine grid as c, got {found.c_in}"
        )
    return found


def require_two_grid(fine: Convolution) -> None:
    """Raise InputError unless an operator is square and circular, with stride 1, on a grid of even sizes."""
    _require_circular(fine)
    if fine.c_out != fine.c_in or fine.stride != (1, 1):
        raise InputError(
            f"{fine.name}: two-grid analysis needs an operator with as many output as input channels and stride 1, got "
            f"{fine.c_out} from {fine.c_in} and stride {_by(fine.stride)}"
        )
    if fine.size[0] % 2 or fine.size[1] % 2:
        raise InputError(
            f"{fine.name}: two-grid analysis needs a grid of even sizes, whose half is the coarse one, got "
            f"{_by(fine.size)}; choose another size",
            fields=["size", "image_size"],
        )


def coarse_operator(given: Any, fine: Convolution, channels: int) -> Convolution:
    """Return the operator on the coarse grid.

    Parameters
    ----------
    given : ``"rediscretised"``, array or tensor, or Convolution
        See `rediscretised`; or a kernel or a stencil.
    fine : Convolution
    channels : int
        Of the restriction's output.

    Returns
    -------
    Convolution

    Raises
    ------
    InputError
        If grid, channels or padding don't fit.
    """
    size = fine.size[0] // 2, fine.size[1] // 2
    if isinstance(given, str):
        if given != "rediscretised":
            raise unknown_name("coarse operator", given, ["galerkin", "rediscretised"])
        given = rediscretised(fine)
    found = given if isinstance(given, Convolution) else Convolution.of(given, size, name="coarse")
    _require_circular(found)
    if found.size != size or found.stride != (1, 1):
        raise InputError(
            f"{found.name}: expected a coarse operator with stride 1 on half the grid, {_by(size)}, got stride "
            f"{_by(found.stride)} on {_by(found.size)}"
        )
    if not found.c_out == found.c_in == channels:
        raise InputError(
            f"{found.name}: expected a coarse operator with the {count_of(channels, 'channel')} that the restriction "
            f"makes, got {found.c_out} from {found.c_in}"
        )
    return found


def rediscretised(fine: Convolution) -> Convolution:
    """Return the stencil for twice the mesh size on half the grid: each entry K_ij over 2^m, see `orders`.

    Its name is A/4 if the order m is 2 for all entries.
    """
    found = orders(fine)
    scale = 2.0**-found
    common = set(found[np.abs(fine.weight).sum(axis=(2, 3)) > 0].tolist())
    name = f"A/{2 ** common.pop()}" if len(common) == 1 else "A, re-discretised"
    half = fine.size[0] // 2, fine.size[1] // 2
    weight = fine.weight * scale[:, :, None, None]
    return replace(fine, weight=weight, size=half, name=name.removesuffix("/1"))


def orders(operator: Convolution) -> Int[np.ndarray, "c_out c_in"]:
    """Return the order of the differential operator that each stencil K_ij discretises: of its lowest non-zero moment.

    The moments are sum K_ij(y, x) o(y)^a o(x)^b / (a! b!), of the order a + b. A stencil of several orders, such as
    -Laplacian + k^2, has the lowest one.

    Parameters
    ----------
    operator : Convolution

    Returns
    -------
    (c_out, c_in // groups) int
        0 where there is no stencil.
    """
    K, (oy, ox) = operator.weight, operator.offsets
    found = np.zeros(K.shape[:2], dtype=np.intp)
    is_open = np.abs(K).sum(axis=(2, 3)) > 0
    for order in range(K.shape[2] + K.shape[3]):
        is_zero = np.ones(K.shape[:2], dtype=bool)
        for a in range(order + 1):
            modes = np.outer(oy.astype(float) ** a, ox.astype(float) ** (order - a))
            moments = np.abs((K * modes).sum(axis=(2, 3)))
            is_zero &= moments <= _MOMENT * np.abs(K * modes).sum(axis=(2, 3))
        found[is_open & ~is_zero] = order
        is_open &= is_zero
    return found


class Harmonics:
    """The sets of four harmonics of a grid, one set for each frequency of the coarse grid, conjugate sets left out.

    Parameters
    ----------
    size : (int, int)
        The fine grid; even.

    Attributes
    ----------
    counts : (F,) int
        2 for a set with a conjugate one, else 1.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        ky, kx, partner = conjugate_grid(size[0] // 2, size[1] // 2)
        index = np.arange(len(partner))
        half = index <= partner
        self.ky, self.kx = ky[half], kx[half]
        self.counts = np.where(index == partner, 1, 2)[half]

    def __len__(self) -> int:
        return len(self.ky)

    def tasks(self, rows: int) -> list[Int[np.ndarray, "_"]]:
        """Return the positions of the sets, divided into tasks for matrices of 4 `rows` rows."""
        # More of the largest matrices at once would need gigabytes, and not be faster.
        multiple = LANES if 4 * rows <= _LARGEST_IN_LANES else 1
        return chunks(np.arange(len(self)), (1, 4 * rows, 4 * rows), multiple=multiple)

    def symbol(self, operator: Convolution, chosen: Int[np.ndarray, "F"]) -> Complex128[np.ndarray, "F 4 c_out c_in"]:
        """Return the symbol of a convolution on the fine grid at each harmonic.

        That of a convolution with stride s is divided by s: the functions on both grids are unit vectors.
        """
        a, b = np.divmod(np.arange(4), 2)
        ky = (self.ky[chosen, None] + a * (self.size[0] // 2)).ravel()
        kx = (self.kx[chosen, None] + b * (self.size[1] // 2)).ravel()
        found = operator.full_symbol_at(ky, kx) / math.sqrt(math.prod(operator.stride))
        return found.reshape(len(chosen), 4, operator.c_out, operator.c_in)

    @property
    def angles(self) -> Float64[np.ndarray, "F 2"]:
        """The lowest harmonic of each set, in [-pi/2, pi/2]^2."""
        H, W = self.size
        ky, kx = ((k + n // 4) % (n // 2) - n // 4 for k, n in ((self.ky, H), (self.kx, W)))
        return 2 * np.pi * np.stack([ky / H, kx / W], axis=-1)


def _require_circular(operator: Convolution) -> None:
    if operator.padding != "circular":
        raise InputError(
            f"{operator.name}: two-grid analysis needs circular padding, whose symbol couples four harmonics only, got "
            f"padding '{operator.padding}'",
            fields=["padding"],
        )


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"
