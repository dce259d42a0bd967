"""Text of messages: counts with their nouns, shares and bounds, rounded, lists and values of bounded length."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from reprlib import Repr
from typing import Any


def count_of(number: int, what: str, plural: str = "") -> str:
    """Return a count with its noun in the singular or plural.

    >>> count_of(1, "root"), count_of(2, "root"), count_of(2, "class", "classes")
    ('1 root', '2 roots', '2 classes')
    """
    return f"{number} {what}" if number == 1 else f"{number} {plural or what + 's'}"


def share(value: float) -> str:
    """Return a share in per cent, rounded down; only 1 gives 100 % and only 0 gives 0 %.

    >>> share(0.99999), share(1.0), share(0.4567), share(1e-5), share(0.0)
    ('99.9 %', '100 %', '45.6 %', '0.1 %', '0 %')
    """
    if value in (0.0, 1.0):
        return f"{100 * value:.0f} %"
    return f"{max(math.floor(1000 * value), 1) / 10:.1f} %"


def floored(value: float) -> str:
    """Return a lower bound with four digits, rounded down.

    >>> floored(0.99999), floored(0.5), floored(1.23456e-310)
    ('0.9999', '0.5000', '1.234e-310')
    """
    return _rounded(value, ROUND_FLOOR)


def ceiled(value: float) -> str:
    """Return an upper bound with four digits, rounded up.

    >>> ceiled(0.99991), ceiled(0.5), ceiled(float("inf"))
    ('1.000', '0.5000', 'inf')
    """
    return _rounded(value, ROUND_CEILING)


def _rounded(value: float, rounding: str) -> str:
    if value == 0:
        return "0"
    return f"{float(Context(prec=4, rounding=rounding).create_decimal_from_float(value)):#.4g}"


def listed(names: Iterable[object], most: int = 8, *, characters: int = 200, separator: str = ", ") -> str:
    """Return names with a separator: at least one, as many as a message has place for, and the number of the others.

    Parameters
    ----------
    names : iterable
    most : int
        Largest number of names.
    characters : int
        Largest length of the names together.
    separator : str

    Examples
    --------
    >>> listed("ab"), listed("abcde", 3), listed([])
    ('a, b', 'a, b, c, ... and 2 more', '')
    >>> listed(["one", "two", "three"], characters=8, separator="; ")
    'one; two; ... and 1 more'
    """
    parts = [shortened(str(name), characters) for name in names]
    kept = parts[:1]
    while len(kept) < min(len(parts), most) and len(separator.join(parts[: len(kept) + 1])) <= characters:
        kept.append(parts[len(kept)])
    rest = len(parts) - len(kept)
    return separator.join([*kept, f"... and {rest} more"] if rest else kept)


def shortened(text: str, most: int) -> str:
    """Return text of at most so many characters, without its middle if it is longer, in one line.

    >>> shortened("layer4.0.conv2", 14), shortened("backbone.layer4.0.conv2", 14)
    ('layer4.0.conv2', 'backbo...conv2')
    """
    line = " ".join(text.splitlines())
    if len(line) <= most:
        return line
    kept = max(most - 3, 2)
    return f"{line[: (kept + 1) // 2]}...{line[-(kept // 2) :]}"


# The repr of a list in a list in a list may be longer than the memory.
_SHORT = Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 30
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 200


def quoted(value: Any) -> str:
    """Return a value that was given, as it is written in Python, for a message.

    >>> quoted("a"), quoted([1] * 999)[:12]
    ("'a'", '[1, 1, 1, 1,')
    """
    return shortened(_SHORT.repr(value), 80)


def text_of(value: Any) -> str:
    """Return the value of a setting as text.

    >>> text_of(0.05), text_of(0.1234567), text_of([16, 32]), text_of(True), text_of(None)
    ('0.05', '0.1234567', '16,32', 'true', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(text_of, value))
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)
