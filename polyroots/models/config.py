"""The configuration of a network, complete and checked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from polyroots.arguments import pair
from polyroots.errors import InputError, one_sentence, unknown_name
from polyroots.models.operator import Init, Padding
from polyroots.models.placement import Placement, placements_for
from polyroots.models.registry import MGNETS, RESNETS, blocks_of, default_channels, is_own
from polyroots.models.step import Alphas
from polyroots.polynomials import degree_of
from polyroots.text import quoted

# Larger than any network that fits into memory; refused before it is built.
_Channels = Annotated[int, Field(gt=0, le=65_536)]
_Steps = Annotated[int, Field(gt=0, le=10_000)]
_Pixels = Annotated[int, Field(gt=0, le=65_536)]
_Classes = Annotated[int, Field(gt=0, le=10_000_000)]

# Fields that only networks with our levels have.
_OF_LEVELS = ("padding", "placement", "quadratic_placement", "steps", "steps_per_A", "alphas", "A_init")

# Steps of a MgNet's level in the paper and in [2,2,2,2]-256-B^l.
_MGNET_STEPS = 2


class ModelConfig(BaseModel):
    """The complete configuration of a network, from which `build` makes it; `model_config` fills in the defaults.

    Attributes
    ----------
    name : str
        A name in `NAMES`, a block sequence such as ``"L,L,C"``, or ``"module:callable"``, a function or class of the
        user's own that returns a network.
    image_size : (H, W)
        Of the network's input, in pixels.
    in_channels : int
        Channels of the image.
    num_classes : int
        Outputs.
    channels : tuple of int
        Channels of each level, finest first, each a multiple of the one before; of each stage of a ResNet.
    padding : ``"zeros"`` or ``"circular"``
        Of the levels' convolutions A and B; circular padding makes A the operator that the symbol describes.
    placement : str or None
        Of batch norm and ReLU in a step, see `Placement`; None for the authors'.
    quadratic_placement : str or None
        Of the blocks R and C, in its place.
    steps : int or None
        Steps of a MgNet's level; None for other networks, whose blocks are the steps.
    steps_per_A : int or None
        Number of successive steps of a level that share one A; None for all of them.
    alphas : ``"trained"`` or ``"fixed"``
        Whether the coefficients of a Poly-MgNet are trained.
    A_init : ``"kaiming"`` or ``"shifted"``
        How A is drawn: torch's default, as the authors do, or the identity plus noise.
    max_pool : bool
        Of resnet18: pool after the stem, as for ImageNet.

    See Also
    --------
    model_config : a configuration with defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    image_size: tuple[_Pixels, _Pixels]
    in_channels: _Channels
    num_classes: _Classes
    channels: tuple[_Channels, ...]
    padding: Padding = "zeros"
    placement: str | None = None
    quadratic_placement: str | None = None
    steps: _Steps | None = None
    steps_per_A: _Steps | None = None
    alphas: Alphas = "trained"
    A_init: Init = "kaiming"
    max_pool: bool = False

    @model_validator(mode="before")
    @classmethod
    def _read_0_1_0(cls, fields: Any) -> Any:
        """Take the fields of version 0.1.0, which stored the number of classes under another name."""
        if isinstance(fields, dict) and "classes" in fields and "num_classes" not in fields:
            return {"num_classes" if name == "classes" else name: value for name, value in fields.items()}
        return fields

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.is_own:
            self._leave_out(*_OF_LEVELS, "max_pool")
            if self.channels:
                raise ValueError(
                    f"{self.name} chooses its channels itself, got {_commas(self.channels)}; leave them out"
                )
            return self
        if self.is_resnet:
            self._check_resnet()
            return self
        if self.name in MGNETS:
            self._check_mgnet()
        else:
            placements_for(self.blocks, self.placement, self.quadratic_placement)
            self._leave_out("steps")
        self._leave_out("max_pool")
        self._check_channels()
        return self

    def _check_resnet(self) -> None:
        self._leave_out(*_OF_LEVELS)
        stages = len(RESNETS[self.name].depths)
        if len(self.channels) != stages:
            raise ValueError(f"{self.name} has {stages} stages, got channels for {len(self.channels)}")
        if self.max_pool and self.name != "resnet18":
            raise ValueError(f"max_pool is an option of resnet18 alone, got it for {self.name}; leave it out")
        if not RESNETS[self.name].is_projecting and any(c < f for f, c in pairwise(self.channels)):
            raise ValueError(f"{self.name} can't lose channels from stage to stage, got {_commas(self.channels)}")

    def _check_mgnet(self) -> None:
        self._leave_out("quadratic_placement", "alphas")
        if self.steps is None:
            raise ValueError(f"{self.name} needs the number of steps of a level; model_config has a default")
        if self.steps_per_A is None and MGNETS[self.name].A_per_step:
            raise ValueError(f"{self.name} needs the number of steps that share an A; model_config has a default")
        if self.placement is not None and Placement.parse(self.placement).on_A_term:
            raise ValueError(f"{self.name} has no A-term, got the placement {self.placement}; choose another one")

    def _check_channels(self) -> None:
        if not self.channels:
            raise ValueError("expected the channels of at least one level, got none")
        for fine, coarse in pairwise(self.channels):
            if coarse % fine and not self.has_full_transitions:
                raise ValueError(
                    f"each level's channels must be a multiple of the level's before, got {_commas(self.channels)}"
                )

    def _leave_out(self, *fields: str) -> None:
        """Refuse fields that this network doesn't have, unless they have their defaults."""
        for name in fields:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is no option of {self.name}, got {quoted(getattr(self, name))}; leave it out")

    @property
    def is_resnet(self) -> bool:
        """Whether this is a ResNet."""
        return self.name in RESNETS

    @property
    def is_polynomial(self) -> bool:
        """Whether this is a Poly-MgNet."""
        return not self.is_own and not self.is_resnet and self.name not in MGNETS

    @property
    def is_own(self) -> bool:
        """Whether this is a network of the user's own, which may have polynomial blocks in it."""
        return is_own(self.name)

    @property
    def has_full_transitions(self) -> bool:
        """Whether Pi and R are full convolutions, as He and Xu's, rather than one channel each."""
        return self.name in MGNETS and MGNETS[self.name].is_full

    @property
    def blocks(self) -> tuple[str, ...]:
        """Block sequence of a level: letters of `polyroots.polynomials.blocks.BLOCKS`.

        Raises
        ------
        InputError
            If this is no Poly-MgNet.
        """
        if not self.is_polynomial:
            raise InputError(f"{self.name} has no polynomial, so no degree and no roots; use a Poly-MgNet such as q4")
        return blocks_of(self.name)

    @property
    def placements(self) -> tuple[Placement, ...]:
        """Placement of each block of a Poly-MgNet."""
        return placements_for(self.blocks, self.placement, self.quadratic_placement)

    @property
    def steps_per_B(self) -> int | None:
        """Number of successive steps of a MgNet that share one B; None for all of a level."""
        return 1 if MGNETS[self.name].B_per_step else None

    @property
    def title(self) -> str:
        """Name; of a long block sequence its length, as in "60 blocks"; of a user's own network without its module."""
        if self.is_own:
            return self.name.partition(":")[2]
        return self.name if len(self.name) <= 12 else f"{len(self.blocks)} blocks"

    @property
    def degree(self) -> int:
        """Degree d of a level's polynomial p."""
        return degree_of(self.blocks)

    def with_name(self, name: str) -> ModelConfig:
        """Return the configuration of another network that is the same otherwise.

        Raises
        ------
        InputError
            If the rest does not go with the name.
        """
        try:
            return ModelConfig(**(self.model_dump() | {"name": name}))
        except ValidationError as error:
            raise one_sentence(error) from None

    def level_index(self, level: int) -> int:
        """Return the index of a level that users count from 1.

        Raises
        ------
        InputError
            If the network has no such level.
        """
        if self.is_resnet or self.is_own:
            raise InputError(f"{self.name} has no levels; use the checkpoint of a Poly-MgNet such as q4")
        if not 1 <= level <= len(self.channels):
            raise InputError(f"expected a level from 1 to {len(self.channels)}, got {level}")
        return level - 1

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Grid (H, W) of each level."""
        sizes = [self.image_size]
        for _ in self.channels[1:]:
            sizes.append(coarser(sizes[-1]))
        return tuple(sizes)


def model_config(
    name: str,
    *,
    image_size: int | Sequence[int] = 32,
    in_channels: int = 3,
    num_classes: int = 10,
    channels: Sequence[int] | None = None,
    scale: float | None = None,
    **options: Any,
) -> ModelConfig:
    """Return a network's configuration, complete and checked.

    Parameters
    ----------
    name : str
        A name in `NAMES` or a block sequence such as ``"L,C,C"``.
    image_size : int or (H, W)
        Of the network's input, in pixels.
    in_channels, num_classes : int
    channels : sequence of int, optional
        Of each level or stage; by default they follow from name and image size, see `default_channels`.
    scale : float, optional
        Scales these default channels.
    **options
        Other fields of `ModelConfig`.

    Returns
    -------
    ModelConfig

    Raises
    ------
    InputError
        If a name is unknown, or fields don't go together.

    Examples
    --------
    >>> model_config("q4", image_size=8).channels
    (32, 64)
    """
    if not isinstance(name, str):
        raise InputError(f"expected the name of a network or blocks such as 'L,L,C', got {quoted(name)}")
    for option in options:
        if option not in ModelConfig.model_fields:
            raise unknown_name("option of a network", option, [*ModelConfig.model_fields, "scale"])
    if isinstance(channels, str) or not isinstance(channels, Sequence | None):
        raise InputError(f"channels: expected those of each level such as (64, 128), got {quoted(channels)}")
    try:
        size = pair(image_size, "image_size")
        # Called even if the channels are given, as it refuses an unknown name.
        by_default = default_channels(name, size, 1.0 if scale is None else scale)
        if channels is not None and scale is not None:
            raise InputError(f"channels and a scale both decide the channels, got {scale:g}; leave one of them out")
        if name in MGNETS:
            options.setdefault("steps", _MGNET_STEPS)
            if MGNETS[name].A_per_step:
                options.setdefault("steps_per_A", 1)
        fields: dict[str, Any] = {
            "name": name,
            "image_size": size,
            "in_channels": in_channels,
            "num_classes": num_classes,
            "channels": by_default if channels is None else tuple(channels),
        }
        return ModelConfig(**fields, **options)
    except ValidationError as error:
        raise one_sentence(error) from None


def coarser(size: tuple[int, int]) -> tuple[int, int]:
    """Return the grid after a 3x3 convolution with stride 2 and padding 1."""
    return (-(-size[0] // 2), -(-size[1] // 2))


def _commas(channels: Sequence[int]) -> str:
    return ",".join(str(c) for c in channels)
