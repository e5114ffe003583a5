"""How many cases a fuzz test tries: 2,000 in `make test`, as many as SPANGUARD_FUZZ says in the long run (`make fuzz`)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FUZZ = settings(
    max_examples=int(os.environ.get("SPANGUARD_FUZZ", "2000")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
