"""Networks from their names."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import nn

from polyroots.errors import InputError
from polyroots.models.config import ModelConfig, model_config
from polyroots.models.network import MgNet, Network, PolyMgNet
from polyroots.text import listed

N = TypeVar("N", bound=nn.Module)


def build(name: str | ModelConfig, **config: Any) -> Network:
    """Return the network of a name or configuration, with freshly drawn weights.

    Parameters
    ----------
    name : str or ModelConfig
        A name of `polyroots.models.NAMES`, a block sequence such as ``"L,C,C"``, or a complete configuration.
    **config
        See `model_config`: image_size (32), in_channels (3), num_classes (10), channels or scale, and fields of
        `ModelConfig`.

    Returns
    -------
    Network
        (batch, in_channels, H, W) -> (batch, num_classes). Draws from torch's global generator. The coefficients of a
        Poly-MgNet are neutral (p = I, or A for a symmetric pair) until `polyroots.initialize` sets them.

    Raises
    ------
    InputError
        If the name is unknown, a field doesn't fit, or the memory is too small.

    Examples
    --------
    >>> count_weights(build("q2"))
    1385554
    """
    complete = name if isinstance(name, ModelConfig) else model_config(name, **config)
    try:
        if complete.is_resnet:
            # Only here: importing torchvision takes as long as importing torch.
            from polyroots.models.resnet import ResNet

            return ResNet(complete)
        return PolyMgNet(complete) if complete.is_polynomial else MgNet(complete)
    except RuntimeError as error:
        if "alloc" not in str(error):
            raise
        raise InputError(
            f"{complete.title} with the channels {listed(complete.channels)} takes more memory than there "
            "is; choose fewer channels"
        ) from error


def channels_last(network: N) -> N:
    """Return the network with its weights in the memory format in which convolutions are fastest."""
    # The annotations of torch 2.11 leave the memory format out.
    converted: N = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    return converted


def build_empty(config: ModelConfig) -> Network:
    """Return a network whose weights are not drawn, but still have to be loaded."""
    with torch.device("meta"):
        network = build(config)
    return network.to_empty(device="cpu")


def count_weights(model: nn.Module) -> int:
    """Return the number of trained weights of a network."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
