"""What is asked of an initialisation: the choice of roots, and the operators that they are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from polyroots.checkpoints import Architecture, Geometry
from polyroots.errors import InputError
from polyroots.models import AlphaInit, Signs, require_signs
from polyroots.polynomials import require_degree
from polyroots.roots import Relaxation, completed, require_options
from polyroots.text import count_of

#: Called with what is being computed, how many are done, and how many there are.
OnProgress = Callable[[str, int, int], None]


#: Fields of `InitRequest` for networks that are to be trained, in `initialize` and in training.
FOR_TRAINING = {"relax": "auto", "signs": "placement"}


class RequestError(InputError):
    """A field of an `InitRequest` that doesn't go with another one or with the source."""


@dataclass(frozen=True)
class InitRequest:
    """How `initialize_from` chooses coefficients.

    Parameters
    ----------
    degree : int, optional
        Degree d of p. Where the blocks are fixed it must be theirs; otherwise it decides the number of roots, d + 1,
        and is 3 by default.
    strategy : str
        A name in `polyroots.roots.STRATEGIES`.
    options : mapping
        Options of the strategy, see `polyroots.select_roots`.
    alpha_init : str
        ``"spectrum"`` for roots from the spectrum; ``"xavier"``, ``"uniform"`` or ``"constant"`` for coefficients that
        are drawn or set without one, see `polyroots.models.AlphaInit`.
    relax : str or float
        Move the roots of each operator: ``"none"``, a weight that divides them, ``"auto"`` or ``"auto:BOUND"``, see
        `polyroots.select_roots`.
    signs : ``"paper"`` or ``"placement"``
        The signs of real roots. ``"placement"`` takes the roots of blocks L that rectify twice from the positive side
        of the spectrum (`polyroots.models.blocks_that_rectify_twice`), and keeps the blocks of the network or of its
        configuration. ``"paper"`` leaves them to the strategy.
    region : ``"all"`` or ``"high"``
        Damp the whole spectrum, or the high frequencies only.
    padding : ``"circular"`` or ``"zeros"``
        Boundary of the operators whose spectra are taken, whatever the network has.
    seed : int, optional
        Of a drawn network and of drawn coefficients; by default torch's global generator goes on.
    compare : bool
        Rank all strategies as well.
    free_blocks : bool
        Of a drawn network: let the roots choose the blocks, instead of fitting the roots to the configuration's.
    blocks : tuple of str, optional
        Of the layers of a file: the blocks that the roots have to fit.
    image_size : (H, W), optional
        Of the layers of a file, see `polyroots.checkpoints.read_layers`.
    geometry : Geometry, optional
        Of the layers of a file: strides, dilations and groups that are given, see `polyroots.checkpoints.Geometry`.
    architecture : Architecture, optional
        Of the layers of a file: the network that gives their geometry, see `polyroots.checkpoints.Architecture`.
    entry : str, optional
        Of a file with several networks: the name of one, see `polyroots.checkpoints.read_layers`.
    layers : tuple of str
        Of the layers of a file: patterns of names, such as ``"layer1.*"``; by default all.
    needs_network : bool
        Refuse a file that holds no Poly-MgNet, whose coefficients could be set.
    two_grid : (int, int), optional
        Two-grid analysis as well, with this number of smoothing steps before and after the coarse-grid correction, see
        `polyroots.initialization.two_grids`.

    Raises
    ------
    InputError
        If a name is unknown.
    RequestError
        If two fields contradict each other.
    """

    degree: int | None = None
    strategy: str = "extremal"
    options: Mapping[str, Any] = field(default_factory=dict)
    alpha_init: str = "spectrum"
    relax: str | float = "none"
    signs: Signs = "paper"
    region: str = "all"
    padding: str = "circular"
    seed: int | None = None
    compare: bool = False
    free_blocks: bool = False
    blocks: tuple[str, ...] | None = None
    image_size: tuple[int, int] | None = None
    geometry: Geometry | None = None
    architecture: Architecture | None = None
    entry: str | None = None
    layers: tuple[str, ...] = ()
    needs_network: bool = False
    two_grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        require_signs(self.signs)
        require_options(self.strategy, self.options)
        try:
            self.alphas.require_alone(
                strategy=self.strategy != "extremal",
                compare=self.compare,
                relax=self.relaxation.kind != "none",
                signs=self.signs != "paper",
            )
        except InputError as error:
            raise RequestError(str(error), fields=error.fields) from None
        if self.region == "high" and self.padding == "zeros":
            raise RequestError(
                "the region 'high' needs circular padding: zero-padded eigenvalues have no frequency",
                fields=("region", "padding"),
            )

        if self.two_grid is not None and self.padding == "zeros":
            raise RequestError(
                "two-grid analysis needs circular padding: zero padding couples all frequencies",
                fields=("two_grid", "padding"),
            )

    @property
    def relaxation(self) -> Relaxation:
        """How the roots are relaxed."""
        return Relaxation.parse(self.relax)

    @property
    def alphas(self) -> AlphaInit:
        """The origin of the coefficients."""
        return AlphaInit.parse(self.alpha_init)

    @property
    def given(self) -> list[complex]:
        """Roots given by hand, completed with their conjugates; none with other strategies."""
        return completed(self.options["roots"]) if self.strategy == "given" else []

    def require_fit(self, blocks: tuple[str, ...] | None) -> None:
        """Raise RequestError unless the degree is that of the blocks, or without blocks that of the given roots."""
        if blocks is not None:
            try:
                require_degree(self.degree, blocks)
            except InputError as error:
                raise RequestError(str(error), fields=error.fields) from error
        elif self.given and self.degree not in (None, len(self.given) - 1):
            count = len(self.given)
            raise RequestError(
                f"{count_of(count, 'root')} with conjugates {'was' if count == 1 else 'were'} given, which is degree "
                f"{count - 1}, and degree "
                f"{self.degree} asks for {self.degree + 1}; leave the degree out",
                fields=("degree",),
            )
