"""Names of networks, with their blocks, families and default channels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polyroots.errors import InputError, unknown_name
from polyroots.polynomials import BLOCKS, blocks_for_degree, join_blocks, parse_blocks
from polyroots.text import quoted, shortened

# Larger than any network that fits into memory.
_LARGEST_SCALE = 1e6

#: The Poly-MgNets of the paper by name.
NAMED_BLOCKS: dict[str, tuple[str, ...]] = {
    "q2": ("L", "L"),
    "q4": ("L", "L", "C"),
    "q4r": ("S", "S"),
    "q6": ("S", "S", "C"),
    "q8": ("S", "S", "S", "C"),
}


@dataclass(frozen=True)
class MgNetKind:
    """Which convolutions the steps of a MgNet share, and its restriction and prolongation.

    Attributes
    ----------
    A_per_step, B_per_step : bool
        Whether each step has a convolution of its own; otherwise all steps of a level share one.
    is_full : bool
        Whether Pi and R are full convolutions with batch norm and ReLU, and all levels as wide as the first.
    width : int
        Channels of the first level at 32x32 pixels.
    """

    A_per_step: bool
    B_per_step: bool
    is_full: bool = False
    width: int = 64


#: MgNet^{A,B}, MgNet^A, MgNet with nothing shared, and He and Xu's own [2,2,2,2]-256-B^l.
MGNETS: dict[str, MgNetKind] = {
    "mgnet-ab": MgNetKind(A_per_step=False, B_per_step=False),
    "mgnet-a": MgNetKind(A_per_step=False, B_per_step=True),
    "mgnet": MgNetKind(A_per_step=True, B_per_step=True),
    "mgnet-hx": MgNetKind(A_per_step=False, B_per_step=False, is_full=True, width=256),
}


@dataclass(frozen=True)
class ResNetKind:
    """Stages of a ResNet.

    Attributes
    ----------
    depths : tuple of int
        Residual blocks of each stage.
    width : int
        Channels of the first stage; each further stage has twice as many as the one before.
    is_projecting : bool
        Whether a shortcut that changes the shape is a 1x1 convolution; otherwise it takes every second pixel and adds
        zero channels (option A of the CIFAR networks).
    """

    depths: tuple[int, ...]
    width: int
    is_projecting: bool


RESNETS: dict[str, ResNetKind] = {
    "resnet18": ResNetKind((2, 2, 2, 2), 64, is_projecting=True),
    "resnet20": ResNetKind((3, 3, 3), 16, is_projecting=False),
    "resnet32": ResNetKind((5, 5, 5), 16, is_projecting=False),
    "resnet44": ResNetKind((7, 7, 7), 16, is_projecting=False),
}

#: The names that `build` takes, besides block sequences such as "L,C,C".
NAMES = (*NAMED_BLOCKS, *MGNETS, *RESNETS)


def is_own(name: str) -> bool:
    """Whether a name is that of the user's own network: ``"module:callable"``, or ``":Class"`` of a given object."""
    return ":" in name


def blocks_of(name: str) -> tuple[str, ...]:
    """Return the block sequence of a Poly-MgNet's name, which may itself be a sequence.

    Raises
    ------
    InputError
        If the name is neither.
    """
    if name in NAMED_BLOCKS:
        return NAMED_BLOCKS[name]
    if "," in name or len(name.strip()) == 1:
        return parse_blocks(name)
    if name and set(name.upper()) <= set(BLOCKS):
        raise InputError(
            f"unknown model '{shortened(name, 60)}': blocks are separated by commas, as in {join_blocks(name.upper())}"
        )
    raise unknown_name("model", name, NAMES)


def name_for_degree(degree: int) -> str:
    """Return the name of the network with the default blocks of a degree.

    Examples
    --------
    >>> [name_for_degree(d) for d in (1, 3, 5)]
    ['q2', 'q4', 'L,L,C,C']
    """
    return name_for_blocks(blocks_for_degree(degree))


def name_for_blocks(blocks: tuple[str, ...]) -> str:
    """Return the paper's name of a block sequence where it has one, else the sequence."""
    named = [name for name, sequence in NAMED_BLOCKS.items() if sequence == blocks]
    return named[0] if named else ",".join(blocks)


def default_channels(name: str, image_size: Sequence[int], scale: float = 1.0) -> tuple[int, ...]:
    """Return the channels of each level or stage.

    A multigrid network has levels that halve the image down to at most 4 pixels on its shorter side, with the channels
    (w, 2w, 4w, 4w, ...), or w everywhere in ``mgnet-hx``. w is floor(64 scale) and floor(256 scale), half of that for
    images of fewer than 16 pixels. A ResNet doubles its channels from stage to stage.

    Raises
    ------
    InputError
        If the name is unknown, or the scale leaves no channel.

    Examples
    --------
    >>> default_channels("q2", (32, 32)), default_channels("q2", (8, 8)), default_channels("resnet18", (32, 32), 0.5)
    ((64, 128, 256, 256), (32, 64), (32, 64, 128, 256))
    """
    if is_own(name):
        return ()
    if name in RESNETS:
        kind = RESNETS[name]
        w = scaled_width(kind.width, scale)
        return tuple(w * 2**stage for stage in range(len(kind.depths)))
    mgnet = MGNETS.get(name)
    if mgnet is None:
        blocks_of(name)
    side, levels = min(image_size), 1
    width = 64 if mgnet is None else mgnet.width
    w = scaled_width(width if side >= 16 else width // 2, scale)
    while side > 4:
        side, levels = -(-side // 2), levels + 1
    if mgnet is not None and mgnet.is_full:
        return (w,) * levels
    return tuple(w * min(4, 2**level) for level in range(levels))


def parse_scale(text: str) -> float:
    """Return a scale of the channels from text: a positive number, also as a square root or a reciprocal.

    Raises
    ------
    InputError
        If it is something else.

    Examples
    --------
    >>> [round(parse_scale(text), 4) for text in ("0.5", "sqrt2", "1/sqrt(8)", "3/4")]
    [0.5, 1.4142, 0.3536, 0.75]
    """
    numbers = []
    for part in text.replace(" ", "").split("/"):
        found = re.fullmatch(r"(sqrt)?\(?((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\)?", part)
        numbers.append(math.nan if found is None else float(found[2]) ** (0.5 if found[1] else 1))
    scale = math.nan
    if len(numbers) <= 2 and all(numbers):
        scale = numbers[0] / numbers[1] if len(numbers) == 2 else numbers[0]
    if not 0 < scale < math.inf:
        raise InputError(f"expected a positive number such as 0.5, sqrt2 or 1/sqrt8, got {quoted(text)}")
    return scale


def scaled_width(width: int, scale: Any) -> int:
    """Return the channels of the first level, floor(width scale).

    The other levels' channels are multiples of it; if each was rounded by itself they would not be.

    Raises
    ------
    InputError
        If the scale is no positive number, or leaves no channel.

    Examples
    --------
    >>> [scaled_width(64, s) for s in (8**-0.5, 2**-0.5, 2**0.5, 8**0.5)]
    [22, 45, 90, 181]
    """
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= _LARGEST_SCALE:
        raise InputError(
            f"expected a positive number of at most {_LARGEST_SCALE:g} as the scale of the channels, "
            f"got {quoted(scale)}"
        )
    # A scale that should give whole channels may lie below by a rounding error, as 49 * (1 / 49).
    w = math.floor(width * scale * (1 + 1e-12))
    if not w:
        raise InputError(f"a scale of {scale:g} leaves no channel of {width}; choose at least 1/{width}")
    return w
