"""Networks of the user's own code: built by name, and the polynomial levels in them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from polyroots.errors import InputError
from polyroots.models.config import ModelConfig
from polyroots.models.level import Level
from polyroots.own_code import own_callable, own_modules


def own_network(config: ModelConfig) -> nn.Module:
    """Return the network of a configuration with the name ``"module:callable"``; its code is run.

    Raises
    ------
    InputError
        If there is no such module or callable, it fails, or returns something else than a module.
    """
    library, _, name = config.name.partition(":")
    if not library:
        raise InputError(
            f"the network was a given object of the class {name}, which its name doesn't build: build it again, and "
            "give it to pr.training.fit, or load the weights into it",
            fields=["model"],
        )
    target = own_callable(library, name, "model")
    given = {"num_classes": config.num_classes, "in_channels": config.in_channels, "image_size": config.image_size}
    try:
        parameters = inspect.signature(target).parameters
        with own_modules():
            model = target(**{key: value for key, value in given.items() if key in parameters})
    except Exception as error:  # whatever a network of any author raises
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{config.name} can't be built: {line}", fields=["model"]) from error
    if not isinstance(model, nn.Module):
        raise InputError(
            f"expected {config.name} to return a torch.nn.Module, got {type(model).__name__}", fields=["model"]
        )
    return model


@dataclass(frozen=True)
class PolyPart:
    """A polynomial level inside of a network.

    Attributes
    ----------
    name : str
        Its path in the network; empty for the network itself.
    level : Level
    size : (H, W)
        Grid of its features.
    begins_at_zero : bool
        Whether it is called without features, as in a `PolyBlock`.
    """

    name: str
    level: Level
    size: tuple[int, int]
    begins_at_zero: bool


@torch.no_grad()
def poly_parts(model: nn.Module, inputs: Tensor) -> list[PolyPart]:
    """Return the polynomial levels that the forward pass of a network uses, in the order of its modules.

    Parameters
    ----------
    model : nn.Module
        Left as it was: the pass is in evaluation mode.
    inputs : (batch, ...) Tensor
    """
    levels = {module: name for name, module in model.named_modules() if isinstance(module, Level)}
    if not levels:
        return []
    found: dict[nn.Module, tuple[tuple[int, int], bool]] = {}

    def record(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        u, r = arguments[:2]
        found.setdefault(module, ((int(r.shape[-2]), int(r.shape[-1])), u is None))

    handles = [level.register_forward_pre_hook(record) for level in levels]
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        with torch.random.fork_rng(devices=[]):
            model(inputs)
    finally:
        for module, mode in modes.items():
            module.training = mode
        for handle in handles:
            handle.remove()
    return [PolyPart(name, level, *found[level]) for level, name in levels.items() if level in found]
