"""Names of networks, and what else decides their shape."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError, model_validator

from polyroots.errors import InputError, one_sentence, unknown_name
from polyroots.factors import blocks_for_degree, degree_of, parse_blocks

#: The Poly-MgNets of the paper by name.
NAMED_BLOCKS: dict[str, tuple[str, ...]] = {
    "q2": ("L", "L"),
    "q4": ("L", "L", "C"),
    "q4r": ("S", "S"),
    "q6": ("S", "S", "C"),
    "q8": ("S", "S", "S", "C"),
}

#: Every name that `build` knows; a block sequence such as "L,C,C" is a name, too.
NAMES = (*NAMED_BLOCKS, "resnet18")

_RESNET18_CHANNELS = (64, 128, 256, 512)


class ModelConfig(BaseModel):
    """All that decides a network's shape, with nothing left to be chosen: it rebuilds the network of a checkpoint.

    Attributes
    ----------
    name : a name in `NAMES` or a block sequence such as ``"L,C,C"``
    image_size : (H, W) in pixels
    in_channels : channels of the image
    classes : outputs
    channels : channels of each level, finest first; each a multiple of the one before
    padding : of the levels' convolutions A; ``"circular"`` makes them the operators that the symbol describes
    max_pool : resnet18 alone: pool after the stem, as for ImageNet
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    image_size: tuple[PositiveInt, PositiveInt]
    in_channels: PositiveInt
    classes: PositiveInt
    channels: tuple[PositiveInt, ...]
    padding: Literal["zeros", "circular"] = "zeros"
    max_pool: bool = False

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.name == "resnet18":
            if self.channels != _RESNET18_CHANNELS:
                raise ValueError(
                    f"resnet18 has the channels 64,128,256,512, got {_commas(self.channels)}; leave them out"
                )
            if self.padding != "zeros":
                raise ValueError(f"resnet18 has zero padding, got '{self.padding}'; leave it out")
            return self
        self.blocks  # noqa: B018 - an unknown name raises here
        if self.max_pool:
            raise ValueError(f"max_pool is an option of resnet18 alone, got it for {self.name}; leave it out")
        if not self.channels:
            raise ValueError("expected the channels of at least one level, got none")
        for fine, coarse in pairwise(self.channels):
            if coarse % fine:
                raise ValueError(
                    f"each level's channels must be a multiple of the level's before, got {_commas(self.channels)}"
                )
        return self

    @property
    def is_polynomial(self) -> bool:
        """Whether this is a Poly-MgNet."""
        return self.name != "resnet18"

    @property
    def blocks(self) -> tuple[str, ...]:
        """Block sequence of a level: letters of `polyroots.factors.BLOCKS`.

        Raises
        ------
        InputError
            If this is no Poly-MgNet.
        """
        if not self.is_polynomial:
            raise InputError(f"{self.name} has no polynomial, so no degree and no roots; use a Poly-MgNet such as q4")
        return blocks_of(self.name)

    @property
    def title(self) -> str:
        """Name, for a long block sequence its length, as in "60 blocks"."""
        return self.name if len(self.name) <= 12 else f"{len(self.blocks)} blocks"

    @property
    def degree(self) -> int:
        """Degree d of a level's polynomial p."""
        return degree_of(self.blocks)

    def level_index(self, level: int) -> int:
        """Return the index of a level that users count from 1.

        Raises
        ------
        InputError
            If the network has no such level.
        """
        if not self.is_polynomial:
            raise InputError(f"{self.name} has no levels; use the checkpoint of a Poly-MgNet such as q4")
        if not 1 <= level <= len(self.channels):
            raise InputError(f"expected a level from 1 to {len(self.channels)}, got {level}")
        return level - 1

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Image size (H, W) of each level in pixels."""
        sizes = [self.image_size]
        for _ in self.channels[1:]:
            sizes.append(coarser(sizes[-1]))
        return tuple(sizes)


def model_config(
    name: str,
    *,
    image_size: int | Sequence[int] = 32,
    in_channels: int = 3,
    classes: int = 10,
    channels: Sequence[int] | None = None,
    **options: Any,
) -> ModelConfig:
    """Complete and check a network's configuration; channels left out follow from the image size.

    Raises
    ------
    InputError
        In one sentence, for the first thing that doesn't fit.
    """
    try:
        # An unknown name is the first thing to say; the channels depend on it.
        size = tuple(image_size) if isinstance(image_size, Sequence) else (int(image_size), int(image_size))
        if channels is None:
            if name == "resnet18":
                channels = _RESNET18_CHANNELS
            else:
                blocks_of(name)
                channels = default_channels(size)
        fields: dict[str, Any] = {
            "name": name,
            "image_size": size,
            "in_channels": in_channels,
            "classes": classes,
            "channels": tuple(channels),
        }
        return ModelConfig(**fields, **options)
    except ValidationError as error:
        raise one_sentence(error) from None


def blocks_of(name: str) -> tuple[str, ...]:
    """Block sequence of a named Poly-MgNet or of a name that is itself a sequence.

    Raises
    ------
    InputError
        If the name is neither.
    """
    if name in NAMED_BLOCKS:
        return NAMED_BLOCKS[name]
    if "," in name or len(name.strip()) == 1:
        return parse_blocks(name)
    raise unknown_name("model", name, NAMES)


def name_for_degree(degree: int) -> str:
    """Return the network whose blocks a degree asks for: a paper's name where there is one, else the sequence.

    >>> [name_for_degree(d) for d in (1, 3, 5)]
    ['q2', 'q4', 'L,L,C,C']
    """
    return name_for_blocks(blocks_for_degree(degree))


def name_for_blocks(blocks: tuple[str, ...]) -> str:
    """Return the paper's name of a block sequence where it has one, else the sequence."""
    named = [name for name, sequence in NAMED_BLOCKS.items() if sequence == blocks]
    return named[0] if named else ",".join(blocks)


def default_channels(image_size: Sequence[int]) -> tuple[int, ...]:
    """Channels (w, 2w, 4w, 4w, ...) for levels that halve the image down to at most 4 pixels on its shorter side.

    w is the paper's 64, and 32 for images of fewer than 16 pixels.

    >>> default_channels((32, 32)), default_channels((8, 8))
    ((64, 128, 256, 256), (32, 64))
    """
    side, levels = min(image_size), 1
    w = 64 if side >= 16 else 32
    while side > 4:
        side, levels = -(-side // 2), levels + 1
    return tuple(w * min(4, 2**level) for level in range(levels))


def coarser(size: tuple[int, int]) -> tuple[int, int]:
    """Image size after a 3x3 convolution with stride 2 and padding 1."""
    return (-(-size[0] // 2), -(-size[1] // 2))


def _commas(channels: Sequence[int]) -> str:
    return ",".join(str(c) for c in channels)
