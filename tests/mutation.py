"""Mutants of the mathematics: ``python -m tests.mutation --count 400 --seed 1 --out mutants.json``.

An operator, a comparison, a constant or a truth value of polyroots/spectra, polynomials or roots is changed, and the
tests that run the changed line have to fail. The tests are collected once; each mutant is a forked process, in which
the code of functions that are imported already is replaced. First, coverage finds which tests run which line, and how
long each test takes; a mutant meets the fastest of its tests first. The mutants are drawn at random from all.
"""

from __future__ import annotations

import argparse
import ast
import copy
import dataclasses
import gc
import hashlib
import importlib
import json
import math
import os
import random
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import _lru_cache_wrapper, cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import coverage
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("spectra", "polynomials", "roots")
# Tests of other subjects, most of which run some line of the mathematics without looking at its result.
_SUBJECTS = """alphas batched_qr block_triangular blocks both_sides_of_limits defaults diagnosis effective
extreme_scales extremes grid_transfer ideal kronecker_sum krylov layers layers_as_weights levels minimax nonnormal
norm_bounds notebooks operator_facts operators optimisation parts_of_polynomials parts_of_roots parts_of_spectra
picking polynomial range_roots relaxation resolution roots sample searches searches_of_norms shapes_of_arrays signs
singular smoothers spectrum strategies symbol_search toeplitz tolerances two_grid"""

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Add,
    ast.Pow: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or,
    ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A change at one place of a file, whose path is below the root of the repository.

    The index is the number of the change among those of the file, -1 for none; the change is the expression before
    and after it.
    """

    file: str
    line: int
    column: int
    index: int
    change: str

    @property
    def name(self) -> str:
        """Place and change, on one line."""
        return f"{self.file}:{self.line}:{self.column}: {self.change}"


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node can be changed to."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in _SWAPS:
        changed: Any = copy.copy(node)
        changed.op = _SWAPS[type(node.op)]()
        yield changed
    elif isinstance(node, ast.Compare):
        for position, operator in enumerate(node.ops):
            changed = copy.copy(node)
            changed.ops = [*node.ops[:position], _SWAPS[type(operator)](), *node.ops[position + 1 :]]
            yield changed
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1 if isinstance(node.value, int) else 2 * node.value or 1.0)


class _Places(ast.NodeVisitor):
    """The places of a module that can be changed: no annotations, messages, decorators, or lists of public names."""

    def __init__(self) -> None:
        self.found: list[tuple[ast.AST, str, int | None, ast.AST]] = []

    def generic_visit(self, node: ast.AST) -> None:
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params") or isinstance(node, ast.Raise):
                continue
            for position, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST):
                    self.found += [(node, name, position, changed) for changed in _changes(child)]
                    self.visit(child)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None: ...


def _put(place: tuple[ast.AST, str, int | None, ast.AST], new: ast.AST) -> ast.AST:
    """Put a node at a place; return what was there."""
    parent, name, position, _ = place
    if position is None:
        old = getattr(parent, name)
        setattr(parent, name, new)
    else:
        old = getattr(parent, name)[position]
        getattr(parent, name)[position] = new
    return old


def mutants_of(file: Path) -> list[Mutant]:
    """Return all mutants of a file."""
    places = _Places()
    places.visit(ast.parse(file.read_text()))
    found = []
    for index, place in enumerate(places.found):
        parent, name, position, changed = place
        old = getattr(parent, name) if position is None else getattr(parent, name)[position]
        words = " -> ".join(ast.unparse(node).split("\n")[0] for node in (old, changed))
        found.append(Mutant(str(file.relative_to(ROOT)), old.lineno, old.col_offset, index, words))
    return found


def code_of(mutant: Mutant) -> CodeType:
    """Return the compiled module of a mutant."""
    tree = ast.parse((ROOT / mutant.file).read_text())
    if mutant.index >= 0:
        places = _Places()
        places.visit(tree)
        place = places.found[mutant.index]
        ast.copy_location(place[3], _put(place, place[3]))
    return compile(ast.fix_missing_locations(tree), str(ROOT / mutant.file), "exec")


def unchanged(file: Path) -> Mutant:
    """Return the file itself in place of a mutant."""
    return Mutant(str(file.relative_to(ROOT)), 1, 0, -1, "nothing")


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from (constant, *_codes(constant))


def _module_of(file: str) -> ModuleType:
    return importlib.import_module(file.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))


@cache
def _existing(kind: type) -> list[Any]:
    """Return the package's functions, or its caches."""
    return [kept for kept in gc.get_objects() if type(kept) is kind and str(kept.__module__).startswith("polyroots")]


