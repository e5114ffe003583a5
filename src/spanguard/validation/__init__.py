"""Validation and sanitising."""

from spanguard.validation.check import Check
from spanguard.validation.errors import InvalidInputError
from spanguard.validation.inputs import (
    TYPES,
    BooleanType,
    DatetimeType,
    EmailType,
    FloatType,
    HostLookupError,
    InputType,
    IntegerType,
    ListType,
    OptionalType,
    PinnedUrl,
    Resolver,
    StringType,
    UrlType,
    make_type,
    resolve_public,
    resolve_public_async,
    system_resolver,
)
from spanguard.validation.problem import Problem, Threat
from spanguard.validation.result import ValidationResult
from spanguard.validation.sanitizers import ContentSanitizer
from spanguard.validation.schema import SchemaValidator
from spanguard.validation.validator import (
    InputValidator,
    validate_boolean,
    validate_datetime,
    validate_email,
    validate_float,
    validate_integer,
    validate_list,
    validate_string,
    validate_url,
    validate_user_input,
)

__all__ = [
    "TYPES",
    "BooleanType",
    "Check",
    "ContentSanitizer",
    "DatetimeType",
    "EmailType",
    "FloatType",
    "HostLookupError",
    "InputType",
    "InputValidator",
    "IntegerType",
    "InvalidInputError",
    "ListType",
    "OptionalType",
    "PinnedUrl",
    "Problem",
    "Resolver",
    "SchemaValidator",
    "StringType",
    "Threat",
    "UrlType",
    "ValidationResult",
    "make_type",
    "resolve_public",
    "resolve_public_async",
    "system_resolver",
    "validate_boolean",
    "validate_datetime",
    "validate_email",
    "validate_float",
    "validate_integer",
    "validate_list",
    "validate_string",
    "validate_url",
    "validate_user_input",
]
