"""The convolution A of a level, as a module that also applies first-degree polynomials in A."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from polyroots.arguments import whole
from polyroots.errors import InputError, unknown_name
from polyroots.spectra import Convolution, Spectrum, eigenvalues_of, singular_values

Padding = Literal["zeros", "circular"]
Init = Literal["kaiming", "shifted"]

Features = Float[Tensor, "batch channels height width"]

# Radius of the disc around 1 that the spectrum of a shifted A lies in.
_RADIUS = 0.5


class ConvOperator(nn.Conv2d):
    """A square 3x3 convolution with stride 1, "same" padding and no bias.

    Parameters
    ----------
    channels : int
    padding : ``"zeros"`` or ``"circular"``
        Circular padding makes it the operator that the symbol describes.
    init : ``"kaiming"`` or ``"shifted"``
        How the weights are drawn: torch's default, as the authors do, whose spectrum is a disc around 0; or the
        identity plus noise, see `draw_shifted`.

    See Also
    --------
    polyroots.Convolution : the same operator for spectra

    Examples
    --------
    >>> A = ConvOperator(4)
    >>> A(torch.ones(2, 4, 8, 8)).shape
    torch.Size([2, 4, 8, 8])
    """

    applies_its_weight = True

    def __init__(self, channels: int, padding: Padding = "zeros", init: Init = "kaiming") -> None:
        if padding not in get_args(Padding):
            raise unknown_name("padding", str(padding), get_args(Padding))
        if init not in get_args(Init):
            raise unknown_name("A_init", str(init), get_args(Init))
        if whole(channels, "channels") < 1:
            raise InputError(f"expected at least one channel, got {channels}")
        super().__init__(channels, channels, 3, padding=1, padding_mode=padding, bias=False)
        if init == "shifted" and not self.weight.is_meta:
            draw_shifted(self.weight)

    def forward(self, u: Features, scale: Tensor | None = None, shift: Tensor | None = None) -> Features:
        """Return (shift I + scale A) u, as one convolution whatever the scale and shift.

        Parameters
        ----------
        u : (batch, channels, height, width)
        scale, shift : scalars, optional
            1 and 0 where left out.

        Returns
        -------
        (batch, channels, height, width)
        """
        # Scale and shift change the kernel, which is smaller than the features of all but the coarsest level.
        kernel = self.weight if scale is None else scale * self.weight
        if shift is not None:
            identity = torch.eye(self.in_channels, dtype=kernel.dtype, device=kernel.device)[:, :, None, None]
            kernel = kernel + pad(shift * identity, (1, 1, 1, 1))
        if self.padding_mode == "circular":
            return conv2d(pad(u, (1, 1, 1, 1), mode="circular"), kernel)
        return conv2d(u, kernel, padding=1)

    def convolution(self, size: int | tuple[int, int], padding: str = "circular", name: str = "A") -> Convolution:
        """Return the operator on a grid, for spectra; the name is for messages."""
        return Convolution.of(self.weight, size, padding=padding, name=name)

    def spectrum(self, size: int | tuple[int, int], name: str = "A") -> Spectrum:
        """Return the eigenvalues on a grid, with circular padding."""
        return eigenvalues_of(self.convolution(size, name=name))


@torch.no_grad()
def draw_shifted(weight: Float[Tensor, "c c 3 3"]) -> None:
    """Draw A = I + N, with noise N of norm 1/2 at most: all eigenvalues lie in the disc around 1 of radius 1/2.

    The bound is on the norm of the symbol at every frequency. So it holds on grids of any size, and for zero padding,
    whose operator is a section of the one on the infinite grid.
    """
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
    weight *= _RADIUS / norm_at_any_frequency(weight)
    weight[:, :, 1, 1] += torch.eye(len(weight), dtype=weight.dtype, device=weight.device)


def norm_at_any_frequency(weight: Float[Tensor, "c c 3 3"]) -> float:
    """Return an upper bound on the norm of the symbol, from that on 8x8 frequencies.

    The symbol is a trigonometric polynomial of degree 1 in each of two directions. Such a polynomial is nowhere larger
    than 1/cos(pi/8) times its largest value at 8 equispaced points.

    References
    ----------
    H. Ehlich, K. Zeller, Schwankung von Polynomen zwischen Gitterpunkten, Math. Z. 86 (1964).
    """
    return float(singular_values(weight.detach(), 8)[0]) / math.cos(math.pi / 8) ** 2
