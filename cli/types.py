"""Types of the values of options."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from polyroots.text import quoted, shortened


class Value(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic in newer versions of click
    """A value whose name is shown in the help as it is written."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str | None:
        """Return the name; arguments have their own."""
        return None if isinstance(param, click.Argument) else self.name


class Whole(Value):
    """A whole number within bounds, which may be None."""

    name = "N"

    def __init__(self, least: int | None = None, most: int | None = None) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        number = int(value) if re.fullmatch("[+-]?[0-9]{1,20}", value) else None
        is_low = number is None or (self.least is not None and number < self.least)
        if number is None or is_low or (self.most is not None and number > self.most):
            self.fail(f"expected {self}, got {quoted(value)}", param, ctx)
        return number

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"a whole number from {self.least} to {self.most}"
        return "a whole number" if self.least is None else f"a whole number of at least {self.least}"


class Number(Value):
    """A real number in an interval from `low` to `high`, whose ends may be left out of it."""

    name = "X"

    def __init__(
        self, low: float = -math.inf, high: float = math.inf, *, low_open: bool = False, high_open: bool = False
    ) -> None:
        self.low, self.high, self.low_open, self.high_open = low, high, low_open, high_open

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        if isinstance(value, float):
            return value
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        above = number > self.low if self.low_open else number >= self.low
        below = number < self.high if self.high_open else number <= self.high
        if not (above and below and math.isfinite(number)):
            self.fail(f"expected {self}, got {quoted(value)}", param, ctx)
        return number

    def __str__(self) -> str:
        if -math.inf < self.low and self.high < math.inf and not (self.low_open or self.high_open):
            return f"a number from {self.low:g} to {self.high:g}"
        ends = []
        if self.low > -math.inf:
            ends.append(f"above {self.low:g}" if self.low_open else f"of at least {self.low:g}")
        if self.high < math.inf:
            ends.append(f"below {self.high:g}" if self.high_open else f"of at most {self.high:g}")
        return " ".join(["a number", " and ".join(ends)]).strip()


class Place(Value):
    """A path; what is there is checked where it is read or written."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        if value == "":  # as from a variable of the shell that isn't set; pathlib takes it for the current directory
            self.fail("expected a path, got an empty text", param, ctx)
        return Path(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Let the shell complete directories where one is expected, and all paths elsewhere."""
        return [CompletionItem(incomplete, type="dir" if self.name == "DIR" else "file")]


class Output(Place):
    """A path of a file that is written, which is none of those that a run or a study is made of."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        from polyroots.study import StudyDirectory
        from polyroots.training import Run

        path = super().convert(value, param, ctx)
        # The path, or a file of the run, may be a link. Tracked spectra are in a directory of their own.
        folders = [place.absolute().parent for place in (path, Path(os.path.realpath(path)))]
        if any(Run(folder).owns(path) for near in folders for folder in (near, near.parent)):
            self.fail(f"{path} is a file of a run, and would be overwritten; choose another name", param, ctx)
        if any(StudyDirectory(folder).owns(path) for folder in folders):
            self.fail(f"{path} is a file of a study, and would be overwritten; choose another name", param, ctx)
        return path


FILE, DIRECTORY, OUTPUT = Place("FILE"), Place("DIR"), Output("FILE")


class ImageSize(Value):
    """H or HxW in pixels."""

    name = "H[xW]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return (H, W)."""
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().split("x")
        if len(parts) > 2 or not all(re.fullmatch("[0-9]{1,20}", part) and 0 < int(part) < 2**20 for part in parts):
            self.fail(f"expected a size in pixels such as 32 or 28x32, got {quoted(value)}", param, ctx)
        return int(parts[0]), int(parts[-1])


class ByLayer(Value):
    """A whole number, or with `pairs` also one for each direction, for all layers or for those with such a name."""

    def __init__(self, *, pairs: bool) -> None:
        self.pairs = pairs
        self.name = "[GLOB=]N[xN]" if pairs else "[GLOB=]N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int | tuple[int, int]]:
        """Return the pattern, ``"*"`` if there is none, and the value."""
        if isinstance(value, tuple):
            return value
        glob, _, text = str(value).rpartition("=")
        parts = text.lower().split("x")
        if len(parts) > 1 + self.pairs or not all(re.fullmatch("[1-9][0-9]{0,6}", part) for part in parts):
            example = "2 or layer4.0.conv2=2" if self.pairs else "32 or layer4.*.conv2=32"
            self.fail(f"expected a positive whole number such as {example}, got {quoted(value)}", param, ctx)
        numbers = [int(part) for part in parts]
        return glob or "*", numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


class Root(Value):
    """A complex number."""

    name = "RE[+IMj]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> complex:
        """Return the root."""
        if isinstance(value, complex):
            return value
        try:
            root = complex(re.sub(r"i$", "j", str(value).replace(" ", "")))
        except ValueError:
            root = complex("nan")
        if not math.isfinite(abs(root)):
            self.fail(f"expected a real or complex number such as 0.3 or 0.1+0.2j, got {quoted(value)}", param, ctx)
        return root


class Letters(Value):
    """A family of letters, which may have a size in points."""

    name = "NAME[:POINTS]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float | None]:
        """Return the family and the size."""
        if isinstance(value, tuple):
            return value
        name, _, points = str(value).partition(":")
        size = float(points) if re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", points) else 0.0
        if not name or (points and not 1 <= size <= 40):
            self.fail(f"expected a font such as serif or 'Times New Roman:8', got {quoted(value)}", param, ctx)
        if re.fullmatch(r"[0-9.]+", name):
            given = shortened(name, 20)
            self.fail(f"expected a font, with its points behind it such as sans-serif:{given}, got {given}", param, ctx)
        return name, size or None


class Sweeps(Value):
    """Numbers of smoothing steps before and after a coarse-grid correction."""

    name = "PRE,POST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return (PRE, POST)."""
        if isinstance(value, tuple):
            return value
        if not re.fullmatch("[0-9]{1,3},[0-9]{1,3}", str(value)):
            self.fail(f"expected two numbers of smoothing steps such as 1,1, got {quoted(value)}", param, ctx)
        pre, post = str(value).split(",")
        return int(pre), int(post)


class Channels(Value):
    """Channels of each level, separated by commas."""

    name = "C1,C2,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the channels."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(re.fullmatch("[0-9]{1,20}", part) and int(part) > 0 for part in parts):
            self.fail(f"expected the channels of each level such as 64,128,256,256, got {quoted(value)}", param, ctx)
        return tuple(int(part) for part in parts)


class Scale(Value):
    """A positive number, also as a square root or a reciprocal."""

    name = "S"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        from polyroots.errors import InputError
        from polyroots.models import parse_scale

        try:
            return value if isinstance(value, float) else parse_scale(str(value))
        except InputError as error:
            self.fail(str(error), param, ctx)
