"""The convolutions A that figures are of: freshly drawn ones, and those of a network's level."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from polyroots.models import ConvOperator, MgNet, SmoothingLevel
from polyroots.models.operator import Init
from polyroots_figures.request import Request

#: The paper's operator: A of 64 x 64 x 3 x 3 at its level's 32 x 32 pixels.
CHANNELS, SIZE = 64, (32, 32)


class Subject(NamedTuple):
    """A convolution A.

    Attributes
    ----------
    weight : (c, c, 3, 3)
    size : (H, W) in pixels
    source : what titles call it
    suffix : for the names of files; empty for a fresh A
    """

    weight: Tensor
    size: tuple[int, int]
    source: str
    suffix: str

    @property
    def name(self) -> str:
        """The same for messages, without mathematics."""
        return self.source.replace("$", "")

    @property
    def shape(self) -> str:
        """Its dimensions, for titles."""
        sizes = " x ".join(str(n) for n in self.weight.shape)
        return f"{sizes}, {self.size[0]} x {self.size[1]} pixels"


def subjects_of(request: Request, init: Init = "kaiming") -> list[Subject]:
    """Return the convolutions A of the network's level, one for each; without a network one that is freshly drawn.

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
        return [Subject(weight, SIZE, drawn, "")]
    index = checkpoint.config.level_index(request.level)
    network = checkpoint.model()
    assert isinstance(network, MgNet)
    level = network.levels[index]
    assert isinstance(level, SmoothingLevel)
    operators = list(dict.fromkeys(level.operators))
    size, title = checkpoint.config.sizes[index], checkpoint.config.title
    of = f"level {request.level} of a {title}"
    if len(operators) == 1:
        return [Subject(operators[0].weight.detach(), size, f"$A$ of {of}", f"-level{request.level}")]
    return [
        Subject(A.weight.detach(), size, f"$A$ number {number} of {of}", f"-level{request.level}-{number}")
        for number, A in enumerate(operators, 1)
    ]
