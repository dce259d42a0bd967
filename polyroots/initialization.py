"""Coefficients of a network from the spectra of its own convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, cast

from torch import nn

from polyroots.errors import InputError
from polyroots.models import Level, PolyBlock, PolyMgNet
from polyroots.polynomial import Factor, factors_from_roots
from polyroots.roots import require_degree, select_roots
from polyroots.spectrum import eigenvalues


@dataclass(frozen=True)
class BlockReport:
    """Roots and coefficients of one block.

    Attributes
    ----------
    letter : of the block
    powers : powers of t in the block's p
    roots : (re, im) of each root
    alphas : coefficients of p at these powers
    """

    letter: str
    powers: tuple[int, ...]
    roots: tuple[tuple[float, float], ...]
    alphas: tuple[float, ...]


@dataclass(frozen=True)
class LevelReport:
    """What was found at one level and what its coefficients were set to."""

    level: int
    size: tuple[int, int]
    channels: int
    radius: float
    min_real: float
    max_real: float
    max_imag: float
    blocks: tuple[BlockReport, ...]


@dataclass(frozen=True)
class InitReport:
    """Result of `initialize`.

    Attributes
    ----------
    strategy : name of the root strategy
    degree : degree d of each level's p
    padding : boundary of the operator whose spectrum was taken
    network_padding : boundary of the network's own convolutions
    levels : one report a level, finest first; levels count from 1
    """

    strategy: str
    degree: int
    padding: str
    network_padding: str
    levels: tuple[LevelReport, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain lists, numbers and strings, for JSON."""
        return asdict(self)


def initialize(
    model: nn.Module,
    degree: int | None = None,
    strategy: str = "extremal",
    *,
    on_level: Callable[[LevelReport], None] | None = None,
) -> InitReport:
    """Set the coefficients of a Poly-MgNet from the spectra of its convolutions A.

    For each level the eigenvalues of A at the level's image size (circular padding) are computed, roots are chosen
    from them to fit the level's blocks, and the blocks' coefficients are set.

    Parameters
    ----------
    model : PolyMgNet
        From `polyroots.models.build`; changed in place. Its other weights stay.
    degree : int, optional
        Degree d of p; given, it must be the one that the network's blocks have.
    strategy : str
        A name in `polyroots.roots.STRATEGIES`.
    on_level : callable, optional
        Called with each level's report as soon as it is done.

    Returns
    -------
    InitReport

    Raises
    ------
    InputError
        If the network has no polynomial blocks, the degree is not theirs, the strategy is unknown, or a level's weights
        are not finite (the level is named).

    Examples
    --------
    >>> import polyroots as pr
    >>> model = pr.models.build("q4", image_size=8, channels=[8])
    >>> report = pr.initialize(model, degree=3)
    >>> [block.letter for block in report.levels[0].blocks]
    ['L', 'L', 'C']
    """
    if not isinstance(model, PolyMgNet):
        raise InputError(
            f"{type(model).__name__} has no polynomial blocks to initialise; build a Poly-MgNet such as 'q4'"
        )
    config = model.config
    require_degree(degree, config.blocks)
    reports = []
    chosen: list[tuple[PolyBlock, Factor]] = []
    for number, (level, size) in enumerate(zip(model.levels, config.sizes, strict=True), 1):
        assert isinstance(level, Level)
        Lambda = eigenvalues(level.A.weight, size, name=f"levels.{number - 1}.A.weight")
        try:
            roots = select_roots(Lambda, strategy=strategy, blocks=config.blocks)
        except InputError as error:
            raise InputError(f"level {number}: {error}") from error
        factors = factors_from_roots(config.blocks, roots.tolist())
        chosen += zip(cast("Iterable[PolyBlock]", level.blocks), factors, strict=True)
        report = LevelReport(
            level=number,
            size=size,
            channels=config.channels[number - 1],
            radius=Lambda.radius,
            min_real=Lambda.min_real,
            max_real=Lambda.max_real,
            max_imag=Lambda.max_imag,
            blocks=tuple(
                BlockReport(
                    factor.letter, factor.powers, tuple((z.real, z.imag) for z in factor.roots), factor.coefficients
                )
                for factor in factors
            ),
        )
        reports.append(report)
        if on_level:
            on_level(report)
    # All or nothing: a level without roots leaves the network as it was.
    before = [block.alphas.detach().clone() for block, _ in chosen]
    try:
        for block, factor in chosen:
            block.set_alphas(factor.coefficients)
    except InputError:
        for (block, _), alphas in zip(chosen, before, strict=True):
            block.set_alphas(alphas.tolist())
        raise
    return InitReport(strategy, config.degree, "circular", config.padding, tuple(reports))
