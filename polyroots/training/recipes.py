"""What data sets are trained with unless said otherwise, and named sets of these choices."""

from __future__ import annotations

from typing import Any

from polyroots.errors import unknown_name

_PHOTOS = {"epochs": 30, "batch_size": 128, "augment": "crop,flip", "fill": 128}
# Digits fill their pixels: a crop would cut strokes off, and a mirrored digit is another sign. They are on black.
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

#: The same by recipe, whatever the data set.
RECIPES: dict[str, dict[str, Any]] = {
    # The authors' for CIFAR-10: their cosine moves once an epoch, and they decay the coefficients as well.
    "paper": {
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


def fields_of(dataset: str, recipe: str | None) -> dict[str, Any]:
    """Return what a data set is trained with, by a recipe or by default.

    Raises
    ------
    InputError
        If one of them is unknown.
    """
    if dataset not in DEFAULTS:
        raise unknown_name("data set", dataset, DEFAULTS)
    if recipe is None:
        return dict(DEFAULTS[dataset])
    if recipe not in RECIPES:
        raise unknown_name("recipe", recipe, RECIPES)
    return DEFAULTS[dataset] | RECIPES[recipe]
