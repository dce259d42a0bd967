"""Default training settings of each data set, and recipes: settings with a name."""

from __future__ import annotations

from typing import Any

from polyroots.errors import unknown_name

_PHOTOS = {"epochs": 30, "batch_size": 128, "augment": "crop,flip", "fill": 128}
# Digits reach the rim of their images, so a crop would cut strokes off, and mirrored digits are other signs. Their
# background is black.
_SIGNS = {"epochs": 10, "batch_size": 128, "augment": "none", "fill": 0}

#: Fields of `polyroots.training.TrainConfig` by data set.
DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": _SIGNS | {"epochs": 20, "batch_size": 64},
    "folder": _PHOTOS,
    "cifar10": _PHOTOS,
    "cifar100": _PHOTOS,
    "mnist": _SIGNS,
    "fashion-mnist": _SIGNS | {"augment": "flip"},
}

#: Poly-MgNet, relaxation of its roots and learning rate that trained best on CIFAR-10 of those compared,
#: docs/results.md.
BEST: dict[str, Any] = {"model": "q2", "relax": "4", "lr": 0.2}

#: Fields of `polyroots.training.TrainConfig` by recipe; they take precedence over the data set's.
RECIPES: dict[str, dict[str, Any]] = {
    # The settings of the authors' code for CIFAR-10: the rate changes once an epoch, the coefficients are decayed as
    # well, and images are normalised by the numbers in the code instead of their exact mean and deviation. Roots are
    # those of the paper.
    "paper": {
        "relax": "none",
        "signs": "paper",
        "epochs": 400,
        "batch_size": 128,
        "lr": 0.1,
        "schedule": "epoch",
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 1e-4,
        "decay_alphas": True,
        "warmup": 0.0,
        "label_smoothing": 0.0,
        "clip_norm": None,
        "augment": "crop,flip,autoaugment",
        "fill": 128,
        "normalisation": "authors",
    },
    "quick": {
        "epochs": 10,
        "batch_size": 128,
        "lr": 0.1,
        "nesterov": True,
        "weight_decay": 5e-4,
        "warmup": 1.0,
        "label_smoothing": 0.1,
    },
}


def default_network(dataset: str, recipe: str | None = None, *, has_coefficients: bool = False) -> dict[str, Any]:
    """Return the network that is trained on a data set where none is chosen, with its relaxation and learning rate.

    Photographs have `BEST`, but for the paper's recipe; the other data sets have q4. Where the origin of the
    coefficients is chosen, the network is all; other recipes have a rate of their own.
    """
    if DEFAULTS.get(dataset) is not _PHOTOS or recipe == "paper":
        return {"model": "q4"}
    if has_coefficients:
        return {"model": BEST["model"]}
    return {name: value for name, value in BEST.items() if name != "lr" or recipe is None}


def fields_of(dataset: str, recipe: str | None) -> dict[str, Any]:
    """Return the fields of `TrainConfig` for a data set and a recipe; raise InputError if one of them is unknown."""
    if dataset not in DEFAULTS:
        raise unknown_name("data set", dataset, DEFAULTS)
    if recipe is None:
        return dict(DEFAULTS[dataset])
    if recipe not in RECIPES:
        raise unknown_name("recipe", recipe, RECIPES)
    return DEFAULTS[dataset] | RECIPES[recipe]
