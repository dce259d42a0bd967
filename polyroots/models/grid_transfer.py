"""Restriction and prolongation to the next coarser level."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from polyroots.models.operator import Features
from polyroots.models.placement import make_place

Coarse = Float[Tensor, "batch coarse (height+1)//2 (width+1)//2"]

# Outputs of a group that torch's CPU kernels for grouped convolutions compute at once.
_GROUP = 16


class DepthwiseConv(nn.Conv2d):
    """A 3x3 convolution with stride 2 of each fine channel by itself, to one or several coarse channels.

    torch has fast CPU kernels for groups of 16 outputs, but not for the gradient of a depthwise convolution in bfloat16
    or with several outputs a channel (``benchmarks/depthwise.py``). There the kernel is filled up with zeros to such
    groups, which changes nothing but the time.

    Parameters
    ----------
    fine, coarse : int
        Channels; `coarse` is a multiple of `fine`.
    """

    applies_its_weight = True

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__(fine, coarse, 3, stride=2, padding=1, groups=fine, bias=False)

    def forward(self, u: Features) -> Coarse:
        """Return the convolution of (batch, fine, height, width)."""
        each = self.out_channels // self.in_channels
        width = math.gcd(self.in_channels, max(1, _GROUP // each))
        is_low = torch.is_autocast_enabled("cpu") or u.dtype in (torch.bfloat16, torch.float16)
        is_faster = is_low or (each > 1 and u.dtype == torch.float32)
        if u.device.type != "cpu" or width == 1 or not is_faster:
            result: Tensor = super().forward(u)
            return result
        return conv2d(u, self._in_groups(width), stride=2, padding=1, groups=self.in_channels // width)

    def _in_groups(self, width: int) -> Tensor:
        """Return the kernel for groups of `width` fine channels, zero where an output doesn't read a channel."""
        each, taps = self.out_channels // self.in_channels, 9
        # (group, output of a channel, tap, channel) -> (group, output of a channel, tap, channel, channel), diagonal.
        # By way of channels_last, so that the gradient has the layout that the weights have in training.
        by_channel = self.weight.permute(0, 2, 3, 1).reshape(-1, width, each, taps).permute(0, 2, 3, 1)
        return torch.diag_embed(by_channel).permute(0, 3, 1, 4, 2).reshape(-1, width, 3, 3)


class Transition(nn.Module):
    """The authors' restriction and prolongation: u <- Pi u, r <- R relu(r).

    They write f' = R relu(f - A u) + A' Pi u; the residual f' - A' Pi u that it starts with is R relu(r).

    Parameters
    ----------
    fine, coarse : int
        Channels of the two levels; `coarse` is a multiple of `fine`.
    """

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.Pi = DepthwiseConv(fine, coarse)
        self.R = DepthwiseConv(fine, coarse)

    def forward(self, u: Features, r: Features) -> tuple[Coarse, Coarse]:
        """Return features and residual at half the resolution (rounded up)."""
        return self.Pi(u), self.R(torch.relu(r))


class FullTransition(nn.Module):
    """He and Xu's restriction and prolongation: u <- relu bn Pi u, r <- relu bn R r, with full convolutions.

    They write f' = relu bn R (f - A u) + A' u'; the residual f' - A' u' that it starts with is relu bn R r.

    Parameters
    ----------
    fine, coarse : int
        Channels of the two levels.
    """

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.Pi = nn.Conv2d(fine, coarse, 3, stride=2, padding=1, bias=False)
        self.R = nn.Conv2d(fine, coarse, 3, stride=2, padding=1, bias=False)
        self.after_Pi = make_place("bn-relu", coarse)
        self.after_R = make_place("bn-relu", coarse)

    def forward(self, u: Features, r: Features) -> tuple[Coarse, Coarse]:
        """Return features and residual at half the resolution (rounded up)."""
        return self.after_Pi(self.Pi(u)), self.after_R(self.R(r))
