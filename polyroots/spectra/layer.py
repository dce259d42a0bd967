"""A ``torch.nn.Conv2d`` where a kernel is expected: its weight, with stride, dilation and groups of its own."""

from __future__ import annotations

from typing import Any

from polyroots.errors import InputError

# Defaults of the arguments of a layer.
_DEFAULTS = {"stride": 1, "dilation": 1, "groups": 1}


def is_conv2d(value: Any) -> bool:
    """Return whether a value is a ``torch.nn.Conv2d``, without importing torch."""
    return _conv2d_of(value) is not None


def has_own_forward(layer: Any) -> bool:
    """Return whether a subclass of ``torch.nn.Conv2d`` computes something else, such as a standardised weight.

    A class with ``applies_its_weight = True`` says that its forward pass is the convolution with its weight.
    """
    base, kind = _conv2d_of(layer), type(layer)
    is_same = (kind.forward, kind._conv_forward) == (base.forward, base._conv_forward)
    return not is_same and not getattr(kind, "applies_its_weight", False)


def unpacked(layer: Any, name: str, **given: Any) -> tuple[Any, dict[str, Any]]:
    """Return the weight of a ``torch.nn.Conv2d`` and its stride, dilation and groups.

    The bias is left out, as it is not linear. The layer's padding has to keep the image's size ("same"): the taps then
    lie around the centre. Whether the operator has circular or zero padding is a choice of the caller.

    Parameters
    ----------
    layer : torch.nn.Conv2d
    name : str
        Name in error messages.
    **given
        Stride, dilation and groups that the caller gave beside the layer.

    Returns
    -------
    weight : Tensor
    geometry : dict
        ``stride``, ``dilation`` and ``groups`` of the layer.

    Raises
    ------
    InputError
        If the layer's forward pass or padding is another one, or an argument contradicts the layer.
    """
    if has_own_forward(layer):
        raise InputError(
            f"{name}: {type(layer).__name__} has a forward pass of its own, not that of torch.nn.Conv2d; give the "
            "weight that it applies"
        )
    reach = tuple(d * (k - 1) for k, d in zip(layer.kernel_size, layer.dilation, strict=True))
    padding = layer.padding
    if padding != "same" and (isinstance(padding, str) or tuple(2 * p for p in padding) != reach):
        amount = f"'{padding}'" if isinstance(padding, str) else "x".join(map(str, padding))
        same = "same" if any(n % 2 for n in reach) else "x".join(str(n // 2) for n in reach)
        raise InputError(
            f"{name}: expected a Conv2d whose padding keeps the image's size ({same} here), got padding {amount}; give "
            "its weight for the operator with that padding"
        )
    geometry = {key: getattr(layer, key) for key in _DEFAULTS}
    for key, value in given.items():
        own = geometry[key]
        if value not in (_DEFAULTS[key], own) and (value, value) != own:
            raise InputError(f"{name}: the Conv2d has {key} {own}, and {key} {value} was given; leave it out")
    return layer.weight, geometry


def _conv2d_of(value: Any) -> Any:
    """Return torch's class Conv2d if a value is an instance of it, else None."""
    for kind in type(value).__mro__:
        if kind.__name__ == "Conv2d" and kind.__module__ == "torch.nn.modules.conv":
            return kind
    return None
