"""What decides a training run."""

from __future__ import annotations

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
    model_validator,
)

from polyroots.errors import one_sentence, unknown_name
from polyroots.models import AlphaInit, ModelConfig
from polyroots.training.data.augmentation import parse
from polyroots.training.recipes import fields_of

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["32", "bf16"]
#: Where images wait: in the device's memory, or in that of workers which read ahead.
Loading = Literal["auto", "device", "workers"]


class TrainConfig(BaseModel):
    """Configuration of a training run, complete.

    Attributes
    ----------
    dataset, data_dir : the data, see `open_data`
    limit : at most so many images of each split
    val_fraction : share of the training images that is held out, to choose the best epoch by
    model : the network
    roots : root strategy that sets a Poly-MgNet's coefficients
    alpha_init : ``"spectrum"``, or what sets them without one, see `polyroots.models.coefficient_init.AlphaInit`
    epochs, batch_size : passes over the training images; images a step, of all processes together
    lr : learning rate at its largest; after the warm-up it falls to 0 along half a cosine
    schedule : whether it moves with every ``"step"`` or stays the same during an ``"epoch"``
    warmup : epochs in which it rises from 0 in equal steps
    momentum, nesterov, weight_decay : of SGD
    decay_alphas : whether the coefficients alpha of a Poly-MgNet are decayed as well
    label_smoothing : of the cross entropy
    clip_norm : largest norm of the gradient
    augment : parts such as ``"crop,flip"``, see `polyroots.training.data.augmentation.PARTS`; or ``"none"``
    fill : 0..255, what augmentation puts where the image has nothing
    seed : of weights, order and augmentation
    device : ``"auto"`` takes an accelerator where there is one
    devices, num_nodes : processes on each machine, a device each; machines
    sync_batch_norm : whether batch norm looks at the images of all processes, rather than at its own
    precision : ``"32"``, or ``"bf16"`` for mixed precision
    compile : whether torch.compile makes the network faster
    loading, workers : where images wait, see `polyroots.training.loop.feed`; processes that read ahead
    track_spectrum : store spectra and coefficients each so many epochs
    tensorboard : whether to write TensorBoard's logs as well
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str
    data_dir: Path | None = None
    limit: int | None = Field(default=None, ge=2)
    val_fraction: float = Field(default=0.0, ge=0, le=0.5)
    model: ModelConfig
    roots: str = "extremal"
    alpha_init: str = "spectrum"
    epochs: PositiveInt
    batch_size: int = Field(ge=2)
    lr: PositiveFloat = 0.1
    schedule: Literal["step", "epoch"] = "step"
    warmup: NonNegativeFloat = 0.0
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 1e-4
    decay_alphas: bool = False
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    clip_norm: PositiveFloat | None = None
    augment: str
    fill: int = Field(ge=0, le=255)
    seed: NonNegativeInt = Field(default=7, lt=2**32)
    device: Device = "auto"
    devices: PositiveInt = 1
    num_nodes: PositiveInt = 1
    sync_batch_norm: bool = False
    precision: Precision = "32"
    compile: bool = False
    loading: Loading = "auto"
    workers: PositiveInt = 2
    track_spectrum: PositiveInt | None = None
    tensorboard: bool = False

    @field_validator("alpha_init")
    @classmethod
    def _known(cls, alpha_init: str) -> str:
        return str(AlphaInit.parse(alpha_init))

    @field_validator("augment")
    @classmethod
    def _in_order(cls, augment: str) -> str:
        return ",".join(parse(augment)) or "none"

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        # The run may be looked at from another directory.
        return path.resolve() if path else None

    @model_validator(mode="after")
    def _fits_together(self) -> TrainConfig:
        if self.warmup >= self.epochs:
            raise ValueError(
                f"a warm-up of {self.warmup:g} of {self.epochs} epochs leaves none to train in; choose a shorter "
                "warm-up, such as 0"
            )
        if self.nesterov and not self.momentum:
            raise ValueError("Nesterov's way needs a momentum greater than 0; leave nesterov out or give one")
        if self.batch_size < 2 * self.processes or self.batch_size % self.processes:
            raise ValueError(
                f"{self.batch_size} images a step can't be divided evenly among {self.processes} processes, with two "
                "for each at least; choose another batch size"
            )
        if self.track_spectrum and self.model.is_resnet:
            raise ValueError(
                f"{self.model.name} has no convolution A whose spectrum could be tracked; leave track_spectrum out"
            )
        return self

    @property
    def processes(self) -> int:
        """Number of processes that train together."""
        return self.devices * self.num_nodes


def train_config(dataset: str, model: ModelConfig, recipe: str | None = None, **fields: Any) -> TrainConfig:
    """Complete a configuration with the recipe's and the data set's choices for what is None, and check it.

    Parameters
    ----------
    dataset : str
    model : ModelConfig
    recipe : str, optional
        A name in `polyroots.training.RECIPES`.
    **fields
        Of `TrainConfig`.

    Raises
    ------
    InputError
        In one sentence, for the first field that doesn't fit.
    """
    for name in fields:
        if name not in TrainConfig.model_fields:
            raise unknown_name("field", name, TrainConfig.model_fields)
    chosen = fields_of(dataset, recipe) | {name: value for name, value in fields.items() if value is not None}
    try:
        return TrainConfig(dataset=dataset, model=model, **chosen)
    except ValidationError as error:
        raise one_sentence(error) from None
