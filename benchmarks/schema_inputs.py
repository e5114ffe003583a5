"""Schemas of three kinds, and data of all sizes that they may dread: for `validation_growth.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from spanguard.validation import SchemaValidator

ATTACK = "<script>alert(1)</script>"
MAX_ITEMS = 10_000


class Item(BaseModel):
    number: int


class Body(BaseModel):
    items: list[Item] = []
    texts: list[str] = []
    table: dict[str, int] = {}


RULES: dict[str, Any] = {
    "items": {
        "type": "list",
        "max_items": MAX_ITEMS,
        "of": {"type": "dict", "fields": {"number": {"type": "integer", "required": True}}},
    },
    "texts": {"type": "list", "max_items": MAX_ITEMS, "of": {"type": "string"}},
    "table": {"type": "dict", "values": {"type": "integer"}},
}
JSON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "uniqueItems": True,
            "items": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
        },
        "texts": {"type": "array", "items": {"type": "string", "pattern": "^(a+)*[^z]*$"}},
        "table": {"type": "object", "patternProperties": {"^(a+)+$": {"type": "integer"}, "y": {"type": "integer"}}},
    },
}
SCHEMAS: dict[str, Any] = {"model": Body, "rules": RULES, "JSON Schema": JSON_SCHEMA}
VALIDATORS = {
    f"schema, {name}, {unknown_keys}": SchemaValidator(schema, unknown_keys=unknown_keys, max_items=MAX_ITEMS)
    for name, schema in SCHEMAS.items()
    for unknown_keys in ("forbid", "drop", "keep")
}
INPUTS: dict[str, Callable[[int], object]] = {
    "items": lambda size: {"items": [{"number": number} for number in range(size // 2)]},
    "wrong items": lambda size: {"items": [{"number": "x"} for _ in range(size // 2)]},
    "empty items": lambda size: {"items": [{} for _ in range(size)]},
    "equal items": lambda size: {"items": [{"number": 1} for _ in range(size // 2)]},
    "texts": lambda size: {"texts": ["plain text"] * size},
    "attacks": lambda size: {"texts": [ATTACK] * size},
    "unseen": lambda size: {"texts": ["\u200b"] * size},
    "bytes": lambda size: {"texts": [b"a"] * size},
    "table": lambda size: {"table": {f"key{number}": number for number in range(size)}},
    "wrong table": lambda size: {"table": {f"{ATTACK}{number}": "x" for number in range(size)}},
    "unknown keys": lambda size: {f"key{number}": [] for number in range(size)},
    "unknown attacks": lambda size: {f"{ATTACK}{number}": ATTACK for number in range(size // 2)},
    "keys that look the same": lambda size: {
        f"\u200b{number // 2}" + "\u200b" * (number % 2): 1 for number in range(size)
    },
    "one long text": lambda size: {"texts": ["a" * 100 * size]},
    "one long attack": lambda size: {"texts": ["<" * 100 * size]},
}
