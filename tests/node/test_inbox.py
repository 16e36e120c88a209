"""Messages of vehicles that wait for a step: in order, bounded by vehicle and by step, and each lost one counted."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cloudctl.metrics import Metrics
from cloudctl.node.inbox import MAX_MESSAGES, MAX_OF_STEP, MAX_PER_VEHICLE, Inbox
from cloudctl.schema import RawMessage


def message(vehicle: str, number: int) -> RawMessage:
    return RawMessage("state", vehicle, str(number).encode())


@given(st.lists(st.one_of(st.none(), st.tuples(st.sampled_from("abc"), st.integers(1, 150))), max_size=30))
def test_each_message_is_taken_once_in_order_or_counted(actions: list[tuple[str, int] | None]) -> None:
    metrics = Metrics()
    inbox, sent, taken = Inbox(metrics), Counter[str](), []
    for action in actions:
        if action is None:
            taken += inbox.take()
            continue
        vehicle, count = action
        for _ in range(count):
            inbox.put(message(vehicle, sent[vehicle]))
            sent[vehicle] += 1
    taken += inbox.take()

    assert len(inbox) == 0
    assert len(taken) + metrics.total("drop.inbox") == sent.total()
    for vehicle in sent:
        numbers = [int(item.body) for item in taken if item.sender == vehicle]
        assert numbers == sorted(set(numbers))


def test_a_vehicle_that_floods_takes_no_place_of_another_and_no_step_is_long() -> None:
    metrics = Metrics()
    inbox = Inbox(metrics)
    for number in range(MAX_PER_VEHICLE + 7):
        inbox.put(message("flood", number))
    inbox.put(message("car", 0))
    assert metrics.total("drop.inbox") == 7

    for number in range(MAX_MESSAGES + 5):
        inbox.put(message(f"invented-{number}", 0))
    assert len(inbox) == MAX_MESSAGES
    steps = []
    while inbox:
        steps.append(len(inbox.take()))
    assert max(steps) == MAX_OF_STEP
    assert sum(steps) == MAX_MESSAGES
