"""The environment of a run: versions, machine, revisions of the source."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polyroots

# Entries on which the last bits of a run depend.
_DECISIVE = ("device", "cpu", "torch", "numpy", "polyroots", "polyroots_revision")
_PACKAGES = ("polyroots", "torch", "torchvision", "lightning-fabric", "numpy", "scipy", "pillow")


def environment(device: str) -> dict[str, Any]:
    """Return versions, the device's name, and the git revisions of polyroots and of the working directory.

    A revision is None outside of a repository; it ends in ``-dirty`` if files have uncommitted changes.
    """
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "device": device,
        "cpu": _cpu(),
        **{package: _version(package) for package in _PACKAGES},
        "polyroots_revision": _revision(Path(polyroots.__file__).parent, "__init__.py"),
        "directory_revision": _revision(Path.cwd()),
    }


def changes_between(before: Any, now: Any) -> list[str]:
    """Return what differs in the environments of two entries of config.json, of what decides the last bits of a run."""
    there, here = (entry.get("environment") if isinstance(entry, dict) else None for entry in (before, now))
    if not isinstance(there, dict) or not isinstance(here, dict):
        return []
    return [
        f"{name.replace('_', ' ')} {here[name]} (it was {there[name]})"
        for name in _DECISIVE
        if None not in (there.get(name), here.get(name)) and there[name] != here[name]
    ]


def _cpu() -> str | None:
    """Return the name of the processor, by which libraries choose their kernels; None if it is unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


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
            # The repository's own settings could name a command to run.
            ["git", "-C", str(directory), "-c", "core.fsmonitor=", *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
