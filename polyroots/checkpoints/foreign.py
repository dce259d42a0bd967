"""The convolutions of any checkpoint: of polyroots, or a state dict of another program."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polyroots.analysis import Layer, layer_of
from polyroots.checkpoints.own import Checkpoint, checkpoint_of, is_own, kind_of
from polyroots.checkpoints.reading import read_document
from polyroots.checkpoints.safetensors import FLOATING_POINT, StoredTensor, is_safetensors, read_safetensors
from polyroots.errors import FileError
from polyroots.models import TracedConvolution, convolutions, plain_name

# Entries of checkpoints under which other programs store the state dict.
_NESTED = (
    *("state_dict", "model_state_dict", "model", "net", "module", "params", "generator"),
    *("ema", "state_dict_ema", "model_ema", "params_ema"),
)
# Names in torch of the parameters from which a reparametrised weight is computed.
_FACTORS = re.compile(r"(^|\.)(weight_[vg]|weight_orig|parametrizations\.weight\.original\d?)$")


@dataclass(frozen=True)
class LayerSet:
    """The convolutions of a checkpoint.

    Attributes
    ----------
    layers : tuple of Layer
        The two-dimensional convolutions; their weights are read when they are needed.
    skipped : mapping of str to str
        Reasons by name, for every other convolution.
    assumed : bool
        Whether stride 1, dilation 1 and groups 1 are assumptions, as for a bare state dict.
    entry : str
        Entry of the file that holds the state dict, such as ``"model"``; empty if the file is a state dict.
    others : tuple of str
        Entries with further state dicts, such as ``"ema"``, which were not read.
    checkpoint : Checkpoint or None
        Network and training in a file of polyroots.
    """

    layers: tuple[Layer, ...]
    skipped: Mapping[str, str]
    assumed: bool
    entry: str = ""
    others: tuple[str, ...] = ()
    checkpoint: Checkpoint | None = None

    @property
    def names(self) -> list[str]:
        """Names of all convolutions, the skipped ones last."""
        return [*(layer.name for layer in self.layers), *self.skipped]

    def choose(
        self, globs: Sequence[str], why_not: Callable[[Layer], str | None]
    ) -> tuple[list[Layer], dict[str, str]]:
        """Choose layers by name, and leave out those that can't be analysed.

        Parameters
        ----------
        globs : sequence of str
            Patterns of names, with or without ``.weight``; all layers are chosen if there is none.
        why_not : callable
            Returns why a layer can't be analysed, None if it can.

        Returns
        -------
        list of Layer
        dict
            Reasons by name, of the layers with such a name that are left out.
        """

        def is_chosen(name: str) -> bool:
            return not globs or any(_is_named(name, glob) for glob in globs)

        chosen = [layer for layer in self.layers if is_chosen(layer.name)]
        reasons = {layer.name: why_not(layer) for layer in chosen}
        skipped = {name: reason for name, reason in self.skipped.items() if is_chosen(name)}
        skipped |= {name: reason for name, reason in reasons.items() if reason}
        return [layer for layer in chosen if not reasons[layer.name]], skipped

    def unmatched(self, globs: Sequence[str]) -> list[str]:
        """Return the patterns that match no name."""
        return [glob for glob in globs if not any(_is_named(name, glob) for name in self.names)]


def read_layers(path: str | Path, size: tuple[int, int] | None = None) -> LayerSet:
    """Return the convolutions of a checkpoint; weights are read later, one by one, if the format allows it.

    Parameters
    ----------
    path : str or Path
        A checkpoint of polyroots, which has each convolution's grid, or the state dict of any model in a file of
        ``torch.save`` (zip or legacy; bare, or under ``state_dict``, ``model_state_dict``, ``model``, ``net``,
        ``module`` or ``ema``) or of safetensors. The prefixes ``module.`` and ``_orig_mod.`` are left out of names.
    size : (H, W), optional
        Grid of the convolutions in pixels: of a foreign checkpoint 32x32 by default, of ours in place of their own.

    Returns
    -------
    LayerSet

    Raises
    ------
    FileError
        If the file is missing, is no checkpoint, would run code, or holds no convolution.
    """
    document: Any = read_safetensors(path) if is_safetensors(path) else read_document(path, lazily=True)
    checkpoint, entry, others = None, "", tuple[str, ...]()
    if is_own(document):
        checkpoint = checkpoint_of(path, document)
        known = {conv.name: conv for conv in convolutions(checkpoint.config)}
        weights = checkpoint.weights
    else:
        known = {}
        entry, weights, others = _state_dict(path, document)
        weights = _without_prefixes(weights)

    layers: list[Layer] = []
    skipped: dict[str, str] = {}
    owners: dict[Any, str] = {}
    takes_colour = any(
        isinstance(weight, Tensor | StoredTensor) and weight.ndim == 4 and weight.shape[1] == 3
        for weight in weights.values()
    )
    for name, weight in weights.items():
        if not isinstance(weight, Tensor | StoredTensor) or weight.ndim < 3:
            continue
        name = str(name)
        reason = _why_no_convolution(name, weight, weights) or _why_tied(name, weight, owners)
        if reason:
            skipped[name] = reason
            continue
        conv = known.get(name) or TracedConvolution(name, (32, 32), (1, 1), (1, 1), 1)
        note = ""
        if not known and weight.shape[0] > 1 and weight.shape[1] == 1:
            # One input channel per group means depthwise, except in a first convolution, whose images may be grey.
            is_first = not takes_colour and (not layers or isinstance(weight, StoredTensor))
            note = "perhaps depthwise" if is_first else "depthwise"
            conv = conv if is_first else replace(conv, groups=weight.shape[0])
        if size is not None:
            conv = replace(conv, size=size)
        layers.append(layer_of(conv, weight, note) if isinstance(weight, Tensor) else weight.layer(conv, note))
    if not layers and not skipped:
        names = ", ".join(str(name) for name in list(weights)[:4]) or "none"
        raise FileError(
            f"{path} holds no convolution: expected a state dict with four-dimensional weights, "
            f"got {len(weights)} entries without one, such as {names}"
        )
    return LayerSet(tuple(layers), skipped, not known, entry, others, checkpoint)


def _why_no_convolution(name: str, weight: Tensor | StoredTensor, weights: Mapping[str, Any]) -> str | None:
    """Return why an entry is not a two-dimensional convolution that can be analysed; None if it is."""
    if weight.ndim != 4:
        kind = {3: ", as a Conv1d's", 5: ", as a Conv3d's"}.get(weight.ndim, "")
        return f"its weight has {weight.ndim} dimensions{kind}; a convolution of images has 4"
    if isinstance(weight, Tensor) and (weight.is_meta or weight.layout != torch.strided):
        return "it holds no dense numbers"
    if math.prod(weight.shape) == 0:
        return f"it is empty, of shape {tuple(weight.shape)}"
    dtype = str(weight.dtype).removeprefix("torch.")
    if dtype not in FLOATING_POINT:
        return f"its weights are {dtype}; expected {', '.join(FLOATING_POINT)}"
    if _FACTORS.search(name):
        return (
            "a factor of a weight (weight_norm, spectral_norm), not the weight itself; save the model with its "
            "parametrizations removed"
        )
    bias = weights.get(f"{name.removesuffix('weight')}bias") if name.endswith("weight") else None
    if isinstance(bias, Tensor | StoredTensor) and bias.ndim == 1 and bias.shape[0] != weight.shape[0]:
        return (
            f"its bias has {bias.shape[0]} entries for {weight.shape[0]} rows of weights: a transposed convolution; "
            "convolutions are analysed"
        )
    return None


def _why_tied(name: str, weight: Tensor | StoredTensor, owners: dict[Any, str]) -> str | None:
    """Return why a weight with several names is skipped under all but the first; None if this is the first."""
    if not isinstance(weight, Tensor):  # safetensors stores no tensor twice
        return None
    place = (weight.untyped_storage().data_ptr(), weight.storage_offset(), tuple(weight.shape), weight.stride())
    owner = owners.setdefault(place, name)
    return None if owner == name else f"tied: the same weights as {owner}"


def _state_dict(path: str | Path, document: Any) -> tuple[str, Mapping[str, Any], tuple[str, ...]]:
    """Return the entry that holds the state dict, the state dict, and other entries that could be one."""
    entries: list[str] = []
    others: tuple[str, ...] = ()
    for _ in _NESTED:  # a bound on the nesting
        if not isinstance(document, Mapping):
            break
        holders = [key for key, value in document.items() if isinstance(value, Mapping) and _has_kernels(value)]
        known = [key for key in _NESTED if isinstance(document.get(key), Mapping)]
        inner = known or (holders if len(holders) == 1 else [])
        if _has_kernels(document) or not inner:
            return ".".join(entries), document, others or tuple(map(str, holders))
        others = others or tuple(str(key) for key in dict.fromkeys([*inner, *holders]) if key != inner[0])
        entries.append(str(inner[0]))
        document = document[inner[0]]
    raise FileError(f"{path} holds no state dict: expected a mapping of names to tensors, got {kind_of(document)}")


def _has_kernels(document: Mapping[Any, Any]) -> bool:
    """Return whether a mapping has weights of convolutions, rather than only tensors such as an epoch's number."""
    return any(isinstance(value, Tensor | StoredTensor) and value.ndim >= 3 for value in document.values())


def _without_prefixes(weights: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return a state dict with plain names, or unchanged if two names would be equal."""
    plain = {plain_name(str(name)): value for name, value in weights.items()}
    return plain if len(plain) == len(weights) else weights


def _is_named(name: str, glob: str) -> bool:
    """Return whether a pattern matches a name, with or without ``.weight``."""
    return fnmatchcase(name, glob) or fnmatchcase(name.removesuffix(".weight"), glob)
