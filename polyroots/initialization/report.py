"""Reports on the coefficients of a network, or on the roots for the layers of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from polyroots.display import Shown
from polyroots.files import without_infinity
from polyroots.initialization.operators import OperatorToDamp
from polyroots.initialization.request import InitRequest
from polyroots.initialization.tables import (
    boundary_of,
    inert_sentences,
    levels_tables,
    origin_of,
    rectified_sentences,
    start_sentences,
)
from polyroots.models import Inert, PolyMgNet, PolyStep, Rectified, inert_coefficients, rectified_coefficients
from polyroots.polynomials import Diagnosis, ResidualPolynomial, factors_from_roots, roots_of_block
from polyroots.roots import RootChoice
from polyroots.text import count_of

if TYPE_CHECKING:
    from rich.table import Table

# The monomial coefficients of p lose their digits when there are more roots than this.
_MOST_ROOTS = 9


@dataclass(frozen=True)
class BlockReport:
    """Roots and coefficients of one block.

    Attributes
    ----------
    letter : str
        Letter of the block.
    powers : tuple of int
        Powers of t in the block's p.
    roots : tuple of (float, float)
        Real and imaginary part of each root.
    alphas : tuple of float
        Coefficients of p at these powers.
    """

    letter: str
    powers: tuple[int, ...]
    roots: tuple[tuple[float, float], ...]
    alphas: tuple[float, ...]


@dataclass(frozen=True)
class LevelReport:
    """Spectrum, roots, coefficients and diagnosis of one operator A.

    Attributes
    ----------
    level : int
        Number of the level, or of the layer of a file, from 1.
    title : str
        Name in messages, such as ``"level 1"`` or a layer's name.
    name : str
        Name of the weight in the state dict.
    size : (int, int)
        Grid (H, W) of the operator.
    channels : int
        Output channels of the operator.
    radius, min_real, max_real, max_imag : float or None
        Of the spectrum; None where it was not computed.
    blocks : tuple of BlockReport
    alphas : tuple of float or None
        Coefficients of p(t) = sum_i alpha_i t^i; None from degree 9 on, where they lose their digits.
    diagnosis : Diagnosis
        How well the roots damp the spectrum.
    words : tuple of str
        The diagnosis in sentences.
    remarks : tuple of str
        Peculiarities of the choice of roots.
    relaxation : float
        The weight w by which the strategy's roots were divided; 1 if they were not relaxed.
    unrelaxed_norm : float or None
        Norm of q(A) with the roots as the strategy chose them; None if it is unknown.
    """

    level: int
    title: str
    name: str
    size: tuple[int, int]
    channels: int
    radius: float | None
    min_real: float | None
    max_real: float | None
    max_imag: float | None
    blocks: tuple[BlockReport, ...]
    alphas: tuple[float, ...] | None
    diagnosis: Diagnosis
    words: tuple[str, ...]
    remarks: tuple[str, ...]
    relaxation: float = 1.0
    unrelaxed_norm: float | None = None

    @property
    def polynomial(self) -> ResidualPolynomial:
        """The residual polynomial of the blocks."""
        return ResidualPolynomial([complex(*root) for block in self.blocks for root in block.roots])


@dataclass(frozen=True, repr=False)
class InitReport(Shown):
    """Result of `initialize`.

    Attributes
    ----------
    strategy : str or None
        Name of the root strategy; None for coefficients that don't come from a spectrum.
    options : dict
        Options of the strategy.
    degree : int
        Degree d of each level's p.
    region : ``"all"`` or ``"high"``
        The part of the spectrum that the roots are to damp.
    padding : ``"circular"``, ``"zeros"`` or ``"none"``
        Boundary of the operators whose spectra were taken; ``"none"`` for a matrix.
    network_padding : str or None
        Boundary of the network's own convolutions; None where it is unknown.
    levels : tuple of LevelReport
        One report for each A, finest level first.
    inert : tuple of Inert
        Coefficients of the network whose size batch norm cancels.
    alpha_init : str
        ``"spectrum"``, or the initialisation that set the coefficients without one.
    relax : str
        How the roots were relaxed, see `polyroots.roots.Relaxation`.
    signs : ``"paper"`` or ``"placement"``
        The rule for the signs of real roots, see `InitRequest`.
    rectified : tuple of Rectified
        Negative coefficients of blocks L that rectify twice.

    See Also
    --------
    initialize : sets the coefficients and returns the report.
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
    relax: str = "none"
    signs: str = "paper"
    rectified: tuple[Rectified, ...] = ()

    def __repr__(self) -> str:
        where = count_of(len(self.levels), "operator")
        return f"InitReport({origin_of(self.to_dict())}, degree {self.degree}, {where})"

    def parts(self) -> list[str | Table]:
        """Return the tables of the levels, and the sentences on the start and on inert and rectified coefficients."""
        document = self.to_dict()
        origin = origin_of(document)
        return [
            f"{origin[0].upper()}{origin[1:]}, degree {self.degree}, {boundary_of(self.padding)}",
            *levels_tables(document),
            *start_sentences(document),
            *rectified_sentences(document),
            *inert_sentences(document),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON: given roots as pairs (re, im), infinity as None."""
        options = {
            name: [[z.real, z.imag] for z in map(complex, value)] if name == "roots" else value
            for name, value in self.options.items()
        }
        document: dict[str, Any] = without_infinity(asdict(self) | {"options": options})
        return document


def report_on(
    operators: Sequence[OperatorToDamp],
    choices: Sequence[RootChoice],
    request: InitRequest,
    network: PolyMgNet | None,
    on_level: Callable[[LevelReport], None] | None = None,
) -> InitReport:
    """Return a report on the roots that were chosen for each operator.

    Parameters
    ----------
    operators : sequence of OperatorToDamp
    choices : sequence of RootChoice
        One for each operator.
    request : InitRequest
        What was asked for.
    network : PolyMgNet or None
        The network whose coefficients the roots make.
    on_level : callable, optional
        Called with the report of each operator as soon as it is done.

    Returns
    -------
    InitReport
    """
    reports = (_of_choice(operator, choice) for operator, choice in zip(operators, choices, strict=True))
    report = _report(operators, _watched(reports, on_level), network)
    return replace(
        report,
        strategy=choices[0].strategy,
        options=dict(request.options),
        relax=str(request.relaxation),
        signs=request.signs,
    )


def report_as_is(
    network: PolyMgNet,
    operators: Sequence[OperatorToDamp],
    origin: str = "as they are",
    on_level: Callable[[LevelReport], None] | None = None,
) -> InitReport:
    """Return a report on the coefficients that a network has, such as trained ones.

    Parameters
    ----------
    network : PolyMgNet
    operators : sequence of OperatorToDamp
        Of `operators_to_damp`.
    origin : str
        What set the coefficients.
    on_level : callable, optional
        Called with the report of each operator as soon as it is done.

    Returns
    -------
    InitReport

    Raises
    ------
    InputError
        If all coefficients of a block are zero, so that its p is zero.
    """
    reports = (_of_steps(operator, steps) for operator, (_, steps) in zip(operators, network.groups, strict=True))
    return _report(operators, _watched(reports, on_level), network, origin)


def report_of_groups(
    groups: Sequence[Sequence[PolyStep]], operators: Sequence[OperatorToDamp], origin: str = "as they are"
) -> InitReport:
    """Return a report on the coefficients that groups of steps have, each of which shares an operator A."""
    levels = tuple(_of_steps(operator, steps) for operator, steps in zip(operators, groups, strict=True))
    return _report(operators, levels, None, origin)


def _report(
    operators: Sequence[OperatorToDamp],
    levels: tuple[LevelReport, ...],
    network: PolyMgNet | None,
    alpha_init: str = "spectrum",
) -> InitReport:
    """Return the report on the levels of a network, or of operators without one."""
    return InitReport(
        strategy=None,
        options={},
        degree=sum(len(block.roots) for block in levels[0].blocks) - 1 if network is None else network.config.degree,
        region=operators[0].target.region,
        padding=operators[0].padding,
        network_padding=None if network is None else network.config.padding,
        levels=levels,
        inert=() if network is None else tuple(inert_coefficients(network)),
        alpha_init=alpha_init,
        rectified=() if network is None else tuple(rectified_coefficients(network)),
    )


def _watched(reports: Iterable[LevelReport], on_level: Callable[[LevelReport], None] | None) -> tuple[LevelReport, ...]:
    """Collect reports and pass each one on as it is made."""
    levels = []
    for report in reports:
        levels.append(report)
        if on_level:
            on_level(report)
    return tuple(levels)


def _of_choice(operator: OperatorToDamp, choice: RootChoice) -> LevelReport:
    """Report on chosen roots."""
    factors = factors_from_roots(choice.blocks, choice.roots.tolist())
    blocks = [
        BlockReport(letter, factor.powers, _pairs(factor.roots), factor.coefficients)
        for letter, factor in zip(choice.blocks, factors, strict=True)
    ]
    report = _of_blocks(operator, blocks, ResidualPolynomial(choice.roots), choice)
    w = choice.relaxation
    unrelaxed = report.diagnosis.norm if w == 1 else operator.norm(ResidualPolynomial(choice.roots * w))
    return replace(report, relaxation=w, unrelaxed_norm=unrelaxed)


def _of_steps(operator: OperatorToDamp, steps: Sequence[PolyStep]) -> LevelReport:
    """Report on the coefficients of the steps that share an A."""
    roots = [roots_of_block(step.letter, step.alphas.tolist()) for step in steps]
    blocks = [
        BlockReport(step.letter, step.powers, _pairs(of_step), tuple(step.alphas.tolist()))
        for step, of_step in zip(steps, roots, strict=True)
    ]
    return _of_blocks(operator, blocks, ResidualPolynomial([root for of_step in roots for root in of_step]))


def _of_blocks(
    operator: OperatorToDamp, blocks: Sequence[BlockReport], q: ResidualPolynomial, choice: RootChoice | None = None
) -> LevelReport:
    """Report on blocks whose residual polynomial is q, chosen by a strategy or not."""
    diagnosis = operator.diagnose(q, None if choice is None else choice.strategy)
    Lambda = operator.spectrum
    return LevelReport(
        level=operator.number,
        title=operator.title,
        name=operator.name,
        size=operator.size,
        channels=operator.channels,
        radius=None if Lambda is None else Lambda.radius,
        min_real=None if Lambda is None else Lambda.min_real,
        max_real=None if Lambda is None else Lambda.max_real,
        max_imag=None if Lambda is None else Lambda.max_imag,
        blocks=tuple(blocks),
        alphas=tuple(q.alphas.tolist()) if len(q.roots) <= _MOST_ROOTS else None,
        diagnosis=diagnosis,
        words=tuple(diagnosis.sentences()),
        remarks=() if choice is None else choice.remarks,
    )


def _pairs(roots: Iterable[complex]) -> tuple[tuple[float, float], ...]:
    """Roots as (re, im)."""
    return tuple((z.real, z.imag) for z in roots)
