"""The environment of a run: versions, machine, revisions of the source."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polyroots

# Entries on which the last bits of a run depend.
_DECISIVE = ("device", "cpu", "torch", "numpy")
# Packages of polyroots that take no part in training.
_BESIDE_TRAINING = ("plotting", "report", "study")
_PACKAGES = ("polyroots", "torch", "torchvision", "lightning-fabric", "numpy", "scipy", "pillow")


def environment(device: str) -> dict[str, Any]:
    """Return versions, the device's name, a digest of polyroots' code, and revisions of it and the working directory.

    A revision is None outside of a repository; it ends in ``-dirty`` if files have uncommitted changes.
    """
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "device": device,
        "cpu": _cpu(),
        **{package: _version(package) for package in _PACKAGES},
        "polyroots_code": code_of(Path(polyroots.__file__).parent),
        "polyroots_revision": _revision(Path(polyroots.__file__).parent, "__init__.py"),
        "directory_revision": _revision(Path.cwd()),
    }


def changes_between(before: Any, now: Any) -> str | None:
    """Return what two entries of config.json say of a run that goes on elsewhere; None if its bits stay the same."""
    there, here = (entry.get("environment") if isinstance(entry, dict) else None for entry in (before, now))
    if not isinstance(there, dict) or not isinstance(here, dict):
        return None
    changes = [f"{name} {here[name]} (it was {there[name]})" for name in _DECISIVE if _differs(name, there, here)]
    # A new revision or version may differ in tests and documents alone. Runs of version 0.1.0 have no digest.
    has_digests = there.get("polyroots_code") and here.get("polyroots_code")
    decisive = ("polyroots_code",) if has_digests else ("polyroots", "polyroots_revision")
    is_other_code = any(_differs(name, there, here) for name in decisive)
    if is_other_code:
        old, new = _program(there), _program(here)
        changes.append(f"other code of {new}" if old == new else f"{new} (it was {old})")
    if not changes:
        return None
    result = "may differ from those" if is_other_code else "are those"
    rounding = "" if is_other_code else " up to rounding, not bit by bit"
    return f"{', '.join(changes)}: its numbers {result} without the stop{rounding}"


def _differs(name: str, there: dict[str, Any], here: dict[str, Any]) -> bool:
    """Whether an entry is known in two environments and differs."""
    return None not in (there.get(name), here.get(name)) and there[name] != here[name]


def _program(environment: dict[str, Any]) -> str:
    """Return the name of a polyroots, with its version and, if it is in a repository, its revision."""
    revision = environment.get("polyroots_revision")
    return f"polyroots {environment.get('polyroots')}" + (f" of revision {revision}" if revision else "")


@cache
def code_of(directory: Path) -> str | None:
    """Return a digest of the library's Python code that takes part in training; None if it can't be read."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*.py")):
        name = path.relative_to(directory)
        if name.parts[0] not in _BESIDE_TRAINING:
            try:
                content = path.read_bytes()
            except OSError:
                return None
            digest.update(f"{name.as_posix()}\0".encode() + content + b"\0")
    return digest.hexdigest()[:16]


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
