"""Checkpoints: ours, written whole or not at all, and the convolutions of anybody's."""

from __future__ import annotations

import io
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from polyroots.errors import FileError, one_sentence
from polyroots.files import replacing
from polyroots.models import Convolution, ModelConfig, build, convolutions

# Marks a file as ours, and says which layout it has.
_FORMAT_KEY, _FORMAT = "polyroots", 1

# Under these names other programs keep the state dict in their checkpoints.
_NESTED = ("state_dict", "model_state_dict", "model", "net")


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
    weights: Mapping[str, Tensor]
    init: dict[str, Any] | None = None
    training: dict[str, Any] | None = None

    def model(self) -> nn.Module:
        """Rebuild the network with its weights.

        Raises
        ------
        FileError
            If the weights are not those of the configuration.
        """
        model = build(self.config)
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
    document = _read(path)
    if not _is_ours(document):
        raise FileError(
            f"{path} was not written by polyroots; expected a file of 'polyroots train' or 'polyroots init'"
        )
    return _ours(path, document)


@dataclass(frozen=True)
class KernelSet:
    """The convolutions of a checkpoint.

    Attributes
    ----------
    kernels : (geometry, weight) of each square convolution with stride 1
    skipped : name -> why, of each other convolution
    assumed : whether stride, dilation and groups of 1 are assumptions, as for a bare state dict
    padding : of the network's convolutions; None where the checkpoint doesn't say
    """

    kernels: tuple[tuple[Convolution, Tensor], ...]
    skipped: Mapping[str, str]
    assumed: bool
    padding: str | None


def read_kernels(path: str | Path, size: tuple[int, int] | None = None) -> KernelSet:
    """Read the kernels of a checkpoint's convolutions.

    Parameters
    ----------
    path : str or Path
        A checkpoint of polyroots, which knows each convolution's image size, or a file of ``torch.save`` with a state
        dict, bare or under ``state_dict``, ``model_state_dict``, ``model`` or ``net``.
    size : (H, W), optional
        Image size for the convolutions of a foreign checkpoint, 32x32 by default; of ours, in place of their own.

    Raises
    ------
    FileError
        If the file is missing, is no checkpoint, or holds no convolution.
    """
    document = _read(path)
    kernels: list[tuple[Convolution, Tensor]] = []
    skipped: dict[str, str] = {}
    if _is_ours(document):
        checkpoint = _ours(path, document)
        known = {conv.name: conv for conv in convolutions(checkpoint.config)}
        weights, padding = checkpoint.weights, checkpoint.config.padding
    else:
        known, weights, padding = {}, _state_dict(path, document), None

    for name, weight in weights.items():
        if not isinstance(weight, Tensor) or weight.ndim < 3:
            continue
        name = str(name)
        if weight.ndim != 4:
            skipped[name] = f"its weight has {weight.ndim} dimensions, a convolution of images has 4"
            continue
        conv = known.get(name) or Convolution(name, (32, 32), (1, 1), (1, 1), 1)
        c_out, c_in = weight.shape[0], weight.shape[1] * conv.groups
        if weight.is_meta or weight.layout != torch.strided:
            skipped[name] = "it holds no dense numbers"
        elif weight.numel() == 0:
            skipped[name] = f"it is empty, of shape {tuple(weight.shape)}"
        elif not weight.is_floating_point():
            skipped[name] = f"its weights are {weight.dtype}, not floating-point numbers"
        elif c_out != c_in and c_in == 1 and not known:
            skipped[name] = f"{c_out} output channels from 1, or one to one: the checkpoint doesn't say groups"
        elif c_out != c_in:
            skipped[name] = f"not square: {c_out} output channels from {c_in}"
        elif conv.stride != (1, 1):
            skipped[name] = f"stride {conv.stride[0]}x{conv.stride[1]}: it maps an image to a smaller one"
        else:
            if size is not None:
                conv = replace(conv, size=size)
            kernels.append((conv, weight))
    if not kernels and not skipped:
        raise FileError(
            f"{path} holds no convolution: expected a state dict with four-dimensional weights, "
            f"got {len(weights)} entries without one"
        )
    return KernelSet(tuple(kernels), skipped, assumed=not known, padding=padding)


def _read(path: str | Path) -> Any:
    path = Path(path)
    if not path.exists():
        raise FileError(f"no file {path}: expected a checkpoint")
    if path.is_dir():
        raise FileError(f"{path} is a directory: expected a checkpoint such as {path / 'last.pt'}")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}; choose a file that can be read") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols, for a file that is no checkpoint
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused is None:
            raise _no_checkpoint(path) from error
        raise FileError(
            f"{path} holds {refused[1]}, and reading anything but tensors and plain data could run code: expected a "
            "checkpoint with a state dict; save model.state_dict() instead"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        # What torch.load raises for a damaged or foreign file depends on where it is damaged.
        raise _no_checkpoint(path) from error


def _no_checkpoint(path: Path) -> FileError:
    return FileError(f"{path} is no checkpoint: expected a file that torch.save wrote, whole")


def _is_ours(document: Any) -> bool:
    return isinstance(document, Mapping) and _FORMAT_KEY in document


def _ours(path: str | Path, document: Mapping[str, Any]) -> Checkpoint:
    if document[_FORMAT_KEY] != _FORMAT:
        raise FileError(
            f"{path} has the layout {document[_FORMAT_KEY]!r}, this version of polyroots reads {_FORMAT}; "
            "use the version that wrote it"
        )
    try:
        config = ModelConfig(**document["config"])
        weights = document["model"]
        if not isinstance(weights, Mapping):
            raise TypeError(f"expected a state dict, got {_kind(weights)}")
        return Checkpoint(config, weights, document["init"], document["training"])
    except ValidationError as error:
        raise FileError(f"{path} has a configuration that can't be used: {one_sentence(error)}") from error
    except (KeyError, TypeError) as error:
        raise FileError(f"{path} is an incomplete checkpoint of polyroots: {error}") from error


def _state_dict(path: str | Path, document: Any) -> Mapping[str, Any]:
    for _ in _NESTED:  # a bound on the nesting
        if not isinstance(document, Mapping):
            break
        inner = next((document[key] for key in _NESTED if isinstance(document.get(key), Mapping)), None)
        if inner is None:
            return document
        document = inner
    raise FileError(f"{path} holds no state dict: expected a mapping of names to tensors, got {_kind(document)}")


def _kind(document: Any) -> str:
    return "a tensor" if isinstance(document, Tensor) else f"a {type(document).__name__}"
