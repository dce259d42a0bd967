"""Callables in the user's own code, by names such as ``"module.path:callable"``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from polyroots.errors import InputError
from polyroots.text import shortened


@contextmanager
def own_modules() -> Iterator[None]:
    """Find modules of the working directory as well, after all others.

    A file there with the name of another module, of the standard library for instance, is not imported in its place.
    """
    is_new = "" not in sys.path
    if is_new:
        sys.path.append("")
    try:
        yield
    finally:
        if is_new and "" in sys.path:
            sys.path.remove("")


def imported(library: str, field: str, remedy: str = "run from its directory, or install it") -> ModuleType:
    """Return a module by its name; its code is run.

    Parameters
    ----------
    library : str
    field : str
        The field of an error.
    remedy : str
        What to do if there is no such module.

    Raises
    ------
    InputError
        If there is no such module, or its code fails.
    """
    try:
        with own_modules():
            return importlib.import_module(library)
    except ImportError as error:
        words = f"there is no module {shortened(library, 60)} ({shortened(str(error), 200)}); {remedy}"
        raise InputError(words, fields=[field]) from error
    except Exception as error:  # whatever a module of any author raises
        words = shortened(f"{type(error).__name__}: {error}", 200)
        raise InputError(f"{shortened(library, 60)} can't be imported: {words}", fields=[field]) from error


def own_callable(library: str, name: str, field: str) -> Any:
    """Return what a module of the user has under a name, which may be dotted; the code of the module is run.

    Raises
    ------
    InputError
        As `imported` does, and if the module has no such name.
    """
    module = target = imported(library, field)
    for part in name.split("."):
        if not hasattr(target, part):
            # The working directory comes last: another module may have the same name.
            place = getattr(module, "__file__", None) or "a package without a file"
            words = f"{library} has no {shortened(name, 60)}; give the name of a callable in it ({place})"
            raise InputError(words, fields=[field])
        target = getattr(target, part)
    return target


def source_of(library: str) -> Path | None:
    """Return the file of an imported module; None if it has none."""
    place = getattr(sys.modules.get(library), "__file__", None)
    return Path(place) if place else None
