"""Line numbers of the statements of a TOML document, which tomllib doesn't give."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

Place = tuple[str | int, ...]

# The time is quadratic in the number of lines: of longer documents no line is given.
_LONGEST_TEXT = 20_000


def line_of(text: str, place: Place, value: Any = None) -> int | None:
    r"""Return the line, from 1, of a key or table of a document, or None if the document doesn't have it.

    A statement ends at the first line such that the document up to there has the key. It begins after the last line
    such that the document up to there can be parsed and doesn't have it.

    Parameters
    ----------
    text : str
        A valid TOML document.
    place : tuple
        Keys, and indices from 0 of arrays of tables, such as ``("include", 0, "model")``.
    value : str or number, optional
        An item of the array at `place`: the line of that item is returned.

    Returns
    -------
    int or None

    Examples
    --------
    >>> text = 'title = "a"\n[axes]\nlr = [\n  0.1,\n  -1,\n]\n'
    >>> [line_of(text, place) for place in [("title",), ("axes",), ("axes", "lr"), ("axes", "model")]]
    [1, 2, 3, None]
    >>> line_of(text, ("axes", "lr"), -1)
    5
    """
    if len(text) > _LONGEST_TEXT:
        return None
    lines = text.split("\n")  # TOML has no other line separators, unlike str.splitlines
    before = 0
    for count in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("\n".join(lines[:count]) + "\n")
        except (tomllib.TOMLDecodeError, RecursionError):  # within a statement of several lines
            continue
        if not _has(document, place):
            before = count
            continue
        statements = [n for n in range(before + 1, count + 1) if _is_statement(lines[n - 1])]
        if value is not None:
            # Of a value that is there twice, the second one is at fault.
            statements = [n for n in statements if _has_value(lines[n - 1], value)][-1:] or statements
        return statements[0]
    return None


def _has(document: Any, place: Place) -> bool:
    for part in place:
        if isinstance(part, int):
            if not isinstance(document, list) or part >= len(document):
                return False
        elif not isinstance(document, dict) or part not in document:
            return False
        document = document[part]
    return True


def _has_value(line: str, value: Any) -> bool:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) in line or f"'{value}'" in line
    written = re.escape(str(value).lower() if isinstance(value, bool) else str(value))
    return re.search(rf"(?<![\w.+-]){written}(?![\w.])", line) is not None


def _is_statement(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
