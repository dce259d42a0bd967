"""Coefficients of a network from the spectra of its own convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import nn

from polyroots.errors import InputError
from polyroots.files import without_infinity
from polyroots.initialization.operands import BlockReport, LevelReport, OperatorToDamp, choose_for_all, pairs_of
from polyroots.models import AlphaInit, Inert, Level, PolyMgNet, PolyStep, inert_coefficients, set_coefficients
from polyroots.polynomials import (
    ResidualPolynomial,
    factors_from_roots,
    polynomial_of_blocks,
    require_degree,
    roots_of_block,
)
from polyroots.roots import RootChoice, require_options
from polyroots.spectra import Convolution


@dataclass(frozen=True)
class InitReport:
    """Result of `initialize`.

    Attributes
    ----------
    strategy : name of the root strategy; None for coefficients that no spectrum decides
    options : of the strategy
    degree : degree d of each level's p
    region : ``"all"`` or ``"high"``, what the roots are to damp
    padding : boundary of the operator whose spectrum was taken
    network_padding : boundary of the network's own convolutions; None where it is unknown
    levels : one report for each A, finest level first; levels count from 1
    inert : coefficients of the network whose size batch norm cancels
    alpha_init : ``"spectrum"``, or what set the coefficients without one
    """

    strategy: str | None
    options: dict[str, Any]
    degree: int
    region: str
    padding: str
    network_padding: str | None
    levels: tuple[LevelReport, ...]
    inert: tuple[Inert, ...] = ()
    alpha_init: str = "spectrum"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON; given roots as pairs (re, im), infinity as None."""
        options = {
            name: [[z.real, z.imag] for z in map(complex, value)] if name == "roots" else value
            for name, value in self.options.items()
        }
        document: dict[str, Any] = without_infinity(asdict(self) | {"options": options})
        return document


def initialize(
    model: nn.Module,
    degree: int | None = None,
    strategy: str = "extremal",
    *,
    alpha_init: str = "spectrum",
    region: str = "all",
    padding: str = "circular",
    on_level: Callable[[LevelReport], None] | None = None,
    **options: Any,
) -> InitReport:
    """Set the coefficients of a Poly-MgNet from the spectra of its convolutions A.

    For each A the eigenvalues at the level's image size are computed, roots are chosen from them to fit the blocks that
    share it, and the blocks' coefficients are set.

    Parameters
    ----------
    model : PolyMgNet
        From `polyroots.models.build`; changed in place. Its other weights stay.
    degree : int, optional
        Degree d of p; given, it must be the one that the network's blocks have.
    strategy : str
        A name in `polyroots.roots.strategies.STRATEGIES`.
    alpha_init : str
        ``"spectrum"``; or ``"xavier"``, ``"uniform"`` or ``"constant"``, which draw or set coefficients without looking
        at a spectrum (see `polyroots.models.coefficient_init.AlphaInit`), and no strategy has a say.
    region : ``"all"`` or ``"high"``
        Damp the whole spectrum, or the high frequencies only.
    padding : ``"circular"`` or ``"zeros"``
        Of the operator whose spectrum is taken, whatever the network has.
    on_level : callable, optional
        Called with each report as soon as it is done.
    **options
        Of the strategy, see `polyroots.select_roots`.

    Returns
    -------
    InitReport

    Raises
    ------
    InputError
        If the network has no polynomial blocks, the degree is not theirs, a name is unknown, a level's weights are not
        finite, or its spectrum doesn't have the roots (the level is named). The network is then left as it was.

    Examples
    --------
    >>> import polyroots as pr
    >>> model = pr.models.build("q4", image_size=8, channels=[8])
    >>> report = pr.initialize(model, degree=3)
    >>> [block.letter for block in report.levels[0].blocks]
    ['L', 'L', 'C']
    """
    network = require_polynomial(model)
    require_options(strategy, options)
    require_degree(degree, network.config.blocks)
    chosen = AlphaInit.parse(alpha_init)
    if chosen.kind != "spectrum" and strategy != "extremal":
        raise InputError(
            f"alpha_init '{alpha_init}' sets the coefficients without a spectrum, and the strategy '{strategy}' "
            "chooses them from it; leave one of them out"
        )
    operands = operands_of(network, region=region, padding=padding)
    if chosen.kind != "spectrum":
        return draw_alphas(network, chosen, operands, on_level=on_level)
    choices = choose_for_all(operands, None, strategy, options)
    set_roots(network, choices)
    return report_on(operands, choices, options, network, on_level)


def draw_alphas(
    network: PolyMgNet,
    alpha_init: AlphaInit,
    operands: Sequence[OperatorToDamp],
    seed: int | None = None,
    on_level: Callable[[LevelReport], None] | None = None,
) -> InitReport:
    """Set coefficients that no spectrum decides, and report what they do to the spectra that there are.

    Without a seed they follow in torch's global generator.
    """
    if seed is not None:
        torch.manual_seed(seed)
    set_coefficients(
        [(step, alpha_init.draw(len(step.powers), A.in_channels)) for A, steps in groups_of(network) for step in steps]
    )

    return report_as_is(network, operands, str(alpha_init), on_level)


