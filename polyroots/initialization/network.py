"""The operators of a network's levels, and its coefficients from roots or drawn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import nn

from polyroots.errors import InputError
from polyroots.initialization.operators import OperatorToDamp
from polyroots.models import (
    AlphaInit,
    Level,
    PolyMgNet,
    PolyStep,
    Signs,
    blocks_that_rectify_twice,
    set_coefficients,
)
from polyroots.polynomials import factors_from_roots
from polyroots.roots import RootChoice


def require_polynomial(model: nn.Module) -> PolyMgNet:
    """Return a model that is a Poly-MgNet, or raise InputError."""
    if not isinstance(model, PolyMgNet):
        raise InputError(
            f"expected a Poly-MgNet, which has polynomial blocks to initialise, got a {type(model).__name__}; build "
            "one such as pr.models.build('q4')"
        )
    return model


def operators_to_damp(
    network: PolyMgNet,
    *,
    region: str = "all",
    padding: str = "circular",
    has_fixed_blocks: bool = True,
    signs: Signs = "paper",
    on_operator: Callable[[OperatorToDamp], None] | None = None,
) -> list[OperatorToDamp]:
    """Return the operators A of a network's levels, with their spectra, in the order of `PolyMgNet.groups`.

    Parameters
    ----------
    network : PolyMgNet
    region, padding : str
        See `initialize`.
    has_fixed_blocks : bool
        Whether roots have to fit the network's blocks.
    signs : ``"paper"`` or ``"placement"``
        See `InitRequest`.
    on_operator : callable, optional
        Called with each operator as soon as its spectrum is computed.

    Returns
    -------
    list of OperatorToDamp

    Raises
    ------
    InputError
        If weights are not finite, or a spectrum can't be computed.
    """
    names = {module: name for name, module in network.named_modules()}
    operators = []
    rectifies = blocks_that_rectify_twice(network)
    for number, (level, size) in enumerate(zip(network.smoothing_levels, network.config.sizes, strict=True), 1):
        first, groups = 1, level.groups
        flags = iter(rectifies[number - 1])
        for A, steps in groups:
            own = tuple(itertools.islice(flags, len(steps)))
            title = f"level {number}"
            if len(groups) > 1:
                last = first + len(steps) - 1
                title += f", step {first}" if first == last else f", steps {first}-{last}"
                first = last + 1
            if A.weight.is_meta:
                raise InputError(f"{title}: A has no numbers yet, it is on the meta device; give it weights first")
            convolution = A.convolution(size, padding, f"{names[A]}.weight")
            blocks = tuple(step.letter for step in steps) if has_fixed_blocks else None
            positive = own if signs == "placement" and blocks is not None else ()
            operators.append(OperatorToDamp(number, title, convolution, region, blocks, positive))
            if on_operator:
                on_operator(operators[-1])
    return operators


def set_roots(network: PolyMgNet, choices: Sequence[RootChoice]) -> None:
    """Set the coefficients of every block from the roots chosen for its A.

    Raises
    ------
    InputError
        If coefficients are beyond the network's precision. All or nothing: the network is then left as it was.
    """
    set_groups([steps for _, steps in network.groups], choices)


def set_groups(groups: Sequence[Sequence[PolyStep]], choices: Sequence[RootChoice]) -> None:
    """Set the coefficients of groups of steps from the roots chosen for their A, all or nothing."""
    chosen: list[tuple[PolyStep, Sequence[float]]] = []
    for steps, choice in zip(groups, choices, strict=True):
        factors = factors_from_roots([step.letter for step in steps], choice.roots.tolist())
        chosen += [(step, factor.coefficients) for step, factor in zip(steps, factors, strict=True)]
    set_coefficients(chosen)


def draw_alphas(network: PolyMgNet, alpha_init: AlphaInit, seed: int | None = None) -> None:
    """Set coefficients that don't come from a spectrum; without a seed torch's global generator goes on."""
    if seed is not None:
        torch.manual_seed(seed)
    set_coefficients([pair for level in network.smoothing_levels for pair in drawn_for(level, alpha_init)])


def drawn_for(level: Level, alpha_init: AlphaInit) -> list[tuple[PolyStep, Sequence[float]]]:
    """Return coefficients for each step of a level, drawn without a spectrum."""
    drawn = alpha_init.draw(level.letters, level.operators[0].in_channels)
    return list(zip(level.steps, drawn, strict=True))
