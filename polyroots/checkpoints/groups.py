"""The groups of convolutions in a state dict, as far as the layers around them decide them.

A weight of shape (c_out, m, kh, kw) has c_in = m groups input channels. The groups follow from the channels of the
layer before, and from whether any layer of the file has m channels that an ungrouped convolution could take.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

from polyroots.checkpoints.naming import STRIDED, WRAPPED
from polyroots.checkpoints.weights import Weights, in_module, split_name

# Stems of numbered names whose layers follow one another: conv2 comes after conv1, but branch2 stands beside branch1.
_CONV = re.compile(r"conv|^c$|^[dp]w_?$", flags=re.IGNORECASE)
_INDEX = re.compile("0|[1-9][0-9]*")
# The layers of squeeze and excitation scale channels and make none.
_EXCITATION = re.compile(r"(^|[._])(se|se_module|squeeze_excit\w*)[._]", flags=re.IGNORECASE)
# A pixel shuffle divides the channels by a square, a split or a gate by two, which looks like groups.
_RESHAPED = (2, 4, 9, 16)


@dataclass(frozen=True)
class Grouping:
    """The groups of a convolution.

    Attributes
    ----------
    count : int
    note : str
        What is assumed; empty where nothing shows groups.
    is_open : bool
        Whether the layers before contradict one group without deciding another number.
    """

    count: int
    note: str = ""
    is_open: bool = False


@dataclass(frozen=True)
class Channels:
    """The channels of the layers of a state dict, in the order of their names; the order of the keys doesn't count.

    Attributes
    ----------
    kernels : mapping of str to tuple of int
        Names and shapes of the weights of convolutions.
    weights : mapping of str to Tensor, StoredTensor or ComputedTensor
        The state dict.
    """

    kernels: Mapping[str, tuple[int, ...]]
    weights: Weights

    def grouping(self, name: str) -> Grouping:
        """Return the groups of a convolution, and what is assumed."""
        c_out, m = self.kernels[name][:2]
        if c_out == 1:
            return Grouping(1)
        if m == 1:
            return self._depthwise(name)
        before = self._before(name)
        n = before.channels if before is not None and before.is_certain else None
        has_source = m == 3 or self._has_source(name, m)
        if c_out == m:
            is_open = n is not None and n != m and n % m == 0 and not has_source
            return Grouping(1, f"perhaps grouped ({n // m})" if n and is_open else "", is_open)
        if n is not None and n % m == 0 and not has_source:
            groups = n // m
            if c_out % groups == 0 and groups > 1 and groups not in _RESHAPED:
                return Grouping(groups, f"{groups} groups, by the layer before")
        if c_out % m == 0 and (not has_source or n == c_out):
            return Grouping(1, f"perhaps grouped ({c_out // m})")
        return Grouping(1)

    def _depthwise(self, name: str) -> Grouping:
        """Return the groups of a convolution with one input channel a group."""
        c_out, _, *taps = self.kernels[name]
        # Such a weight also takes grey images, or the one channel of a layer before.
        has_one = self._has_source(name, 1) or not self.takes_colour
        before = self._before(name)
        if before is not None and c_out % before.channels == 0 and before.channels > 1 and max(taps) > 1:
            n = before.channels
            if n != c_out:
                return Grouping(n, f"depthwise, {c_out // n} outputs a channel")
            if not has_one or before.is_certain:
                return Grouping(c_out, "depthwise")
        # Layers that halve the image, or stand alone after a stage, may double the channels of each group.
        may_double = c_out % 2 == 0 and self._has_source(name, c_out // 2)
        may_double = may_double and bool(STRIDED.search(name) or self._part_of(name) not in self._parts_with_sources)
        if not has_one and not may_double and self._has_source(name, c_out):
            return Grouping(c_out, "depthwise")
        return Grouping(1, f"perhaps depthwise ({c_out})")

    @cached_property
    def takes_colour(self) -> bool:
        """Whether a convolution takes images of three channels."""
        return any(shape[1] == 3 for shape in self.kernels.values())

    def _has_source(self, name: str, channels: int) -> bool:
        """Return whether another layer makes this number of channels; those that may be depthwise don't count."""
        module = split_name(name)[0]
        return any(split_name(other)[0] != module for other in self._sources.get(channels, ()))

    @cached_property
    def _common(self) -> int:
        """Number of modules that all names begin with, such as ``model``."""
        names = [name.split(".")[:-1] for name in self.weights]
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(min(names), max(names), strict=False)))

    def _part_of(self, name: str) -> str:
        """Return the part of the network that a layer is in, such as ``stages`` or ``layer4``."""
        return ".".join(name.split(".")[: self._common + 1])

    @cached_property
    def _parts_with_sources(self) -> set[str]:
        return {self._part_of(name) for names in self._sources.values() for name in names}

    @cached_property
    def _sources(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for name, weight in self.weights.items():
            module, parameter = split_name(name)
            kernel = self.kernels.get(in_module(module, "weight"))
            if (kernel is not None and kernel[1] == 1 and kernel[0] > 1) or _EXCITATION.search(name):
                continue
            is_bias = weight.ndim == 1 and parameter == "bias" and in_module(module, "running_mean") not in self.weights
            if is_bias or name in self.kernels or (weight.ndim == 2 and parameter == "weight"):
                found.setdefault(weight.shape[0], []).append(name)
        return found

    def _before(self, name: str) -> _Before | None:
        """Return the channels of the layer before a convolution, by the numbers in their names."""
        module, tail = split_name(name)[0], ""
        while module:
            parent, last = split_name(module)
            numbered = re.fullmatch(r"(\D*)(\d+)", last)
            if numbered and not numbered[1]:
                found = self._in_sequence(parent, int(numbered[2]), is_first=not tail)
                if found is not None:
                    return found
                if int(numbered[2]) > 0:
                    return None
            elif (numbered and _CONV.search(numbered[1])) or re.fullmatch("[b-z]", last):
                previous = f"{numbered[1]}{int(numbered[2]) - 1}" if numbered else chr(ord(last) - 1)
                shape = self.kernels.get(in_module(parent, f"{previous}{tail}.weight"))
                return None if shape is None else _Before(shape[0], is_certain=True)
            elif last not in WRAPPED:
                return None
            module, tail = parent, f".{last}{tail}"
        return None

    def _in_sequence(self, parent: str, index: int, *, is_first: bool) -> _Before | None:
        """Return the channels of the nearest layer of lower index below a module.

        They are certain in an nn.Sequential, which a batch norm, a gap in the indices (an activation) or the name of a
        whole network shows; branches in an nn.ModuleList have consecutive indices.
        """
        indices = self._indices.get(parent, [])
        place = bisect_left(indices, index)
        if not place:
            return None
        lower = indices[place - 1]
        channels, is_norm = self._last_channels[in_module(parent, str(lower))]
        if channels is None:
            return None
        is_own = in_module(parent, f"{lower}.weight") in self.weights
        is_sequence = not parent or index - lower > 1 or is_norm
        return _Before(channels, is_certain=is_first and is_own and is_sequence)

    @cached_property
    def _indices(self) -> dict[str, list[int]]:
        """Numbers of the numbered layers below each module, from the lowest to the highest."""
        found: dict[str, list[int]] = {}
        for module in self._last_channels:
            parent, last = split_name(module)
            # Layers are looked up by numbers as Python writes them: without further zeros, in ASCII.
            if _INDEX.fullmatch(last):
                found.setdefault(parent, []).append(int(last))
        return {parent: sorted(numbers) for parent, numbers in found.items()}

    @cached_property
    def _last_channels(self) -> dict[str, tuple[int | None, bool]]:
        """Channels of the last layer below each module, None where they are unknown, and whether it is a norm."""
        found: dict[str, tuple[int | None, bool]] = {}
        modules = {split_name(name)[0] for name in self.weights if split_name(name)[1] in ("weight", "bias")}
        for layer in sorted(modules, key=_natural):
            weight, bias = (self.weights.get(in_module(layer, what)) for what in ("weight", "bias"))
            is_norm = weight is not None and weight.ndim == 1
            channels = None
            if bias is not None and bias.ndim == 1:
                channels = bias.shape[0]
            elif weight is not None and (is_norm or in_module(layer, "weight") in self.kernels):
                channels = weight.shape[0]
            module = layer
            while module:
                found[module] = channels, is_norm
                module = split_name(module)[0]
        return found


@dataclass(frozen=True)
class _Before:
    """Channels of the layer before a convolution, and whether names leave no other layer before it."""

    channels: int
    is_certain: bool


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by their value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
