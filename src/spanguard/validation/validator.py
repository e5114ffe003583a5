"""The public face of validation: from a word and options to a result."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from spanguard.errors import ConfigurationError
from spanguard.validation.check import SLOW, Check
from spanguard.validation.inputs.options import bad_seconds
from spanguard.validation.inputs.registry import make_type
from spanguard.validation.result import ValidationResult

MAX_PREPARED: Final = 512
"""Checks that a validator keeps; who asks for more of them in turn has them made again."""


class InputValidator:
    """Validates input of any kind. Safe in threads, in asyncio and after a fork; one for the process is enough.

    What is validated never makes it raise. What the programmer says does: an unknown type or option, or a wrong value of
    one, is a `ConfigurationError`.

    Args:
        slow: the seconds from which on a validation gets a span, if the trace around it records.

    Raises:
        ConfigurationError: `slow` is not above 0.
    """

    def __init__(self, *, slow: float = SLOW) -> None:
        if problems := [*bad_seconds("slow", slow)]:
            raise ConfigurationError(problems)
        self._slow = slow
        # Typed: 1, 1.0 and True are equal, but not all are good as a length.
        self._prepared = lru_cache(MAX_PREPARED, typed=True)(self._made)

    def prepare(self, input_type: str = "string", /, **options: Any) -> Check[Any]:
        """Return the check of one type of input: to be kept where many values are to be validated.

        Args:
            input_type: "string", "email", "url", "integer", "float", "datetime", "boolean", "list" or "optional".
            options: those of its class: `StringType` and so on.

        Raises:
            ConfigurationError: the type, an option or its value is wrong; near matches are named.
        """
        try:
            return self._prepared(input_type, **options)
        except TypeError:  # an option that cannot be hashed: a dictionary, a list
            return self._made(input_type, **options)

    def validate(self, value: object, input_type: str = "string", **options: Any) -> ValidationResult[Any]:
        """Validate a value of any kind.

        Args:
            value: what came from outside.
            input_type: as for `prepare`.
            options: as for `prepare`.

        Raises:
            ConfigurationError: the type, an option or its value is wrong; near matches are named.
        """
        return self.prepare(input_type, **options).validate(value)

    def validate_string(self, value: object, **options: Any) -> ValidationResult[str]:
        """Validate a text; the options are those of `StringType`."""
        return self.prepare("string", **options).validate(value)

    def validate_email(self, value: object, **options: Any) -> ValidationResult[str]:
        """Validate an email address; the options are those of `EmailType`."""
        return self.prepare("email", **options).validate(value)

    def validate_url(self, value: object, **options: Any) -> ValidationResult[str]:
        """Validate a URL; the options are those of `UrlType`."""
        return self.prepare("url", **options).validate(value)

    def validate_integer(self, value: object, **options: Any) -> ValidationResult[int]:
        """Validate a whole number; the options are those of `IntegerType`."""
        return self.prepare("integer", **options).validate(value)

    def validate_float(self, value: object, **options: Any) -> ValidationResult[float]:
        """Validate a number; the options are those of `FloatType`."""
        return self.prepare("float", **options).validate(value)

    def validate_datetime(self, value: object, **options: Any) -> ValidationResult[datetime]:
        """Validate a moment; the options are those of `DatetimeType`."""
        return self.prepare("datetime", **options).validate(value)

    def validate_boolean(self, value: object, **options: Any) -> ValidationResult[bool]:
        """Validate a boolean; the options are those of `BooleanType`."""
        return self.prepare("boolean", **options).validate(value)

    def validate_list(self, value: object, **options: Any) -> ValidationResult[list[Any]]:
        """Validate a list; the options are those of `ListType`."""
        return self.prepare("list", **options).validate(value)

    def _made(self, input_type: str, /, **options: Any) -> Check[Any]:
        return Check(make_type(input_type, options), slow=self._slow)


_validator: Final = InputValidator()

validate_string: Final = _validator.validate_string
validate_email: Final = _validator.validate_email
validate_url: Final = _validator.validate_url
validate_integer: Final = _validator.validate_integer
validate_float: Final = _validator.validate_float
validate_datetime: Final = _validator.validate_datetime
validate_boolean: Final = _validator.validate_boolean
validate_list: Final = _validator.validate_list


def validate_user_input(value: object, input_type: str = "string", **options: Any) -> ValidationResult[Any]:
    """Validate what a user sent, by the name of its type: `InputValidator().validate` for the whole process.

    Raises:
        ConfigurationError: the type, an option or its value is wrong; near matches are named.
    """
    return _validator.validate(value, input_type, **options)
