"""Where the limit goes, with a simulated server of c workers, exponential service times, and more clients than it can serve."""

from __future__ import annotations

from typing import Any

import pytest

from spanguard.rate_limiter import Aimd, Gradient2, Vegas
from spanguard.testing import FakeClock
from unit.adaptive.conftest import Make
from unit.adaptive.simulation import Simulation

SERVICE = 0.1


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("initial", [2, 20, 60])
def test_vegas_settles_a_little_above_the_workers_wherever_it_begins(
    make: Make, clock: FakeClock, initial: int, seed: int
) -> None:
    world = Simulation(make(Vegas(), initial=initial), clock, workers=10, service=SERVICE, seed=seed)
    world.run(60)
    course = world.run(120)
    assert 10 <= course.limit <= 20
    assert course.utilization > 0.94
    # Without a limit 60 clients would wait six times as long as they are served.
    assert course.latency < 2 * SERVICE


def test_vegas_follows_a_server_that_gets_slower_and_faster(make: Make, clock: FakeClock) -> None:
    world = Simulation(make(Vegas()), clock, workers=10, service=SERVICE)
    world.run(60)
    limits = []
    for workers in (4, 30):
        world.workers = workers
        world.run(60)
        course = world.run(120)
        limits.append(course.limit)
        assert course.utilization > 0.94
    assert 4 <= limits[0] <= 12
    assert 30 <= limits[1] <= 45


def test_gradient2_sheds_a_sudden_load_on_a_server_that_it_knows(make: Make, clock: FakeClock) -> None:
    world = Simulation(make(Gradient2()), clock, workers=10, service=SERVICE, clients=8)
    world.run(60)
    world.add_clients(60)
    course = world.run(120)
    assert 10 <= course.limit <= 30
    assert course.utilization > 0.98
    assert course.latency < 3 * SERVICE


def test_aimd_stays_just_below_what_is_dropped(make: Make, clock: FakeClock) -> None:
    world = Simulation(make(Aimd(), initial=60), clock, workers=10, service=SERVICE, places=10)
    world.run(60)
    course = world.run(120)
    assert course.lowest >= 17
    assert course.highest <= 21
    assert course.utilization > 0.98


@pytest.mark.parametrize("algorithm", [Vegas(), Gradient2(), Aimd()])
def test_minimum_and_maximum_hold(make: Make, clock: FakeClock, algorithm: Any) -> None:
    limiter = make(algorithm, initial=12, minimum=11, maximum=13)
    course = Simulation(limiter, clock, workers=4, service=SERVICE, places=7).run(60)
    assert course.lowest >= 11
    assert course.highest <= 13
