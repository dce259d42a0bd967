"""The errors of polyroots: each message is a sentence with what was expected, what was given, and a remedy."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from polyroots.escaping import shown
from polyroots.text import listed, quoted, shortened

if TYPE_CHECKING:
    from pydantic import ValidationError


class PolyrootsError(Exception):
    """Base class of the errors of polyroots; the commands print them without a traceback.

    Parameters
    ----------
    message : str
    fields : sequence of str
        Names of the parameters or configuration fields to change; the commands append their options to the message.

    Examples
    --------
    >>> InputError("choose a smaller lr than 3", fields=["lr"]).fields
    ('lr',)
    """

    def __init__(self, message: str = "", *, fields: Iterable[str] = ()) -> None:
        # It quotes names of files, layers and settings, which can hold any character.
        super().__init__(shown(message))
        self.fields = tuple(fields)


class InputError(PolyrootsError, ValueError):
    """A value that cannot be used."""


class FileError(PolyrootsError, OSError):
    """A file or directory that cannot be read or written."""


class ConvergenceError(PolyrootsError, ArithmeticError):
    """An iteration that did not reach its accuracy."""


class PrecisionWarning(UserWarning):
    """A result that float64 determines to fewer than four digits."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is the system's refusal of memory, or of a thread, which needs some.

    Python itself reports an allocation that fails within an import as a SystemError without an exception.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(OSError(12, "Cannot allocate memory"))
    (True, True)
    >>> is_out_of_memory(SystemError("error return without exception set"))
    True
    >>> is_out_of_memory(OSError(5, "Input/output error"))
    False
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, ImportError):  # of a shared library that can't be mapped
        return "failed to map" in str(error) or "Cannot allocate memory" in str(error)
    if isinstance(error, SystemError):
        return "without exception set" in str(error) or "without setting an exception" in str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    )


def unknown_name(what: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for an unknown name, with the nearest known one.

    >>> print(unknown_name("strategy", "Extremel", ["extremal"]))
    unknown strategy 'Extremel': did you mean 'extremal'? Known: extremal
    >>> print(unknown_name("figure", "7", ["3"]))
    unknown figure '7': expected 3
    """
    known = list(known)
    # Only short names are compared, as the time is quadratic.
    name = shortened(name, 60)
    near = get_close_matches(name.lower(), known, n=1)
    names = listed(known, 20)
    if near:
        return InputError(f"unknown {what} '{name}': did you mean '{near[0]}'? Known: {names}")
    return InputError(f"unknown {what} '{name}': expected {names}")


def one_sentence(error: ValidationError) -> InputError:
    """Return the first error of a pydantic model as an InputError with one sentence."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return InputError(message, fields=getattr(first.get("ctx", {}).get("error"), "fields", ()))
    where = ".".join(str(part) for part in first["loc"])
    return InputError(f"{where}: {message[0].lower()}{message[1:]}, got {quoted(first['input'])}")