def _replaced(module: ModuleType, compiled: CodeType) -> Iterator[tuple[FunctionType, CodeType]]:
    """Yield the functions of a module that exist, and their codes in a compiled one."""
    # Several lambda functions have the same name.
    new = {(code.co_qualname, code.co_firstlineno): code for code in _codes(compiled)}
    for function in _existing(FunctionType):
        code = new.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
        if function.__globals__ is module.__dict__ and code and code.co_freevars == function.__code__.co_freevars:
            yield function, code


def check(file: Path) -> None:
    """Make sure that without a change each function of a file gets its own code."""
    same = unchanged(file)
    for function, code in _replaced(_module_of(same.file), code_of(same)):
        assert function.__code__ == code, f"{file}: {function.__qualname__} gets another code without a mutant"


def put_in(mutant: Mutant) -> None:
    """Replace the code of functions, their defaults and the module's constants by those of a mutant, copies too."""
    module = _module_of(mutant.file)
    compiled = code_of(mutant)
    names: dict[str, Any] = {
        "__name__": module.__name__,
        "__file__": module.__file__,
        "__package__": module.__package__,
    }
    exec(compiled, names)
    mine = [found for found in gc.get_objects() if isinstance(found, FunctionType) and found.__globals__ is names]
    defaults = {found.__qualname__: (found.__defaults__, found.__kwdefaults__) for found in mine}
    for function, code in list(_replaced(module, compiled)):
        function.__code__ = code
        if function.__qualname__ in defaults:
            function.__defaults__, function.__kwdefaults__ = defaults[function.__qualname__]
    for kept in _existing(_lru_cache_wrapper):
        # Results of the tests that ran before.
        kept.cache_clear()
    for name, value in names.items():
        if isinstance(value, type) and value.__module__ == module.__name__:
            _put_constants(vars(value), getattr(module, name), [])
            if dataclasses.is_dataclass(value):
                # The defaults of its fields.
                vars(getattr(module, name))["__init__"].__defaults__ = vars(value)["__init__"].__defaults__
    _put_constants(names, module, [found for name, found in sys.modules.items() if name.startswith("polyroots")])


def _put_constants(new: Mapping[str, Any], owner: Any, copies: Sequence[Any]) -> None:
    """Replace the constants of a class or module, and those that other modules have imported from it."""
    for name, value in new.items():
        if _is_plain(value) and not name.startswith("__"):
            old = getattr(owner, name)
            for other in copies:
                if vars(other).get(name) is old:
                    setattr(other, name, value)
            setattr(owner, name, value)


def _is_plain(value: Any) -> bool:
    """Return whether a value is made of numbers and text alone."""
    if isinstance(value, dict):
        return all(_is_plain(part) for item in value.items() for part in item)
    if isinstance(value, tuple | list | set | frozenset):
        return all(map(_is_plain, value))
    return isinstance(value, int | float | str | np.ndarray)


def _files() -> list[Path]:
    """Return the files that are changed."""
    return [path for room in ROOMS for path in sorted((ROOT / "polyroots" / room).glob("*.py"))]


def _sources() -> str:
    """Return a digest of the files."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in _files())).hexdigest()


class Plugin:
    """Runs what is asked for in place of pytest's loop over the collected tests."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.lines: dict[str, dict[str, list[str]]] = {}
        self.seconds: dict[str, float] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        known = json.loads(self.given.map.read_text()) if self.given.map.exists() else {}
        # Lines of files that have changed are others.
        if known.get("sources") == _sources():
            self.lines, self.seconds = known["lines"], known["seconds"]
        # Of tests that are newer than the map, that of the others stays.
        if new := [item for name, item in items.items() if name not in self.seconds]:
            self._map(session, new)
            os.execv(sys.executable, sys.orig_argv)  # some tests, such as doctests, pass once in a process
        self._mutate(session, items)
        return True

    def _map(self, session: pytest.Session, items: Sequence[pytest.Item]) -> None:
        """Find which tests run which lines, and the processor time of each."""
        measured = coverage.Coverage(data_file=None, source=[str(ROOT / "polyroots" / room) for room in ROOMS])
        measured.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            measured.switch_context(item.nodeid)
            began = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self.seconds[item.nodeid] = time.process_time() - began
        measured.stop()
        assert not session.testsfailed, "the tests fail without a mutant"
        data = measured.get_data()
        for path in data.measured_files():
            known = self.lines.setdefault(str(Path(path).relative_to(ROOT)), {})
            for line, contexts in data.contexts_by_lineno(path).items():
                known.setdefault(str(line), []).extend(context for context in contexts if context)
        found = {"lines": self.lines, "seconds": self.seconds, "sources": _sources()}
        self.given.map.write_text(json.dumps(found))

    def _mutate(self, session: pytest.Session, items: dict[str, pytest.Item]) -> None:
        given = self.given
        files = [path for path in _files() if path.stem in given.files] or _files()
        for path in files:
            check(path)
        # Of what is found by now, a mutant's process looks for newer objects only.
        _existing(_lru_cache_wrapper), gc.freeze()
        everything = [mutant for file in files for mutant in mutants_of(file)]
        drawn = random.Random(given.seed).sample(everything, min(given.count, len(everything)))
        if given.control:
            drawn = [unchanged(path) for path in files]
        outcomes: dict[str, str] = json.loads(given.out.read_text()) if given.out.exists() else {}
        deadline = time.monotonic() + 60 * given.minutes
        for mutant in drawn:
            if time.monotonic() > deadline:
                break
            if outcomes.get(mutant.name) not in ((None, "survived", "not run") if given.again else (None,)):
                continue
            known = self.lines.get(mutant.file, {})
            # A module's own lines run when it is imported, in no test.
            if _is_of_module(mutant):
                names = sorted({name for found in known.values() for name in found})
            else:
                # A long statement's lines are those of its beginning.
                names = known.get(str(max((int(line) for line in known if int(line) <= mutant.line), default=0)), [])
            chosen = sorted((name for name in names if name in items), key=self.seconds.__getitem__)
            outcomes[mutant.name] = _outcome(session, mutant, [items[name] for name in chosen], given.seconds)
            given.out.write_text(json.dumps(outcomes, indent=1))
        print(report(outcomes, len(everything)))


