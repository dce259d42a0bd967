"""Arguments: whole numbers, pairs of them, and arrays or tensors."""

from __future__ import annotations

from operator import index as as_index
from typing import Any

import numpy as np
from jaxtyping import Shaped

from polyroots.errors import InputError
from polyroots.text import quoted


def whole(value: Any, what: str) -> int:
    """Return a value as an int; raise InputError if it isn't a whole number."""
    try:
        return as_index(value)
    except TypeError:
        raise InputError(f"{what}: expected a whole number, got {quoted(value)}") from None


def pair(value: Any, what: str) -> tuple[int, int]:
    """Return an int or a pair of ints as a pair; raise InputError if the value is neither."""
    try:
        first, second = (value, value) if np.ndim(value) == 0 else value
        return as_index(first), as_index(second)
    except (TypeError, ValueError):
        raise InputError(f"{what}: expected a whole number or a pair of them, got {quoted(value)}") from None


def as_array(values: Any) -> Shaped[np.ndarray, "*shape"]:
    """Return an array or a tensor (on any device, also bfloat16) as an array."""
    if hasattr(values, "detach"):
        # Tensors are recognised by their methods: importing torch takes seconds.
        values = values.detach().cpu()
        values = values.numpy() if values.is_complex() else values.double().numpy()
    return np.asarray(values)
