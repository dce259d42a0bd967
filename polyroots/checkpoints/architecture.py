"""The geometry of a state dict's convolutions from the architecture that it belongs to."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from polyroots.analysis import Layer, applied_kernel, model_layers
from polyroots.checkpoints.naming import why_no_numbers
from polyroots.checkpoints.parametrised import parametrised
from polyroots.checkpoints.weights import ComputedTensor, Weight, Weights, dtype_of, reader_of
from polyroots.errors import InputError, unknown_name
from polyroots.own_code import imported, own_callable, own_modules
from polyroots.text import listed, quoted, shortened

#: Size of the images of an architecture, unless one is given.
IMAGE_SIZE = (224, 224)


@dataclass(frozen=True)
class Architecture:
    """An architecture by its name.

    Attributes
    ----------
    name : str
        ``"torchvision:NAME"``, ``"timm:NAME"``, or ``"module.path:callable"``, whose code is run.
    options : mapping
        Keyword arguments, such as ``{"num_classes": 100}``.
    image_size : (H, W)

    See Also
    --------
    read_layers : takes the geometry of the layers of a file from it
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    image_size: tuple[int, int] = IMAGE_SIZE

    @property
    def is_own_code(self) -> bool:
        """Whether the name is that of a callable in the user's own code."""
        return self.name.partition(":")[0] not in ("torchvision", "timm")

    def build(self, device: str = "meta") -> nn.Module:
        """Return the network, without weights on the device "meta".

        Raises
        ------
        InputError
            If the name is unknown, its library isn't installed, or the network can't be built.
        """
        factory = self._factory()
        try:
            with torch.random.fork_rng(devices=[]), torch.device(device), own_modules():
                model = factory()
        except Exception as error:  # whatever a network of any author raises
            raise InputError(
                f"{shortened(self.name, 60)} can't be built: {shortened(str(error), 200) or type(error).__name__}",
                fields=["arch", "arch_options"],
            ) from error
        if not isinstance(model, nn.Module):
            raise InputError(
                f"expected {shortened(self.name, 60)} to return a torch.nn.Module, got {type(model).__name__}",
                fields=["arch"],
            )
        return model

    def _factory(self) -> Callable[[], Any]:
        """Return a function without arguments that builds the network."""
        library, _, name = self.name.partition(":")
        if not library or not name:
            raise InputError(
                "expected an architecture torchvision:NAME, timm:NAME or module.path:callable, "
                f"got {quoted(self.name)}",
                fields=["arch"],
            )
        if library == "torchvision":
            models = importlib.import_module("torchvision.models")
            if name not in models.list_models():
                raise unknown_name("architecture of torchvision", name, models.list_models())
            builder = models.get_model_builder(name)
            known = inspect.signature(builder).parameters
            # Nothing is fetched, and nothing is drawn.
            plain = {"weights": None, "weights_backbone": None, "init_weights": False}
            plain = {key: value for key, value in plain.items() if key in known or key == "weights"}
            return lambda: builder(**{**plain, **self.options})
        if library == "timm":
            timm = imported("timm", "arch", "install it: pip install timm")
            if name not in timm.list_models():
                raise unknown_name("architecture of timm", name, timm.list_models())
            return lambda: timm.create_model(name, pretrained=False, **self.options)
        target = own_callable(library, name, "arch")
        return lambda: target(**self.options)

    @own_modules()
    def traced(self) -> tuple[nn.Module, list[Layer], dict[str, str]]:
        """Return the network with the geometry of its convolutions, and the reasons for those that are skipped.

        Raises
        ------
        InputError
            If the network can't be built, or refuses the images.
        """
        try:
            model = self.build()
            return model, *model_layers(model, self.image_size)
        except InputError as error:
            if error.__cause__ is None:
                raise
        # Some networks compute with numbers while they are built or run, which meta tensors don't have.
        model = self.build("cpu")
        return model, *model_layers(model, self.image_size)


def options_of(pairs: Mapping[str, str]) -> dict[str, Any]:
    """Return keyword arguments from text: Python's numbers, tuples, None, booleans, or else strings.

    >>> options_of({"num_classes": "100", "act_layer": "silu", "stride": "(2, 1)"})
    {'num_classes': 100, 'act_layer': 'silu', 'stride': (2, 1)}
    """
    found: dict[str, Any] = {}
    for name, text in pairs.items():
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            found[name] = text
    return found


