"""The grid on which each convolution of a network acts, found by one forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from polyroots.models.build import build
from polyroots.models.config import ModelConfig
from polyroots.spectra import Convolution


@dataclass(frozen=True)
class TracedConvolution:
    """Geometry of a convolution in a network.

    Attributes
    ----------
    name : str
        Of its weight in the state dict.
    size : (H, W)
        Grid of its input.
    stride, dilation : (int, int)
    groups : int
    padding : str or None
        ``"zeros"`` or ``"circular"`` if it is "same" padding, otherwise a description; None where it is unknown.
    """

    name: str
    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    padding: str | None = None

    def convolution(self, weight: Any, padding: str) -> Convolution:
        """Return the convolution with this geometry and a weight, with circular or zero padding.

        Raises
        ------
        InputError
            If the weight is not finite.
        """
        return Convolution.of(
            weight,
            self.size,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
            padding=padding,
            name=self.name,
        )


def convolutions(config: ModelConfig) -> list[TracedConvolution]:
    """Return every convolution of a network, in the order of its modules."""
    with torch.device("meta"):
        model = build(config)
        images = torch.empty(1, config.in_channels, *config.image_size)
    return [conv for conv, _, _ in trace_convolutions(model, images)[0]]


def trace_convolutions(
    model: nn.Module, images: Tensor
) -> tuple[list[tuple[TracedConvolution, nn.Conv2d, str]], dict[str, str]]:
    """Return the geometry of each convolution of any network, by one forward pass in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Left as it was.
    images : (1, channels, H, W) Tensor
        On the device of the model; on "meta" nothing is computed.

    Returns
    -------
    list of (TracedConvolution, module, note)
        In the order of the modules; a module that is used at several sizes is listed once, with the first size and a
        note of the others.
    dict
        Name -> reason, of each convolution that is not listed.
    """
    seen: dict[nn.Module, list[tuple[int, ...]]] = {}

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes = seen.setdefault(module, [])
        size = tuple(inputs[0].shape[-2:])
        if size not in sizes:
            sizes.append(size)

    kinds = (nn.modules.conv._ConvNd,)
    found = [
        (f"{name}.weight" if name else "weight", module)
        for name, module in model.named_modules()
        if isinstance(module, kinds)
    ]
    handles = [module.register_forward_pre_hook(record) for _, module in found]
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            model.eval()(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode

    kept, skipped = [], {}
    owners: dict[int, str] = {}
    for name, module in found:
        # A reparametrised weight is computed at each use and is no parameter: it can't be tied.
        parameter = dict(module.named_parameters(recurse=False)).get("weight")
        owner = name if parameter is None else owners.setdefault(id(parameter), name)
        if not isinstance(module, nn.Conv2d):
            skipped[name] = f"a {type(module).__name__}; convolutions of images, Conv2d, are analysed"
        elif owner != name:
            skipped[name] = f"tied: the same weights as {owner}"
        elif module not in seen:
            skipped[name] = "the forward pass didn't use it"
        else:
            (H, W), *others = seen[module]
            note = f"used again at {' and '.join(f'{h}x{w}' for h, w in others)}" if others else ""
            conv = TracedConvolution(
                name, (H, W), _two(module.stride), _two(module.dilation), module.groups, _padding_of(module)
            )
            kept.append((conv, module, note))
    return kept, skipped


def _padding_of(module: nn.Conv2d) -> str:
    if isinstance(module.padding, str):
        is_same, amount = module.padding == "same", module.padding
    else:
        reach = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
        is_same = [2 * p for p in module.padding] == reach
        amount = "x".join(str(p) for p in module.padding)
    return module.padding_mode if is_same else f"{module.padding_mode}, {amount} pixels"


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = values
    return first, second
