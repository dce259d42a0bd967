"""Names that options take, and their completion in a shell.

The names are written here once more because those of the library import torch, which takes seconds. A test compares
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

Completion = Callable[[click.Context, click.Parameter, str], list[str]]

MODELS = (
    *("q2", "q4", "q4r", "q6", "q8", "mgnet-ab", "mgnet-a", "mgnet", "mgnet-hx"),
    *("resnet18", "resnet20", "resnet32", "resnet44"),
)
PLACEMENTS = (
    *("regular", "outside", "outside-bn", "relu-outside", "relu-outside-nobn", "plain", "no-relu", "A-bn", "A-bn-relu"),
    "smoother",
)
STRATEGIES = (
    *("extremal", "real", "complex", "largest", "smallest", "leja", "chebyshev", "harmonic-ritz"),
    *("least-squares", "minimax", "ideal", "numerical-range", "random", "given"),
)
ALPHA_INITS = ("spectrum", "xavier", "uniform", "constant")
DATASETS = ("digits", "folder", "cifar10", "cifar100", "mnist", "fashion-mnist")
AUGMENTATIONS = ("crop", "flip", "autoaugment", "cutout", "none")
FIGURES = ("1", "2", "3", "4", "5", "relaxation", "spectra", "flow", "strategies", "smoothing")


def one_of(names: Sequence[str]) -> Completion:
    """Return a completion to one of some names."""
    return lambda context, parameter, begun: [name for name in names if name.startswith(begun)]


def several_of(names: Sequence[str]) -> Completion:
    """Return a completion of the last name in a list that is separated by commas."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
        before, comma, last = begun.rpartition(",")
        given = before.split(",")
        return [f"{before}{comma}{name}" for name in names if name.startswith(last) and name not in given]

    return complete


def layers(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Complete to the name of a convolution in the checkpoint of the command line; to none if it can't be read."""
    from polyroots_cli.layer_names import layer_names

    # An option without its value ends the parsing of the line, and the arguments before it are left as they are.
    checkpoint = context.params.get("checkpoint") or next(iter(context.args), None)
    if checkpoint is None:
        return []
    return [name for name in layer_names(Path(checkpoint)) if name.startswith(begun)]
