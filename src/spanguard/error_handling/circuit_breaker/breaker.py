"""`CircuitBreaker`: a `pybreaker.CircuitBreaker` that never holds its lock around a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, ParamSpec, TypeVar, overload

import pybreaker

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.error_handling.circuit_breaker import guarding
from spanguard.error_handling.circuit_breaker.core import BreakerCore
from spanguard.error_handling.circuit_breaker.passage import Passage
from spanguard.error_handling.circuit_breaker.settings import (
    DEFAULT_PROBE_LEASE,
    BreakerSettings,
    FailureRate,
    SlowCall,
    Window,
)
from spanguard.error_handling.circuit_breaker.shared import RedisBreakerStorage
from spanguard.error_handling.circuit_breaker.stats import BreakerStats
from spanguard.error_handling.circuit_breaker.storage import PYBREAKER_STATES, STATES
from spanguard.telemetry.spans import has_provider

P = ParamSpec("P")
T = TypeVar("T")


class CircuitBreaker(pybreaker.CircuitBreaker):
    """Stops calling what keeps failing, and tries again after a while with a few probes.

    It takes the parameters, listeners and storages of `pybreaker.CircuitBreaker`, is one, and raises what that raises.
    Unlike it, it lets calls run side by side, guards `async def`, and lets exactly `half_open_max_calls` probes
    through at once. `KeyboardInterrupt`, `SystemExit`, `GeneratorExit` and `asyncio.CancelledError` are no failures.
    A listener that raises changes nothing. Safe from threads and tasks, and in a forked child.

    Args:
        fail_max: failures in a row that open it; None to go by the rates alone. 5 as in pybreaker.
        reset_timeout: seconds that it stays open before it lets a probe through. 60 as in pybreaker.
        success_threshold: successful probes that close it. 1 as in pybreaker.
        exclude: exceptions, or predicates of one, that are no failures: they count as a success of the dependency.
        listeners: `pybreaker.CircuitBreakerListener` objects; called in the thread of the call, outside the lock.
        state_storage: where the state lives if not here. A `RedisBreakerStorage` shares it with other processes;
            any other of pybreaker's is asked at each call, in the thread of the call.
        name: the policy name in every signal; keep it low in cardinality.
        throw_new_error_on_trip: raise `CircuitBreakerError` (from the failure) when a failure opens the breaker;
            otherwise the failure itself.
        half_open_max_calls: probes under way at once. One, as in Nygard's book; resilience4j calls it
            `permittedNumberOfCallsInHalfOpenState`.
        failure_rate: open on a share of failed calls as well.
        slow_call: open on a share of slow calls as well.
        window: the calls over which the rates are taken; the last 100 by default.
        probe_lease: seconds after which a probe that has not ended loses its slot to another one, so that a thread
            that died does not jam the breaker. 60, the default `reset_timeout`.
        clock: what measures time.

    Raises:
        ConfigurationError: one or more settings are out of range or contradict each other; all are named. Or the
            storage serves another breaker already.
    """

    emits_its_own_signals: Final = True
    """Tells the plugin of pybreaker that this class needs none."""

    def __init__(
        self,
        fail_max: int | None = 5,
        reset_timeout: float = 60,
        success_threshold: int = 1,
        exclude: Iterable[type[BaseException] | Callable[[Any], bool]] | None = None,
        listeners: Sequence[pybreaker.CircuitBreakerListener] | None = None,
        state_storage: pybreaker.CircuitBreakerStorage | None = None,
        name: str | None = None,
        throw_new_error_on_trip: bool = True,
        *,
        half_open_max_calls: int = 1,
        failure_rate: FailureRate | None = None,
        slow_call: SlowCall | None = None,
        window: Window | None = None,
        probe_lease: float = DEFAULT_PROBE_LEASE,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.settings = BreakerSettings(
            fail_max=fail_max,
            reset_timeout=reset_timeout,
            success_threshold=success_threshold,
            half_open_max_calls=half_open_max_calls,
            failure_rate=failure_rate,
            slow_call=slow_call,
            window=window,
            probe_lease=probe_lease,
        )
        self.settings.check(name)
        # The inherited constructor asks for the state, so it must be there by now.
        self._core = BreakerCore(self, self.settings, name, state_storage, clock)
        self._machine = self._core.machine
        super().__init__(
            fail_max or 0,
            reset_timeout,
            success_threshold,
            exclude,
            listeners,
            state_storage,
            name,
            throw_new_error_on_trip,
        )
        if isinstance(state_storage, RedisBreakerStorage):
            self._core.share(state_storage)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._core.signals.policy!r}: {self._machine.state}>"

    # --- guarded calls ---------------------------------------------------------------------------------------------

    def call(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call `func` if the breaker lets it. Generators and coroutines that it returns stay guarded until they end.

        Raises:
            CircuitBreakerError: the call was refused, or its failure opened the breaker.
        """
        machine = self._machine
        permit = machine.door
        if permit is None or self._listeners or has_provider():
            return self._call_watched(func, args, kwargs)
        try:
            result = func(*args, **kwargs)
        except BaseException as error:
            _, trip = self._core.settle_error(permit, None, error)
            if trip is not None:
                raise trip from error
            raise
        if type(result) in guarding.DEFERRED:
            return guarding.defer(Passage.continued(self._core, permit), result)  # type: ignore[no-any-return]
        core = self._core
        with core.lock:
            if permit is machine.door:
                machine.failures = 0
            core.success.value += 1
        return result

    def _call_watched(self, func: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        passage = Passage(self._core)
        passage.enter(func, args, kwargs)
        try:
            result = func(*args, **kwargs)
        except BaseException as error:
            passage.fail(error)
            raise
        if type(result) in guarding.DEFERRED:
            passage.suspend()
            return guarding.defer(passage, result)  # type: ignore[no-any-return]
        passage.succeed()
        return result

    async def call_async(self, func: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Await `func(*args, **kwargs)` if the breaker lets it.

        Raises:
            CircuitBreakerError: the call was refused, or its failure opened the breaker.
        """
        machine = self._machine
        permit = machine.door
        if permit is None or self._listeners or has_provider():
            return await self._call_async_watched(func, args, kwargs)
        try:
            result = await func(*args, **kwargs)
        except BaseException as error:
            _, trip = self._core.settle_error(permit, None, error)
            if trip is not None:
                raise trip from error
            raise
        core = self._core
        with core.lock:
            if permit is machine.door:
                machine.failures = 0
            core.success.value += 1
        return result

    async def _call_async_watched(
        self, func: Callable[..., Awaitable[T]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> T:
        passage = Passage(self._core)
        await passage.enter_async(func, args, kwargs)
        try:
            result = await func(*args, **kwargs)
        except BaseException as error:
            passage.fail(error)
            raise
        passage.succeed()
        return result

    def calling(self, operation: object = None) -> guarding.Calling:  # type: ignore[override]  # theirs is for `with` alone
        """Return a context manager, for `with` and `async with`, whose block is one guarded call.

        Entering raises CircuitBreakerError where the call is refused, leaving where its failure opened the breaker.

        Args:
            operation: what the block stands for: guards around one that are given the same object share a span.
        """
        return guarding.Calling(self._core, operation)

    @overload  # type: ignore[override]
    def __call__(self, function: Callable[P, T], /) -> Callable[P, T]: ...

    @overload
    def __call__(self, **call_kwargs: Any) -> Callable[[Callable[P, T]], Callable[P, T]]: ...

    def __call__(self, *call_args: Any, **call_kwargs: Any) -> Any:
        """Decorate a function, coroutine function, generator function or async generator function.

        Works with and without parentheses. `__pybreaker_call_async=True` is accepted as in pybreaker: the decorated
        function then returns an awaitable whatever kind of function it was made of.
        """
        call_async = call_kwargs.pop("__pybreaker_call_async", False)

        def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
            return guarding.decorate(lambda: self, function, call_async=call_async)

        return decorator(*call_args) if call_args else decorator

    # --- state -----------------------------------------------------------------------------------------------------

    @property
    def current_state(self) -> str:
        """The state in pybreaker's words: "closed", "open" or "half-open"."""
        self._core.adopt()
        return PYBREAKER_STATES[self._machine.state]

    @property
    def state(self) -> Any:
        """The state as pybreaker's object; set it to one of its three names to move the breaker."""
        name = self.current_state
        if self._state.name != name:
            self._state = self._create_new_state(name)
        return self._state

    @state.setter
    def state(self, state_str: str) -> None:
        if state_str not in STATES:
            raise ValueError(f"Unknown state {state_str!r}, valid states: {', '.join(STATES)}")
        self._core.move(STATES[state_str])

    def open(self) -> bool:
        """Open it, or restart its reset timeout. Return whether a failure that opens it raises CircuitBreakerError."""
        self._core.move("open")
        return self._throw_new_error_on_trip

    def half_open(self) -> None:
        """Let probes through from now on."""
        self._core.move("half_open")

    def close(self) -> None:
        """Let all calls through from now on."""
        self._core.move("closed")

    def stats(self) -> BreakerStats:
        """Return what is known about it now."""
        return self._core.stats()

    @property
    def fail_counter(self) -> int:
        """Failed calls in a row."""
        return self._core.fail_counter()

    @property
    def success_counter(self) -> int:
        """Probes that succeeded since it is half-open."""
        return self._core.success_counter()

    # --- settings that may be changed ------------------------------------------------------------------------------

    @property
    def fail_max(self) -> int:
        """Failures in a row that open it; 0 where it goes by the rates alone."""
        return self._machine.fail_max or 0

    @fail_max.setter
    def fail_max(self, number: int) -> None:
        self._change(fail_max=number)

    @property
    def reset_timeout(self) -> float:
        """Seconds that it stays open before it lets a probe through."""
        return self._machine.reset_timeout

    @reset_timeout.setter
    def reset_timeout(self, timeout: float) -> None:
        self._change(reset_timeout=timeout)

    @property
    def success_threshold(self) -> int:
        """Successful probes that close it."""
        return self._machine.success_threshold

    @success_threshold.setter
    def success_threshold(self, threshold: int) -> None:
        self._change(success_threshold=threshold)

    def reconfigure(self, settings: BreakerSettings) -> None:
        """Go by these settings from now on: state, counts and window stay, and so do the calls that are under way.

        A window whose kind changes, from calls to seconds or back, begins empty.

        Raises:
            ConfigurationError: one or more are out of range or contradict each other; all are named.
        """
        settings.check(self.name)
        self.settings = settings
        self._core.reconfigure(settings)

    def _change(self, **changes: Any) -> None:
        self.reconfigure(replace(self.settings, **changes))

    @property
    def name(self) -> str | None:
        """The policy name in every signal. What is counted after a change is counted under the new name."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name
        self._core.rename(name)
