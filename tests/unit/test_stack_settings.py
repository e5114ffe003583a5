from __future__ import annotations

from pathlib import Path

import pytest

from spanguard.errors import ConfigurationError
from spanguard.stack import StackSettings


@pytest.fixture(autouse=True)
def no_variables_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SPANGUARD_CACHE", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_data_lies_in_the_users_state_directory_by_default(tmp_path: Path) -> None:
    assert StackSettings.load().data_dir == tmp_path / ".local/state/spanguard/stack"


def test_the_servers_are_cached_in_the_users_cache_directory_by_default(tmp_path: Path) -> None:
    assert StackSettings.load().cache_dir == tmp_path / ".cache/spanguard"


def test_xdg_cache_home_moves_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert StackSettings.load().cache_dir == Path("/elsewhere/spanguard")


def test_a_relative_xdg_cache_home_is_ignored_as_its_standard_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert StackSettings.load().cache_dir == tmp_path / ".cache/spanguard"


def test_spanguard_cache_moves_the_cache_before_xdg_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    monkeypatch.setenv("SPANGUARD_CACHE", "~/kept")
    assert StackSettings.load().cache_dir == tmp_path / "kept"


def test_a_variable_sets_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANGUARD_STACK_PORTS__PROMETHEUS", "19090")
    assert StackSettings.load().ports == {"prometheus": 19090}


def test_an_argument_goes_before_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANGUARD_STACK_GROUP_WAIT", "3")
    assert StackSettings.load(group_wait=0.5).group_wait == 0.5


def test_an_argument_that_is_none_leaves_the_variable_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANGUARD_STACK_GROUP_WAIT", "3")
    assert StackSettings.load(group_wait=None).group_wait == 3


def test_a_relative_data_directory_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert StackSettings.load(data_dir="run").data_dir == tmp_path / "run"


@pytest.mark.parametrize("seconds", [0, -1, 3601, float("nan"), float("inf"), "soon"])
def test_an_interval_out_of_range_is_refused_by_name_and_value(seconds: object) -> None:
    with pytest.raises(
        ConfigurationError, match=r"stack setting evaluation_interval = .*SPANGUARD_STACK_EVALUATION_INTERVAL"
    ):
        StackSettings.load(evaluation_interval=seconds)


@pytest.mark.parametrize("port", [0, 65536, "http"])
def test_a_port_out_of_range_is_refused_by_name_and_value(port: object) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"stack setting ports\.jaeger = {port!r}: .*SPANGUARD_STACK_PORTS__JAEGER"
    ):
        StackSettings.load(ports={"jaeger": port})


def test_all_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        StackSettings.load(start_timeout=-1, stop_grace=-1)
    assert [problem.split(" = ")[0] for problem in refusal.value.problems] == [
        "stack setting start_timeout",
        "stack setting stop_grace",
    ]


def test_a_misspelt_variable_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANGUARD_STACK_PORT__JAEGER", "1")
    with pytest.raises(ConfigurationError, match=r"SPANGUARD_STACK_PORT__JAEGER is no setting.*SPANGUARD_STACK_PORTS"):
        StackSettings.load()


def test_an_unknown_argument_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"gruop_wait is no setting of the stack; there are .*group_wait"):
        StackSettings.load(gruop_wait=1)
