"""The types of input that can be validated."""

from spanguard.validation.inputs.boolean import BooleanType
from spanguard.validation.inputs.collections import ListType, OptionalType
from spanguard.validation.inputs.datetime import DatetimeType
from spanguard.validation.inputs.email import EmailType
from spanguard.validation.inputs.input_type import InputType
from spanguard.validation.inputs.number import FloatType, IntegerType
from spanguard.validation.inputs.pinning import (
    HostLookupError,
    PinnedUrl,
    Resolver,
    resolve_public,
    resolve_public_async,
    system_resolver,
)
from spanguard.validation.inputs.registry import TYPES, make_type
from spanguard.validation.inputs.string import StringType
from spanguard.validation.inputs.url import UrlType

__all__ = [
    "TYPES",
    "BooleanType",
    "DatetimeType",
    "EmailType",
    "FloatType",
    "HostLookupError",
    "InputType",
    "IntegerType",
    "ListType",
    "OptionalType",
    "PinnedUrl",
    "Resolver",
    "StringType",
    "UrlType",
    "make_type",
    "resolve_public",
    "resolve_public_async",
    "system_resolver",
]
