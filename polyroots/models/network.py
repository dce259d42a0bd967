"""The multigrid networks: stem, levels of steps with restriction and prolongation between them, a linear layer."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn

from polyroots.errors import InputError
from polyroots.models.config import ModelConfig
from polyroots.models.grid_transfer import FullTransition, Transition
from polyroots.models.level import Level, MgLevel, SmoothingLevel
from polyroots.models.operator import ConvOperator, Features
from polyroots.models.placement import PLACEMENTS, Placement
from polyroots.models.recording import without_wrappers
from polyroots.models.step import PolyStep
from polyroots.polynomials import ResidualPolynomial, polynomial_of_blocks

#: The input of a network.
Images = Float[Tensor, "batch in_channels image_height image_width"]

# Data parallelism and torch.compile put these before names.
_PREFIXES = re.compile(r"^(module\.)+")


class Network(nn.Module, ABC):
    """A network with its configuration: (batch, in_channels, H, W) -> (batch, num_classes).

    Its `load_state_dict` also takes the names that torch.compile and data parallelism make. `forward_features`,
    `forward_head`, `get_classifier` and `reset_classifier` are as in timm.

    Attributes
    ----------
    config : ModelConfig
    num_classes : int
        Outputs; 0 after ``reset_classifier(0)``.

    Examples
    --------
    Transfer to 100 classes:

    >>> import torch, polyroots as pr
    >>> network = pr.models.build("q2", image_size=8, channels=[4, 8])
    >>> network.reset_classifier(100)
    >>> x = torch.ones(2, 3, 8, 8)
    >>> network.forward_features(x).shape, network(x).shape
    (torch.Size([2, 8, 4, 4]), torch.Size([2, 100]))
    """

    #: Name of the linear layer.
    classifier = "head"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.num_classes = config.num_classes
        self.register_load_state_dict_pre_hook(_without_prefixes)

    @property
    def num_features(self) -> int:
        """Channels of the features."""
        return self.config.channels[-1]

    def get_classifier(self) -> nn.Module:
        """Return the linear layer, or the identity after ``reset_classifier(0)``."""
        return self.get_submodule(self.classifier)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the linear layer by a freshly drawn one; with 0 classes the network returns means of features.

        The configuration gets the new number of classes, but for 0, with which no checkpoint can be made.

        Raises
        ------
        InputError
            If the number is negative.
        """
        if num_classes < 0:
            raise InputError(f"expected a number of classes from 0 on, got {num_classes}")
        parameter = next(self.parameters())
        layer = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        setattr(self, self.classifier, layer.to(parameter.device, parameter.dtype))
        self.num_classes = num_classes
        if num_classes:
            self.config = self.config.model_copy(update={"num_classes": num_classes})

    @abstractmethod
    def forward_features(self, x: Images) -> Features:
        """Return the features before the pooling."""

    def forward_head(self, features: Features, pre_logits: bool = False) -> Float[Tensor, "batch outputs"]:
        """Return the logits of features, or with `pre_logits` their means over the pixels."""
        means = features.mean(dim=(2, 3))
        return means if pre_logits else self.get_classifier()(means)

    def forward(self, x: Images) -> Float[Tensor, "batch outputs"]:
        """Return the logits of a batch of images."""
        return self.forward_head(self.forward_features(x))

    @property
    @abstractmethod
    def resolutions(self) -> list[list[nn.Module]]:
        """The modules of each resolution, finest first, with restriction and prolongation to it."""

    @property
    def operators(self) -> list[ConvOperator]:
        """The convolutions A, finest first."""
        return []


