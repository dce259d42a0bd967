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
    target = Path(__file__).parent / "pictures"
    for name in sys.argv[1:]:
        with Image.open(name) as image:
            height = round(image.height * WIDTH / image.width)
            small = image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
        # In full colour: a palette would lose the few red points.
        small.save(target / Path(name).name, optimize=True)


if __name__ == "__main__":
    main()
