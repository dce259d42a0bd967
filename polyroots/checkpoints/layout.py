"""The layout of polyroots' own files: what a document must hold before anything is computed from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import torch
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)
from torch import Tensor

from polyroots.errors import one_sentence

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


def _dense(value: Any) -> Any:
    """Return a weight, or raise ValueError unless it holds numbers."""
    if not isinstance(value, Tensor):
        raise ValueError(f"expected a tensor for each weight, got a {type(value).__name__}")
    if value.is_nested or value.is_meta or value.layout != torch.strided or value.is_quantized or value.is_complex():
        raise ValueError("a weight holds no dense real numbers")
    return value


def _state_dict(value: Any) -> Any:
    """Return a state dict, or raise ValueError if it is something else."""
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a state dict, got a {type(value).__name__}")
    return value


_Count = Annotated[NonNegativeInt, Field(strict=True)]
_Weight = Annotated[Tensor, BeforeValidator(_dense)]
# A tuple in Python, a list in the files.
_Pair = Annotated[tuple[T, T], Field(strict=False)]


class _Stored(BaseModel):
    """Part of a file; entries of later versions are kept."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)


class StoredDocument(_Stored):
    """The entries of a checkpoint."""

    config: dict[Annotated[str, Field(strict=True)], Any]
    model: Annotated[dict[Annotated[str, Field(strict=True)], _Weight], BeforeValidator(_state_dict)]
    init: dict[str, Any] | None
    training: dict[str, Any] | None


class _Part(BaseModel):
    """Part of the report on an initialisation; entries of other versions are allowed beside those that are read."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Block(_Part):
    letter: Literal["L", "R", "S", "C"]
    powers: list[Annotated[int, Field(ge=0, le=1)]]
    roots: list[_Pair[float]] = Field(min_length=1)
    alphas: list[float | None]

    @model_validator(mode="after")
    def _fits(self) -> _Block:
        if len(self.powers) != len(self.alphas):
            raise ValueError(f"a block has {len(self.powers)} powers and {len(self.alphas)} coefficients")
        return self


class _Diagnosis(_Part):
    region: str
    max_abs: float | None
    mean_abs: float | None
    rms: float | None
    damped: float | None
    smoothing_factor: float | None
    norm: float | None
    growth: float | None
    best: float | None
    best_bound: float | None = Field(ge=0)


class _Level(_Part):
    level: PositiveInt
    size: _Pair[PositiveInt]
    channels: PositiveInt
    radius: float | None
    min_real: float | None
    max_real: float | None
    max_imag: float | None
    blocks: list[_Block]
    diagnosis: _Diagnosis
    words: list[str]
    relaxation: float = 1.0
    unrelaxed_norm: float | None = None


class _Rectified(_Part):
    level: PositiveInt
    block: PositiveInt
    letter: str


class _Inert(_Rectified):
    powers: list[int]


class InitDocument(_Part):
    """The entries that are read of an `InitReport.to_dict`, in a checkpoint or in init.json of a run."""

    strategy: str | None
    options: dict[str, Any]
    degree: NonNegativeInt
    region: Literal["all", "high"]
    padding: Literal["circular", "zeros"]
    alpha_init: str
    # Version 0.1.0 has no entries relax, signs and rectified, nor a level's relaxation.
    relax: str = "none"
    signs: Literal["paper", "placement"] = "paper"
    levels: list[_Level]
    inert: list[_Inert]
    rectified: list[_Rectified] = []


class StoredConfig(_Stored):
    """The part of a run's configuration by which its data are found again."""

    dataset: str
    data_dir: str | None = None
    precision: Literal["32", "bf16"] = "32"


class StoredPart(_Stored):
    """A convolution A of a network of the user's own, and the blocks that share it."""

    name: str
    size: _Pair[PositiveInt]
    letters: Annotated[list[Literal["L", "R", "S", "C"]], Field(min_length=1)]
    alphas: list[Annotated[list[float], Field(min_length=1, max_length=2)]]

    @model_validator(mode="after")
    def _fits(self) -> StoredPart:
        if [len(each) for each in self.alphas] != [2 if letter in "RC" else 1 for letter in self.letters]:
            raise ValueError("the coefficients of a polynomial level don't fit its blocks")
        return self


class StoredTraining(_Stored):
    """How a network was trained; who resumes a run checks its state."""

    epoch: _Count
    step: _Count = 0
    config: StoredConfig
    classes: Annotated[list[str], Field(min_length=1)]
    mean: Annotated[list[float], Field(min_length=1)]
    std: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    state: dict[str, Any] | None = None
    polynomial_levels: list[StoredPart] = []


def require_layout(model: type[M], document: Any) -> None:
    """Raise InputError, in one sentence, unless a document has the entries of a model; the document stays as it is."""
    if isinstance(document, Mapping):
        document = {key if isinstance(key, str) else repr(key): value for key, value in document.items()}
    try:
        model.model_validate(document)
    except ValidationError as error:
        raise one_sentence(error) from None
