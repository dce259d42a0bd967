"""What each convolution of a network sees: its image size, by one forward pass that computes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from polyroots.models.build import build
from polyroots.models.config import ModelConfig


@dataclass(frozen=True)
class Convolution:
    """Geometry of a convolution in a network.

    Attributes
    ----------
    name : of its weight in the state dict
    size : (H, W) of its input in pixels
    stride, dilation : (int, int)
    groups : int
    """

    name: str
    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def convolutions(config: ModelConfig) -> list[Convolution]:
    """Return every convolution of a network, in the order of its modules."""
    with torch.device("meta"):
        model = build(config).eval()
        images = torch.empty(1, config.in_channels, *config.image_size)
    found: dict[str, Convolution] = {}

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):

            def record(conv: nn.Conv2d, inputs: tuple[Tensor, ...], name: str = f"{name}.weight") -> None:
                H, W = inputs[0].shape[-2:]
                found[name] = Convolution(name, (H, W), _two(conv.stride), _two(conv.dilation), conv.groups)

            module.register_forward_pre_hook(record)
    with torch.no_grad():
        model(images)
    return [found[f"{name}.weight"] for name, _ in model.named_modules() if f"{name}.weight" in found]


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = values
    return first, second
