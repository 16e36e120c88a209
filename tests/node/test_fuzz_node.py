"""A small share of `make bench BENCH=fuzz`: hostile messages of every kind beside valid traffic."""

import pytest

from bench.fuzz import HostileTraffic
from bench.fuzz_engine import BEGIN, VALID_RSU, accounted, run_engine, scenes
from bench.fuzz_node import run_node
from cloudctl.io import broker

KINDS = ("hello", "perception", "signal", "hazard", "health", "sync", "state", "requests", "acks")


def test_output_for_valid_senders_is_the_same_bytes_beside_hostile_messages_of_every_kind() -> None:
    result = run_engine(6_000, seed=7)
    taken, refused, _ = accounted(result.counters)
    assert all(taken.get(kind) and refused.get(kind) for kind in KINDS), (
        taken,
        refused,
    )  # hostile enough, and not too much so
    assert result.failures == []


@pytest.mark.skipif(broker.mosquitto() is None, reason="mosquitto is not on PATH")
def test_a_node_process_serves_valid_senders_the_same_bytes_beside_hostile_messages_over_real_sockets() -> None:
    result = run_node(5_000, seed=8, rate=600)
    # a machine that stands still for a while makes valid messages late as well
    assert [failure for failure in result.failures if "s old; at most" not in failure] == []


def test_the_same_seed_makes_the_same_hostile_messages_and_another_seed_others() -> None:
    crossing, home = scenes()

    def messages(seed: int) -> list[object]:
        traffic = HostileTraffic(crossing.code, home, (VALID_RSU,), seed)
        return [traffic.message(BEGIN) for _ in range(500)]

    assert messages(3) == messages(3)
    assert messages(3) != messages(4)
