"""Values that somebody made to break whoever looks at them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any


def refuse(*_: object, **__: object) -> Any:
    raise RuntimeError("hands off")


HANDS_OFF: dict[str, Any] = dict.fromkeys(
    [
        "__str__", "__repr__", "__eq__", "__hash__", "__len__", "__bool__", "__iter__", "__getitem__", "__getattribute__",
        "__int__", "__index__", "__float__", "__contains__", "__lt__", "__le__", "__format__", "__bytes__", "__add__",
    ],
    refuse,
)  # fmt: skip


class Text(str):  # noqa: SLOT000 - an instance may have a dictionary
    locals().update(HANDS_OFF)


class Whole(int):
    locals().update(HANDS_OFF)


class Real(float):
    locals().update(HANDS_OFF)


class Row(list[Any]):
    locals().update(HANDS_OFF)


class Pair(tuple[Any, ...]):
    __slots__ = ()
    locals().update(HANDS_OFF)


class Thing:
    locals().update(HANDS_OFF)


class Liar:
    """Says of itself that it is text."""

    __class__ = property(refuse)


class Zone(tzinfo):
    utcoffset = dst = tzname = refuse


class Moment(datetime):
    utcoffset = date = timetz = isoformat = refuse


class Colour(str, enum.Enum):  # noqa: UP042 - as programs had it before there was StrEnum
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def cyclic_dict() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["own"] = value
    return value


HOSTILE: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "bytes": lambda: b"text",
    "bytearray": lambda: bytearray(b"1"),
    "lone surrogate": lambda: "\ud800",
    "surrogate in digits": lambda: "1\udfff",
    "NUL": lambda: "\0",
    "100 MB": lambda: "a" * 100_000_000,
    "100 MB of digits": lambda: "9" * 100_000_000,
    "100 MB of blanks": lambda: " " * 100_000_000,
    "100 MB of marks": lambda: "\u0301" * 50_000_000,
    "huge int": lambda: 1 << 1_000_000,
    "set": lambda: {1},
    "dict": lambda: {"a": 1},
    "cyclic dict": cyclic_dict,
    "cyclic list": cyclic,
    "deep list": lambda: deep(100_000),
    "long list": lambda: ["\ud800"] * 1_000_000,
    "generator": lambda: (number for number in range(3)),
    "class": lambda: str,
    "module": lambda: enum,
    "complex": lambda: 1j,
    "decimal": lambda: Decimal("1.5"),
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "hostile str": lambda: Text("plain"),
    "hostile int": lambda: Whole(7),
    "hostile float": lambda: Real(1.5),
    "hostile list": lambda: Row(["a"]),
    "hostile tuple": lambda: Pair(["a"]),
    "hostile object": Thing,
    "liar": Liar,
    "hostile zone": lambda: datetime(2026, 1, 1, tzinfo=Zone()),
    "hostile moment": lambda: Moment(2026, 1, 1, tzinfo=UTC),
    "edge of time": lambda: datetime.max.replace(tzinfo=UTC),
}
"""Made when they are needed: some are large, and some break the program that runs the tests if it holds them."""
