"""A city on paper: more of anything never needs less, and every unit cost names a command that measures it."""

import subprocess
import sys

from deadlines import PATIENCE
from hypothesis import given
from hypothesis import strategies as st

from bench.__main__ import MORE, NAMES
from cloudctl.city.capacity import COSTS, Demand, Machine, plan_capacity

DEMANDS = st.builds(
    Demand,
    intersections=st.integers(0, 100_000),
    rsus=st.integers(0, 10),
    vehicles=st.integers(0, 10**7),
    hz=st.floats(0.1, 50.0),
    objects=st.integers(0, 1024),
    report_hz=st.floats(0.1, 10.0),
    keep_days=st.floats(0.0, 365.0),
)


@given(demand=DEMANDS, field=st.sampled_from(Demand._fields), factor=st.integers(2, 10))
def test_more_of_anything_never_needs_less(demand: Demand, field: str, factor: int) -> None:
    more = demand._replace(**{field: getattr(demand, field) * factor})
    for machine in (Machine(), Machine(cores=2, memory=4.0)):
        before, after = plan_capacity(demand, machine), plan_capacity(more, machine)
        assert all(one <= other for one, other in zip(before, after, strict=True))


def test_every_unit_cost_names_a_command_that_measures_it() -> None:
    for cost in COSTS.values():
        assert cost.value > 0
        name = cost.command.removeprefix("make bench BENCH=")
        assert name in NAMES or name in MORE, cost


def test_the_command_prints_the_plan_and_refuses_what_is_no_number() -> None:
    command = [sys.executable, "-m", "cloudctl", "plan-capacity", "--intersections"]
    done = subprocess.run(
        [*command, "3000", "--rsus", "3", "--vehicles", "50000"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert "90,000 frames/s" in done.stdout
    assert "etcd servers" in done.stdout
    for wrong in (["-1"], ["many"], ["10", "--hz", "0"], ["10", "--hz", "nan"]):
        refused = subprocess.run([*command, *wrong], capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert refused.returncode == 2
