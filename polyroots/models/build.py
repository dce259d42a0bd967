"""From a name to a network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from polyroots.models.config import ModelConfig, model_config
from polyroots.models.network import PolyMgNet


def build(name: str | ModelConfig, **config: Any) -> nn.Module:
    """Build a network by its name, with freshly drawn weights.

    Parameters
    ----------
    name : str or ModelConfig
        ``"q2"``, ``"q4"``, ``"q4r"``, ``"q6"``, ``"q8"``, ``"resnet18"``, a block sequence such as ``"L,C,C"``, or a
        complete configuration.
    **config
        Fields of `ModelConfig`: image_size (32), in_channels (3), classes (10), channels (by the image size),
        padding ("zeros"), max_pool (False).

    Returns
    -------
    nn.Module
        (batch, in_channels, H, W) -> (batch, classes). Draws from torch's global generator. The coefficients of a
        Poly-MgNet are neutral (p = I, or A for a symmetric pair) until `polyroots.initialize` sets them.

    Raises
    ------
    InputError
        If the name is unknown or a field doesn't fit.

    Examples
    --------
    >>> count_weights(build("q2"))
    1385554
    """
    complete = name if isinstance(name, ModelConfig) else model_config(name, **config)
    return PolyMgNet(complete) if complete.is_polynomial else _resnet18(complete)


def count_weights(model: nn.Module) -> int:
    """Count the trained numbers of a network."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _resnet18(config: ModelConfig) -> nn.Module:
    """ResNet18 with a 3x3 stem of stride 1, without max-pooling unless asked for."""
    # Late: importing torchvision takes as long as importing torch.
    from torchvision.models import resnet18

    model: nn.Module = resnet18(num_classes=config.classes)
    model.conv1 = nn.Conv2d(config.in_channels, config.channels[0], 3, padding=1, bias=False)
    torch.nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    if not config.max_pool:
        model.maxpool = nn.Identity()
    return model
