"""OpenDRIVE roads that are cut into pieces before a junction: what stands on the piece before a short last one counts
as on one road."""

from dataclasses import dataclass

import pytest
from drawn_roads import CONNECTING, LENGTH, SPEED, WIDTH, crossing, lane, light, road, signals
from opendrive_codes import groups, lane_of, one, stop_of, told
from road_users import KINDS, takes

from cloudctl.codes import IntersectionCode
from cloudctl.codes.formats.opendrive.importer import import_opendrive
from cloudctl.codes.rules import Vehicle, effective

STOP = (
    '<signal s="{}" t="-2" id="50" dynamic="no" orientation="{}" country="DE" type="294" subtype="-1"><validity '
    'fromLane="{}" toLane="{}"/></signal>'
)


@dataclass
class Before:
    """A road before road 1 of the crossing: what stands on it, how long it is, which way it is drawn, and whether the
    lanes are linked."""

    inside: str = ""
    records: str = ""
    kind: str = "driving"
    length: float = 45.0
    backward: bool = False
    linked: bool = True
    contact: bool = True  # whether the link says at which end the roads meet

    def map(self) -> bytes:
        number = 1 if self.backward else -1
        begin = -60.0 - (0.0 if self.backward else self.length)
        view = (
            f'<geometry s="0" x="{begin}" y="0" hdg="{"3.141592653589793" if self.backward else "0"}" '
            f'length="{self.length}"><line/></geometry>'
        )
        side = "predecessor" if self.backward else "successor"
        rows = {
            number: lane(number, WIDTH + self.records, f'<{side} id="-1"/>', kind=self.kind),
            -number: lane(-number, WIDTH, f'<{side} id="1"/>'),
        }
        link = f'<{side} elementType="road" elementId="1" contactPoint="start"/>'
        first = road(71, self.length, view, link=link, left=rows[1], right=rows[-1], inside=self.inside, type_=SPEED)
        back = f'<predecessor elementType="road" elementId="71" contactPoint="{"start" if self.backward else "end"}"/>'
        back = back if self.contact else back.partition(" contactPoint")[0] + "/>"
        head, mark, tail = crossing().decode().partition('<road id="1" ')
        tail = tail.replace("<link>", "<link>" + back, 1)
        if self.linked:
            tail = tail.replace(
                '<lane id="-1" type="driving"><link>',
                f'<lane id="-1" type="driving"><link><predecessor id="{number}"/>',
                1,
            )
        return (head + first + mark + tail).encode()


def size(code: IntersectionCode) -> float:
    found = lane_of(code, "1/-1")
    (_, west), (_, east) = found.points[0], found.points[-1]
    return (east - west) * 1e-7 * 111_320 * 0.768


@pytest.mark.parametrize("backward", [False, True])
def test_a_light_on_the_road_before_a_short_last_one_is_the_junctions(backward: bool) -> None:
    place = 5.0 if backward else 40.0
    lamp = light(7, s=place, lanes="1" if backward else "-1", along="-" if backward else "+")
    found = import_opendrive(Before(inside=signals(lamp), backward=backward).map())
    assert groups(one(found))["1/-1"] == {8}
    assert not told(found, "dropped", "a light")


@pytest.mark.parametrize("contact", [False, True])
@pytest.mark.parametrize("backward", [False, True])
def test_a_stop_line_on_the_road_before_a_short_last_one_is_the_lanes(backward: bool, contact: bool) -> None:
    place, number, along = (5.0, 1, "-") if backward else (40.0, -1, "+")
    code = one(
        import_opendrive(
            Before(inside=signals(STOP.format(place, along, number, number)), backward=backward, contact=contact).map()
        )
    )
    assert stop_of(code, "1/-1") == pytest.approx(40.0, abs=0.1)


def test_a_stop_line_far_before_the_junction_is_reported_and_not_taken() -> None:
    found = import_opendrive(Before(inside=signals(STOP.format(10, "+", -1, -1))).map())
    assert stop_of(one(found), "1/-1") == pytest.approx(45.0 + LENGTH, abs=0.5)
    assert told(found, "dropped", "stop line", "before the junction")


def test_limits_and_users_of_the_road_before_hold_there_and_only_there() -> None:
    for before, speed, allowed in (
        (Before(records='<speed sOffset="0" max="30" unit="km/h"/>'), 8.33, set(KINDS)),
        (Before(kind="bus"), 13.89, {"bus", "emergency"}),
        (Before(records='<access sOffset="0" rule="deny" restriction="truck"/>'), 13.89, set(KINDS) - {"truck"}),
    ):
        code = one(import_opendrive(before.map()))
        name = lane_of(code, "1/-1").id
        assert (effective(code, name, Vehicle("bus"), 0, s=20.0).speed_max, takes(code, name, s=20.0)) == (
            speed,
            allowed,
        )
        assert (effective(code, name, Vehicle("bus"), 0, s=60.0).speed_max, takes(code, name, s=60.0)) == (
            13.89,
            set(KINDS),
        )


def test_a_lane_for_bicycles_that_is_for_cars_farther_off_is_reported() -> None:
    data = (
        Before()
        .map()
        .replace(
            b'<lane id="-1" type="driving"><link><predecessor id="-1"/>',
            b'<lane id="-1" type="biking"><link><predecessor id="-1"/>',
            1,
        )
    )
    found = import_opendrive(data)
    assert lane_of(one(found), "1/-1").use == "bike"
    assert told(found, "differs", "further off they are for cars")


@pytest.mark.parametrize(("types", "speed", "differs"), [("", 8.33, False), (SPEED, 13.89, True)])
def test_a_speed_sign_on_a_connecting_road_is_the_limit_of_its_connection(
    types: str, speed: float, differs: bool
) -> None:
    sign = (
        '<signal s="1" t="-2" id="60" dynamic="no" orientation="+" country="DE" type="274" subtype="-1" '
        'value="30"><validity fromLane="-1" toLane="-1"/></signal>'
    )
    data = crossing(inside={CONNECTING[1, 2]: signals(sign)}).decode()
    head, mark, tail = data.partition(f'<road id="{CONNECTING[1, 2]}" ')
    found = import_opendrive((head + mark + tail.replace(SPEED, types, 1)).encode())
    code = one(found)
    (straight,) = [c for c in code.connections if c.from_lane == lane_of(code, "1/-1").id and c.turn == "straight"]
    assert straight.speed == speed
    assert told(found, "differs", "a sign on road") == differs


def test_a_long_road_before_is_cut_off_far_from_the_junction() -> None:
    code = one(import_opendrive(Before(length=4990.0, inside=signals(STOP.format(4980, "+", -1, -1))).map()))
    assert size(code) == pytest.approx(300 + LENGTH, abs=3)
    assert stop_of(code, "1/-1") == pytest.approx(290, abs=0.5)


def test_a_lane_without_a_link_begins_where_its_road_does() -> None:
    assert size(one(import_opendrive(Before(linked=False).map()))) == pytest.approx(LENGTH, abs=1)
    assert size(one(import_opendrive(Before().map()))) == pytest.approx(LENGTH + 45, abs=1)


def test_the_second_stop_line_of_a_lane_is_reported() -> None:
    rows = signals(STOP.format(38, "+", -1, -1), STOP.format(30, "+", -1, -1).replace('id="50"', 'id="51"'))
    found = import_opendrive(crossing(inside={1: rows}))
    assert stop_of(one(found), "1/-1") == 38.0
    assert told(found, "dropped", "several stop lines", "stop line 51", "8 m before it")