class MgNet(Network):
    """MgNet for images.

    Parameters
    ----------
    config : ModelConfig
        Of a name in `polyroots.models.registry.MGNETS`.

    References
    ----------
    J. He, J. Xu, MgNet: A unified framework of multigrid and convolutional neural network, Sci. China Math. 62 (2019).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.stem = nn.Sequential(
            nn.Conv2d(config.in_channels, channels[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(inplace=True),
        )
        self.levels = nn.ModuleList(self.make_level(c, begins_at_zero=not index) for index, c in enumerate(channels))
        kind = FullTransition if config.has_full_transitions else Transition
        self.transitions = nn.ModuleList(kind(fine, coarse) for fine, coarse in pairwise(channels))
        self.head = nn.Linear(channels[-1], config.num_classes)

    @property
    def resolutions(self) -> list[list[nn.Module]]:
        """Each level, with restriction and prolongation to it."""
        before = [[], *([transition] for transition in self.transitions)]
        return [[*transition, level] for transition, level in zip(before, self.levels, strict=True)]

    @property
    def operators(self) -> list[ConvOperator]:
        """The convolutions A, finest first."""
        return list(dict.fromkeys(A for level in self.smoothing_levels for A in level.operators))

    @property
    def smoothing_levels(self) -> tuple[SmoothingLevel, ...]:
        """The levels, finest first."""
        return tuple(cast("Iterable[SmoothingLevel]", self.levels))

    def make_level(self, channels: int, begins_at_zero: bool) -> SmoothingLevel:
        """Make a level."""
        config = self.config
        assert config.steps is not None
        return MgLevel(
            channels,
            config.steps,
            PLACEMENTS["regular"] if config.placement is None else Placement.parse(config.placement),
            padding=config.padding,
            steps_per_A=config.steps_per_A,
            steps_per_B=config.steps_per_B,
            A_init=config.A_init,
            begins_at_zero=begins_at_zero,
        )

    def forward_features(self, x: Images) -> Features:
        """Return the features u of the coarsest level."""
        u, r = None, self.stem(x)
        for level, transition in zip(self.levels, self.transitions, strict=False):
            u, r = transition(*level(u, r))
        u, _ = self.levels[-1](u, r, carry_residual=False)
        return u


class PolyMgNet(MgNet):
    """Poly-MgNet for images.

    Parameters
    ----------
    config : ModelConfig
        Of a name with blocks.

    References
    ----------
    A. van Betteray, M. Rottmann, K. Kahl, Poly-MgNet: Polynomial Building Blocks in Multigrid-Inspired ResNets,
    ICPRAM 2025, arXiv 2503.10594.
    """

    def make_level(self, channels: int, begins_at_zero: bool) -> Level:
        """Make a level."""
        config = self.config
        return Level(
            channels,
            config.blocks,
            placement=config.placements,
            padding=config.padding,
            steps_per_A=config.steps_per_A,
            A_init=config.A_init,
            begins_at_zero=begins_at_zero,
            alphas=config.alphas,
        )

    @property
    def smoothing_levels(self) -> tuple[Level, ...]:
        """The levels, finest first."""
        return tuple(cast("Iterable[Level]", self.levels))

    @property
    def groups(self) -> list[tuple[ConvOperator, list[PolyStep]]]:
        """Each A with the steps that share it, finest level first."""
        return [group for level in self.smoothing_levels for group in level.groups]

    def polynomials(self) -> list[ResidualPolynomial]:
        """Return the residual polynomial that the coefficients make on each A, in the order of `groups`.

        Raises
        ------
        InputError
            If all coefficients of a block are zero, so that its p is zero.
        """
        return [polynomial_of_blocks((step.letter, step.alphas.tolist()) for step in steps) for _, steps in self.groups]


def plain_name(name: str) -> str:
    """Return the name of a weight without the prefixes of data parallelism and torch.compile.

    >>> plain_name("module._orig_mod.levels.0._orig_mod.A.weight")
    'levels.0.A.weight'
    """
    return without_wrappers(_PREFIXES.sub("", without_wrappers(name)))


def _without_prefixes(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Take prefixes off the names of a state dict that is this network's own, in place."""
    if prefix:
        return
    for name in list(state):
        plain = plain_name(name)
        if plain != name and plain not in state:
            state[plain] = state.pop(name)
