"""Study files: a base configuration, axes, combinations beside them, exclusions."""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyroots.errors import FileError, InputError, unknown_name
from polyroots.files import cannot_read
from polyroots.limits import require_at_most
from polyroots.study.lines import Place, line_of
from polyroots.study.settings import require_setting
from polyroots.text import quoted
from polyroots.training import TrainConfig

_PARTS = ("title", "question", "seeds", "base", "axes", "include", "exclude")
# A number of seeds counts from the default seed of 'polyroots train'.
_FIRST_SEED: int = TrainConfig.model_fields["seed"].default
_MOST_SEEDS = 1000
# The most combinations of a study, each of which is checked, and values of a setting.
_MOST_COMBINATIONS, _MOST_VALUES = 10_000, 1000
# The longest file in bytes, and the most points in the head of a table.
_LONGEST_FILE, _MOST_DOTS = 256 * 2**10, 100


@dataclass(frozen=True)
class Combination:
    """The settings of a run, without the seed.

    Attributes
    ----------
    own : those from ``[axes]`` or ``[[include]]``, in the order of the file
    settings : those and the ones of ``[base]``
    table : the table of its own settings, ``("axes",)`` or ``("include", index)``
    """

    own: Mapping[str, Any]
    settings: Mapping[str, Any]
    table: Place


@dataclass(frozen=True)
class Description:
    """The content of a study file; the values of its settings are checked by `polyroots.study.make_plan`.

    Attributes
    ----------
    path, text : of the file
    title : of the study, by default the file's name
    question : that the study is to answer
    seeds : of each combination
    combinations : without those that are excluded
    """

    path: Path
    text: str
    title: str
    question: str
    seeds: tuple[int, ...]
    combinations: tuple[Combination, ...]

    def error(self, place: Place, message: str, value: Any = None, fields: Iterable[str] = ()) -> InputError:
        """Return an InputError with the line at fault."""
        return _error(self.path, self.text, place, message, value, fields)


