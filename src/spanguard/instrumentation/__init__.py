"""The plugins: one room for each library, where what it emits lives once."""

__all__: list[str] = []
