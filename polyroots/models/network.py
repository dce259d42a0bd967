"""The multigrid networks: stem, levels of steps with restriction and prolongation between them, a linear layer."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn

from polyroots.models.config import ModelConfig
from polyroots.models.grid_transfer import FullTransition, Transition
from polyroots.models.level import Level, MgLevel, SmoothingLevel
from polyroots.models.operator import ConvOperator
from polyroots.models.placement import PLACEMENTS, Placement
from polyroots.models.recording import without_wrappers
from polyroots.models.step import PolyStep
from polyroots.polynomials import ResidualPolynomial, polynomial_of_blocks

# Data parallelism and torch.compile put these before names.
_PREFIXES = re.compile(r"^(module\.)+")


class Network(nn.Module, ABC):
    """A network with its configuration: (batch, in_channels, H, W) -> (batch, num_classes).

    Its `load_state_dict` also takes the names that torch.compile and data parallelism make.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_load_state_dict_pre_hook(_without_prefixes)

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

    def forward(self, x: Float[Tensor, "batch in_channels height width"]) -> Float[Tensor, "batch num_classes"]:
        """Return the logits of a batch of images."""
        u, r = None, self.stem(x)
        for level, transition in zip(self.levels, self.transitions, strict=False):
            u, r = transition(*level(u, r))
        u, _ = self.levels[-1](u, r, carry_residual=False)
        return self.head(u.mean(dim=(2, 3)))


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
