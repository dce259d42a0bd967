"""Networks from their names."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from polyroots.errors import InputError
from polyroots.models.config import ModelConfig, model_config
from polyroots.models.network import MgNet, Network, PolyMgNet
from polyroots.models.own import own_network
from polyroots.text import listed

N = TypeVar("N", bound=nn.Module)

# Number of weights up to which the shapes in a network are found with memory for it: 1 GiB.
_IN_MEMORY = 2**28


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
    if complete.is_own:
        raise InputError(
            f"{complete.name} is code of your own: call it yourself; as the model of a configuration it is trained",
            fields=["model"],
        )
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
    """Return the network with its weights in the memory format in which convolutions of images are fastest."""
    if any(weight.dim() > 4 for weight in network.parameters()):
        return network
    # The annotations of torch 2.11 leave the memory format out.
    converted: N = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    return converted


def network_of(config: ModelConfig) -> nn.Module:
    """Return the network of a configuration, as `build` does, also that of the user's own, whose code is run.

    A callable ``"module:callable"`` returns any nn.Module, and gets as many of num_classes, in_channels and image_size
    as it has parameters for.

    Raises
    ------
    InputError
        As `build`; also if the callable is not there, fails, or returns something else.
    """
    return own_network(config) if config.is_own else build(config)


def build_empty(config: ModelConfig) -> nn.Module:
    """Return a network whose weights still have to be loaded; only that of the user's own draws them."""
    if config.is_own:
        # Buffers that are no part of a state dict would be lost on the meta device.
        with torch.random.fork_rng(devices=[]):
            return own_network(config)
    return _in_memory(_without_memory(config))


def _without_memory(config: ModelConfig) -> Network:
    """Return the network of a configuration as `build` does, with neither memory nor draws for its weights."""
    with torch.device("meta"):
        return build(config)


def _in_memory(network: Network) -> Network:
    """Give the weights of such a network memory that is not initialised, and return it."""
    # Not by Module.to_empty, for which torch imports a part of its compiler.
    for module in network.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            empty = torch.empty(weight.shape, dtype=weight.dtype, device="cpu")
            module.register_parameter(name, nn.Parameter(empty, weight.requires_grad))
        for name, value in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, torch.empty(value.shape, dtype=value.dtype, device="cpu"))
    return network


def build_for_shapes(config: ModelConfig) -> tuple[Network, Tensor]:
    """Return the network of a configuration and a batch of no images, whose forward pass finds shapes alone.

    It is in evaluation mode, and its weights are not touched. (On the meta device, where nothing is computed either,
    torch finds shapes by rules in Python that import its compiler, which takes as long as the import of torch. Only
    networks that may be too large for the memory are there.)
    """
    network = _without_memory(config).eval()
    is_small = count_weights(network) <= _IN_MEMORY
    if is_small:
        network = _in_memory(network)
    for operator in network.operators:
        # alpha0 I + alpha1 A has the shapes of A, and needs no memory for a second kernel.
        operator.register_forward_pre_hook(lambda _, args, kwargs: (args, {}), with_kwargs=True)
    images = torch.empty(0, config.in_channels, *config.image_size, device="cpu" if is_small else "meta")
    return network, images


def count_weights(model: nn.Module) -> int:
    """Return the number of trained weights of a network."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
