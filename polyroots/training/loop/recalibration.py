"""Statistics of batch norm over a number of batches, for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

_BatchNorm = nn.modules.batchnorm._BatchNorm


@torch.no_grad()
def recalibrate(
    model: nn.Module,
    batches: Iterable[Float[Tensor, "_ C ..."]],
    total: Callable[[Float[Tensor, "*shape"]], Float[Tensor, "*shape"]] = lambda sums: sums,
) -> None:
    """Set the running statistics of batch norm to the mean and variance over all batches together.

    Parameters
    ----------
    model : nn.Module
        A network in training or evaluation mode. Its weights, its mode and its momenta stay.
    batches : iterable of (N, C, ...) tensors
        Inputs on the network's device, such as normalised images. While they are run, each batch is normalised by its
        own statistics, as in training.
    total : callable, optional
        Sums a tensor over all processes.

    Notes
    -----
    In training, the running statistics are exponential means, which lag behind weights that move fast. [1]_

    References
    ----------
    .. [1] Y. Wu and J. Johnson, Rethinking "Batch" in BatchNorm, arXiv:2105.07576, section 3 (PreciseBN).
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    moments = [_Moments(layer.num_features) for layer in layers]
    was_training = model.training
    with ExitStack() as stack:
        stack.callback(model.train, was_training)
        for layer, moment in zip(layers, moments, strict=True):
            stack.callback(layer.register_forward_pre_hook(moment.add).remove)
            stack.callback(setattr, layer, "momentum", layer.momentum)
            *_, tracked = _buffers(layer)
            stack.callback(tracked.copy_, tracked.clone())
            layer.momentum = 0.0
        model.train()
        for images in batches:
            model(images)
    for layer, moment in zip(layers, moments, strict=True):
        count, first, second = total(moment.sums)
        if not count.any():  # a layer that the forward pass leaves out
            continue
        mean = first / count
        running_mean, running_var, _ = _buffers(layer)
        running_mean.copy_(mean)
        # The unbiased variance, as in training.
        running_var.copy_((second / count - mean**2).clamp(min=0) * count / (count - 1))


class _Moments:
    """Number of values of each channel that a layer reads, their sum and the sum of their squares."""

    def __init__(self, channels: int) -> None:
        # The mean's square is subtracted from the squares: in float32 the difference would lose digits.
        self.sums = torch.zeros(3, channels, dtype=torch.float64)

    def add(self, _: nn.Module, inputs: tuple[Float[Tensor, "batch C *grid"]]) -> None:
        """Add the values of a batch: a hook of the layer."""
        values = inputs[0] if inputs[0].dtype == torch.float64 else inputs[0].float()
        count = values.numel() // values.shape[1]
        others = (0, *range(2, values.ndim))
        variance, mean = (moment.cpu().double() for moment in torch.var_mean(values, dim=others, correction=0))
        self.sums += torch.stack([torch.full_like(mean, count), count * mean, count * (variance + mean**2)])


def _buffers(layer: _BatchNorm) -> tuple[Tensor, Tensor, Tensor]:
    """Return running mean, running variance and number of batches of a layer that has them."""
    buffers = layer.running_mean, layer.running_var, layer.num_batches_tracked
    assert all(buffer is not None for buffer in buffers)
    return cast("tuple[Tensor, Tensor, Tensor]", buffers)
