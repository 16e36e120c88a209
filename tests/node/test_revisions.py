"""Revisions of digital codes, without an engine: when each is in force, what an intersection keeps across a change."""

import msgspec
import pytest

from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode, IntersectionCode
from cloudctl.codes.findings import CodeError
from cloudctl.faults import Faults
from cloudctl.ingest.messages import Ingest
from cloudctl.intersection import NEVER, IntersectionState
from cloudctl.intersection_factory import make_intersection
from cloudctl.metrics import Metrics
from cloudctl.revisions import NOTICE, Revisions, check_bound, restart
from cloudctl.schema import Hazard, VehicleState
from cloudctl.settings import EngineConfig
from cloudctl.vehicles import declared

T = 1_767_225_600 * SECOND


class Node:
    """What `Revisions` works on: intersections and their sources."""

    def __init__(self, *codes: IntersectionCode) -> None:
        self.metrics = Metrics()
        self.faults = Faults(self.metrics)
        self.config = EngineConfig({"g": {"r0": codes[0].id}})
        self.revisions = Revisions(codes)
        self.intersections = self.revisions.begin(self.make)
        origins = {name: intersection.code.origin for name, intersection in self.intersections.items()}
        self.ingest = Ingest(self.config.gateways, origins, self.metrics)

    def make(self, code: CompiledCode) -> IntersectionState:
        return make_intersection(code, self.config, self.metrics)

    def activate(self, t: int) -> list[str]:
        return self.revisions.activate(t, self.intersections, self.ingest, self.make, self.faults)


def later(code: CompiledCode, valid_from: int | None, revision: int = 2, **changes: object) -> IntersectionCode:
    return msgspec.structs.replace(code.code, revision=revision, valid_from=valid_from, **changes)


def test_an_announced_revision_begins_at_its_time_and_not_before(code: CompiledCode) -> None:
    node = Node(code.code)
    name, begin = code.code.id, T + 10 * SECOND
    node.revisions.announce(later(code, begin), T, node.intersections)
    assert node.revisions.next_change == begin
    assert node.intersections[name].in_force_until == begin

    assert node.activate(begin - 1) == []
    assert node.intersections[name].code.code.revision == code.code.revision
    assert node.activate(begin) == [name]
    assert node.intersections[name].code.code.revision == 2
    assert node.revisions.next_change == NEVER


def test_tracker_and_vehicles_survive_a_change_of_code_and_signals_do_not(code: CompiledCode) -> None:
    node, name = Node(code.code), code.code.id
    intersection = node.intersections[name]
    state = VehicleState(T, code.origin.lat, code.origin.lon, 5.0, 0.0, movements=(code.conn_ids[0],))
    intersection.reports[1] = declared(intersection, "car", 1, state)
    intersection.signals.state[:] = 3
    fusion = intersection.fusion

    node.revisions.announce(later(code, T + NOTICE), T, node.intersections)
    node.activate(T + NOTICE)
    assert intersection.fusion is fusion
    assert intersection.reports[1].state is state
    assert not intersection.signals.state.any()


def test_a_moved_origin_begins_a_new_tracker(code: CompiledCode) -> None:
    node, name = Node(code.code), code.code.id
    fusion = node.intersections[name].fusion
    moved = later(code, T + NOTICE, ref_lat_e7=code.code.ref_lat_e7 + 100)
    node.revisions.announce(moved, T, node.intersections)
    node.activate(T + NOTICE)
    assert node.intersections[name].fusion is not fusion


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"valid_from": None}, "valid_from"),
        ({"valid_from": T + NOTICE - 1}, "valid_from"),
        ({"revision": 1, "valid_from": T + NOTICE, "name": "another content"}, "revision"),
        ({"id": "UST1.110115403.IX.N50J572077A238.0001", "valid_from": T + NOTICE}, "id"),
    ],
)
def test_a_revision_that_cannot_begin_is_refused_and_changes_nothing(
    code: CompiledCode, change: dict[str, object], field: str
) -> None:
    node = Node(code.code)
    with pytest.raises(CodeError) as caught:
        node.revisions.announce(msgspec.structs.replace(code.code, **{"revision": 2, **change}), T, node.intersections)
    assert caught.value.findings[0].field == field
    assert node.revisions.next_change == NEVER
    assert node.activate(T + 2 * NOTICE) == []


def test_the_same_revision_may_be_announced_again(code: CompiledCode) -> None:
    node, revision = Node(code.code), later(code, T + NOTICE)
    for _ in range(3):
        node.revisions.announce(revision, T, node.intersections)
    assert node.activate(T + NOTICE) == [code.code.id]


def test_a_code_that_begins_later_is_not_in_force_until_then(code: CompiledCode) -> None:
    node = Node(later(code, T + SECOND))
    intersection = node.intersections[code.code.id]
    assert not intersection.in_force
    assert node.activate(T) == []
    assert node.activate(T + SECOND) == [code.code.id]
    assert intersection.in_force


def test_a_restart_keeps_the_code_and_drops_everything_that_carries_a_time(code: CompiledCode) -> None:
    node, name = Node(code.code), code.code.id
    intersection = node.intersections[name]
    hazard = Hazard(1, "r0", "h", "works", T, T, T + 60 * SECOND, lane=code.lane_ids[0])
    intersection.hazards.put(T, "g", hazard, 0)
    intersection.planned = intersection.last_input = T
    compiled, fusion = intersection.code, intersection.fusion

    restart(intersection, node.make(intersection.code), node.ingest)
    assert intersection.code is compiled
    assert intersection.fusion is not fusion
    assert len(intersection.hazards) == 0
    assert (intersection.planned, intersection.last_input) == (0, 0)


def test_a_unit_bound_to_an_intersection_without_a_code_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"gateway g, RSU r0: intersection 'elsewhere'.*Known: here"):
        check_bound({"g": {"r0": "elsewhere"}}, ["here"])
