"""Whether what came as JSON is what is expected: the fields of a dataclass, texts, numbers.

`json` takes what it finds: a list for a name, NaN, numbers that no column holds, halves of
characters that cannot be written again. Found late, far from where it came in, such a value ends
whoever meets it.
"""

import json
from dataclasses import fields
from functools import cache
from math import isfinite
from typing import Any, Final

TEXT: Final = (str,)
NUMBER: Final = (float, int)
_LEAST, _MOST = -(2**63), 2**63 - 1
_ALLOWED: Final[dict[Any, tuple[type, ...]]] = {
    str: TEXT, int: (int,), bool: (bool,), float: NUMBER, float | None: (*NUMBER, type(None)),
}


_SCALAR: Final = (str, int, float, bool, type(None))
DEEPEST: Final = 16


def read_json(payload: str | bytes) -> Any:
    """What `payload` says. Raises ValueError where it is not JSON, or nested without end."""
    try:
        return json.loads(payload)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@cache
def _declared(kind: Any) -> tuple[tuple[str, tuple[type, ...]], ...]:
    """The fields of a dataclass that are plain, and what each may hold."""
    return tuple((f.name, _ALLOWED[f.type]) for f in fields(kind) if f.type in _ALLOWED)


def check_plain(made: Any) -> None:
    """`check_value` for each plain field of the dataclass `made`."""
    kind: Any = type(made)
    for name, allowed in _declared(kind):
        check_value(name, getattr(made, name), allowed)


def check_value(name: str, value: Any, allowed: tuple[type, ...]) -> None:
    """Raises TypeError where `value` is of no type that is `allowed`, and ValueError for a number
    that is not finite or not an int64, or a text that is not Unicode; both say `name`."""
    sort = type(value)
    if sort not in allowed:
        raise TypeError(f"{name} is {sort.__name__}, not {allowed[0].__name__}")
    if sort is str:
        if not value.isascii():
            value.encode()
    elif sort is int and not _LEAST <= value <= _MOST:
        raise ValueError(f"{name} is beyond 64 bits")
    elif sort is float and not isfinite(value):
        raise ValueError(f"{name} is not finite")


def check_json(name: str, value: Any, deepest: int = DEEPEST) -> None:
    """`check_value` for every text and number in a JSON value, nested at most so deep."""
    if isinstance(value, dict | list) and deepest == 0:
        raise ValueError(f"{name} is nested too deeply")
    if isinstance(value, dict):
        for key, inner in value.items():
            check_value(name, key, TEXT)
            check_json(key, inner, deepest - 1)
    elif isinstance(value, list):
        for inner in value:
            check_json(name, inner, deepest - 1)
    else:
        check_value(name, value, _SCALAR)