def report_as_is(
    network: PolyMgNet,
    operands: Sequence[OperatorToDamp],
    origin: str = "as they are",
    on_level: Callable[[LevelReport], None] | None = None,
) -> InitReport:
    """Report the coefficients that a network has, such as trained ones, and what they do to its spectra.

    Parameters
    ----------
    network : PolyMgNet
    operands : of `operands_of`
    origin : what set the coefficients

    Raises
    ------
    InputError
        If all coefficients of a block are zero: it does nothing.
    """

    def report(operand: OperatorToDamp, steps: Sequence[PolyStep]) -> LevelReport:
        roots = [roots_of_block(step.letter, step.alphas.tolist()) for step in steps]
        blocks = [
            BlockReport(step.letter, step.powers, pairs_of(of_step), tuple(step.alphas.tolist()))
            for step, of_step in zip(steps, roots, strict=True)
        ]
        return operand.report_blocks(blocks, ResidualPolynomial([root for of_step in roots for root in of_step]))

    reports = (report(operand, steps) for operand, (_, steps) in zip(operands, groups_of(network), strict=True))
    return _report(None, {}, operands, reports, network, on_level, origin)


def report_on(
    operands: Sequence[OperatorToDamp],
    choices: Sequence[RootChoice],
    options: dict[str, Any],
    network: PolyMgNet | None,
    on_level: Callable[[LevelReport], None] | None = None,
) -> InitReport:
    """Report the roots of each operator, with their diagnosis."""
    reports = (operand.report(choice) for operand, choice in zip(operands, choices, strict=True))
    return _report(choices[0].strategy, options, operands, reports, network, on_level)


def _report(
    strategy: str | None,
    options: dict[str, Any],
    operands: Sequence[OperatorToDamp],
    reports: Iterable[LevelReport],
    network: PolyMgNet | None,
    on_level: Callable[[LevelReport], None] | None,
    alpha_init: str = "spectrum",
) -> InitReport:
    levels = []
    for report in reports:
        levels.append(report)
        if on_level:
            on_level(report)
    roots = sum(len(block.roots) for block in levels[0].blocks)
    return InitReport(
        strategy=strategy,
        options=options,
        degree=roots - 1 if network is None else network.config.degree,
        region=operands[0].target.region,
        padding=operands[0].operator.padding,
        network_padding=None if network is None else network.config.padding,
        levels=tuple(levels),
        inert=() if network is None else tuple(inert_coefficients(network)),
        alpha_init=alpha_init,
    )


def require_polynomial(model: nn.Module) -> PolyMgNet:
    """Return a model that is a Poly-MgNet, or raise InputError."""
    if not isinstance(model, PolyMgNet):
        raise InputError(
            f"expected a Poly-MgNet, which has polynomial blocks to initialise, got a {type(model).__name__}; build "
            "one such as pr.models.build('q4')"
        )
    return model


def levels_of(network: PolyMgNet) -> list[Level]:
    """Levels of a network, finest first."""
    return cast("list[Level]", list(network.levels))


def groups_of(network: PolyMgNet) -> list[tuple[nn.Conv2d, list[PolyStep]]]:
    """Each A of a network with the steps that share it, in the order of `operands_of`."""
    return [group for level in levels_of(network) for group in level.groups]


def operands_of(
    network: PolyMgNet,
    *,
    region: str = "all",
    padding: str = "circular",
    has_fixed_blocks: bool = True,
    on_operand: Callable[[OperatorToDamp], None] | None = None,
) -> list[OperatorToDamp]:
    """Return the operators A of a network's levels, with their spectra.

    Parameters
    ----------
    network : PolyMgNet
    region, padding : str
        See `initialize`.
    has_fixed_blocks : bool
        Whether roots have to fit the network's blocks.
    on_operand : callable, optional
        Called with each one as soon as it is done.

    Raises
    ------
    InputError
        If weights are not finite, or a spectrum can't be computed.
    """
    names = {module: name for name, module in network.named_modules()}
    operands = []
    for number, (level, size) in enumerate(zip(levels_of(network), network.config.sizes, strict=True), 1):
        first, groups = 1, level.groups
        for A, steps in groups:
            title = f"level {number}"
            if len(groups) > 1:
                last = first + len(steps) - 1
                title += f", step {first}" if first == last else f", steps {first}-{last}"
                first = last + 1
            if A.weight.is_meta:
                raise InputError(f"{title}: A has no numbers yet, it is on the meta device; give it weights first")
            operator = Convolution.of(A.weight, size, padding=padding, name=f"{names[A]}.weight")
            blocks = tuple(step.letter for step in steps) if has_fixed_blocks else None
            operands.append(OperatorToDamp(number, title, operator, region, blocks))
            if on_operand:
                on_operand(operands[-1])
    return operands


def set_roots(network: PolyMgNet, choices: Sequence[RootChoice]) -> None:
    """Set the coefficients of every block from the roots chosen for its A.

    Raises
    ------
    InputError
        If coefficients are beyond the network's precision. All or nothing: the network is then left as it was.
    """
    chosen: list[tuple[PolyStep, Sequence[float]]] = []
    for (_, steps), choice in zip(groups_of(network), choices, strict=True):
        factors = factors_from_roots([step.letter for step in steps], choice.roots.tolist())
        chosen += [(step, factor.coefficients) for step, factor in zip(steps, factors, strict=True)]
    set_coefficients(chosen)


def polynomials_of(network: PolyMgNet) -> list[ResidualPolynomial]:
    """Return the residual polynomial that the coefficients on each A make, such as a trained network's.

    Raises
    ------
    InputError
        If all coefficients of a block are zero: it does nothing.
    """
    return [
        polynomial_of_blocks((step.letter, step.alphas.tolist()) for step in steps) for _, steps in groups_of(network)
    ]
