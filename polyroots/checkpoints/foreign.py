"""The convolutions of any checkpoint: of polyroots, or a state dict of another program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from polyroots.checkpoints.architecture import Architecture, layers_of
from polyroots.checkpoints.entries import choose_entry
from polyroots.checkpoints.geometry import Geometry
from polyroots.checkpoints.groups import Channels
from polyroots.checkpoints.layer_set import Layer, LayerSet, stored_layer
from polyroots.checkpoints.naming import NO_WEIGHT_BY_NAME, Names, why_no_numbers
from polyroots.checkpoints.own import checkpoint_of, is_own
from polyroots.checkpoints.parametrised import Parametrised, parametrised
from polyroots.checkpoints.reading import read_document
from polyroots.checkpoints.safetensors import is_safetensors, read_safetensors, read_shards
from polyroots.checkpoints.torchscript import is_torchscript, read_torchscript
from polyroots.checkpoints.weights import Weight, Weights, tensors_of
from polyroots.errors import FileError, InputError
from polyroots.files import checkpoint_in, require_readable
from polyroots.limits import require_archive
from polyroots.models import TracedConvolution, convolutions, plain_name
from polyroots.text import listed

# Size of the images of a state dict, which doesn't contain it.
_ASSUMED_SIZE = (32, 32)


def read_layers(
    path: str | Path,
    size: tuple[int, int] | None = None,
    *,
    geometry: Geometry | None = None,
    architecture: Architecture | None = None,
    entry: str | None = None,
) -> LayerSet:
    """Return the convolutions of a checkpoint; weights are read later, one by one, if the format allows it.

    A convolution in a state dict is a four-dimensional tensor named ``weight`` or ``kernel``, or one that is computed
    from the factors of a pruned, weight-normalised or spectrally normalised weight.

    Parameters
    ----------
    path : str or Path
        A checkpoint of polyroots, which has each convolution's grid, or the state dict of any model in a file of
        ``torch.save`` (zip or legacy; bare, or in any entry) or of safetensors (also in shards). A run's directory
        stands for its ``last.pt``. The prefixes ``module.`` and ``_orig_mod.`` are left out of names.
    size : (H, W), optional
        Grid of the convolutions in pixels: of a foreign checkpoint 32x32 by default, of ours in place of their own.
    geometry : Geometry, optional
        Strides, dilations and groups of layers by name, where they are not those of the file or those assumed.
    architecture : Architecture, optional
        The network of a state dict, of which one forward pass gives the geometry of all layers instead.
    entry : str, optional
        Name of the state dict in a file of several networks, such as ``"teacher"`` or ``"ema.module"``.

    Returns
    -------
    LayerSet

    Raises
    ------
    FileError
        If the file is missing, is no checkpoint, would run code, or holds no convolution.
    InputError
        If a layer's channels can't be split into the groups that are given, or the file contains the geometry.
    """
    path = checkpoint_in(path)
    require_readable(path)
    require_archive(path)
    if path.name.endswith(".json"):
        document: Any = read_shards(path)
    elif is_torchscript(path):
        document = read_torchscript(path)
    else:
        document = read_safetensors(path) if is_safetensors(path) else read_document(path, lazily=True)
    geometry = geometry or Geometry()
    checkpoint = checkpoint_of(path, document) if is_own(document) else None
    # A network of the user's own is read as a state dict: its code, which knows the geometry, is not run.
    if checkpoint is not None and not checkpoint.config.is_own:
        if geometry.rules or architecture or entry is not None:
            what = geometry.rules[0][0] if geometry.rules else "arch" if architecture else "entry"
            raise InputError(
                f"{path} is a file of polyroots and contains one network with its geometry; leave {what} out",
                fields=[what],
            )
        known = {conv.name: conv for conv in convolutions(checkpoint.config)}
        layers = [
            stored_layer(_sized(conv, size), weight)
            for name, conv in known.items()
            if isinstance(weight := checkpoint.weights.get(name), Tensor)
        ]
        return LayerSet(tuple(layers), {}, assumed=False, checkpoint=checkpoint)
    chosen, further = choose_entry(path, document, entry)
    weights = tensors_of(_without_prefixes(chosen.tensors))
    others = tuple(str(other) for other in further)
    if architecture is not None:
        layers, skipped, remark = layers_of(path, architecture, weights)
        return LayerSet(tuple(layers), skipped, assumed=False, entry=chosen.name, others=others, remark=remark)
    found = replace(_Foreign(weights, size, geometry).layer_set(), entry=chosen.name, others=others)
    if not found.layers and not found.skipped:
        names = listed(document, 4) or "none"
        raise FileError(
            f"{path} holds no convolution: expected a state dict with four-dimensional weights, "
            f"got {len(document)} entries without one, such as {names}"
        )
    return found


class _Foreign:
    """The convolutions of a bare state dict.

    Parameters
    ----------
    weights : mapping of str to Tensor, StoredTensor or ComputedTensor
    size : (H, W) or None
    geometry : Geometry
    """

    def __init__(self, weights: Weights, size: tuple[int, int] | None, geometry: Geometry) -> None:
        self.size, self.geometry = size, geometry
        self.computed: Parametrised = parametrised(weights)
        self.weights: Weights = {**weights, **self.computed.weights}
        # A computed weight stands where its first factor does.
        names = [self.computed.factors.get(name, name) for name in weights]
        self.names = [name for name in dict.fromkeys(names) if name in self.weights]

    def layer_set(self) -> LayerSet:
        """Return the convolutions with their assumed geometry, and the reasons for all other tensors."""
        names = Names(self.weights)
        kernels: dict[str, tuple[int, ...]] = {}
        skipped: dict[str, str] = {}
        on_request: dict[str, Layer] = {}
        for name in self.weights:
            weight = self.weights[name]
            if weight.ndim < 3:
                continue
            reason = why_no_numbers(weight) or self.computed.reasons.get(name)
            reason = reason or names.why_no_convolution(name)
            if reason is None:
                kernels[name] = tuple(weight.shape)
                continue
            if name in self.names:
                skipped[name] = reason
            # A layer that is left out for its name, or for a missing factor, can be asked for.
            if reason in (NO_WEIGHT_BY_NAME, self.computed.reasons.get(name)):
                on_request[name] = self._layer(name, weight, TracedConvolution(name, _ASSUMED_SIZE, (1, 1), (1, 1), 1))
        layers = self._layers(kernels, names, skipped)
        return LayerSet(tuple(layers), skipped, assumed=True, on_request=on_request)

    def _layers(self, kernels: dict[str, tuple[int, ...]], names: Names, skipped: dict[str, str]) -> list[Layer]:
        """Return the convolutions, and add the reasons for those that are left out to `skipped`."""
        channels = Channels(kernels, self.weights)
        owners: dict[Any, str] = {}
        layers = []
        for name in self.names:
            if name not in kernels:
                continue
            tied = _why_tied(name, self.weights[name], owners)
            if tied:
                skipped[name] = tied
                continue
            layer = self._assumed(name, channels, names)
            if isinstance(layer, str):
                skipped[name] = layer
            else:
                layers.append(layer)
        return layers

    def _assumed(self, name: str, channels: Channels, names: Names) -> Layer | str:
        """Return a convolution with the geometry that is assumed, or why no geometry can be."""
        given = self.geometry.of_layer(name)
        grouping = channels.grouping(name)
        notes = [] if "stride" in given else names.doubts(name, given.get("groups", grouping.count))
        if "groups" not in given:
            if grouping.is_open:
                return f"the layers before it have other channels than it takes; {grouping.note}"
            notes.insert(0, grouping.note)
        if name in self.computed.weights:
            notes.insert(0, self.computed.weights[name].note)
        conv = TracedConvolution(name, _ASSUMED_SIZE, (1, 1), (1, 1), grouping.count)
        return self._layer(name, self.weights[name], conv, "; ".join(filter(None, notes)))

    def _layer(self, name: str, weight: Weight, conv: TracedConvolution, note: str = "") -> Layer:
        given = self.geometry.of_layer(name)
        groups = given.get("groups", 1)
        if weight.shape[0] % groups:
            raise InputError(
                f"{name}: {weight.shape[0]} output channels can't be split into {groups} groups", fields=["groups"]
            )
        conv = _sized(replace(conv, **given), self.size)
        return stored_layer(conv, weight, note)


def _sized(conv: TracedConvolution, size: tuple[int, int] | None) -> TracedConvolution:
    return conv if size is None else replace(conv, size=size)


def _why_tied(name: str, weight: Weight, owners: dict[Any, str]) -> str | None:
    """Return why a weight with several names is skipped under all but the first; None if this is the first."""
    if not isinstance(weight, Tensor):  # safetensors stores no tensor twice
        return None
    place = (weight.untyped_storage().data_ptr(), weight.storage_offset(), tuple(weight.shape), weight.stride())
    owner = owners.setdefault(place, name)
    return None if owner == name else f"tied: the same weights as {owner}"


def _without_prefixes(weights: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return a state dict with plain names, or unchanged if two names would be equal."""
    plain = {plain_name(str(name)): value for name, value in weights.items()}
    return plain if len(plain) == len(weights) else weights
