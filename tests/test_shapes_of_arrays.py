"""Each array that public functions and methods take or return has its shape in the annotation or the docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

_PACKAGES = ("", ".models", ".training", ".study", ".plotting", ".spectra", ".polynomials", ".roots", ".analysis")
_ARRAY = re.compile(r"(?<!, )(ArrayLike|NDArray|np\.ndarray|Tensor)\b(?!,)")
_DOCUMENTED = re.compile(r"\(.*\)|any shape|scalar")


def functions_of(package: str) -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Yield public functions, methods and classes of a package: names, callables and docstrings."""
    module = import_module(f"polyroots{package}")
    for name in module.__all__:
        item = getattr(module, name)
        if inspect.isfunction(item):
            yield name, item, inspect.getdoc(item) or ""
        elif inspect.isclass(item) and item.__module__.startswith("polyroots"):
            yield name, item.__init__, inspect.getdoc(item) or ""
            for method, function in inspect.getmembers(item, inspect.isroutine):
                if getattr(function, "__module__", "") == item.__module__ and (
                    method == "__call__" or not method.startswith("_")
                ):
                    yield f"{name}.{method}", function, inspect.getdoc(function) or ""


def section(text: str, title: str) -> str:
    """Return a section of a docstring."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\S[^\n]*\n---|\Z)", text, re.DOTALL | re.MULTILINE)
    return found.group(1) if found else ""


def without_shape(function: Callable[..., Any], text: str) -> list[str]:
    """Return the parameters of a function, and "return", that are arrays without a shape."""
    unknown = []
    for name, annotation in getattr(function, "__annotations__", {}).items():
        if not isinstance(annotation, str) or not _ARRAY.search(annotation) or "[str, " in annotation:
            continue
        where = section(text, "Returns") if name == "return" else section(text, "Parameters")
        line = rf"^[\w, *]*\b{name}\b[\w, *]*:.*(?:\n .*)?" if name != "return" else r"\A.*(?:\n.*)?"
        found = re.search(line, where, re.MULTILINE)
        if found is None or not _DOCUMENTED.search(found.group()):
            unknown.append(name)
    return unknown


@pytest.mark.parametrize("package", _PACKAGES)
def test_arrays_have_shapes(package: str) -> None:
    found = {name: unknown for name, f, text in functions_of(package) if (unknown := without_shape(f, text))}
    assert found == {}


def test_a_missing_shape_is_found() -> None:
    def function() -> None:
        """Return nothing.

        Parameters
        ----------
        a, b, c : (N,)
        d : array
        """

    kinds = {
        "a": 'Float64[np.ndarray, "N"]',
        "b": "Tensor",
        "c": "ArrayLike",
        "d": "Tensor | None",
        "e": "NDArray[Any]",
    }
    function.__annotations__ = {**kinds, "return": "np.ndarray"}
    assert without_shape(function, inspect.getdoc(function) or "") == ["d", "e", "return"]
