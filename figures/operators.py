"""The convolutions A of figures: freshly drawn, or those of a network's level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from polyroots.checkpoints import Checkpoint
from polyroots.errors import InputError
from polyroots.models import ConvOperator, Init, Level, MgNet, SmoothingLevel
from polyroots.polynomials import ResidualPolynomial, polynomial_of_blocks
from polyroots.training import own_operators
from polyroots_figures.request import Request

#: Of a fresh A: the paper's first level, 64 x 64 x 3 x 3 on 32 x 32 pixels.
CHANNELS, SIZE = 64, (32, 32)


class FigureOperator(NamedTuple):
    """A convolution A with its origin.

    Attributes
    ----------
    weight : (c, c, 3, 3)
    size : (H, W) in pixels
    source : its name in titles
    suffix : of file names; empty for a fresh A
    own : polynomial that the network's coefficients define; None for a fresh A, and for a network without coefficients
    """

    weight: Tensor
    size: tuple[int, int]
    source: str
    suffix: str
    own: ResidualPolynomial | None = None

    @property
    def name(self) -> str:
        """Its name in messages, without formulas."""
        return self.source.replace("$", "")

    @property
    def shape(self) -> str:
        """Its dimensions, for titles."""
        sizes = " x ".join(str(n) for n in self.weight.shape)
        return f"{sizes}, {self.size[0]} x {self.size[1]} pixels"


def operators_of(request: Request, init: Init = "kaiming") -> list[FigureOperator]:
    """Return the convolutions A of the network's level, or a freshly drawn one without a network.

    Raises
    ------
    InputError
        If the network has no such level, or no levels, or those of a network of the user's own are not described.
    """
    checkpoint = request.network
    if checkpoint is not None and checkpoint.config.is_own:
        return [_own_operator(checkpoint, request.level)]
    if checkpoint is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(request.seed)
            weight = ConvOperator(CHANNELS, init=init).weight.detach()
        drawn = "a freshly drawn $A$" if init == "kaiming" else "a freshly drawn $A = I + N$"
        return [FigureOperator(weight, SIZE, drawn, "")]
    index = checkpoint.config.level_index(request.level)
    network = checkpoint.model()
    assert isinstance(network, MgNet)
    level = network.levels[index]
    assert isinstance(level, SmoothingLevel)
    operators = list(dict.fromkeys(level.operators))
    own = (
        {A: _polynomial((step.letter, step.alphas.tolist()) for step in steps) for A, steps in level.groups}
        if isinstance(level, Level)
        else {}
    )
    size, where = checkpoint.config.sizes[index], f"level {request.level} of {checkpoint.config.title}"
    many = len(operators) > 1
    return [
        FigureOperator(
            A.weight.detach(),
            size,
            f"$A$ number {number} of {where}" if many else f"$A$ of {where}",
            f"-level{request.level}" + (f"-{number}" if many else ""),
            own.get(A),
        )
        for number, A in enumerate(operators, 1)
    ]


def require_level(request: Request) -> None:
    """Raise InputError if the request has a network without its level."""
    checkpoint = request.network
    if checkpoint is not None and checkpoint.config.is_own:
        _own_operator(checkpoint, request.level)
    elif checkpoint is not None:
        checkpoint.config.level_index(request.level)


def _own_operator(checkpoint: Checkpoint, level: int) -> FigureOperator:
    """Return a convolution A of a network of the user's own, whose code is not run."""
    found, title = own_operators(checkpoint), checkpoint.config.title
    if not found:
        raise InputError(
            f"the checkpoint of {title} describes no polynomial levels: train a network with a Level or PolyBlock, and "
            "with track_spectrum (--track-spectrum)"
        )
    if not 1 <= level <= len(found):
        raise InputError(f"expected a level from 1 to {len(found)}, got {level}")
    own = found[level - 1]
    return FigureOperator(
        own.weight,
        own.size,
        f"$A$ ({own.name}) of {title}",
        f"-level{level}",
        _polynomial(zip(own.letters, own.alphas, strict=True)),
    )


def _polynomial(blocks: Iterable[tuple[str, Sequence[float]]]) -> ResidualPolynomial | None:
    """The residual polynomial of blocks that share an A; None if one has zero coefficients only."""
    try:
        return polynomial_of_blocks(blocks)
    except InputError:
        return None
