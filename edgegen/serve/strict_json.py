"""JSON as RFC 8259 has it; json.loads alone takes more, and some of it differently from one Python to the next.

export/device/scan.c reads the same in C.
"""

import itertools
import json
from typing import Any

MOST_DEPTH = 16
EXACT_DIGITS = 40


class Members(list[tuple[str, Any]]):
    """An object: its members in order, those whose name comes twice too."""


def loads(body: bytes) -> Any:
    """The one value in `body`, objects as Members; ValueError where it is none in UTF-8 without lone surrogates.

    Arrays and objects are nested at most MOST_DEPTH deep.
    """
    try:
        value = json.loads(body.decode(), object_pairs_hook=Members, parse_int=_int, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    _check(value, MOST_DEPTH)
    return value


def _int(digits: str) -> int | float:
    # One with so many digits is out of every range, and int() takes only so many.
    return int(digits) if len(digits) < EXACT_DIGITS else float(digits)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, list):
        if not depth:
            raise ValueError("nested too deep")
        for inner in itertools.chain.from_iterable(value) if isinstance(value, Members) else value:
            _check(inner, depth - 1)
