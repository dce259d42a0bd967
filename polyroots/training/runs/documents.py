"""The documents of a run directory, as they are read: init.json and result.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from polyroots.errors import FileError, one_sentence
from polyroots.files import read_json

# The longest reason in a message, in characters: it quotes the file.
_LONGEST = 250

_REMEDY = "remove it, and 'polyroots train --resume' writes it again"


class _Part(BaseModel):
    """A part of a document; entries of other versions are allowed beside those that are read."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


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
