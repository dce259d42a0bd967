"""Coefficients of a network from the spectra of its own convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from torch import nn

from polyroots.errors import InputError
from polyroots.factors import Factor, factors_from_roots, require_degree
from polyroots.files import without_infinity
from polyroots.levels import LevelReport, Operand, choose_for_all
from polyroots.models import Level, PolyBlock, PolyMgNet
from polyroots.operators import Operator
from polyroots.polynomial import ResidualPolynomial
from polyroots.roots import RootChoice, require_options


@dataclass(frozen=True)
class InitReport:
    """Result of `initialize`.

    Attributes
    ----------
    strategy : name of the root strategy
    options : of the strategy
    degree : degree d of each level's p
    region : ``"all"`` or ``"high"``, what the roots are to damp
    padding : boundary of the operator whose spectrum was taken
    network_padding : boundary of the network's own convolutions; None where it is unknown
    levels : one report a level, finest first; levels count from 1
    """

    strategy: str
    options: dict[str, Any]
    degree: int
    region: str
    padding: str
    network_padding: str | None
    levels: tuple[LevelReport, ...]

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
    region: str = "all",
    padding: str = "circular",
    on_level: Callable[[LevelReport], None] | None = None,
    **options: Any,
) -> InitReport:
    """Set the coefficients of a Poly-MgNet from the spectra of its convolutions A.

    For each level the eigenvalues of A at the level's image size are computed, roots are chosen from them to fit the
    level's blocks, and the blocks' coefficients are set.

    Parameters
    ----------
    model : PolyMgNet
        From `polyroots.models.build`; changed in place. Its other weights stay.
    degree : int, optional
        Degree d of p; given, it must be the one that the network's blocks have.
    strategy : str
        A name in `polyroots.strategies.STRATEGIES`.
    region : ``"all"`` or ``"high"``
        Damp the whole spectrum, or the high frequencies only.
    padding : ``"circular"`` or ``"zeros"``
        Of the operator whose spectrum is taken, whatever the network has.
    on_level : callable, optional
        Called with each level's report as soon as it is done.
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
    blocks = network.config.blocks
    require_degree(degree, blocks)
    operands = operands_of(network, region=region, padding=padding)
    choices = choose_for_all(operands, None, strategy, blocks, options)
    set_roots(network, choices)
    return report_on(operands, choices, options, network.config.padding, on_level)


def report_on(
    operands: Sequence[Operand],
    choices: Sequence[RootChoice],
    options: dict[str, Any],
    network_padding: str | None,
    on_level: Callable[[LevelReport], None] | None = None,
) -> InitReport:
    """Report the roots of each operator, with their diagnosis."""
    reports = []
    for operand, choice in zip(operands, choices, strict=True):
        reports.append(operand.report(choice))
        if on_level:
            on_level(reports[-1])
    return InitReport(
        strategy=choices[0].strategy,
        options=options,
        degree=len(choices[0].roots) - 1,
        region=operands[0].target.region,
        padding=operands[0].operator.padding,
        network_padding=network_padding,
        levels=tuple(reports),
    )


def require_polynomial(model: nn.Module) -> PolyMgNet:
    """Return a model that is a Poly-MgNet, or raise InputError."""
    if not isinstance(model, PolyMgNet):
        raise InputError(
            f"{type(model).__name__} has no polynomial blocks to initialise; build a Poly-MgNet such as 'q4'"
        )
    return model


def operands_of(
    network: PolyMgNet,
    *,
    region: str = "all",
    padding: str = "circular",
    on_operand: Callable[[Operand], None] | None = None,
) -> list[Operand]:
    """Return the operators A of a network's levels, with their spectra.

    Raises
    ------
    InputError
        If weights are not finite, or a spectrum can't be computed.
    """
    operands = []
    for number, (level, size) in enumerate(zip(network.levels, network.config.sizes, strict=True), 1):
        assert isinstance(level, Level)
        name = f"levels.{number - 1}.A.weight"
        operator = Operator.of(level.A.weight, size, padding=padding, name=name)
        operands.append(Operand(number, f"level {number}", level.A.weight, operator, region))
        if on_operand:
            on_operand(operands[-1])
    return operands


def set_roots(network: PolyMgNet, choices: Sequence[RootChoice]) -> None:
    """Set the coefficients of every level's blocks from its roots.

    Raises
    ------
    InputError
        If coefficients are beyond the network's precision. All or nothing: the network is then left as it was.
    """
    chosen: list[tuple[PolyBlock, Factor]] = []
    for level, choice in zip(network.levels, choices, strict=True):
        assert isinstance(level, Level)
        factors = factors_from_roots(network.config.blocks, choice.roots.tolist())
        chosen += zip(cast("Iterable[PolyBlock]", level.blocks), factors, strict=True)
    before = [block.alphas.detach().clone() for block, _ in chosen]
    try:
        for block, factor in chosen:
            block.set_alphas(factor.coefficients)
    except InputError:
        for (block, _), alphas in zip(chosen, before, strict=True):
            block.set_alphas(alphas.tolist())
        raise


def polynomials_of(network: PolyMgNet) -> list[ResidualPolynomial]:
    """Return the residual polynomial that each level's coefficients make, such as a trained network's.

    Raises
    ------
    InputError
        If all coefficients of a block are zero: it does nothing.
    """
    polynomials = []
    for level in network.levels:
        assert isinstance(level, Level)
        roots: list[complex] = []
        for block in cast("Iterable[PolyBlock]", level.blocks):
            alphas = [0.0] * (max(block.powers) + 1)
            for power, alpha in zip(block.powers, block.alphas.tolist(), strict=True):
                alphas[power] = alpha
            roots += ResidualPolynomial.from_alphas(alphas).roots.tolist()
        polynomials.append(ResidualPolynomial(roots))
    return polynomials
