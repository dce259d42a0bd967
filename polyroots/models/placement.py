"""Places of batch norm and ReLU in a step, and the paper's variants by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from torch import nn

from polyroots.errors import InputError, unknown_name
from polyroots.text import listed, quoted, shortened

Place = Literal["plain", "bn", "relu", "bn-relu"]
Where = Literal["step", "level", "exit"]

_PLACES: tuple[str, ...] = get_args(Place)
_A_TERM = "A:"


@dataclass(frozen=True)
class Placement:
    """The three places of a step u <- output(u + update(p(A) rho(r))).

    Attributes
    ----------
    rho : ``"plain"``, ``"bn"``, ``"relu"`` or ``"bn-relu"``
        Applied to the residual before the polynomial.
    update : one of the same
        Applied to p(A) rho(r) before it is added to u.
    output : one of the same
        Applied to u afterwards.
    on_A_term : bool
        Apply the update to the A-term alone, in blocks R and C: alpha0 s - update(-alpha1 A s), s = rho(r).
    where : ``"step"``, ``"level"`` or ``"exit"``
        Apply the output after every step; or once, after the level's last step; or once, to the features that leave
        the level, where the residual r = f - A u is that of u before the output.

    Notes
    -----
    ``str(placement)`` writes it as ``RHO,UPDATE,OUTPUT``, with ``A:`` before an update of the A-term and ``@level`` or
    ``@exit`` behind an output that is done once; `Placement.parse` reads that, or a name of `PLACEMENTS`.

    Where rho and update are plain, and the output is plain or done at the exit, a level multiplies its residual by
    exactly q(A).
    """

    rho: Place = "plain"
    update: Place = "plain"
    output: Place = "plain"
    on_A_term: bool = False
    where: Where = "step"

    def __post_init__(self) -> None:
        for place in (self.rho, self.update, self.output):
            if place not in _PLACES:
                raise InputError(f"unknown place '{shortened(place, 60)}': expected {', '.join(_PLACES)}")
        if self.where not in get_args(Where):
            raise InputError(f"unknown '@{self.where}': expected @step, @level or @exit")

    def __str__(self) -> str:
        update = f"{_A_TERM}{self.update}" if self.on_A_term else self.update
        where = "" if self.where == "step" else f"@{self.where}"
        return f"{self.rho},{update},{self.output}{where}"

    @classmethod
    def parse(cls, text: str) -> Placement:
        """Read a name, or ``RHO,UPDATE,OUTPUT``.

        Raises
        ------
        InputError
            If it is neither.

        Examples
        --------
        >>> Placement.parse("bn,plain,bn-relu@level")
        Placement(rho='bn', update='plain', output='bn-relu', on_A_term=False, where='level')
        >>> str(Placement.parse("A-bn"))
        'bn-relu,A:bn,plain'
        """
        if text in PLACEMENTS:
            return PLACEMENTS[text]
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 3:
            if len(parts) == 1:
                raise unknown_name("placement", text, PLACEMENTS)
            raise InputError(
                f"expected three places RHO,UPDATE,OUTPUT such as bn,plain,bn-relu, or a name, got {quoted(text)}"
            )
        rho, update, output = parts
        output, at, where = output.partition("@")
        return cls(
            cast("Place", rho),
            cast("Place", update.removeprefix(_A_TERM).strip()),
            cast("Place", output),
            on_A_term=update.startswith(_A_TERM),
            where=cast("Where", where if at else "step"),
        )


#: The paper's variants, of which (*) is regular and (**) outside; and `smoother`, for which the theory of roots holds.
PLACEMENTS: dict[str, Placement] = {
    "regular": Placement("bn-relu", "bn-relu", "plain"),
    "outside": Placement("bn-relu", "plain", "bn-relu"),
    "outside-bn": Placement("bn", "plain", "bn-relu"),
    "relu-outside": Placement("bn-relu", "bn", "relu", where="level"),
    "relu-outside-nobn": Placement("bn-relu", "plain", "relu", where="level"),
    "plain": Placement("bn-relu", "plain", "plain"),
    "no-relu": Placement("bn-relu", "plain", "bn"),
    "A-bn": Placement("bn-relu", "bn", "plain", on_A_term=True),
    "A-bn-relu": Placement("bn-relu", "bn-relu", "plain", on_A_term=True),
    "smoother": Placement("plain", "plain", "bn-relu", where="exit"),
}


def default_placements(blocks: Iterable[str]) -> tuple[Placement, ...]:
    """Return the authors' placement for each block of a sequence.

    Linear blocks alone take `outside-bn`; otherwise linear blocks and symmetric pairs take `regular`, real pairs and
    conjugate pairs `outside`.
    """
    blocks = tuple(blocks)
    if set(blocks) == {"L"}:
        return (PLACEMENTS["outside-bn"],) * len(blocks)
    return tuple(PLACEMENTS["regular" if letter in "LS" else "outside"] for letter in blocks)


def placements_for(
    blocks: Sequence[str], placement: str | None = None, quadratic: str | None = None
) -> tuple[Placement, ...]:
    """Return the placement of each block.

    Parameters
    ----------
    blocks : sequence of str
    placement : str, optional
        Of all blocks; by default the authors', see `default_placements`.
    quadratic : str, optional
        Of the blocks R and C, in its place.

    Returns
    -------
    tuple of Placement

    Raises
    ------
    InputError
        If one is unknown or does not go with the blocks.
    """
    chosen = list(default_placements(blocks))
    for text, letters in ((placement, "LRSC"), (quadratic, "RC")):
        if text is not None:
            parsed = Placement.parse(text)
            chosen = [parsed if letter in letters else other for letter, other in zip(blocks, chosen, strict=True)]
    if quadratic is not None and not set(blocks) & {"R", "C"}:
        raise InputError(
            f"a placement of quadratic blocks, '{quadratic}', needs a block R or C, got {listed(blocks, separator=',')}"
        )
    require_fit(blocks, chosen)
    return tuple(chosen)


def require_fit(blocks: Sequence[str], placements: Sequence[Placement]) -> None:
    """Raise InputError if a placement does not go with its block, or two with each other."""
    if len(blocks) != len(placements):
        raise InputError(f"expected a placement for each of {len(blocks)} blocks, got {len(placements)}")
    for letter, placement in zip(blocks, placements, strict=True):
        if placement.on_A_term and letter in "LS":
            raise InputError(
                f"the placement {placement} is of the A-term of blocks R and C, and block {letter} has a single term; "
                "give it as the placement of the quadratic blocks alone"
            )
    once_a_level(placements)


def once_a_level(placements: Iterable[Placement]) -> Placement:
    """Return the output that is done once a level, as a placement with this output and where alone.

    Raises
    ------
    InputError
        If the blocks of a level disagree.
    """
    found = {(p.output, p.where) for p in placements if p.where != "step"}
    if len(found) > 1:
        outputs = " and ".join(sorted(f"{output}@{where}" for output, where in found))
        raise InputError(f"the blocks of a level ask for different outputs, {outputs}; a level has one")
    output, where = found.pop() if found else ("plain", "level")
    return Placement(output=output, where=where)


def make_place(place: Place, channels: int) -> nn.Module:
    """Make the module of one place."""
    if place == "plain":
        return nn.Identity()
    if place == "bn":
        return nn.BatchNorm2d(channels)
    if place == "relu":
        return nn.ReLU()
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def has_norm(place: nn.Module) -> bool:
    """Whether a place has a batch norm, after which the scale of its input is lost."""
    # Also the synchronised batch norm, which is no BatchNorm2d.
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in place.modules())


def has_relu(place: nn.Module) -> bool:
    """Whether a place ends in a ReLU, after which nothing is negative."""
    return any(isinstance(module, nn.ReLU) for module in place.modules())
