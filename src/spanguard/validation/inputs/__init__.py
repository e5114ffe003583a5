"""The types of input that can be validated."""

from spanguard.validation.inputs.boolean import BooleanType
from spanguard.validation.inputs.collections import ListType, OptionalType
from spanguard.validation.inputs.datetime import DatetimeType
from spanguard.validation.inputs.input_type import InputType
from spanguard.validation.inputs.number import FloatType, IntegerType
from spanguard.validation.inputs.registry import TYPES, make_type
from spanguard.validation.inputs.string import StringType

__all__ = [
    "TYPES",
    "BooleanType",
    "DatetimeType",
    "FloatType",
    "InputType",
    "IntegerType",
    "ListType",
    "OptionalType",
    "StringType",
    "make_type",
]
