"""The plugin of `limits`, and what a rate limiter emits."""

__all__: list[str] = []
