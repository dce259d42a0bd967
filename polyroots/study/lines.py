"""Where in a TOML file something is said."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

Place = tuple[str | int, ...]


def line_of(text: str, place: Place, value: Any = None) -> int | None:
    r"""Return the line, from 1, in which a document says something, or None if it doesn't.

    The parser tells no lines. A statement ends where the lines so far are a document that has it, and begins behind
    the last one that has it not.

    Parameters
    ----------
    text : str
        A document that can be parsed.
    place : tuple
        Keys, and indices from 0 of arrays of tables, such as ``("include", 0, "model")``.
    value : str or number, optional
        An item of the array there, which may have a line of its own.

    Examples
    --------
    >>> text = 'title = "a"\n[axes]\nlr = [\n  0.1,\n  -1,\n]\n'
    >>> [line_of(text, place) for place in [("title",), ("axes",), ("axes", "lr"), ("axes", "model")]]
    [1, 2, 3, None]
    >>> line_of(text, ("axes", "lr"), -1)
    5
    """
    lines = text.split("\n")  # as TOML does: other separators are part of a line
    before = 0
    for count in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("\n".join(lines[:count]) + "\n")
        except tomllib.TOMLDecodeError:  # within a statement of several lines
            continue
        if not _has(document, place):
            before = count
            continue
        said = [n for n in range(before + 1, count + 1) if _is_statement(lines[n - 1])]
        if value is not None:
            # What is there twice is one too many in its last line.
            said = [n for n in said if _says(lines[n - 1], value)][-1:] or said
        return said[0]
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


def _says(line: str, value: Any) -> bool:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) in line or f"'{value}'" in line
    written = re.escape(str(value).lower() if isinstance(value, bool) else str(value))
    return re.search(rf"(?<![\w.+-]){written}(?![\w.])", line) is not None


def _is_statement(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
