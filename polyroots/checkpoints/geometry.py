"""The geometry of convolutions that a state dict doesn't contain, given by hand for layers by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from polyroots.checkpoints.layer_set import LayerSet, is_named
from polyroots.errors import InputError
from polyroots.text import listed, quoted, shortened

Rules: TypeAlias = Sequence[tuple[str, int | tuple[int, int]]]


@dataclass(frozen=True)
class Geometry:
    """Strides, dilations and groups by patterns of layer names.

    Attributes
    ----------
    stride, dilation : sequence of (pattern, int or (int, int))
        Patterns match names with or without ``.weight``; where several match, the last one counts.
    groups : sequence of (pattern, int)

    Raises
    ------
    InputError
        If a value is no positive whole number, or for stride and dilation a pair of them.

    Examples
    --------
    >>> Geometry(stride=[("layer2.0.conv2", 2)], groups=[("*.conv2", 32)]).of_layer("layer2.0.conv2.weight")
    {'stride': (2, 2), 'groups': 32}
    """

    stride: Rules = ()
    dilation: Rules = ()
    groups: Rules = ()

    def __post_init__(self) -> None:
        for what in ("stride", "dilation", "groups"):
            for _, value in getattr(self, what):
                numbers = value if isinstance(value, tuple) and what != "groups" else (value, value)
                if len(numbers) != 2 or not all(isinstance(n, int) and n > 0 for n in numbers):
                    raise InputError(f"expected {what} of at least 1, got {quoted(value)}", fields=[what])

    @property
    def rules(self) -> list[tuple[str, str]]:
        """Name of the quantity and pattern, of every rule."""
        return [(what, glob) for what in ("stride", "dilation", "groups") for glob, _ in getattr(self, what)]

    def of_layer(self, name: str) -> dict[str, Any]:
        """Return the quantities that are given for a layer."""
        found: dict[str, Any] = {}
        for what in ("stride", "dilation", "groups"):
            for glob, value in getattr(self, what):
                if is_named(name, glob):
                    found[what] = value if isinstance(value, tuple) or what == "groups" else (value, value)
        return found


def require_rules(geometry: Geometry, found: Sequence[LayerSet]) -> None:
    """Raise InputError unless every pattern is the name of a convolution in one of the checkpoints."""
    for what, glob in geometry.rules:
        if all(glob in layers.unmatched([glob]) for layers in found):
            names = listed(found[0].names, 3)
            raise InputError(
                f"no convolution is named like {shortened(glob, 80)}; the names are such as {names}", fields=[what]
            )
