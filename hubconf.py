"""Entry points of torch.hub: ``torch.hub.load("PATH", "q4", source="local", num_classes=100)``."""

from __future__ import annotations

from typing import Any as _Any

dependencies = ["torch", "torchvision", "numpy", "scipy", "pydantic", "jaxtyping", "clarabel", "flint"]


def network(name: str, strategy: str | None = None, **config: _Any) -> _Any:
    """Return a network by its name, such as "q4", "mgnet-ab" or a block sequence "L,C,C", with freshly drawn weights.

    With a strategy, such as "extremal", the coefficients of a Poly-MgNet are set from the spectra of its convolutions,
    as `polyroots.initialize` does. The configuration is that of `polyroots.models.build`: image_size (32), in_channels
    (3), num_classes (10), channels or scale, placement and others.
    """
    import polyroots

    model = polyroots.models.build(name, **config)
    if strategy is not None:
        polyroots.initialize(model, strategy=strategy)
    return model


def checkpoint(path: str) -> _Any:
    """Return the network of a checkpoint of polyroots, such as runs/first/best.pt."""
    import polyroots

    return polyroots.load_checkpoint(path).model()


def q2(**config: _Any) -> _Any:
    """Return the Poly-MgNet q2, blocks L,L; see `network`."""
    return network("q2", **config)


def q4(**config: _Any) -> _Any:
    """Return the Poly-MgNet q4, blocks L,L,C; see `network`."""
    return network("q4", **config)


def q4r(**config: _Any) -> _Any:
    """Return the Poly-MgNet q4r, blocks S,S; see `network`."""
    return network("q4r", **config)


def q6(**config: _Any) -> _Any:
    """Return the Poly-MgNet q6, blocks S,S,C; see `network`."""
    return network("q6", **config)


def q8(**config: _Any) -> _Any:
    """Return the Poly-MgNet q8, blocks S,S,S,C; see `network`."""
    return network("q8", **config)
