"""Coefficients whose size batch norm cancels, found from what follows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from torch import nn

from polyroots.models.level import Level
from polyroots.models.network import PolyMgNet
from polyroots.models.placement import has_norm
from polyroots.models.step import PolyStep


@dataclass(frozen=True)
class Inert:
    """Coefficients of one block that training cannot tell from their multiples.

    A batch norm of what they are multiplied with takes any positive common factor out again, but for its epsilon. Only
    their sign is left of them, and of several their ratio.

    Attributes
    ----------
    level, block : from 1
    letter : of the block
    powers : of t in p, whose coefficients have a factor in common that has no effect
    """

    level: int
    block: int
    letter: str
    powers: tuple[int, ...]


def inert_coefficients(model: nn.Module) -> list[Inert]:
    """Find the coefficients of a Poly-MgNet whose size has no effect; none in other networks.

    In evaluation mode, where batch norm keeps its running statistics, every coefficient has an effect; what is found is
    what training sees. It is found block by block: that the output of a network of one level also takes out a factor
    that all blocks have in common is not.
    """
    # As it is, compiled, or in a wrapper for data parallelism.
    network = next((module for module in model.modules() if isinstance(module, PolyMgNet)), None)
    if network is None:
        return []
    levels = cast("Sequence[Level]", network.levels)
    found = []
    for number, level in enumerate(levels, 1):
        steps = cast("Sequence[PolyStep]", level.blocks)
        for index, step in enumerate(steps):
            # Only the network's very first step begins with u = 0: nothing else is in what its output normalises.
            begins = number == 1 and index == 0
            ends = begins and len(steps) == 1
            if ends and level.output_is_exit:
                # The residual is that of u before the output.
                ends = len(levels) == 1
            powers = _inert_powers(step, (has_norm(step.output) and begins) or (has_norm(level.output) and ends))
            if powers:
                found.append(Inert(number, index + 1, step.letter, powers))
    return found


def coefficient_count(model: nn.Module) -> int:
    """Number of coefficients alpha of a Poly-MgNet; 0 for other networks."""
    return sum(step.alphas.numel() for step in model.modules() if isinstance(step, PolyStep))


def _inert_powers(step: PolyStep, output_normalises: bool) -> tuple[int, ...]:
    if has_norm(step.update):
        return step.powers[-1:] if step.placement.on_A_term else step.powers
    return step.powers if output_normalises else ()
