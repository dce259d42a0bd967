"""Trees of image files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image


def image_tree(root: Path, sizes: Mapping[str, tuple[int, int]]) -> Path:
    """Write black images with the given paths and sizes (width, height), and return their root."""
    for path, size in sizes.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(root / path)
    return root
