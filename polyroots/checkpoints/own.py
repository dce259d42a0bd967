"""The checkpoints of polyroots, written whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from polyroots.checkpoints.reading import read_document
from polyroots.errors import FileError, one_sentence
from polyroots.files import replacing
from polyroots.models import ModelConfig, build_empty

# Marks a file as ours, and says which layout it has.
_FORMAT_KEY, _FORMAT = "polyroots", 1


@dataclass(frozen=True)
class Checkpoint:
    """A network and what is known about it.

    Attributes
    ----------
    config : shape of the network
    weights : its state dict
    init : `InitReport.to_dict` of its coefficients at the start; None for a network without them
    training : what `polyroots.training` adds to a trained network; None before training
    """

    config: ModelConfig
    weights: Mapping[str, Tensor] = field(repr=False)
    init: dict[str, Any] | None = field(default=None, repr=False)
    training: dict[str, Any] | None = field(default=None, repr=False)

    def model(self) -> nn.Module:
        """Rebuild the network with its weights.

        Raises
        ------
        FileError
            If the weights are not those of the configuration.
        """
        model = build_empty(self.config)
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            raise FileError(
                f"the weights of this checkpoint don't fit its own configuration ({self.config.name}): the file is "
                "damaged or was made by another version of polyroots; use one that is whole"
            ) from error
        return model


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all; plain data and tensors that ``torch.load(weights_only=True)`` reads."""
    document = {
        _FORMAT_KEY: _FORMAT,
        "config": checkpoint.config.model_dump(mode="json"),
        "model": dict(checkpoint.weights),
        "init": checkpoint.init,
        "training": checkpoint.training,
    }
    # Through memory: writing itself, torch reports a full disk as a failed assertion on file positions.
    buffer = io.BytesIO()
    torch.save(document, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote.

    Raises
    ------
    FileError
        If the file is missing, is no checkpoint, or was not written by polyroots.
    """
    document = read_document(path)
    if not is_own(document):
        raise FileError(
            f"{path} was not written by polyroots; expected a file of 'polyroots train' or 'polyroots init'"
        )
    return checkpoint_of(path, document)


def is_own(document: Any) -> bool:
    """Whether a document is a checkpoint of polyroots."""
    return isinstance(document, Mapping) and _FORMAT_KEY in document


def checkpoint_of(path: str | Path, document: Mapping[str, Any]) -> Checkpoint:
    """Return the checkpoint that a document of polyroots holds.

    Raises
    ------
    FileError
        If the document has another layout, or is incomplete.
    """
    if document[_FORMAT_KEY] != _FORMAT:
        raise FileError(
            f"{path} has the layout {document[_FORMAT_KEY]!r}, this version of polyroots reads {_FORMAT}; "
            "use the version that wrote it"
        )
    try:
        config = ModelConfig(**document["config"])
        weights = document["model"]
        if not isinstance(weights, Mapping):
            raise TypeError(f"expected a state dict, got {kind_of(weights)}")
        return Checkpoint(config, weights, document["init"], document["training"])
    except ValidationError as error:
        raise FileError(f"{path} has a configuration that can't be used: {one_sentence(error)}") from error
    except (KeyError, TypeError) as error:
        raise FileError(f"{path} is an incomplete checkpoint of polyroots: {error}") from error


def kind_of(document: Any) -> str:
    """Describe the type of a document for an error message."""
    return "a tensor" if isinstance(document, Tensor) else f"a {type(document).__name__}"
