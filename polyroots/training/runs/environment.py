"""The environment of a run: versions, machine, revisions of the source."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polyroots

_PACKAGES = ("polyroots", "torch", "torchvision", "lightning-fabric", "numpy", "scipy", "pillow")


def environment(device: str) -> dict[str, Any]:
    """Return versions, the device's name, and the git revisions of polyroots and of the working directory.

    A revision is None outside of a repository; it ends in ``-dirty`` if files have uncommitted changes.
    """
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "device": device,
        **{package: _version(package) for package in _PACKAGES},
        "polyroots_revision": _revision(Path(polyroots.__file__).parent, "__init__.py"),
        "directory_revision": _revision(Path.cwd()),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _revision(directory: Path, member: str | None = None) -> str | None:
    """Return the revision of the repository around a directory; None if it doesn't contain the file `member`."""
    if member is not None and _git(directory, "ls-files", "--error-unmatch", member) is None:
        return None  # installed inside another project's repository
    return _git(directory, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
