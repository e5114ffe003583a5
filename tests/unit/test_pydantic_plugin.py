"""The plugin of pydantic: what it tells of other people's models, and that it changes nothing."""

from __future__ import annotations

import asyncio
import gc
import inspect
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    RootModel,
    TypeAdapter,
    ValidationError,
    create_model,
    field_validator,
    validate_call,
)
from pydantic._internal import _dataclasses
from pydantic._internal._dataclasses import complete_dataclass
from pydantic.dataclasses import dataclass
from pydantic.plugin import _loader
from pydantic_core import PydanticCustomError

from spanguard import semconv
from spanguard.instrumentation.pydantic import PydanticInstrumentor, listener
from spanguard.instrumentation.pydantic.listener import MAX_ERRORS, Listener
from spanguard.testing import Signals

FAILURES = semconv.MODEL_FAILURES_METRIC.name
MODEL = semconv.MODEL_NAME.key
TYPE = semconv.ERROR_TYPE.key
SECRET = "4111-1111"


class Order(BaseModel):
    number: int
    note: str = ""


class Basket(BaseModel):
    orders: list[Order]


class Careful(BaseModel):
    number: int

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)


class Holder(BaseModel):
    careful: Careful


class Numbers(RootModel[list[int]]):
    pass


@dataclass
class Point:
    x: int


@validate_call
def double(number: int) -> int:
    return 2 * number


@validate_call
def order(number: str) -> Order:
    return Order(number=number)  # type: ignore[arg-type]


@pytest.fixture
def plugin(signals: Signals) -> Iterator[Signals]:
    PydanticInstrumentor().instrument()
    yield signals
    PydanticInstrumentor().uninstrument()


