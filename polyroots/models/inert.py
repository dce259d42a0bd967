"""Coefficients whose size batch norm cancels, found from the modules that follow them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from polyroots.models.network import PolyMgNet
from polyroots.models.placement import has_norm
from polyroots.models.step import PolyStep


@dataclass(frozen=True)
class Inert:
    """Coefficients of one block whose common factor has no effect in training.

    A batch norm that follows takes any positive common factor out again, but for its epsilon. Only the sign has an
    effect, and of several coefficients their ratio.

    Attributes
    ----------
    level, block : int
        Numbers from 1.
    letter : str
        Letter of the block.
    powers : tuple of int
        Powers of t in p whose coefficients have this factor in common.
    """

    level: int
    block: int
    letter: str
    powers: tuple[int, ...]


def inert_coefficients(model: nn.Module) -> list[Inert]:
    """Find the coefficients of a Poly-MgNet whose size has no effect; none in other networks.

    In evaluation mode, where batch norm has its running statistics, every coefficient has an effect; this is about
    training mode. Each block is considered by itself: a factor that all blocks of a one-level network have in common,
    which its output takes out as well, is not found.
    """
    network = polynomial_network(model)
    if network is None:
        return []
    levels = network.smoothing_levels
    found = []
    for number, level in enumerate(levels, 1):
        steps = level.steps
        for index, step in enumerate(steps):
            begins = begins_at_zero(number, index)
            ends = begins and len(steps) == 1
            if ends and level.output_is_exit:
                # The next level gets the residual of u before the output, in which the factor has an effect.
                ends = len(levels) == 1
            powers = _inert_powers(step, (has_norm(step.output) and begins) or (has_norm(level.output) and ends))
            if powers:
                found.append(Inert(number, index + 1, step.letter, powers))
    return found


def polynomial_network(model: nn.Module) -> PolyMgNet | None:
    """Return the Poly-MgNet that a model is, or has as a submodule when it is compiled or wrapped; None without one."""
    return next((module for module in model.modules() if isinstance(module, PolyMgNet)), None)


def begins_at_zero(level: int, index: int) -> bool:
    """Whether a step begins with u = 0: the network's first one alone, whose output is that of its update."""
    return level == 1 and index == 0


def coefficient_count(model: nn.Module) -> int:
    """Number of coefficients alpha of a Poly-MgNet; 0 for other networks."""
    return sum(step.alphas.numel() for step in model.modules() if isinstance(step, PolyStep))


def _inert_powers(step: PolyStep, output_normalises: bool) -> tuple[int, ...]:
    if has_norm(step.update):
        return step.powers[-1:] if step.placement.on_A_term else step.powers
    return step.powers if output_normalises else ()
