"""The convolutions A of figures: freshly drawn, or those of a network's level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from polyroots.errors import InputError
from polyroots.models import ConvOperator, Init, Level, MgNet, PolyStep, SmoothingLevel
from polyroots.polynomials import ResidualPolynomial, polynomial_of_blocks
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
        If the network has no such level, or no levels.
    """
    checkpoint = request.network
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
    own = {A: _polynomial(steps) for A, steps in level.groups} if isinstance(level, Level) else {}
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


def _polynomial(steps: Sequence[PolyStep]) -> ResidualPolynomial | None:
    """The residual polynomial of steps that share an A; None if a step has zero coefficients only."""
    try:
        return polynomial_of_blocks((step.letter, step.alphas.tolist()) for step in steps)
    except InputError:
        return None
