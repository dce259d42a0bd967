"""``python -m polyroots`` is the command ``polyroots``."""

import sys
from pathlib import Path

# ``python -m`` and torchrun search the current directory first: a fractions.py that lies there would be imported.
_ROOT = Path(__file__).resolve().parents[1]
if not sys.flags.safe_path and Path(sys.path[0]).resolve() != _ROOT:
    del sys.path[0]

from polyroots_cli.start import start  # noqa: E402

if __name__ == "__main__":
    start()
