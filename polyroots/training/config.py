"""Configuration of a training run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from polyroots.errors import one_sentence, unknown_name
from polyroots.initialization import FOR_TRAINING
from polyroots.models import AlphaInit, ModelConfig, Signs
from polyroots.roots import Relaxation
from polyroots.training.data.augmentation import parse
from polyroots.training.data.normalisation import AUTHORS
from polyroots.training.recipes import fields_of

# Larger than any that is computed; torch's integers have 64 bits.
Count = Annotated[int, Field(gt=0, lt=2**31)]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["32", "bf16"]
#: Where images are kept before a step: in the device's memory, or in that of workers which read ahead.
Loading = Literal["auto", "device", "workers"]

#: Fields of `TrainConfig` that may change when a run is resumed: they change its results by rounding only.
CHANGEABLE = ("data_dir", "device", "loading", "workers")


class TrainConfig(BaseModel):
    """Complete configuration of a training run.

    Attributes
    ----------
    dataset, data_dir : str, Path or None
        The data, see `open_data`.
    limit : int, optional
        Largest number of images taken from each split; all by default.
    val_fraction : float
        Share of the training images that is held out; the best epoch is chosen by them.
    model : ModelConfig
        The network.
    roots : str
        Root strategy that sets the coefficients of a Poly-MgNet.
    alpha_init : str
        ``"spectrum"``, or a rule that sets the coefficients without a spectrum, see `polyroots.models.AlphaInit`.
    relax : str
        How the roots are moved: ``"none"``, a weight that divides them, ``"auto"`` or ``"auto:BOUND"``, see
        `polyroots.select_roots`.
    signs : str
        The signs of real roots, ``"paper"`` or ``"placement"``, see `polyroots.initialization.InitRequest`.
    epochs, batch_size : int
        Passes over the training images; images of a step, of all processes together.
    lr : float
        Largest learning rate. After the warm-up it falls to 0 along half a cosine.
    schedule : str
        ``"step"`` changes the rate in every step, ``"epoch"`` once an epoch.
    warmup : float
        Epochs in which the rate rises from 0 in equal steps.
    momentum, nesterov, weight_decay : float, bool, float
        Settings of SGD.
    decay_alphas : bool
        Whether the coefficients alpha of a Poly-MgNet are decayed as well.
    label_smoothing : float
        Smoothing of the labels in the cross entropy.
    clip_norm : float, optional
        Largest norm of the gradient.
    bn_recalibrate : int, optional
        Number of batches of training images over which the statistics of batch norm are taken before each evaluation.
        By default they are the exponential means of training.
    augment : str
        Parts of `polyroots.training.data.augmentation.PARTS`, such as ``"crop,flip"``; or ``"none"``.
    fill : int
        Value in 0..255 of pixels that augmentation takes from outside of the image.
    normalisation : str
        ``"exact"``, by the mean and standard deviation of the training images, or ``"authors"``, by the numbers of the
        authors' code for CIFAR-10; ``"none"`` for data of the user's own.
    seed : int
        Seed of weights, order and augmentation.
    device : str
        ``"auto"`` takes an accelerator where there is one.
    devices, num_nodes : int
        Processes on each machine, with a device each; number of machines.
    sync_batch_norm : bool
        Whether batch norm uses the images of all processes, rather than those of its own.
    precision : str
        ``"32"``, or ``"bf16"`` for mixed precision.
    compile : bool
        Whether the network is compiled by torch.compile.
    loading, workers : str, int
        Where images are kept, see `polyroots.training.loop.feed`; number of processes that read ahead.
    track_spectrum : int, optional
        Number of epochs from one stored spectrum to the next; none is stored by default.
    tensorboard : bool
        Whether TensorBoard's logs are written as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str
    data_dir: Path | None = None
    limit: int | None = Field(default=None, ge=2, lt=2**63)
    val_fraction: float = Field(default=0.0, ge=0, le=0.5)
    model: ModelConfig
    roots: str = "extremal"
    alpha_init: str = "spectrum"
    relax: str = "none"
    signs: Signs = "paper"
    epochs: Count
    batch_size: int = Field(ge=2, lt=2**31)
    lr: PositiveFloat = 0.1
    schedule: Literal["step", "epoch"] = "step"
    warmup: NonNegativeFloat = 0.0
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 1e-4
    decay_alphas: bool = False
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    clip_norm: PositiveFloat | None = None
    bn_recalibrate: Count | None = None
    augment: str
    fill: int = Field(ge=0, le=255)
    normalisation: Literal["exact", "authors", "none"] = "exact"
    seed: NonNegativeInt = Field(default=7, lt=2**32)
    device: Device = "auto"
    devices: Count = 1
    num_nodes: Count = 1
    sync_batch_norm: bool = False
    precision: Precision = "32"
    compile: bool = False
    loading: Loading = "auto"
    workers: Count = 2
    track_spectrum: Count | None = None
    tensorboard: bool = False

    @field_validator("alpha_init")
    @classmethod
    def _known(cls, alpha_init: str) -> str:
        return str(AlphaInit.parse(alpha_init))

    @field_validator("relax", mode="before")
    @classmethod
    def _spelt(cls, relax: str | float) -> str:
        return str(Relaxation.parse(relax))

    @field_validator("augment")
    @classmethod
    def _in_order(cls, augment: str) -> str:
        return ",".join(parse(augment)) or "none"

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        # The run may be opened from another working directory. A link to itself stays, which Path.resolve refuses.
        return Path(os.path.realpath(path)) if path else None

    @model_validator(mode="after")
    def _fits_together(self) -> TrainConfig:
        AlphaInit.parse(self.alpha_init).require_alone(relax=self.relax != "none", signs=self.signs != "paper")
        if self.warmup >= self.epochs:
            raise ValueError(
                f"a warm-up of {self.warmup:g} of {self.epochs} epochs leaves none to train in; choose a shorter "
                "warm-up, such as 0"
            )
        if self.nesterov and not self.momentum:
            raise ValueError(
                "nesterov needs a momentum greater than 0, got 0; choose a momentum such as 0.9, or leave nesterov out"
            )
        if self.batch_size < 2 * self.processes or self.batch_size % self.processes:
            raise ValueError(
                f"{self.batch_size} images a step can't be divided evenly among {self.processes} processes, with two "
                "for each at least; choose another batch size"
            )
        if self.normalisation == "authors" and self.model.in_channels != len(AUTHORS.std):
            raise ValueError(
                f"the authors' normalisation is of {len(AUTHORS.std)} channels, and the images have "
                f"{self.model.in_channels}; choose normalisation 'exact'"
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
    """Return a complete configuration: the given fields, and those of the recipe or the data set for the others.

    Parameters
    ----------
    dataset : str
        Name in `polyroots.training.SOURCES`.
    model : ModelConfig
        The network, from `polyroots.models.model_config`.
    recipe : str, optional
        Name in `polyroots.training.RECIPES`.
    **fields
        Fields of `TrainConfig`; None stands for the recipe's or the data set's choice.

    Returns
    -------
    TrainConfig

    Raises
    ------
    InputError
        If the data set, the recipe or a field is unknown, or a value doesn't fit.

    Examples
    --------
    >>> import polyroots as pr
    >>> model = pr.models.model_config("q4", image_size=8, in_channels=1)
    >>> config = pr.training.train_config("digits", model, "quick", epochs=3)
    >>> config.epochs, config.batch_size, config.lr
    (3, 128, 0.1)
    """
    for name in fields:
        if name not in TrainConfig.model_fields:
            raise unknown_name("field", name, TrainConfig.model_fields)
    given = {name: value for name, value in fields.items() if value is not None}
    # Where files of earlier versions lack fields, the paper's choice holds; new configurations have that for training.
    has_roots = AlphaInit.parse(given.get("alpha_init", "spectrum")).needs_spectrum
    is_chosen = has_roots and (model.is_polynomial or model.is_own)
    chosen = (FOR_TRAINING if is_chosen else {}) | fields_of(dataset, recipe) | given
    if "normalisation" not in given and model.in_channels != len(AUTHORS.std):
        # The paper's recipe is for colour images.
        chosen.pop("normalisation", None)
    try:
        return TrainConfig(dataset=dataset, model=model, **chosen)
    except ValidationError as error:
        raise one_sentence(error) from None
