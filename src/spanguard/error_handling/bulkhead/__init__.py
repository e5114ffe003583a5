"""The bulkhead."""

from spanguard.error_handling.bulkhead.bulkhead import Bulkhead
from spanguard.error_handling.bulkhead.errors import BulkheadFullError
from spanguard.error_handling.bulkhead.stats import BulkheadStats

__all__ = ["Bulkhead", "BulkheadFullError", "BulkheadStats"]
