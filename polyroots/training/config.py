"""What decides a training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)

from polyroots.errors import one_sentence, unknown_name
from polyroots.models import ModelConfig
from polyroots.models.alphas import AlphaInit

Augment = Literal["none", "crop", "crop-flip"]
Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Defaults:
    """What a data set is trained with unless said otherwise."""

    epochs: int
    batch_size: int
    augment: Augment


#: By data set. Digits fill their 8x8 pixels: a crop would cut strokes off, and a mirrored digit is another sign.
DEFAULTS = {
    "digits": Defaults(epochs=20, batch_size=64, augment="none"),
    "folder": Defaults(epochs=30, batch_size=128, augment="crop-flip"),
    "cifar10": Defaults(epochs=30, batch_size=128, augment="crop-flip"),
}


class TrainConfig(BaseModel):
    """Configuration of a training run, complete.

    Attributes
    ----------
    dataset, data_dir : the data, see `open_data`
    limit : at most so many images of each split
    model : the network
    roots : root strategy that sets a Poly-MgNet's coefficients
    alpha_init : ``"spectrum"``, or what sets them without one, see `polyroots.models.alphas.AlphaInit`
    epochs, batch_size : passes over the training images; images a step, two at least for batch norm
    lr : learning rate at the start; it falls to 0 along half a cosine, step by step
    momentum, weight_decay : of SGD; the coefficients alpha of a Poly-MgNet are not decayed
    augment : random crop after padding by an eighth of the image, horizontal flip
    seed : of weights, order and augmentation
    device : ``"auto"`` takes an accelerator where there is one
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str
    data_dir: Path | None = None
    limit: int | None = Field(default=None, ge=2)
    model: ModelConfig
    roots: str = "extremal"
    alpha_init: str = "spectrum"
    epochs: PositiveInt
    batch_size: int = Field(ge=2)
    lr: PositiveFloat = 0.1
    momentum: NonNegativeFloat = 0.9
    weight_decay: NonNegativeFloat = 1e-4
    augment: Augment
    seed: NonNegativeInt = Field(default=7, lt=2**32)
    device: Device = "auto"

    @field_validator("alpha_init")
    @classmethod
    def _known(cls, alpha_init: str) -> str:
        return str(AlphaInit.parse(alpha_init))

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        # The run may be looked at from another directory.
        return path.resolve() if path else None


def train_config(dataset: str, model: ModelConfig, **fields: Any) -> TrainConfig:
    """Complete a configuration with the data set's defaults for what is None, and check it.

    Raises
    ------
    InputError
        In one sentence, for the first field that doesn't fit.
    """
    if dataset not in DEFAULTS:
        raise unknown_name("data set", dataset, DEFAULTS)
    chosen = {
        **vars(DEFAULTS[dataset]),
        **{name: value for name, value in fields.items() if value is not None},
    }
    try:
        return TrainConfig(dataset=dataset, model=model, **chosen)
    except ValidationError as error:
        raise one_sentence(error) from None
