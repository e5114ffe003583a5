"""Detection in threads, in a forked child of a busy process, and after more noise than the automata can remember."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from at_work import at_work
from spanguard.validation.threats import detect
from unit.threats.samples import ATTACKS, HARMLESS

FORKS = 30


def noise(chance: random.Random) -> str:
    return "".join(chance.choices(string.printable, k=5_000))


def busy(threads: int) -> AbstractContextManager[None]:
    """Threads that keep the automata building states, under their locks."""
    chances = [random.Random(seed) for seed in range(threads)]
    return at_work(lambda number: detect(noise(chances[number])), threads)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_other_threads_detect_is_never_stuck(
    in_child: Callable[[Callable[[], object]], str],
) -> None:
    with busy(4):
        answers = {in_child(lambda: detect("12 union select login from staff").families) for _ in range(FORKS)}
    assert answers == {"('sql_injection',)"}


def test_threads_get_the_reports_that_one_thread_gets() -> None:
    texts = [attack for attacks in ATTACKS.values() for attack in attacks] + list(HARMLESS)
    alone = [detect(text) for text in texts]
    with busy(2), ThreadPoolExecutor(8) as pool:
        assert [report for _ in range(5) for report in pool.map(detect, texts)] == alone * 5


def test_an_attack_is_found_after_noise_that_no_automaton_can_remember() -> None:
    chance = random.Random(7)
    for _ in range(200):
        text = noise(chance)[:3_000].replace("<", "")
        assert "xss" in detect(f"{text}\n<script>go()</script>").families
