"""Source, choice of roots, coefficients and report, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import nn

from polyroots.checkpoints import Checkpoint
from polyroots.errors import InputError, PolyrootsError
from polyroots.initialization.network import draw_alphas, require_polynomial, set_roots
from polyroots.initialization.operators import choose_for_all
from polyroots.initialization.ranking import RankedStrategy, rank
from polyroots.initialization.report import InitReport, LevelReport, report_as_is, report_on
from polyroots.initialization.request import FOR_TRAINING, InitRequest, OnProgress
from polyroots.initialization.sources import InitSource, open_source
from polyroots.initialization.two_grid import LevelTwoGrid, two_grids
from polyroots.models import AlphaInit, ModelConfig, PolyMgNet, Signs


@dataclass(frozen=True, eq=False)
class InitResult:
    """Result of `initialize_from`.

    Attributes
    ----------
    source : InitSource
        The operators, and the layers of a file that were left out.
    report : InitReport or None
        None if the strategy failed, with `error`.
    network : PolyMgNet or None
        The network with its coefficients; None for the layers of a file, and with `error`.
    comparison : tuple of RankedStrategy
        All strategies, the best first, if the request asked for them.
    two_grids : tuple of LevelTwoGrid
        Two-grid factors, if the request asked for them.
    error : PolyrootsError or None
        Why the strategy failed; raised instead if no other strategies were compared.
    """

    source: InitSource
    report: InitReport | None
    network: PolyMgNet | None
    comparison: tuple[RankedStrategy, ...] = ()
    error: PolyrootsError | None = None
    two_grids: tuple[LevelTwoGrid, ...] = ()

    def checkpoint(self) -> Checkpoint:
        """Return the network as a checkpoint.

        It keeps how its weights were trained, so that it can be evaluated, but not the state of that training.

        Raises
        ------
        InputError
            If there is no network: the source was no Poly-MgNet, or the strategy failed.
        """
        if self.network is None or self.report is None:
            found = "layers or a matrix, without coefficients" if self.error is None else f"an error: {self.error}"
            raise InputError(f"there is no network to keep: expected the result for a Poly-MgNet, got {found}")
        return Checkpoint(
            self.network.config,
            self.network.state_dict(),
            self.report.to_dict(),
            self.source.training_of_weights(),
        )


def initialize(
    model: nn.Module,
    degree: int | None = None,
    strategy: str = "extremal",
    *,
    alpha_init: str = "spectrum",
    relax: str | float | None = None,
    region: str = "all",
    padding: str = "circular",
    on_level: Callable[[LevelReport], None] | None = None,
    **options: Any,
) -> InitReport:
    """Set the coefficients of a Poly-MgNet from the spectra of its convolutions A, and return a report on them.

    For each A the eigenvalues at the level's grid are computed, roots are chosen from them that fit the blocks which
    share it, and the blocks' coefficients are set.

    Parameters
    ----------
    model : PolyMgNet
        From `polyroots.models.build`; changed in place. Its other weights stay.
    degree : int, optional
        Degree d of p; given, it must be the one that the network's blocks have.
    strategy : str
        A name in `polyroots.roots.STRATEGIES`.
    alpha_init : str
        ``"spectrum"``; or ``"xavier"``, ``"uniform"`` or ``"constant"``, which draw or set the coefficients without a
        spectrum and go with no strategy, see `polyroots.models.AlphaInit`.
    relax : str or float, optional
        Move the roots: ``"none"``, a weight that divides them, ``"auto"`` or ``"auto:BOUND"``, see
        `polyroots.select_roots`. By default the choice for training, `polyroots.initialization.FOR_TRAINING`.
    region : ``"all"`` or ``"high"``
        Damp the whole spectrum, or the high frequencies only.
    padding : ``"circular"`` or ``"zeros"``
        Of the operator whose spectrum is taken, whatever the network has.
    on_level : callable, optional
        Called with each level's report as soon as it is done.
    **options
        ``signs``, ``"paper"`` or ``"placement"``, see `InitRequest`, with a default in the same place; and options of
        the strategy, see `polyroots.select_roots`.

    Returns
    -------
    InitReport

    Raises
    ------
    InputError
        If the network has no polynomial blocks, the degree is not theirs, a name is unknown, a level's weights are not
        finite, or its spectrum doesn't have the roots (the message names the level). The network is then left as it
        was.

    See Also
    --------
    initialize_from : the same for a file or a configuration, with a comparison of strategies.

    Examples
    --------
    >>> import polyroots as pr
    >>> model = pr.models.build("q4", image_size=8, channels=[8])
    >>> report = pr.initialize(model, degree=3)
    >>> [block.letter for block in report.levels[0].blocks]
    ['L', 'L', 'C']
    """
    network = require_polynomial(model)
    defaults = FOR_TRAINING if AlphaInit.parse(alpha_init).needs_spectrum else {"relax": "none", "signs": "paper"}
    relax = defaults["relax"] if relax is None else relax
    signs = cast("Signs", options.pop("signs", None) or defaults["signs"])
    request = InitRequest(degree, strategy, options, alpha_init, relax, signs, region, padding)
    source = open_source(network, request, _ignore)
    report = _choose_and_set(source, request, on_level or _ignore).report
    assert report is not None
    return report


def initialize_from(
    source: nn.Module | ModelConfig | str | Path,
    request: InitRequest | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> InitResult:
    """Choose roots for the operators of a network or a file, and return the network with its coefficients and a report.

    Parameters
    ----------
    source : PolyMgNet, ModelConfig, str or Path
        A network, which is changed in place; a configuration, whose network is drawn; a checkpoint with a Poly-MgNet,
        which is read and stays as it is; or any other checkpoint, of which every square convolution with stride 1 is
        taken as an operator of its own.
    request : InitRequest, optional
        By default four roots of the strategy ``"extremal"``, or as many as the blocks have.
    on_progress : callable, optional
        Called with what is being computed, how many are done, and how many there are.

    Returns
    -------
    InitResult

    Raises
    ------
    RequestError
        If the request doesn't go with the source.
    InputError, FileError
        If the file can't be read, there is no operator, or there are no roots for one (the message names it).

    Examples
    --------
    >>> import polyroots as pr
    >>> config = pr.models.model_config("q4", image_size=8, channels=[4])
    >>> result = initialize_from(config, InitRequest(degree=3, seed=7))
    >>> result.network.config.name, result.report.degree
    ('q4', 3)
    """
    request = request or InitRequest()
    report_progress = on_progress or _ignore
    opened = open_source(source, request, report_progress)
    total = len(opened.operators)
    comparison: tuple[RankedStrategy, ...] = ()
    if request.compare:
        comparison = tuple(
            rank(
                opened.operators,
                # As many roots as are given by hand, so that the rows can be compared.
                len(request.given) - 1 if request.given else request.degree,
                seed=7 if request.seed is None else request.seed,
                given=request.given,
                present=opened.present(),
                relaxation=request.relaxation,
                on_row=lambda row, done, count: report_progress(f"strategies: {row.strategy}", done, count),
            )
        )
    done = 0

    def on_level(_: LevelReport) -> None:
        nonlocal done
        done += 1
        report_progress("diagnosis", done, total)

    try:
        result = _choose_and_set(opened, request, on_level)
    except PolyrootsError as error:
        if not comparison:
            raise
        return InitResult(opened, None, None, comparison, error)
    grids: tuple[LevelTwoGrid, ...] = ()
    if request.two_grid is not None:
        assert result.report is not None
        network = result.network
        between = None if network is None else [(transition.R, transition.Pi) for transition in network.transitions]
        grids = two_grids(opened.operators, result.report, between, request.two_grid, report_progress)
    return InitResult(opened, result.report, result.network, comparison, two_grids=grids)


def _choose_and_set(source: InitSource, request: InitRequest, on_level: Callable[[LevelReport], None]) -> InitResult:
    """Choose roots, or draw coefficients, for all operators; set the network's coefficients."""
    if not request.alphas.needs_spectrum:
        network = source.network
        assert network is not None
        # The coefficients of a drawn network follow its weights, as in training.
        draw_alphas(network, request.alphas, request.seed if source.generator is None else None)
        return InitResult(source, report_as_is(network, source.operators, str(request.alphas), on_level), network)
    choices = choose_for_all(source.operators, request.degree, request.strategy, request.options, request.relaxation)
    network = source.network_with(choices[0].blocks)
    if network is not None:
        set_roots(network, choices)
    return InitResult(source, report_on(source.operators, choices, request, network, on_level), network)


def _ignore(*_: object) -> None:
    """Do nothing: the default of callbacks."""
