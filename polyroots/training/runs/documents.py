"""The documents of a run directory, as they are read: init.json and result.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from polyroots.errors import FileError, one_sentence
from polyroots.files import read_json

# Characters of the reason in a message: it has what a file holds.
_LONGEST = 250

_REMEDY = "remove it, and 'polyroots train --resume' writes it again"


class _Part(BaseModel):
    """A part of a document; entries of other versions are allowed beside those that are read."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Block(_Part):
    letter: str
    powers: list[int]
    roots: list[tuple[float | None, float | None]]
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
    size: tuple[int, int]
    channels: PositiveInt
    radius: float | None
    blocks: list[_Block]
    diagnosis: _Diagnosis
    words: list[str]
    relaxation: float = 1.0


class _Inert(_Part):
    level: PositiveInt
    block: PositiveInt
    letter: str


class InitDocument(_Part):
    """The entries of init.json that are read, see `polyroots.initialization.InitReport`."""

    strategy: str | None
    options: dict[str, Any]
    degree: NonNegativeInt
    region: Literal["all", "high"]
    padding: Literal["circular", "zeros"]
    levels: list[_Level]
    inert: list[_Inert]


class _Scores(_Part):
    epoch: PositiveInt
    test_loss: float
    test_accuracy: float = Field(ge=0, le=1)


class ResultDocument(_Part):
    """The entries of result.json that are read."""

    data: str
    epochs: PositiveInt
    last: _Scores
    best: _Scores
    chosen_on: Literal["test", "validation"]
    images_per_second: float


def read_part(path: Path, model: type[BaseModel]) -> dict[str, Any] | None:
    """Return the content of a document of a run, None if there is no such file.

    Parameters
    ----------
    path : Path
    model : type
        `InitDocument` or `ResultDocument`.

    Raises
    ------
    FileError
        If the content is not that of such a document.
    """
    if not path.exists():
        return None
    try:
        document: dict[str, Any] = read_json(path, f"{path.name} of a run")
    except FileError as error:
        raise error if isinstance(error.__cause__, OSError) else FileError(f"{error}; {_REMEDY}") from error
    try:
        model.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise damaged(path, str(one_sentence(error))) from error
    return document


def damaged(path: Path, why: str) -> FileError:
    """Return the error for a file of a run that `resume` can write again."""
    why = why if len(why) <= _LONGEST else f"{why[:_LONGEST]} ..."
    return FileError(f"{path} is damaged: {why}; {_REMEDY}")
