"""`RedisBreakerStorage`: a breaker's state on Redis or Valkey, for all processes that name the same breaker."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, Final

import pybreaker
from opentelemetry._logs import SeverityNumber

from spanguard import semconv
from spanguard.error_handling.circuit_breaker.settings import seconds
from spanguard.error_handling.circuit_breaker.shared.link import Lease, Link, link_to
from spanguard.error_handling.circuit_breaker.shared.member import Member, PlainMember
from spanguard.error_handling.circuit_breaker.shared.script import View, keys_of, microseconds, milliseconds
from spanguard.error_handling.circuit_breaker.shared.server import Server, check_url
from spanguard.error_handling.circuit_breaker.storage import PYBREAKER_STATES, STATES
from spanguard.errors import ConfigurationError
from spanguard.telemetry import COUNTS, emit
from spanguard.telemetry.sanitize import clean_text

KEY_PREFIX: Final = "spanguard:circuit_breaker"
TIMEOUT: Final = 0.08
"""Seconds: a call goes on within 100 ms, with what its thread needs to wake up."""

PAUSE: Final = 0.05
"""Seconds for which a refusal by the server stands for the whole process: a crowd of calls asks 20 times a second."""

LEAST_TIME_TO_LIVE: Final = 3600.0
"""Seconds for which the server keeps a state that nobody changes; longer where the breaker stays open for longer."""


class ProbingMember(Member):
    """A breaker that lets probes through by permits from the server."""

    @property
    @abstractmethod
    def half_open_max_calls(self) -> int:
        """Probes under way at once, in all processes."""

    @property
    @abstractmethod
    def success_threshold(self) -> int:
        """Successful probes that close it, in all processes."""

    @property
    @abstractmethod
    def probe_lease(self) -> float:
        """Seconds after which a probe that has not ended loses its permit."""

    @property
    @abstractmethod
    def reset_timeout(self) -> float:
        """Seconds that it stays open."""


class RedisBreakerStorage(pybreaker.CircuitBreakerStorage):
    """Where processes share the state of one circuit breaker: hand it over as `state_storage`.

    Shared are the opening, the permits of probes (with leases, so that a killed process does not jam the breaker), the
    count of successful probes, and the closing. Not shared is the evidence: each process counts its own failures, and
    its verdict stands for all. So a call through a closed breaker costs no command, whether it succeeds or fails.

    A thread looks at the server every 0.3 to 0.5 s, so a move is known everywhere within a second. If the server does
    not answer within `timeout`, each process goes on with its own state at once, asks no more, and says so in
    `spanguard.circuit_breaker.storage.status` and an event. When the server is back, what is open or half-open here is
    told to it, unless another process was first.

    Safe from threads, tasks and forks. Building one does no I/O. Storages of one process that name the same URL share a
    thread and a connection, which end with them. A plain `pybreaker.CircuitBreaker` may use it too: it shares its
    state, but knows no permits.

    Args:
        url: a server as `limits` understands it: redis://, rediss://, redis+unix://, redis+cluster://host:port,host:port,
            redis+sentinel://host:port/service, and the same with valkey. Its credentials are in no signal, text or repr.
        name: which breaker; give the breaker the same name. All processes should give it the same settings.
        key_prefix: what the keys begin with; processes with another prefix do not share.
        timeout: seconds to wait for the server, for a call that would be a probe and for the background alike.
        client_options: more options for the client of redis or valkey, such as those of TLS.

    Raises:
        ConfigurationError: the URL does not parse, its client library is not installed, or the prefix holds a brace.
            A server that does not answer is none.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        key_prefix: str = KEY_PREFIX,
        timeout: float = TIMEOUT,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        options = dict(client_options or {})
        self.check(url, name, key_prefix=key_prefix, timeout=timeout, client_options=options)
        super().__init__(name)
        self.keys = keys_of(key_prefix, name)
        self._scheme = url.partition(":")[0]
        self._plain = PlainMember()
        self._member: weakref.ref[ProbingMember] | None = None
        self._ended: deque[tuple[Lease, bool]] = deque()
        self._refused_until = 0.0
        self.link: Final[Link] = link_to(url, timeout, options)
        self._attributes = {semconv.POLICY_NAME.key: clean_text(name)}
        COUNTS.observe(semconv.BREAKER_STORAGE_STATUS_METRIC, self, _status)
        self.link.join(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} on {self._scheme}: {self.status}>"

    @staticmethod
    def check(
        url: str,
        name: str,
        *,
        key_prefix: str = KEY_PREFIX,
        timeout: float = TIMEOUT,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Refuse what no storage could be built from, without building one.

        Raises:
            ConfigurationError: as the constructor raises it.
        """
        where = f"storage of circuit breaker {name!r}"
        if not name:
            raise ConfigurationError("storage of a circuit breaker: name is empty; give it the breaker's name.")
        if not key_prefix or set("{}") & set(key_prefix):
            raise ConfigurationError(f"{where}: key_prefix is {key_prefix!r}; it must be a text without braces.")
        problems = [f"{where}: {problem}" for problem in seconds("timeout", timeout)]
        if problems:
            raise ConfigurationError(problems)
        check_url(url, timeout, client_options or {}, where=where)

    @property
    def status(self) -> semconv.BreakerStorageState:
        """Return "available", or "degraded" while the breaker goes on with the state of this process alone."""
        return "degraded" if self.link.is_degraded else "available"

    # --- the breaker's side ----------------------------------------------------------------------------------------

    def attach(self, member: ProbingMember) -> None:
        """Serve this breaker from now on.

        Raises:
            ConfigurationError: it serves another one already.
        """
        if self._attached() is not None:
            raise ConfigurationError(
                f"storage of circuit breaker {self.name!r} serves a breaker already; build one for each, "
                "those with equal names share the state at the server."
            )
        self._member = weakref.ref(member)
        self.link.join(self)

    def ask(self) -> Lease | None:
        """Ask for the permit of a probe; block for the answer. None if the server is not there."""
        if self._is_refused():
            return self._refusal("")
        ask = self.link.ask(self)
        return None if ask is None else self.link.wait(ask)

    async def ask_async(self) -> Lease | None:
        """Ask for the permit of a probe without blocking the event loop."""
        if self._is_refused():
            return self._refusal("")
        ask = self.link.ask(self)
        return None if ask is None else await self.link.wait_async(ask)

    def end_probe(self, lease: Lease, *, succeeded: bool) -> None:
        """Tell the server, later, that a probe ended without moving the breaker."""
        self._ended.append((lease, succeeded))
        self._refused_until = 0.0
        self.link.wake()

    def give_back(self, lease: Lease) -> None:
        """Return a permit that nobody used."""
        self.end_probe(lease, succeeded=False)

    def _is_refused(self) -> bool:
        return monotonic() < self._refused_until and not self.link.is_degraded

    def _refusal(self, token: str) -> Lease:
        return Lease(token, self.epoch, is_granted=False)

    # --- the link's side -------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> str:
        """The epoch that the breaker is in."""
        return self._current().epoch

    def tell(self, server: Server) -> None:
        """Tell which probes ended, and the state if the breaker has moved."""
        member = self._attached()
        while member is not None and self._ended:
            lease, succeeded = self._ended[0]
            serial = member.serial()
            view = self._run(
                server, "settle", member.success_threshold, lease.token, lease.epoch, int(succeeded), member=member
            )
            self._ended.popleft()
            member.meet(view, serial, "success_threshold_reached" if view.granted else "storage")
        current = self._current()
        move = current.news()
        if move is not None:
            view = self._run(server, "move", move.state, microseconds(move.open_for), move.epoch, member=member)
            if view.granted:
                current.told(move, view.epoch)
            else:
                current.overruled(view, move)

    def look(self, server: Server) -> None:
        """Take over the state at the server."""
        current = self._current()
        serial = current.serial()
        current.meet(self._run(server, "read"), serial)

    def admit(self, server: Server, tokens: Sequence[str]) -> list[Lease]:
        """Ask for permits: as many of the first tokens as are free get one."""
        member = self._attached()
        if member is None or self._is_refused():
            return [self._refusal(token) for token in tokens]
        serial = member.serial()
        lease = microseconds(member.probe_lease)
        view = self._run(server, "admit", member.half_open_max_calls, lease, *tokens, member=member)
        member.meet(view, serial, "reset_timeout_elapsed" if view.granted else "storage")
        if view.granted < len(tokens):
            self._refused_until = monotonic() + PAUSE
        return [Lease(token, view.epoch, number < view.granted) for number, token in enumerate(tokens)]

    def changed(self, *, is_degraded: bool, kind: str | None) -> None:
        """Tell that the server is gone, or back."""
        emit(
            semconv.BREAKER_STORAGE_EVENT,
            {
                **self._attributes,
                semconv.BREAKER_STORAGE_STATE.key: "degraded" if is_degraded else "available",
                semconv.ERROR_TYPE.key: kind,
            },
            body=f"circuit breaker {self._attributes[semconv.POLICY_NAME.key]!r} "
            + (
                f"goes on with the state of this process alone: its storage failed with {kind}"
                if is_degraded
                else "shares its state again: its storage answers"
            ),
            severity=SeverityNumber.WARN if is_degraded else SeverityNumber.INFO,
        )

    def start_again_in_child(self) -> None:
        """Drop what belongs to the parent process."""
        self._ended.clear()
        self._plain.start_again_in_child()

    def _run(self, server: Server, request: str, *arguments: str | int, member: ProbingMember | None = None) -> View:
        time_to_live = LEAST_TIME_TO_LIVE
        if member is not None:
            time_to_live = max(time_to_live, 2 * (member.reset_timeout + member.probe_lease))
        return server.run(self.keys, request, milliseconds(time_to_live), *arguments)

    def _attached(self) -> ProbingMember | None:
        return None if self._member is None else self._member()

    def _current(self) -> Member:
        return self._attached() or self._plain

    # --- pybreaker's interface -------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """The state as this process knows it, in pybreaker's words; set it to tell all others."""
        return PYBREAKER_STATES[self._current().state]

    @state.setter
    def state(self, state: str) -> None:
        self._plain.move(STATES[state])
        self.link.wake()

    @property
    def counter(self) -> int:
        """Failed calls in a row, in this process."""
        return self._plain.failures

    def increment_counter(self) -> None:
        """Count a failure."""
        self._plain.failures += 1

    def reset_counter(self) -> None:
        """Forget the failures."""
        self._plain.failures = 0

    @property
    def success_counter(self) -> int:
        """Successful probes, in this process."""
        return self._plain.successes

    def increment_success_counter(self) -> None:
        """Count a successful probe."""
        self._plain.successes += 1

    def reset_success_counter(self) -> None:
        """Forget the successful probes."""
        self._plain.successes = 0

    @property
    def opened_at(self) -> datetime | None:
        """When it opened, by the clock of whoever opened it."""
        return self._plain.opened_at

    @opened_at.setter
    def opened_at(self, moment: datetime) -> None:
        self._plain.opened_at = moment


def _status(storage: RedisBreakerStorage) -> list[tuple[dict[str, str], int]]:
    return [
        ({**storage._attributes, semconv.BREAKER_STORAGE_STATE.key: state}, int(state == storage.status))  # noqa: SLF001 - its own callback
        for state in semconv.BREAKER_STORAGE_STATES
    ]