def refuse(validate: Callable[..., object], *args: Any, **kwargs: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        validate(*args, **kwargs)
    return caught.value


def failures(signals: Signals) -> dict[tuple[str, str], float]:
    return {
        (str(point.attributes[MODEL]), str(point.attributes[TYPE])): increase
        for point in signals.points(FAILURES)
        if (increase := signals.increase(FAILURES, dict(point.attributes)))
    }


HERE = __name__


@pytest.mark.parametrize(
    ("validate", "args", "model", "kind"),
    [
        (Order, (), f"{HERE}.Order", "missing"),
        (Order.model_validate, ({"number": "x"},), f"{HERE}.Order", "int_parsing"),
        (Order.model_validate_json, ("{",), f"{HERE}.Order", "json_invalid"),
        (Order.model_validate_strings, ({},), f"{HERE}.Order", "missing"),
        (Basket.model_validate, ({"orders": [{}]},), f"{HERE}.Basket", "missing"),
        (Numbers, (["x"],), f"{HERE}.Numbers", "int_parsing"),
        (Point, ("x",), f"{HERE}.Point", "int_parsing"),
        (double, ("x",), f"{HERE}.double", "int_parsing"),
        (TypeAdapter(int).validate_python, ("x",), "int", "int_parsing"),
        (TypeAdapter(int).validate_json, ('"x"',), "int", "int_parsing"),
        (TypeAdapter(int).validate_strings, ("x",), "int", "int_parsing"),
        (TypeAdapter(list[int]).validate_python, (["x"],), "list[int]", "int_parsing"),
        (TypeAdapter(Order).validate_python, ({},), f"{HERE}.Order", "missing"),
        (TypeAdapter(Annotated[Order, "body"]).validate_python, ({},), f"{HERE}.Order", "missing"),
    ],
)
def test_a_failed_validation_counts_by_model_and_type_of_error(
    plugin: Signals, validate: Callable[..., object], args: tuple[Any, ...], model: str, kind: str
) -> None:
    refuse(validate, *args)
    assert failures(plugin) == {(model, kind): 1}


def test_what_a_model_holds_is_not_taken_for_its_name(plugin: Signals) -> None:
    class Table(BaseModel):
        schema_type: ClassVar[type] = int
        _type: ClassVar[type] = int
        number: int

    refuse(Table.model_validate, {})
    assert failures(plugin) == {(f"{HERE}.{Table.__qualname__}", "missing"): 1}


def test_what_succeeds_is_not_counted(plugin: Signals) -> None:
    Order(number=1)
    Order.model_validate_json('{"number": 1}')
    assert (Point(x=1).x, double(2), TypeAdapter(int).validate_python("3")) == (1, 4, 3)
    assert failures(plugin) == {}


def test_a_class_that_comes_later_is_covered_too(plugin: Signals) -> None:
    @dataclass
    class Later:
        x: int

    refuse(Later, "x")
    refuse(create_model("Made", x=(int, ...)))
    assert set(failures(plugin)) == {(f"{HERE}.{Later.__qualname__}", "int_parsing"), (f"{HERE}.Made", "missing")}


def test_several_reasons_count_once_each(plugin: Signals) -> None:
    refuse(Basket, orders=[{"number": "x"}, {"number": "y"}, {}])
    assert failures(plugin) == {(f"{HERE}.Basket", "int_parsing"): 1, (f"{HERE}.Basket", "missing"): 1}


@pytest.mark.parametrize(
    ("validate", "data", "model"),
    [
        (Careful, None, "Careful"),
        (Careful.model_validate, {}, "Careful"),
        (Holder.model_validate, {"careful": {}}, "Holder"),
    ],
)
def test_a_model_with_an_init_of_its_own_counts_once(
    plugin: Signals, validate: Callable[..., object], data: object, model: str
) -> None:
    refuse(validate, *(() if data is None else (data,)))
    assert failures(plugin) == {(f"{HERE}.{model}", "missing"): 1}


def test_an_error_that_passes_a_validated_function_counts_where_it_was_raised(plugin: Signals) -> None:
    refuse(order, "x")
    assert failures(plugin) == {(f"{HERE}.Order", "int_parsing"): 1}


def test_a_validation_inside_a_validator_counts_by_itself(plugin: Signals) -> None:
    class Outer(BaseModel):
        text: str

        @field_validator("text")
        @classmethod
        def is_an_order(cls, text: str) -> str:
            Order.model_validate_json(text)
            return text

    refuse(Outer, text="{}")
    assert failures(plugin) == {(f"{HERE}.Order", "missing"): 1, (f"{HERE}.{Outer.__qualname__}", "missing"): 1}


def test_nothing_of_the_input_stands_in_a_signal(plugin: Signals) -> None:
    class Card(BaseModel):
        model_config = ConfigDict(extra="forbid")
        number: int

        @field_validator("number", mode="before")
        @classmethod
        def is_known(cls, number: str) -> str:
            raise PydanticCustomError(f"unknown_{number}", f"{number} is unknown")

    refuse(Card.model_validate, {"number": SECRET, SECRET: SECRET})
    assert set(failures(plugin)) == {
        (f"{HERE}.{Card.__qualname__}", "_OTHER"),
        (f"{HERE}.{Card.__qualname__}", "extra_forbidden"),
    }
    assert SECRET not in repr([plugin.points(), plugin.events(), plugin.spans()])


def test_words_of_the_program_count_if_they_are_named(signals: Signals) -> None:
    def refuse_all(_: int) -> int:
        raise PydanticCustomError("no_stock", "There is none left.")

    sale = TypeAdapter(Annotated[int, AfterValidator(refuse_all)])
    PydanticInstrumentor().instrument(error_types=["no_stock"])
    try:
        refuse(sale.validate_python, 1)
    finally:
        PydanticInstrumentor().uninstrument()
    assert [kind for _, kind in failures(signals)] == ["no_stock"]


def test_of_a_flood_of_errors_the_types_are_not_looked_up(plugin: Signals) -> None:
    refuse(Numbers, ["x"] * MAX_ERRORS)
    refuse(Numbers, ["x"] * (MAX_ERRORS + 1))
    assert failures(plugin) == {(f"{HERE}.Numbers", "int_parsing"): 1, (f"{HERE}.Numbers", "_OTHER"): 1}


def test_models_made_at_run_time_do_not_flood_the_metrics(plugin: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_MODELS", 3)
    for number in range(5):
        refuse(create_model(f"Made{number}", x=(int, ...)))
    counted = failures(plugin)
    assert len(counted) == 4
    assert counted["_OTHER", "missing"] == 2


def test_the_name_of_a_large_union_is_cut(plugin: Signals) -> None:
    union = Order
    for number in range(60):
        union = union | create_model(f"Member{number}", x=(int, ...))  # type: ignore[assignment]
    refuse(TypeAdapter(union).validate_python, 1)
    ((name, _),) = failures(plugin)
    assert len(name) == 200


def test_error_and_traceback_are_what_they_were(signals: Signals) -> None:
    def told() -> tuple[object, ...]:
        error = refuse(Order.model_validate, {"number": SECRET})
        inner = inspect.getinnerframes(error.__traceback__)[1:]  # type: ignore[arg-type]
        places = [(frame.function, frame.lineno, frame.positions) for frame in inner]
        return str(error), error.errors(), vars(error), traceback.format_exception(error)[2:], places

    before = told()
    PydanticInstrumentor().instrument()
    during = told()
    PydanticInstrumentor().uninstrument()
    assert during == before
    assert told() == before
    assert pickle.loads(pickle.dumps(Order(number=1))) == Order(number=1)


def test_signatures_and_sources_are_what_they_were(plugin: Signals) -> None:
    assert str(inspect.signature(Order)) == "(*, number: int, note: str = '') -> None"
    assert "validate_python" in inspect.getsource(BaseModel.model_validate)
    assert not Order.__pydantic_custom_init__


def covered() -> list[object]:
    functions: list[Any] = [
        BaseModel.__init__,
        BaseModel.model_validate.__func__,  # type: ignore[attr-defined]
        BaseModel.model_validate_json.__func__,  # type: ignore[attr-defined]
        BaseModel.model_validate_strings.__func__,  # type: ignore[attr-defined]
        RootModel.__init__,
        TypeAdapter.validate_python,
        TypeAdapter.validate_json,
        TypeAdapter.validate_strings,
        complete_dataclass,
        Point.__init__,
    ]
    return [function.__code__ for function in functions]


def test_off_is_off_without_a_trace(signals: Signals) -> None:
    before = covered()
    PydanticInstrumentor().instrument()

    @dataclass
    class Meanwhile:
        x: int

    during = covered()
    PydanticInstrumentor().uninstrument()
    assert all(new is not old for new, old in zip(during, before, strict=True))
    assert all(new is old for new, old in zip(covered(), before, strict=True))
    classes: list[Callable[..., object]] = [Order, Point, Meanwhile]
    for validate in classes:
        with pytest.raises(ValidationError):
            validate(x=SECRET)
    assert failures(signals) == {}
    del during
    gc.collect()
    assert not [found for found in gc.get_objects() if isinstance(found, Listener)]


def test_code_that_somebody_has_kept_falls_silent(signals: Signals) -> None:
    PydanticInstrumentor().instrument()
    kept = FunctionType(BaseModel.__init__.__code__, BaseModel.__init__.__globals__)
    refuse(kept, Order.__new__(Order))
    PydanticInstrumentor().uninstrument()
    refuse(kept, Order.__new__(Order))
    assert failures(signals) == {(f"{HERE}.Order", "missing"): 1}


def test_a_wrapper_of_somebody_else_stays_and_falls_silent(signals: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    import functools  # noqa: PLC0415 - for this one

    calls: list[object] = []
    original = BaseModel.__init__

    @functools.wraps(original)
    def wrapper(self: Any, /, **data: Any) -> None:
        calls.append(self)
        original(self, **data)

    monkeypatch.setattr(BaseModel, "__init__", wrapper)
    PydanticInstrumentor().instrument()
    refuse(Order)
    PydanticInstrumentor().uninstrument()
    refuse(Order)
    assert len(calls) == 2
    assert failures(signals) == {(f"{HERE}.Order", "missing"): 1}


class OtherPlugin:
    """Somebody else's pydantic plugin, such as logfire's."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def new_schema_validator(self, *_: object) -> tuple[object, object, object]:
        return self, self, self

    def on_enter(self, *_: object, **__: object) -> None:
        self.seen.append("enter")

    def on_error(self, _: ValidationError) -> None:
        self.seen.append("error")


def test_another_plugin_of_pydantic_works_beside_it(plugin: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    other = OtherPlugin()
    monkeypatch.setattr(_loader, "_plugins", {"other": other})

    class Watched(BaseModel):
        number: int

    class Custom(BaseModel):
        number: int

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)

    refuse(Watched.model_validate, {})
    assert other.seen == ["enter", "error"]
    refuse(Custom.model_validate, {})
    assert failures(plugin) == {
        (f"{HERE}.{Watched.__qualname__}", "missing"): 1,
        (f"{HERE}.{Custom.__qualname__}", "missing"): 1,
    }


def test_a_listener_that_breaks_does_not_break_the_validation(plugin: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError

    monkeypatch.setattr(Listener, "_name", broken)
    refuse(Order)
    errors = {semconv.COMPONENT.key: "pydantic", TYPE: "RuntimeError"}
    assert plugin.increase(semconv.TELEMETRY_ERRORS_METRIC.name, errors) == 1


def test_threads_and_tasks_lose_no_count(plugin: Signals) -> None:
    def work() -> None:
        for _ in range(200):
            refuse(Order)

    async def work_async() -> None:
        for _ in range(200):
            refuse(Order)
            await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(work_async(), work_async())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    asyncio.run(both())
    for thread in threads:
        thread.join()
    assert failures(plugin) == {(f"{HERE}.Order", "missing"): 1200}


def test_to_switch_it_while_threads_validate_breaks_none_of_them(signals: Signals) -> None:
    stop = threading.Event()
    wrong: list[BaseException] = []

    def work() -> None:
        while not stop.is_set():
            try:
                Order.model_validate({})
            except ValidationError:
                continue
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is wrong
                wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        PydanticInstrumentor().instrument()
        PydanticInstrumentor().uninstrument()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_pydantic_that_is_another_inside_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = covered()
    monkeypatch.delattr(_dataclasses, "complete_dataclass")
    with pytest.raises(ModuleNotFoundError, match=r"the pydantic plugin is skipped: .*complete_dataclass"):
        PydanticInstrumentor().instrument()
    assert all(new is old for new, old in zip(covered(), before, strict=True))


def test_without_the_source_of_pydantic_the_plugin_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_: object) -> str:
        raise OSError("could not get source code")

    before = covered()
    monkeypatch.setattr(inspect, "getsource", lost)
    with pytest.raises(ModuleNotFoundError, match=r"the pydantic plugin is skipped: the source of .* is not there"):
        PydanticInstrumentor().instrument()
    assert all(new is old for new, old in zip(covered(), before, strict=True))
