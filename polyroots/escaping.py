"""Text from outside, such as names in files, on its way to a terminal, a picture or a page."""

from __future__ import annotations

import unicodedata

#: Largest number of characters of a name in a message or a picture, of a cell of a table, and of a sentence.
NAME_WIDTH, CELL_WIDTH, SENTENCE_WIDTH = 120, 200, 2000


def shown(text: str, most: int = SENTENCE_WIDTH) -> str:
    r"""Return text from outside as a terminal, a picture or a page may show it: on one line, and not too long.

    Control characters, which move the cursor or change the title of the window, marks that turn the direction of
    writing, line breaks, lone surrogates and characters without a form are written by their numbers. The middle of a
    longer text is left out.

    >>> print(shown("a" + chr(27) + "[31m" + chr(10) + chr(0x202E)), shown(chr(0xD800)))
    a\x1b[31m\n\u202e \ud800
    >>> shown("abcdefghij", 7)
    'ab...ij'
    """
    if len(text) > most:
        half = (most - 3) // 2
        text = f"{text[:half]}...{text[-half:]}"
    if text.isprintable():
        return text
    # Unlike other separators, spaces of other widths are characters of names.
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else repr(c)[1:-1] for c in text)
