"""A small share of `make bench BENCH=fuzz`: hostile messages of every kind beside valid traffic."""

from bench.fuzz_engine import run_engine
from bench.fuzz_node import run_node


def test_output_for_valid_senders_is_the_same_bytes_beside_hostile_messages_of_every_kind() -> None:
    result = run_engine(6_000, seed=7)
    assert result.failures == []


def test_a_node_process_serves_valid_senders_the_same_bytes_beside_hostile_messages_over_real_sockets() -> None:
    result = run_node(3_000, seed=8, rate=1_500)
    assert result.failures == []
