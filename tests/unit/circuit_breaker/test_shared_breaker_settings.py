"""What a shared storage refuses, and what it never tells."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from spanguard.error_handling import RedisBreakerStorage
from spanguard.errors import ConfigurationError

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "must begin with one of redis://, rediss://"),
        ("localhost:6379", "must begin with one of"),
        (f"memcached://:{SECRET}@localhost", "must begin with one of"),
        (f"redis://:{SECRET}@localhost:many", "check port, database"),
        (f"redis://:{SECRET}@localhost/first", "ends in a database that is no number"),
        (f"redis://:{SECRET}@localhost?socket_timeout=soon", "check port, database"),
        (f"redis+cluster://:{SECRET}@one:1,two", "address 2 of its URL is no host:port"),
        (f"redis+cluster://:{SECRET}@", "address 1 of its URL is no host:port"),
        (f"redis+sentinel://:{SECRET}@one:1", "its URL names no service"),
        (f"redis+sentinel://:{SECRET}@one/main", "address 1 of its URL is no host:port"),
    ],
)
def test_a_wrong_url_is_refused_without_being_quoted(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        RedisBreakerStorage(url, "api")
    assert "storage of circuit breaker 'api'" in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("library", ["redis", "valkey"])
def test_a_missing_client_library_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigurationError, match=f"the package {library} is not installed; install it: pip install"):
        RedisBreakerStorage(f"{library}://localhost", "api")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": ""}, "name is empty"),
        ({"key_prefix": ""}, "key_prefix is ''"),
        ({"key_prefix": "a{b}"}, "without braces"),
        ({"timeout": 0}, "timeout is 0; it must be seconds"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"timeout": "0.1"}, "timeout is '0.1'"),
        ({"timeout": True}, "timeout is True"),
        ({"client_options": {"no_such_option": 1}}, "check port, database"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        RedisBreakerStorage(**{"url": "redis://localhost", "name": "api", **settings})


@pytest.mark.parametrize(
    "url",
    [
        f"redis://user:{SECRET}@127.0.0.1:1",
        f"redis://127.0.0.1:1?password={SECRET}",
        f"rediss://:{SECRET}@127.0.0.1:1/3",
        f"redis+unix://:{SECRET}@/tmp/no-such-socket",
        f"redis+cluster://:{SECRET}@127.0.0.1:1,127.0.0.1:2",
        f"redis+sentinel://:{SECRET}@127.0.0.1:1/main",
    ],
)
def test_every_kind_of_url_is_taken_and_none_is_shown(url: str) -> None:
    storage = RedisBreakerStorage(url, "api")
    assert SECRET not in repr(storage) + repr(vars(storage))
    assert repr(storage).startswith(f"<RedisBreakerStorage 'api' on {url.partition(':')[0]}: ")