def _is_of_module(mutant: Mutant) -> bool:
    """Return whether a mutant is of a line outside of the bodies of functions."""
    tree = ast.parse((ROOT / mutant.file).read_text())
    bodies = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return not any(node.body[0].lineno <= mutant.line <= node.end_lineno for node in bodies)


def _outcome(session: pytest.Session, mutant: Mutant, items: Sequence[pytest.Item], seconds: float) -> str:
    """Return what the tests say of a mutant: killed, survived, endless or not run.

    After some seconds of a processor no more tests are started, and it counts as one that no test has found.
    """
    if not items:
        return "not run"
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
        resource.setrlimit(resource.RLIMIT_AS, (2**35, 2**35))
        try:
            put_in(mutant)
        except Exception:  # the module can't even be imported
            os._exit(1)
        began = time.process_time()
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                os._exit(1)
            if time.process_time() - began > seconds:
                break
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {0: "survived", 1: "killed"}.get(status, "endless")


def report(outcomes: dict[str, str], total: int) -> str:
    """Return the share of mutants that the tests kill, with Wilson's interval of 95 %, and the others by name."""
    counts = Counter(outcomes.values())
    n, killed = max(1, len(outcomes)), counts["killed"] + counts["endless"]
    share, z = killed / n, 1.96
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    rooms: defaultdict[str, list[bool]] = defaultdict(list)
    for name, outcome in outcomes.items():
        rooms[name.split("/")[1]].append(outcome in ("killed", "endless"))
    by_room = ", ".join(f"{room} {sum(found)} of {len(found)}" for room, found in sorted(rooms.items()))
    return (
        f"{killed} of {len(outcomes)} mutants killed, drawn from {total:,}: {share:.1%} "
        f"(95 %: {centre - half:.1%} to {centre + half:.1%}); {by_room}; {dict(counts)}\n"
    ) + "\n".join(f"{outcome}: {name}" for name, outcome in outcomes.items() if outcome in ("survived", "not run"))


def main() -> int:
    """Mutate from the command line; what `--map` and `--out` hold already isn't computed again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="after these no mutant is begun")
    parser.add_argument("--seconds", type=float, default=20, help="of a processor that a mutant's tests may take")
    parser.add_argument("--control", action="store_true", help="files without a change, which no test should fail on")
    parser.add_argument("--again", action="store_true", help="run the tests on mutants in --out that survived")
    parser.add_argument("--files", nargs="*", default=[], help="modules to change, without .py; by default all")
    parser.add_argument("--subjects", default=_SUBJECTS, help="names of tests, without test_ and .py")
    parser.add_argument("--map", type=Path, default=Path("mutation-map.json"), help="which test runs which line")
    parser.add_argument("--out", type=Path, default=Path("mutants.json"), help="the outcome of each mutant")
    given = parser.parse_args()
    given.map, given.out = given.map.resolve(), given.out.resolve()
    os.chdir(ROOT)
    from hypothesis import HealthCheck, Phase, settings

    phases, everything = (Phase.explicit, Phase.generate), list(HealthCheck)
    settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None, phases=phases, suppress_health_check=everything
    )
    settings.load_profile("mutation")
    tests = [f"tests/test_{name}.py" for name in given.subjects.split()]
    rooms = [f"polyroots/{room}" for room in ROOMS]
    words = ["-q", "-p", "no:cacheprovider", "--jaxtyping-packages=", "-x", *rooms, *tests]
    return int(pytest.main(words, plugins=[Plugin(given)]))


if __name__ == "__main__":
    sys.exit(main())
