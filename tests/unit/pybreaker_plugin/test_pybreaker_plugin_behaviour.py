# mypy: disable-error-code="untyped-decorator"
# The three implementations are one untyped fixture here; their decorators are typed elsewhere.
"""What pybreaker promises, held against pybreaker bare, pybreaker under the plugin, and spanguard's own breaker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pybreaker
import pytest
from pybreaker import CircuitBreakerError, CircuitBreakerListener, CircuitMemoryStorage

from spanguard.error_handling import CircuitBreaker
from spanguard.instrumentation.pybreaker import PybreakerInstrumentor

NEVER = 3600.0
AT_ONCE = 0.0


@pytest.fixture(params=["bare", "plugin", "spanguard"])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    if request.param == "plugin":
        PybreakerInstrumentor().instrument()
        yield pybreaker.CircuitBreaker
        PybreakerInstrumentor().uninstrument()
    else:
        yield pybreaker.CircuitBreaker if request.param == "bare" else CircuitBreaker


@pytest.fixture
def breaker(make: Callable[..., Any]) -> Any:
    return make(fail_max=2, reset_timeout=NEVER)


def fail() -> None:
    raise NotImplementedError


def fail_quietly(breaker: Any, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises((NotImplementedError, CircuitBreakerError)):
            breaker.call(fail)


class Diary(CircuitBreakerListener):
    def __init__(self) -> None:
        self.entries: list[Any] = []

    def before_call(self, cb: Any, func: Any, *args: Any, **kwargs: Any) -> None:
        self.entries.append(("before", args, kwargs))

    def success(self, cb: Any) -> None:
        self.entries.append("success")

    def failure(self, cb: Any, exc: BaseException) -> None:
        self.entries.append(("failure", type(exc)))

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        self.entries.append((old_state.name, new_state.name))


@pytest.fixture
def diary() -> Diary:
    return Diary()


def test_a_new_breaker_has_the_documented_defaults(make: Callable[..., Any]) -> None:
    fresh = make()
    assert (fresh.fail_max, fresh.reset_timeout, fresh.success_threshold) == (5, 60, 1)
    assert (fresh.name, fresh.listeners, fresh.excluded_exceptions) == (None, (), ())
    assert (fresh.current_state, fresh.fail_counter, fresh.success_counter) == ("closed", 0, 0)


def test_parameters_are_taken_by_position(make: Callable[..., Any], diary: Diary) -> None:
    full = make(3, 7, 2, [KeyError], [diary], CircuitMemoryStorage("closed"), "name", False)
    assert (full.fail_max, full.reset_timeout, full.success_threshold, full.name) == (3, 7, 2, "name")
    assert (full.excluded_exceptions, full.listeners) == ((KeyError,), (diary,))


def test_a_call_gets_its_arguments_and_gives_its_result(breaker: Any) -> None:
    assert breaker.call(lambda *args, **kwargs: (args, kwargs), 1, x=2) == ((1,), {"x": 2})


def test_a_failure_below_the_threshold_is_raised_as_it_is(breaker: Any) -> None:
    error = NotImplementedError()

    def raise_it() -> None:
        raise error

    with pytest.raises(NotImplementedError) as caught:
        breaker.call(raise_it)
    assert caught.value is error
    assert (breaker.fail_counter, breaker.current_state) == (1, "closed")


def test_a_success_resets_the_failures(breaker: Any) -> None:
    fail_quietly(breaker)
    breaker.call(int)
    assert breaker.fail_counter == 0


def test_the_failure_that_reaches_the_threshold_raises_the_breakers_error(breaker: Any) -> None:
    fail_quietly(breaker)
    with pytest.raises(CircuitBreakerError):
        breaker.call(fail)
    assert (breaker.current_state, breaker.fail_counter) == ("open", 2)


def test_on_request_the_failure_that_opens_it_is_raised_itself(make: Callable[..., Any]) -> None:
    quiet = make(fail_max=1, throw_new_error_on_trip=False)
    with pytest.raises(NotImplementedError):
        quiet.call(fail)
    assert quiet.current_state == "open"


def test_an_open_breaker_does_not_call(breaker: Any) -> None:
    breaker.open()
    calls: list[int] = []
    with pytest.raises(CircuitBreakerError):
        breaker.call(calls.append, 1)
    assert calls == []


def test_open_tells_whether_the_trip_raises_a_new_error(make: Callable[..., Any]) -> None:
    assert make().open() is True
    assert make(throw_new_error_on_trip=False).open() is False


def test_after_the_reset_timeout_a_success_closes_it(make: Callable[..., Any]) -> None:
    impatient = make(fail_max=1, reset_timeout=AT_ONCE)
    fail_quietly(impatient)
    assert impatient.call(str, 3) == "3"
    assert (impatient.current_state, impatient.fail_counter) == ("closed", 0)


def test_after_the_reset_timeout_a_failure_opens_it_again(make: Callable[..., Any]) -> None:
    impatient = make(fail_max=3, reset_timeout=AT_ONCE)
    impatient.open()
    with pytest.raises(CircuitBreakerError):
        impatient.call(fail)
    assert (impatient.current_state, impatient.fail_counter) == ("open", 1)


def test_it_closes_after_as_many_successes_as_asked_for(make: Callable[..., Any]) -> None:
    careful = make(success_threshold=2)
    careful.half_open()
    careful.call(int)
    assert (careful.current_state, careful.success_counter) == ("half-open", 1)
    careful.call(int)
    assert (careful.current_state, careful.success_counter) == ("closed", 0)


def test_excluded_errors_are_raised_and_count_as_success(make: Callable[..., Any]) -> None:
    forgiving = make(fail_max=2, exclude=[LookupError])
    fail_quietly(forgiving)
    with pytest.raises(KeyError):
        forgiving.call({}.__getitem__, 1)
    assert (forgiving.fail_counter, forgiving.current_state) == (0, "closed")


def test_a_predicate_excludes_errors_by_what_they_say(make: Callable[..., Any]) -> None:
    forgiving = make(fail_max=1, exclude=[lambda error: isinstance(error, NotImplementedError)])
    fail_quietly(forgiving, 3)
    assert forgiving.current_state == "closed"


def test_exclusions_can_be_added_and_removed(breaker: Any) -> None:
    breaker.add_excluded_exceptions(KeyError, ValueError)
    breaker.remove_excluded_exception(KeyError)
    assert breaker.excluded_exceptions == (ValueError,)


def test_listeners_hear_of_a_call_in_order(breaker: Any, diary: Diary) -> None:
    breaker.add_listeners(diary)
    breaker.call(max, 1, 2)
    assert diary.entries == [("before", (1, 2), {}), "success"]


def test_listeners_hear_of_a_trip_in_order(breaker: Any, diary: Diary) -> None:
    breaker.add_listener(diary)
    fail_quietly(breaker, 2)
    first: list[Any] = [("before", (), {}), ("failure", NotImplementedError)]
    assert diary.entries == [*first, *first, ("closed", "open")]


def test_listeners_hear_of_a_recovery_in_order(make: Callable[..., Any], diary: Diary) -> None:
    impatient = make(fail_max=1, reset_timeout=AT_ONCE)
    fail_quietly(impatient)
    impatient.add_listener(diary)
    impatient.call(int)
    assert diary.entries == [("open", "half-open"), ("before", (), {}), ("half-open", "closed"), "success"]


def test_listeners_hear_of_moves_by_hand(breaker: Any, diary: Diary) -> None:
    breaker.add_listener(diary)
    breaker.open()
    breaker.half_open()
    breaker.close()
    assert diary.entries == [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]


def test_a_removed_listener_hears_nothing(breaker: Any, diary: Diary) -> None:
    breaker.add_listener(diary)
    breaker.remove_listener(diary)
    breaker.call(int)
    assert (diary.entries, breaker.listeners) == ([], ())


def test_settings_can_be_changed_on_the_fly(breaker: Any) -> None:
    breaker.fail_max, breaker.reset_timeout, breaker.success_threshold, breaker.name = 1, 9, 4, "renamed"
    fail_quietly(breaker)
    assert breaker.current_state == "open"
    assert (breaker.fail_max, breaker.reset_timeout, breaker.success_threshold) == (1, 9, 4)
    assert breaker.name == "renamed"


def test_the_state_object_has_the_states_name(breaker: Any) -> None:
    assert breaker.state.name == "closed"
    breaker.open()
    assert breaker.state.name == "open"
    assert isinstance(breaker.state, pybreaker.CircuitOpenState)


def test_an_unknown_state_is_refused(breaker: Any) -> None:
    with pytest.raises(ValueError, match="broken"):
        breaker.state = "broken"


def test_a_decorated_function_keeps_its_name_and_is_guarded(breaker: Any) -> None:
    @breaker
    def documented() -> None:
        """Say something."""
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        documented()
    assert (documented.__name__, documented.__doc__, breaker.fail_counter) == ("documented", "Say something.", 1)


def test_the_decorator_works_with_parentheses(breaker: Any) -> None:
    @breaker()
    def guarded() -> int:
        return 3

    assert guarded() == 3


def test_a_block_is_guarded(breaker: Any) -> None:
    with pytest.raises(NotImplementedError), breaker.calling():
        raise NotImplementedError
    assert breaker.fail_counter == 1
    with breaker.calling():
        pass
    assert breaker.fail_counter == 0


def test_a_block_of_an_open_breaker_is_not_run(breaker: Any) -> None:
    breaker.open()
    with pytest.raises(CircuitBreakerError), breaker.calling():
        pytest.fail("the block was run")


def test_a_generator_is_a_success_only_when_it_is_exhausted(breaker: Any) -> None:
    @breaker
    def numbers() -> Generator[int, None, None]:
        yield 1

    fail_quietly(breaker)
    iterator = numbers()
    assert next(iterator) == 1
    assert breaker.fail_counter == 1
    assert list(iterator) == []
    assert breaker.fail_counter == 0


def test_a_generator_that_raises_is_a_failure(breaker: Any) -> None:
    @breaker
    def numbers() -> Generator[int, None, None]:
        yield 1
        raise NotImplementedError

    iterator = numbers()
    next(iterator)
    with pytest.raises(NotImplementedError):
        next(iterator)
    assert breaker.fail_counter == 1


def test_a_generator_takes_what_is_sent(breaker: Any) -> None:
    @breaker
    def echo() -> Generator[Any, Any, None]:
        received = yield "ready"
        yield received

    iterator = echo()
    assert (next(iterator), iterator.send("ping")) == ("ready", "ping")


def test_a_call_inside_a_call_is_allowed(breaker: Any) -> None:
    assert breaker.call(lambda: breaker.call(lambda: 5)) == 5


def test_breakers_on_one_storage_share_their_state(make: Callable[..., Any]) -> None:
    storage = CircuitMemoryStorage("closed")
    one, other = make(fail_max=2, state_storage=storage), make(fail_max=2, state_storage=storage)
    fail_quietly(one)
    fail_quietly(other)
    assert (one.current_state, other.current_state, one.fail_counter) == ("open", "open", 2)


def test_a_breaker_starts_as_its_storage_says(make: Callable[..., Any]) -> None:
    stored = make(reset_timeout=NEVER, state_storage=CircuitMemoryStorage("half-open"))
    assert stored.current_state == "half-open"


def test_a_breaker_notices_what_its_storage_has_become(make: Callable[..., Any], diary: Diary) -> None:
    storage = CircuitMemoryStorage("closed")
    one, other = make(state_storage=storage), make(state_storage=storage, listeners=[diary])
    one.half_open()
    assert other.call(int) == 0
    assert diary.entries == [("closed", "half-open"), ("before", (), {}), ("half-open", "closed"), "success"]


def test_a_storage_in_an_unknown_state_is_refused(make: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="broken"):
        make(state_storage=CircuitMemoryStorage("broken"))


def test_a_storage_of_ones_own_is_used(make: Callable[..., Any]) -> None:
    class Counted(CircuitMemoryStorage):
        asked = 0

        def increment_counter(self) -> None:
            self.asked += 1
            super().increment_counter()

    storage = Counted("closed")
    own = make(fail_max=2, state_storage=storage)
    fail_quietly(own, 2)
    assert (storage.asked, storage.counter, storage.state) == (2, 2, "open")
    assert storage.opened_at is not None


def test_a_subclass_may_decide_what_a_failure_is(make: Callable[..., Any]) -> None:
    class Stoic(make):  # type: ignore[misc, valid-type]
        def is_system_error(self, exception: BaseException) -> bool:
            return False

    stoic = Stoic(fail_max=1)
    fail_quietly(stoic, 2)
    assert stoic.current_state == "closed"


def test_threads_lose_no_failure(make: Callable[..., Any]) -> None:
    shared = make(fail_max=10_000)
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        fail_quietly(shared, 100)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared.fail_counter == 800
