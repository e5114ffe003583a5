"""Structured data against a schema: a pydantic model, a TypedDict, a dictionary of rules or a JSON Schema."""

from spanguard.validation.schema.kinds import UnknownKeys
from spanguard.validation.schema.validator import Kind, SchemaValidator

__all__ = ["Kind", "SchemaValidator", "UnknownKeys"]
