"""Numbers as text: counts with their nouns, shares and bounds rounded down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Context
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
    if value == 0:
        return "0"
    return f"{float(Context(prec=4, rounding=ROUND_FLOOR).create_decimal_from_float(value)):#.4g}"


def listed(names: Sequence[str], most: int) -> str:
    """Return names with commas, the last ones cut, with their number.

    >>> listed(["a", "b"], 3), listed(["a", "b", "c", "d", "e"], 3)
    ('a, b', 'a, b, c, ... (5 in all)')
    """
    text = ", ".join(names[:most])
    return text if len(names) <= most else f"{text}, ... ({len(names)} in all)"


def within(parts: Sequence[str], most: int) -> str:
    """Return parts with semicolons, at least one, as many as fit into a number of characters, with their number.

    >>> within(["one", "two", "three"], 99), within(["one", "two", "three"], 8)
    ('one; two; three', 'one; two; ... (3 in all)')
    """
    kept = list(parts[:1])
    while len(kept) < len(parts) and len("; ".join([*kept, parts[len(kept)]])) <= most:
        kept.append(parts[len(kept)])
    text = "; ".join(kept)
    return text if len(kept) == len(parts) else f"{text}; ... ({len(parts)} in all)"


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
