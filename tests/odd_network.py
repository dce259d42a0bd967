"""Unusual networks and layers for tests of the analysis."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polyroots.analysis import Layer
from polyroots.analysis.layers import model_layers


class Odd(nn.Module):
    """A network with every kind of convolution, some of them shared or unused."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 7, stride=2, padding=3)
        self.same = nn.Conv2d(6, 6, 3, padding="same", dilation=2)
        self.wrapped = nn.Conv2d(6, 6, 5, padding=2, padding_mode="circular")
        self.valid = nn.Conv2d(6, 6, 3)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.point = nn.Conv2d(6, 6, 1)
        self.tied = nn.Conv2d(6, 6, 1)
        self.tied.weight = self.point.weight
        self.up = nn.ConvTranspose2d(6, 6, 2, stride=2)
        self.line = nn.Conv1d(6, 6, 3, padding=1)
        self.unused = nn.Conv2d(6, 6, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(self.valid(self.wrapped(self.same(self.stem(x)))))
        x = self.drop(self.up(self.tied(self.point(x))))
        return self.line(x.flatten(2))


def layer_with(K: NDArray[Any]) -> Layer:
    """Return a layer with this kernel on a small image."""
    conv = nn.Conv2d(K.shape[1], K.shape[0], K.shape[2:], padding="same", bias=False).double()
    conv.weight.data = torch.from_numpy(np.asarray(K, dtype=float))
    return model_layers(conv, 6)[0][0]
