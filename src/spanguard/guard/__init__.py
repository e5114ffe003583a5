"""One pipeline out of the policies: `@guard("twitter_api")`."""

from spanguard.guard.guarding import Guard, guard
from spanguard.guard.registry import Draft, GuardRegistry, changed_sections, guards
from spanguard.guard.stats import GuardStats

__all__ = ["Draft", "Guard", "GuardRegistry", "GuardStats", "changed_sections", "guard", "guards"]
