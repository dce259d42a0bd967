"""Tables of a study in LaTeX, with numbers in math mode."""

from __future__ import annotations

import re
from collections.abc import Sequence

from polyroots.errors import InputError
from polyroots.escaping import shown
from polyroots.study.formats import Cells
from polyroots.text import quoted

_SPECIAL = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash ",
        "^": r"\textasciicircum ",
        "~": r"\textasciitilde ",
        # In the old encoding of fonts these print as other letters.
        "<": r"\textless ",
        ">": r"\textgreater ",
        "|": r"\textbar ",
    }
)
_NUMBER = r"[+-]?\d+(?:,\d{3})*(?:\.\d+)?"
# In names, such as those of channels, commas don't separate thousands.
_NAME = re.compile(r"[+-]?\d+(\.\d+)?")
_NUMBERS = re.compile(rf"(\[{_NUMBER}, {_NUMBER}\]|{_NUMBER}(?: \+- {_NUMBER})?)")


def latex(
    cells: Cells, *, caption: str | None = None, label: str | None = None, bold: bool = False, fit: bool = False
) -> str:
    r"""Return a table in LaTeX with the rules of booktabs; the notes are comments.

    Parameters
    ----------
    cells : Cells
    caption : str, optional
        LaTeX; ``%``, ``&`` and ``#`` may be written as they are.
    label : str, optional
        Name for ``\ref``. With a caption or a label the table is a float.
    bold : bool
        Print the best cells in bold.
    fit : bool
        Scale a table that is wider than the line down to its width, with the package adjustbox.

    Raises
    ------
    InputError
        If the label has other characters than letters, digits and ``:._-``.

    Examples
    --------
    >>> print(latex(Cells(("model", "weights"), (("q2", "1,385,554"),), 1, ())))
    % \usepackage{booktabs}
    \begin{tabular}{lr}
      \toprule
      model & weights \\
      \midrule
      q2 & $1{,}385{,}554$ \\
      \bottomrule
    \end{tabular}
    <BLANKLINE>
    """
    if label is not None and not re.fullmatch("[A-Za-z0-9:._-]+", label):
        raise InputError(
            f"expected a label of letters, digits and :._- such as tab:accuracy, got {quoted(label)}", fields=["label"]
        )
    columns = "l" * cells.names + "r" * (len(cells.heads) - cells.names)
    body = [
        [
            _cell(text, is_name=column < cells.names, is_bold=bold and (number, column) in cells.best)
            for column, text in enumerate(row)
        ]
        for number, row in enumerate(cells.rows)
    ]
    lines = [
        f"\\begin{{tabular}}{{{columns}}}",
        r"  \toprule",
        _line([_escaped(head) for head in cells.heads]),
        r"  \midrule",
        *map(_line, body),
        r"  \bottomrule",
        r"\end{tabular}",
    ]
    if fit:
        lines = [r"\begin{adjustbox}{max width=\linewidth}", *(f"  {line}" for line in lines), r"\end{adjustbox}"]
    if caption is not None or label is not None:
        above = [r"\centering"]
        above += [] if caption is None else [f"\\caption{{{_caption(caption)}}}"]
        above += [] if label is None else [f"\\label{{{label}}}"]
        lines = [r"\begin{table}", *(f"  {line}" for line in (*above, *lines)), r"\end{table}"]
    notes = (f"% {shown(note)}" for note in cells.notes)
    packages = "adjustbox,booktabs" if fit else "booktabs"
    return "\n".join([*notes, f"% \\usepackage{{{packages}}}", *lines, ""])


def _line(cells: Sequence[str]) -> str:
    # After a rule or the end of a row, LaTeX would take a bracket or a star as an option of these.
    begins = "{}" if cells[0].startswith(("[", "*")) else ""
    return f"  {begins}{' & '.join(cells)} \\\\"


def _cell(text: str, *, is_name: bool, is_bold: bool) -> str:
    """Return the LaTeX of a cell: its numbers in math mode, those of a name only if it is one."""
    if text == "-":
        written = "--"
    elif is_name and not _NAME.fullmatch(text):
        written = _escaped(text)
    else:
        parts = _NUMBERS.split(text)
        written = "".join(_in_math(part) if index % 2 else _escaped(part) for index, part in enumerate(parts))
    return rf"\textbf{{\boldmath {written}}}" if is_bold else written


def _in_math(number: str) -> str:
    r"""Return the LaTeX of a number.

    >>> _in_math("52.10 +- 0.31"), _in_math("1,385,554"), _in_math("[-0.50, +1.20]")
    ('$52.10 \\pm 0.31$', '$1{,}385{,}554$', '$[-0.50, +1.20]$')
    """
    return "$" + re.sub(r"(?<=\d),(?=\d)", "{,}", number.replace("+-", r"\pm")) + "$"


def _escaped(text: str) -> str:
    return shown(text).translate(_SPECIAL)


def _caption(text: str) -> str:
    """Return a caption on one line, with the characters escaped that can't be meant as commands."""
    return re.sub(r"(?<!\\)([%&#])", r"\\\1", " ".join(text.split()))
