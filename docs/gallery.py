"""Make the small pictures of docs/pictures from those of 'polyroots figures'.

python docs/gallery.py FIGURES...
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

WIDTH = 760


def main() -> None:
    """Shrink each picture."""
    for name in sys.argv[1:]:
        shrink(Path(name))


def shrink(path: Path) -> None:
    """Write a picture to docs/pictures under its name, as wide as these are."""
    with Image.open(path) as image:
        height = round(image.height * WIDTH / image.width)
        small = image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    # In full colour: a palette would lose the few red points.
    small.save(Path(__file__).parent / "pictures" / path.name, optimize=True)


if __name__ == "__main__":
    main()
