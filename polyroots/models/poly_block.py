"""A polynomial block by itself, for other people's networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from torch import nn

from polyroots.errors import InputError
from polyroots.models.level import Level
from polyroots.models.operator import ConvOperator, Features, Init, Padding
from polyroots.models.placement import Placement
from polyroots.models.step import Alphas
from polyroots.polynomials import require_degree
from polyroots.roots import choose_roots
from polyroots.spectra import Convolution, eigenvalues_of


class PolyBlock(nn.Module):
    """Features u of x: steps of a polynomial smoother for A u = x from u = 0, with one convolution A.

    With all places plain u = p(A) x, and what is left of x is its residual x - A u = q(A) x, q(A) = I - A p(A). The
    block keeps the shape and takes the place of residual blocks that do.

    Parameters
    ----------
    channels : int
    roots : sequence of complex, or str
        Roots of q, two at least, conjugates are completed; or the name of a strategy in
        `polyroots.roots.strategies.STRATEGIES` that chooses them from the spectrum of the freshly drawn A.
    size : int or (H, W), optional
        Image size in pixels that a strategy takes the spectrum at; the block itself works at any.
    degree : int, optional
        Degree d of p, for a strategy: d + 1 roots; by default 3.
    blocks : str or sequence of str, optional
        Letters such as ``"L,L,C"``; by default those that the roots ask for.
    placement : str or Placement
        Of batch norm and ReLU, see `polyroots.models.Placement`; by default relu bn u, in which a common factor of p is
        without effect, but for the epsilon.
    padding : ``"zeros"`` or ``"circular"``
        Of A.
    A_init : ``"shifted"`` or ``"kaiming"``
        How A is drawn, see `polyroots.models.operator.ConvOperator`: by default with its eigenvalues in the disc around
        1 of radius 1/2, so that roots there damp something.
    alphas : "trained" or "fixed"
        Whether the coefficients are trained, or stay as they are.

    Attributes
    ----------
    level : Level

    Raises
    ------
    InputError
        If there are fewer than two roots, they don't fit the blocks, or a strategy has no size or finds no roots.

    Examples
    --------
    >>> import torch
    >>> block = PolyBlock(16, roots=[0.7, 1.0 + 0.3j])
    >>> block(torch.ones(2, 16, 8, 8)).shape
    torch.Size([2, 16, 8, 8])
    """

    def __init__(
        self,
        channels: int,
        roots: Sequence[complex] | str,
        *,
        size: int | tuple[int, int] | None = None,
        degree: int | None = None,
        blocks: str | Iterable[str] | None = None,
        placement: str | Placement = "smoother",
        padding: Padding = "zeros",
        A_init: Init = "shifted",
        alphas: Alphas = "trained",
    ) -> None:
        super().__init__()
        A = ConvOperator(channels, padding, A_init)
        if isinstance(roots, str):
            if size is None:
                raise InputError(f"the strategy '{roots}' needs the size of the image that A's spectrum is taken at")
            choice = choose_roots(eigenvalues_of(Convolution.of(A.weight, size, name="A")), degree, roots, blocks)
            blocks, roots = choice.blocks, cast("Sequence[complex]", choice.roots)
        self.level = Level(
            channels,
            blocks,
            roots=roots,
            placement=placement,
            padding=padding,
            alphas=alphas,
        )
        # The roots may be those of this A's spectrum.
        self.level.A = A
        letters = self.level.letters
        require_degree(degree, letters)
        if letters == ("L",):
            raise InputError("one root makes p a number, so that the block has no use for A; give two roots or more")

    def forward(self, x: Features) -> Features:
        """Return the features, of the shape of x: (batch, channels, height, width)."""
        u, _ = self.level(None, x, carry_residual=False)
        return u
