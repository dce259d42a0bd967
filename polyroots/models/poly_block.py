"""A polynomial block by itself, for any network."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TypedDict, Unpack

from numpy.typing import ArrayLike
from torch import nn

from polyroots.errors import InputError
from polyroots.models.level import Level
from polyroots.models.operator import ConvOperator, Features, Init, Padding
from polyroots.models.placement import Placement
from polyroots.models.rectified import Signs, rectifying_blocks, require_signs
from polyroots.models.step import Alphas
from polyroots.polynomials import Target, require_degree
from polyroots.roots import choose_roots


class BlockOptions(TypedDict, total=False):
    """Options of a block's convolution A and of the choice of its roots, see `PolyBlock`."""

    padding: Padding
    A_init: Init
    relax: str | float
    signs: Signs


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
        and ``signs`` of a strategy's roots, ``"auto"`` and ``"placement"`` by default as in `polyroots.initialize`: the
        relaxation, see `polyroots.select_roots`; and whether blocks L that have a ReLU both before and after their
        coefficient take positive roots, or, with ``"paper"``, those that the strategy gives them.

    Attributes
    ----------
    level : Level

    Raises
    ------
    InputError
        If there are fewer than two roots, they don't fit the blocks, or a strategy has no size or finds no roots, or
        none of the signs that the placement needs.

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
        make_level = partial(Level, channels, placement=placement, padding=padding, alphas=alphas)
        if isinstance(roots, str):
            if size is None:
                raise InputError(
                    f"the strategy '{roots}' needs the size of the grid that A's spectrum is taken on; give size"
                )
            signs = options.get("signs", "placement")
            require_signs(signs)
            target = Target.of(A.spectrum(size))
            choose = partial(choose_roots, target, degree, roots, relax=options.get("relax", "auto"))
            # Without blocks the roots choose them, and the placement then says which blocks need positive roots.
            choice = choose() if blocks is None else None
            self.level = make_level(blocks if choice is None else choice.blocks)
            positive = rectifying_blocks(self.level, begins=True) if signs == "placement" else ()
            if choice is None or not choice.has_signs(positive):
                choice = choose(self.level.letters, positive=positive)
            self.level.set_roots(choice.roots)
        else:
            for name, remedy in (("relax", "moved by ResidualPolynomial.relaxed"), ("signs", "taken as they are")):
                if name in options:
                    raise InputError(
                        f"{name} is for roots that a strategy chooses; given roots are {remedy}", fields=(name,)
                    )
            self.level = make_level(blocks, roots=roots)
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
