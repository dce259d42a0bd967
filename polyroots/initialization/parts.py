"""Coefficients of the polynomial levels inside of any network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from polyroots.initialization.network import drawn_for, set_groups
from polyroots.initialization.operators import OperatorToDamp, choose_for_all
from polyroots.initialization.report import InitReport, report_of_groups, report_on
from polyroots.initialization.request import InitRequest
from polyroots.models import Level, PolyPart, PolyStep, poly_parts, rectifying_blocks, set_coefficients


def initialize_parts(model: nn.Module, inputs: Tensor, request: InitRequest, *, anew: bool = True) -> InitReport | None:
    """Set the coefficients of the polynomial levels in a network, and return a report on them; None without any.

    Parameters
    ----------
    model : nn.Module
        Any network; each `Level`, also that of a `PolyBlock`, is an operator of its own.
    inputs : (batch, ...) Tensor
        A forward pass of them shows the grid of each level.
    request : InitRequest
        Strategy, alpha_init, relaxation, signs and region are used.
    anew : bool
        False leaves levels as they are whose coefficients were set before, such as by the roots of a `PolyBlock`.

    Returns
    -------
    InitReport or None
        Of the levels whose coefficients were set, or else of all as they are.

    Raises
    ------
    InputError
        If there are no roots for a level; the message names it. The network is then left as it was.
    """
    parts = poly_parts(model, inputs)
    if not parts:
        return None
    chosen = [part for part in parts if anew or is_neutral(part.level)]
    groups, operators = _operators(model, chosen or parts, request)
    if not chosen:
        return report_of_groups(groups, operators)
    if not request.alphas.needs_spectrum:
        set_coefficients([pair for part in chosen for pair in drawn_for(part.level, request.alphas)])
        return report_of_groups(groups, operators, str(request.alphas))
    # One after the other: levels of a network need not have the same blocks.
    choices = [
        choose_for_all([operator], None, request.strategy, request.options, request.relaxation)[0]
        for operator in operators
    ]
    set_groups(groups, choices)
    return report_on(operators, choices, request, None)


def is_neutral(level: Level) -> bool:
    """Whether a level has the coefficients that stand until they are set: 1, and then zeros."""
    return all(step.alphas.tolist() == [1.0, *[0.0] * (len(step.alphas) - 1)] for step in level.steps)


def _operators(
    model: nn.Module, parts: Sequence[PolyPart], request: InitRequest
) -> tuple[list[list[PolyStep]], list[OperatorToDamp]]:
    """Return the steps that share an A, and the A, for each A of some levels."""
    names = {module: name for name, module in model.named_modules()}
    groups: list[list[PolyStep]] = []
    operators: list[OperatorToDamp] = []
    for part in parts:
        rectifies = rectifying_blocks(part.level, part.begins_at_zero)
        first = 0
        for A, steps in part.level.groups:
            blocks = tuple(step.letter for step in steps)
            own = tuple(rectifies[first : first + len(steps)])
            first += len(steps)
            name = f"{names[A]}.weight"
            operators.append(
                OperatorToDamp(
                    len(operators) + 1,
                    names[A],
                    A.convolution(part.size, request.padding, name),
                    request.region,
                    blocks,
                    own if request.signs == "placement" else (),
                )
            )
            groups.append(steps)
    return groups, operators
