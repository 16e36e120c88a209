"""When what is still valid is sent to a vehicle again: after each return, never twice within the interval."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from cloudctl.clock import MS, SECOND
from cloudctl.io.vehicle_contacts import ABSENCE, MAX_SILENCE, RESEND_INTERVAL, VehicleContacts

PAUSES = st.one_of(st.integers(0, RESEND_INTERVAL * 2), st.integers(0, 2 * MAX_SILENCE))


@given(st.lists(st.tuples(PAUSES, st.booleans()), min_size=1, max_size=40))
def test_each_return_is_followed_by_a_repetition_and_two_are_never_close(contacts: list[tuple[int, bool]]) -> None:
    vehicles, now = VehicleContacts(), 10**15
    last: int | None = None
    returns, repetitions = [], []
    for pause, is_hello in contacts:
        now += pause
        if is_hello or last is None or now - last > ABSENCE:
            returns.append(now)
        delay = vehicles.note("car", now, is_hello)
        if delay is not None:
            repetitions.append(now + delay)
        last = now

    assert all(later - earlier >= RESEND_INTERVAL for earlier, later in itertools.pairwise(repetitions))
    for moment in returns:
        assert any(moment <= repetition <= moment + RESEND_INTERVAL for repetition in repetitions)


def test_the_silent_are_forgotten() -> None:
    vehicles = VehicleContacts()
    for number in range(100):
        vehicles.note(f"car-{number}", number * SECOND, is_hello=False)
    assert len(vehicles) == MAX_SILENCE // SECOND + 1
    assert "car-0" not in vehicles


def test_a_vehicle_that_reports_all_the_time_is_sent_nothing_again() -> None:
    vehicles = VehicleContacts()
    assert vehicles.note("car", 0, is_hello=False) == 0
    assert {vehicles.note("car", now, is_hello=False) for now in range(100 * MS, 60 * SECOND, 100 * MS)} == {None}
