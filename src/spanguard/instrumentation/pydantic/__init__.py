"""The plugin of `pydantic`."""

from spanguard.instrumentation.pydantic.instrumentor import PydanticInstrumentor

__all__ = ["PydanticInstrumentor"]
