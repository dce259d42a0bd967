"""What the calls in a pickle copy, and what its keys take to hash: a short pickle can name one long list many times."""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# Bytes of an entry of a list or tuple and of a dict or set, of an argument of a call, and of a value that is hashed.
_ENTRY, _KEY, _ARGUMENT, _HASHED = 32, 64, 8, 16
# Numbers from this one on, and numbers of Python's and numpy's that calls make, can have equal hashes in any number.
_COLLIDING = 2**61 - 1
_COLLISION = 1000
_MOST = 2**62
_LONGEST_LABEL = 20
#: A function that returns a text in another encoding.
ENCODE = "_codecs encode"
# The encoding with which bytes are pickled doesn't make a text longer; others make it ten times as long at most.
_PLAIN, _LONGER = "latin1", 10
#: Functions that return an array of a given length.
MAKING = {"__builtin__ bytearray", "builtins bytearray"}


@dataclass(eq=False, slots=True)
class _Value:
    """An object of a pickle; it is one for all places of the stack and memo, so that it grows in all of them.

    Attributes
    ----------
    size : int
        Bytes of a copy that shares the entries.
    hashed : int
        Number of values that its hash visits.
    inner : int
        Number of values that the hashes of its entries visit.
    parts : sequence of _Value
        Entries of a tuple.
    label : str
        The name of a class or function, or a short text.
    number : int
    """

    size: int = 0
    hashed: int = 1
    inner: int = 0
    parts: Sequence[_Value] = ()
    label: str = ""
    number: int = 0

    def grow(self, entries: Sequence[_Value], size: int) -> None:
        """Add entries, of which each takes some bytes."""
        self.size += size * len(entries)
        self.inner = min(_MOST, self.inner + sum(entry.hashed for entry in entries))


class Costs:
    """Follows the instructions of pickles without carrying them out.

    Attributes
    ----------
    total : int
        Bytes that the calls may copy, and those of the values that are hashed.
    """

    def __init__(self) -> None:
        self.total = 0
        self._stack: list[_Value] = []
        self._outer: list[list[_Value]] = []  # The stacks below each mark.
        self._memo: dict[int, _Value] = {}

    def follow(self, operation: pickletools.OpcodeInfo, argument: Any) -> None:
        """Do what an instruction does to the sizes."""
        name = operation.name
        if name in _ACTIONS:
            _ACTIONS[name](self)
        elif name.endswith("PUT"):
            self._memo[int(argument)] = self._top()
        elif name.endswith("GET"):
            self._stack.append(self._memo.get(int(argument), _Value()))
        elif name == "INST":
            self._call(_Value(label=str(argument)), self._to_mark())
        else:
            for before in operation.stack_before:
                if before is not pickletools.markobject:
                    self._pop()
            self._stack += [_constant(name, argument) for _ in operation.stack_after]

    def _top(self) -> _Value:
        return self._stack[-1] if self._stack else _Value()

    def _pop(self) -> _Value:
        return self._stack.pop() if self._stack else _Value()

    def _to_mark(self) -> list[_Value]:
        """Take all down to the last mark."""
        values, self._stack = self._stack, self._outer.pop() if self._outer else []
        return values

    def _mark(self) -> None:
        self._outer.append(self._stack)
        self._stack = []

    def _drop(self) -> None:
        if self._stack or not self._outer:
            self._pop()
        else:
            self._to_mark()

    def _remember(self) -> None:
        self._memo[len(self._memo)] = self._top()

    def _stop(self) -> None:
        self._stack, self._outer, self._memo = [], [], {}

    def _tuple(self, parts: list[_Value]) -> None:
        value = _Value(parts=parts)
        value.grow(parts, _ENTRY)
        value.hashed = min(_MOST, 1 + value.inner)
        self._stack.append(value)

    def _last(self, count: int) -> None:
        self._tuple([self._pop() for _ in range(count)][::-1])

    def _list(self) -> None:
        value = _Value()
        value.grow(self._to_mark(), _ENTRY)
        self._stack.append(value)

    def _extend(self, values: list[_Value]) -> None:
        self._top().grow(values, _ENTRY)

    def _set(self, keys: list[_Value]) -> None:
        self._top().grow(keys, _KEY)
        self.total += _HASHED * sum(key.hashed for key in keys)

    def _set_item(self) -> None:
        self._pop()
        self._set([self._pop()])

    def _new(self, *, is_dict: bool) -> None:
        keys = self._to_mark()
        self._stack.append(_Value())
        self._set(keys[::2] if is_dict else keys)

    def _build(self) -> None:
        state = self._pop()
        self.total += self._cost([state]) + self._cost(state.parts)

    def _reduce(self) -> None:
        arguments = self._pop()
        self._call(self._pop(), arguments.parts)

    def _call_with_names(self) -> None:
        names, arguments = self._pop(), self._pop()
        self._call(self._pop(), [*arguments.parts, names])

    def _call_to_mark(self) -> None:
        kind, *arguments = self._to_mark() or [_Value()]
        self._call(kind, arguments)

    def _cost(self, values: Sequence[_Value]) -> int:
        return sum(value.size + _HASHED * value.inner + _ARGUMENT for value in values)

    def _call(self, function: _Value, arguments: Sequence[_Value]) -> None:
        """Put the result of a call on the stack, which may be a copy of its arguments."""
        self.total += self._cost(arguments)
        size = sum(value.size for value in arguments)
        inner = min(_MOST, sum(value.inner for value in arguments))
        if function.label == ENCODE and not any(value.label == _PLAIN for value in arguments):
            size *= _LONGER
        if function.label in MAKING:
            size += sum(abs(value.number) for value in arguments)
            self.total += size
        collides = function.label.endswith((" complex", " scalar"))
        self._stack.append(_Value(size, 1 + inner + _COLLISION * collides, inner))


