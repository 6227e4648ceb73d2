"""Ids, small random values and instants."""

from __future__ import annotations

import os
import threading
import uuid
from datetime import UTC, datetime

import pytest

from fhir_bridge.clock import Clock, instant


def test_an_id_is_a_random_uuid_and_never_the_same() -> None:
    clock = Clock()
    ids = [clock.new_id() for _ in range(5_000)]
    assert len(set(ids)) == len(ids)
    for text in ids:
        value = uuid.UUID(text)
        assert (value.version, value.variant, str(value)) == (4, uuid.RFC_4122, text)


@pytest.mark.parametrize("n", [0, 1, 12, 16, 17, 32, 5000])
def test_random_bytes_have_the_length_that_was_asked_for(n: int) -> None:
    assert len(Clock().random(n)) == n


def test_small_values_do_not_repeat_across_refills_and_clocks() -> None:
    clocks = [Clock(), Clock()]
    drawn = [clocks[n % 2].random(16 - n % 3) for n in range(3_000)]
    assert len(set(drawn)) == len(drawn)


def test_a_forked_process_draws_its_own() -> None:
    clock = Clock()
    clock.random(16)
    near, far = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(far, clock.random(16))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(near, 16) != clock.random(16)
    os.close(near)
    os.close(far)


def test_threads_draw_their_own() -> None:
    clock, drawn = Clock(), list[bytes]()

    def draw() -> None:
        drawn.extend([clock.random(16) for _ in range(2_000)])

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == 8_000


@pytest.mark.parametrize("us", [0, 999, 1_000, 1_790_000_000_123_456, 253_402_300_799_999_999])
def test_an_instant_is_the_time_cut_to_milliseconds(us: int) -> None:
    read = datetime.fromisoformat(instant(us))
    assert read == datetime.fromtimestamp(us // 1_000_000, UTC).replace(
        microsecond=us // 1000 % 1000 * 1000
    )