def layers_of(
    path: str | Path, architecture: Architecture, weights: Weights
) -> tuple[list[Layer], dict[str, str], str]:
    """Return the convolutions of an architecture with the weights of a state dict.

    Returns
    -------
    list of Layer
    dict
        Name -> reason, of convolutions that are not analysed.
    str
        The names that only the file or only the architecture has; empty if there are none.

    Raises
    ------
    InputError
        If the network can't be built or refuses the images, or weights of its convolutions are not in the file.
    """
    model, traced, skipped = architecture.traced()
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    weights = _aligned(weights, expected)
    computed = parametrised(weights)
    stored: dict[str, Weight] = {**weights, **computed.weights}
    layers, unfit = [], []
    for layer in traced:
        weight = _weight(layer, model, stored)
        if weight is None or tuple(weight.shape) != layer.shape:
            unfit.append(layer.name)
        elif reason := why_no_numbers(weight):
            skipped[layer.name] = reason
        else:
            layers.append(replace(layer, dtype=dtype_of(weight), read=reader_of(weight)))
    remark = _differences(architecture, expected, stored, computed.factors)
    if unfit:
        shapes = [f"{name} {tuple(stored[name].shape)}" for name in unfit if name in stored]
        wrong = f"; of another shape in the file: {listed(shapes, 3, characters=60)}" if shapes else ""
        raise InputError(
            f"{path} doesn't fit {shortened(architecture.name, 60)}: the file has no such weights of "
            f"{listed(unfit, 3, characters=60)}{wrong}. {remark}",
            fields=["arch", "arch_options"],
        )
    return layers, skipped, remark


def _aligned(weights: Weights, expected: Mapping[str, Any]) -> Weights:
    """Return the weights without the prefix of their names with which most of them have the names expected."""
    prefixes = {""} | {f"{'.'.join(name.split('.')[:k])}." for name in weights for k in (1, 2) if name.count(".") >= k}

    def hits(prefix: str) -> int:
        return sum(name.startswith(prefix) and name[len(prefix) :] in expected for name in weights)

    best = max(sorted(prefixes, key=len), key=hits)
    return {name[len(best) :]: weight for name, weight in weights.items() if name.startswith(best)}


def _weight(layer: Layer, model: nn.Module, stored: Weights) -> Weight | None:
    """Return the weight that a traced layer applies, from the tensors of a file; None if they are not there."""
    module = model.get_submodule(layer.name.removesuffix("weight").removesuffix("."))
    if isinstance(layer.read(), nn.Parameter):
        return stored.get(layer.name)
    prefix = layer.name.removesuffix("weight")
    names = {name: value.shape for name, value in module.state_dict().items()}
    if any(prefix + name not in stored or stored[prefix + name].shape != shape for name, shape in names.items()):
        return None
    is_whole = {name for name, _ in module.named_buffers()} <= set(names)
    return _Applied(module, {name: stored[prefix + name] for name in names}, layer).tensor() if is_whole else None


@dataclass(frozen=True)
class _Applied:
    """The kernel that a module computes from its parameters: a standardised or parametrised weight."""

    module: nn.Module
    parts: Weights
    layer: Layer

    def tensor(self) -> Weight:
        """Return the kernel as a tensor that is computed when it is read."""
        dtype = next((dtype_of(part) for part in self.parts.values() if part.ndim == 4), "float32")
        return ComputedTensor(self.layer.shape, dtype, self.read)

    def read(self) -> Tensor:
        """Return the kernel of one small forward pass of the module with its parameters."""
        twin = copy.deepcopy(self.module).to_empty(device="cpu")
        state = {name: reader_of(part)() for name, part in self.parts.items()}
        twin.load_state_dict(state)
        conv = self.layer.conv
        images = torch.zeros(1, self.layer.shape[1] * conv.groups, *conv.size, dtype=next(twin.parameters()).dtype)
        return applied_kernel(twin, images)


def _differences(
    architecture: Architecture, expected: Mapping[str, tuple[int, ...]], stored: Weights, factors: Mapping[str, str]
) -> str:
    """Return a sentence on the names and shapes that the file and the architecture don't share."""
    missing = [n for n in expected if n not in stored and not n.endswith("num_batches_tracked")]
    others = [n for n in stored if n not in expected and factors.get(n) not in expected]
    shapes = [n for n in expected if n in stored and tuple(stored[n].shape) != expected[n]]
    parts = [
        f"{what}: {listed(names, 3, characters=50)}"
        for what, names in (
            (f"Only in {shortened(architecture.name, 60)}", missing),
            ("only in the file", others),
            ("of another shape", shapes),
        )
        if names
    ]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}" if text else ""
