"""A valid model, and one that is not, under the plugin against pydantic alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from common import Figure, Timer, timing
from pydantic import BaseModel, TypeAdapter, ValidationError

from spanguard.instrumentation.pydantic import PydanticInstrumentor


class Order(BaseModel):
    number: int
    name: str


VALID = {"number": 1, "name": "Ada"}
INVALID = {"number": "x"}


def built() -> object:
    return Order(number=1, name="Ada")


def validated() -> object:
    return Order.model_validate(VALID)


def refused() -> None:
    with contextlib.suppress(ValidationError):
        Order.model_validate(INVALID)


NUMBER = TypeAdapter(int)


def adapted() -> object:
    return NUMBER.validate_python(1)


def under_the_plugin(call: Callable[[], object]) -> Callable[[], Timer]:
    def timer() -> Timer:
        PydanticInstrumentor().instrument()
        return timing(call)

    return timer


def alone(call: Callable[[], object]) -> Callable[[], Timer]:
    return lambda: timing(call)


def figure(name: str, what: str, goal: float, call: Callable[[], object]) -> Figure:
    return Figure(name, f"{what} under our plugin", goal, under_the_plugin(call), alone(call), "pydantic")


FIGURES = [
    figure("pydantic-plugin-init", "a valid model of two fields, by its class,", 1.05, built),
    figure("pydantic-plugin", "a valid model of two fields, by `model_validate`,", 1.05, validated),
    figure("pydantic-plugin-adapter", "a valid int, by a `TypeAdapter`,", 1.05, adapted),
    figure("pydantic-plugin-failure", "a model with two errors, counted,", 10.0, refused),
]
