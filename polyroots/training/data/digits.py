"""The digits that scikit-learn contains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polyroots.training.data.source import PARTS, Part, Progress, Source
from polyroots.training.data.split import SPLIT_SEED, Split, balanced, split_from


class Digits(Source):
    """The 1,797 grey 8x8 images of scikit-learn, with a fifth of each class held out for testing."""

    name = "digits"
    title = "digits"
    data_dir = None
    channels = 1
    image_size = (8, 8)
    classes = tuple(str(digit) for digit in range(10))
    counts = (1437, 360)
    modules = ("sklearn.datasets", "sklearn.model_selection")

    def read(self, parts: Sequence[Part], limit: int | None = None, progress: Progress | None = None) -> list[Split]:
        """Return the images of some splits."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        grey, labels = load_digits(return_X_y=True)
        images = np.rint(grey * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
        numbers = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=SPLIT_SEED)
        members = dict(zip(PARTS, numbers, strict=True))
        splits = []
        for part in parts:
            kept = members[part][balanced(labels[members[part]], limit)]
            splits.append(split_from(images[kept], labels[kept]))
        return splits