def read_description(path: str | Path) -> Description:
    """Return the content of a study file.

    Raises
    ------
    FileError
        If it can't be read.
    InputError
        With the line at fault, if it is not TOML or not a study.
    """
    path = Path(path)
    try:
        require_at_most(path, path.stat().st_size, "bytes of text", _LONGEST_FILE)
        text = path.read_text(encoding="utf-8-sig")
        if any(line.count(".") > _MOST_DOTS and line.lstrip().startswith("[") for line in text.split("\n")):
            raise InputError(f"{path} has a table in more than {_MOST_DOTS} others; expected a study file")
        document = tomllib.loads(text)
    except FileError:
        raise
    except FileNotFoundError as error:
        raise FileError(f"no file {path}: expected a study file, such as studies/quick.toml of polyroots") from error
    except OSError as error:
        raise cannot_read(path, error) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: expected a study file in TOML") from error
    except RecursionError as error:
        raise InputError(f"{path} has lists or tables in too many others; expected a study file") from error
    except (tomllib.TOMLDecodeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not TOML: {error}") from error
    return _Reader(path, text, document).read()


class _Reader:
    """Checks the parts of a document."""

    def __init__(self, path: Path, text: str, document: Mapping[str, Any]) -> None:
        self.path, self.text, self.document = path, text, document

    def read(self) -> Description:
        for name in self.document:
            if name not in _PARTS:
                raise self._error((name,), str(unknown_name("part of a study", name, _PARTS)))
        base = self._table(("base",))
        self._require_settings(("base",), base)
        if "data-dir" in base:
            # Relative to the study file, not to the working directory.
            base = base | {"data-dir": str(self.path.parent / str(base["data-dir"]))}
        grid = list(self._grid(("axes",)))
        combinations = [
            Combination(own, {**base, **own}, ("axes",)) for own in self._without_excluded(grid) if own or base
        ]
        for index, _ in enumerate(self._tables("include")):
            table = ("include", index)
            combinations += [Combination(own, {**base, **own}, table) for own in self._grid(table)]
        if not combinations:
            raise InputError(
                f'{self.path} describes no run: write an [axes] table such as model = ["q2", "q4"], and exclude less'
            )
        return Description(
            self.path,
            self.text,
            self._words("title") or self.path.stem,
            self._words("question"),
            self._seeds(),
            tuple(combinations),
        )

    def _error(self, place: Place, message: str, value: Any = None) -> InputError:
        return _error(self.path, self.text, place, message, value)

    def _words(self, name: str) -> str:
        words = self.document.get(name, "")
        if not isinstance(words, str):
            raise self._error((name,), f"expected the {name} in quotes, got {quoted(words)}")
        return words

    def _seeds(self) -> tuple[int, ...]:
        seeds = self.document.get("seeds", 1)
        if isinstance(seeds, int) and not isinstance(seeds, bool):
            if not 1 <= seeds <= _MOST_SEEDS:
                raise self._error(("seeds",), f"expected 1 to {_MOST_SEEDS} seeds, got {seeds}")
            return tuple(range(_FIRST_SEED, _FIRST_SEED + seeds))
        is_list = isinstance(seeds, list) and seeds and all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds)
        if not is_list:
            raise self._error(("seeds",), f"expected their number, or a list such as [11, 23], got {quoted(seeds)}")
        if len(set(seeds)) < len(seeds):
            raise self._error(("seeds",), f"expected each seed once, got {seeds}")
        return tuple(seeds)

    def _table(self, place: Place) -> dict[str, Any]:
        """Return a table of the document, an empty one if it is missing."""
        found: Any = self.document
        for part in place:
            found = found[part] if isinstance(part, int) else found.get(part, {})
        if not isinstance(found, dict):
            raise self._error(place, f"expected a table [{place[0]}] with settings, got {quoted(found)}")
        return found

    def _tables(self, name: str) -> list[Any]:
        found = self.document.get(name, [])
        if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
            raise self._error((name,), f"expected tables under [[{name}]], in double brackets")
        return found

    def _require_settings(self, place: Place, table: Mapping[str, Any]) -> None:
        for name in table:
            try:
                require_setting(name)
            except InputError as error:
                raise self._error((*place, name), str(error)) from None

    def _values(self, place: Place) -> dict[str, list[Any]]:
        """Return the list of values of each setting of a table."""
        table = self._table(place)
        self._require_settings(place, table)
        values = {name: _several(name, value) for name, value in table.items()}
        for name, several in values.items():
            where = (*place, name)
            if len(several) > _MOST_VALUES:
                raise self._error(where, f"expected {_MOST_VALUES:,} values of {name} at most, got {len(several):,}")
            if not several:
                raise self._error(where, f"{name} has no value: write at least one, or leave it out")
            for index, value in enumerate(several):
                if isinstance(value, dict):
                    raise self._error(where, f"expected a value of {name}, or a list of them, got a table")
                if value in several[:index]:
                    raise self._error(where, f"{name} has {quoted(value)} twice; leave one out", value)
        return values

    def _grid(self, place: Place) -> Iterator[dict[str, Any]]:
        """Yield each combination of a table's values; none for a table that is missing."""
        values = self._values(place)
        count = math.prod(map(len, values.values()))
        if count > _MOST_COMBINATIONS:
            raise self._error(place, f"expected {_MOST_COMBINATIONS:,} combinations at most, got {count:,}")
        if not values and place != ("axes",):
            raise self._error(place, "this table is empty; write settings in it, or leave it out")
        # A file with [base] only is a study of one run.
        if values or ("axes" not in self.document and "include" not in self.document):
            for combination in itertools.product(*values.values()):
                yield dict(zip(values, combination, strict=True))

    def _without_excluded(self, grid: list[dict[str, Any]]) -> list[dict[str, Any]]:
        left = grid
        for index, _ in enumerate(self._tables("exclude")):
            place: Place = ("exclude", index)
            values = self._values(place)
            for name in values:
                if not any(name in own for own in grid):
                    raise self._error((*place, name), f"{name} is not in [axes], whose runs [[exclude]] removes")
            excluded = [own for own in grid if all(own[name] in several for name, several in values.items())]
            if not values or not excluded:
                raise self._error(place, "this excludes none of the runs of [axes]; correct it, or leave it out")
            left = [own for own in left if own not in excluded]
        return left


def _several(name: str, value: Any) -> list[Any]:
    """Return the values of a setting; a list of numbers is one value of `channels`."""
    is_one = not isinstance(value, list) or (name == "channels" and not any(isinstance(item, list) for item in value))
    return [value] if is_one else value


def _error(
    path: Path, text: str, place: Place, message: str, value: Any = None, fields: Iterable[str] = ()
) -> InputError:
    line = line_of(text, place, value)
    return InputError(f"{path}: {message}" if line is None else f"{path}, line {line}: {message}", fields=fields)