def _constant(name: str, argument: Any) -> _Value:
    """Return the value that an instruction puts on the stack by itself."""
    if name == "GLOBAL":
        return _Value(label=str(argument))
    if isinstance(argument, str | bytes | bytearray):
        return _Value(len(argument), label=str(argument) if len(argument) <= _LONGEST_LABEL else "")
    if isinstance(argument, int):
        hashed = 1 + argument.bit_length() // 64 + _COLLISION * (abs(argument) >= _COLLIDING)
        return _Value(argument.bit_length() // 8, hashed, number=argument)
    return _Value()


_ACTIONS: dict[str, Callable[[Costs], object]] = {
    "MARK": Costs._mark,
    "POP": Costs._drop,
    "POP_MARK": Costs._to_mark,
    "DUP": lambda costs: costs._stack.append(costs._top()),
    "MEMOIZE": Costs._remember,
    "STOP": Costs._stop,
    "EMPTY_TUPLE": lambda costs: costs._last(0),
    "TUPLE1": lambda costs: costs._last(1),
    "TUPLE2": lambda costs: costs._last(2),
    "TUPLE3": lambda costs: costs._last(3),
    "TUPLE": lambda costs: costs._tuple(costs._to_mark()),
    "LIST": Costs._list,
    "DICT": lambda costs: costs._new(is_dict=True),
    "FROZENSET": lambda costs: costs._new(is_dict=False),
    "APPEND": lambda costs: costs._extend([costs._pop()]),
    "APPENDS": lambda costs: costs._extend(costs._to_mark()),
    "SETITEM": Costs._set_item,
    "SETITEMS": lambda costs: costs._set(costs._to_mark()[::2]),
    "ADDITEMS": lambda costs: costs._set(costs._to_mark()),
    "BUILD": Costs._build,
    "REDUCE": Costs._reduce,
    "NEWOBJ": Costs._reduce,
    "NEWOBJ_EX": Costs._call_with_names,
    "OBJ": Costs._call_to_mark,
}
