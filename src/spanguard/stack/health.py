"""Whether a server answers its health URL."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

# The servers are on this machine: a proxy of the environment has no part in reaching them.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_healthy(url: str, *, timeout: float = 2.0) -> bool:
    """Whether a GET of `url` is answered with a 2xx status within `timeout` seconds."""
    try:
        with _opener.open(url, timeout=timeout) as response:
            return bool(200 <= response.status < 300)  # noqa: PLR2004 - the class of success
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return False
