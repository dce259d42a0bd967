"""A polynomial block by itself, for any network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict, Unpack

from numpy.typing import ArrayLike
from torch import nn

from polyroots.errors import InputError
from polyroots.models.level import Level
from polyroots.models.operator import ConvOperator, Features, Init, Padding
from polyroots.models.placement import Placement
from polyroots.models.step import Alphas
from polyroots.polynomials import require_degree
from polyroots.roots import choose_roots


class BlockOptions(TypedDict, total=False):
    """Options of a block's convolution A and of the choice of its roots, see `PolyBlock`."""

    padding: Padding
    A_init: Init
    relax: str | float


class PolyBlock(nn.Module):
    """Features u of x: steps of a polynomial smoother for A u = x from u = 0, with one convolution A.

    With all places plain u = p(A) x, and the residual is x - A u = q(A) x, q(A) = I - A p(A). The block keeps the shape
    of x and can replace residual blocks that do.

    Parameters
    ----------
    channels : int
    roots : (d + 1,) array_like of complex, or str
        Roots of q, at least two, where conjugates are completed; or the name of a strategy in
        `polyroots.roots.STRATEGIES` that chooses them from the spectrum of the freshly drawn A.
    size : int or (H, W), optional
        Grid on which a strategy takes the spectrum; the block itself works on any.
    degree : int, optional
        Degree d of p, for a strategy: d + 1 roots; by default 3.
    blocks : str or sequence of str, optional
        Letters such as ``"L,L,C"``; by default those that fit the roots.
    placement : str or Placement
        Of batch norm and ReLU, see `polyroots.models.Placement`; by default the block returns relu bn u, on which a
        common factor of p has no effect, but for the epsilon.
    alphas : ``"trained"`` or ``"fixed"``
        Whether the coefficients are trained, or stay as they are set.
    **options
        ``padding`` of A, ``"zeros"`` by default or ``"circular"``; ``A_init``, ``"shifted"`` by default, with the
        eigenvalues in the disc around 1 of radius 1/2, or ``"kaiming"``; see `polyroots.models.ConvOperator`. ``relax``
        of a strategy's roots, ``"auto"`` by default as in `polyroots.initialize`; see `polyroots.select_roots`.

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
        roots: ArrayLike | str,
        *,
        size: int | tuple[int, int] | None = None,
        degree: int | None = None,
        blocks: str | Iterable[str] | None = None,
        placement: str | Placement = "smoother",
        alphas: Alphas = "trained",
        **options: Unpack[BlockOptions],
    ) -> None:
        super().__init__()
        padding = options.get("padding", "zeros")
        A = ConvOperator(channels, padding, options.get("A_init", "shifted"))
        if isinstance(roots, str):
            if size is None:
                raise InputError(
                    f"the strategy '{roots}' needs the size of the grid that A's spectrum is taken on; give size"
                )
            choice = choose_roots(A.spectrum(size), degree, roots, blocks, relax=options.get("relax", "auto"))
            blocks, roots = choice.blocks, choice.roots
        elif "relax" in options:
            raise InputError(
                "relax is for roots that a strategy chooses; given roots are moved by ResidualPolynomial.relaxed",
                fields=("relax",),
            )
        self.level = Level(
            channels,
            blocks,
            roots=roots,
            placement=placement,
            padding=padding,
            alphas=alphas,
        )
        # The A whose spectrum the roots come from.
        self.level.A = A
        letters = self.level.letters
        require_degree(degree, letters)
        if letters == ("L",):
            raise InputError("one root makes p a constant, so that the block doesn't apply A; give two roots or more")

    def forward(self, x: Features) -> Features:
        """Return the features, of the shape of x: (batch, channels, height, width)."""
        u, _ = self.level(None, x, carry_residual=False)
        return u
