"""Linear blocks that rectify twice, and those of them whose coefficient is negative, from the modules around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from polyroots.errors import unknown_name
from polyroots.models.inert import begins_at_zero, polynomial_network
from polyroots.models.level import Level
from polyroots.models.network import PolyMgNet
from polyroots.models.placement import has_relu

#: The signs of real roots: as the strategy chooses them, or as the placement of batch norm and ReLU asks for.
Signs = Literal["paper", "placement"]


def require_signs(signs: str) -> None:
    """Raise InputError if there is no rule of this name for the signs of roots."""
    if signs not in get_args(Signs):
        raise unknown_name("rule for the signs", signs, get_args(Signs))


@dataclass(frozen=True)
class Rectified:
    """A linear block with a negative coefficient whose residual is rectified before it, and its update after it.

    The block's s = relu bn r is never negative, so that alpha s with alpha < 0 is never positive, and the second ReLU
    passes only what batch norm lifts above 0: parts where s is small, a nearly constant signal.

    Attributes
    ----------
    level, block : int
        Numbers from 1.
    letter : str
        Letter of the block.
    """

    level: int
    block: int
    letter: str


def blocks_that_rectify_twice(network: PolyMgNet) -> list[list[bool]]:
    """Return for each level which blocks are linear and have a ReLU both before and after their coefficient.

    Before it is the place rho; after it are the update, or in the network's very first step, where u = 0, the output.
    Only linear blocks count: the polynomials of the others have A in them, and A s has both signs.
    """
    return [
        rectifying_blocks(level, begins_at_zero(number, 0)) for number, level in enumerate(network.smoothing_levels, 1)
    ]


def rectifying_blocks(level: Level, begins: bool) -> list[bool]:
    """Return which blocks of a level rectify twice, see `blocks_that_rectify_twice`; `begins` if it is given u = 0."""
    flags = []
    for index, step in enumerate(level.steps):
        places = [step.update]
        if begins and index == 0:
            places.append(step.output)
            if len(level.steps) == 1:
                places.append(level.output)
        flags.append(step.letter == "L" and has_relu(step.rho) and any(map(has_relu, places)))
    return flags


def rectified_coefficients(model: nn.Module) -> list[Rectified]:
    """Find the blocks of a Poly-MgNet that rectify twice and have a negative coefficient; none in other networks."""
    network = polynomial_network(model)
    if network is None:
        return []
    return [
        Rectified(number, index, step.letter)
        for number, (level, flags) in enumerate(
            zip(network.smoothing_levels, blocks_that_rectify_twice(network), strict=True), 1
        )
        for index, (step, rectifies) in enumerate(zip(level.steps, flags, strict=True), 1)
        if rectifies and step.alphas.detach()[0].item() < 0
    ]
