"""Living with a map: what was not edited keeps id and content, what was written by hand keeps its place, every edit is
reported."""

import pytest
from carried_codes import again, by_id, errors, handed, ids
from crossing_map import Crossing, Lane
from msgspec.structs import replace

from cloudctl.codes.canon import dump
from cloudctl.codes.model import Alias, IntersectionCode, Phase, Plan, SignalException, Zone
from cloudctl.codes.rule import Rule, Target
from cloudctl.codes.update.carry import carry
from cloudctl.codes.update.changes import changes

# --- single edits ---


def test_the_same_map_in_another_order_is_no_change() -> None:
    first = Crossing.plain().code()
    version = Crossing.plain()
    version.seed = 7
    assert dump(version.code()) != dump(first)
    carried = again(first, version)
    assert not carried.changed
    assert dump(carried.code) == dump(first)
    assert carried.losses == []


def test_one_lane_removed_changes_nothing_else() -> None:
    first, version = Crossing.plain().code(), Crossing.plain()
    version.lanes.remove(version.lane("Ein1"))
    carried = again(first, version)
    gone = ids(first)["Ein1"]
    moves = {c.id for c in first.connections if c.from_lane == gone}
    kept = {lane.id: lane for lane in first.lanes if lane.id != gone}
    now = by_id(carried.code.lanes)
    assert set(now) == set(kept)
    assert all(replace(now[name], number=lane.number) == lane for name, lane in kept.items())
    assert by_id(carried.code.connections) == {c.id: c for c in first.connections if c.id not in moves}
    assert set(carried.code.conflicts) == {c for c in first.conflicts if not {c.a, c.b} & moves}
    assert carried.code.revision == 2
    lines = changes(first, carried.code)
    assert [line for line in lines if "removed" in line] == [
        f"lane 2 of east approach ({gone}) removed, with movements {', '.join(sorted(moves))}"
    ]
    assert len(lines) <= 4, lines


def test_one_lane_moved_by_a_metre_is_the_only_one_that_moves() -> None:
    first, version = Crossing.plain().code(), Crossing.plain()
    version.lane("Nin2").offset = 1.0
    carried = again(first, version)
    name = ids(first)["Nin2"]
    assert {k for k, lane in by_id(first.lanes).items() if by_id(carried.code.lanes)[k] != lane} == {name}
    lines = changes(first, carried.code)
    assert f"lane 3 of north approach ({name}) moved 1.0 m to the right" in lines
    assert len(lines) <= 5, lines


def test_one_lane_added_gets_a_new_id_and_the_others_keep_theirs() -> None:
    first, version = Crossing.plain().code(), Crossing.plain()
    version.lanes.append(Lane("Win9", "W", "in", 3))
    carried = again(first, version)
    (fresh,) = set(by_id(carried.code.lanes)) - set(by_id(first.lanes))
    assert fresh == f"L{len(first.lanes) + 1}"
    assert all(by_id(carried.code.lanes)[name] == lane for name, lane in by_id(first.lanes).items())
    assert any(f"lane 4 of west approach ({fresh}) added" in line for line in changes(first, carried.code))


def test_a_number_is_never_given_twice_though_the_lane_that_had_it_is_gone() -> None:
    first, version = Crossing.plain().code(), Crossing.plain()
    last = max(first.lanes, key=lambda lane: int(lane.id[1:]))
    version.lanes.remove(version.lane(last.alias[0].value))
    second = again(first, version)
    version.lanes.append(Lane("Ein9", "E", "in", 3))
    third = carry(second.code, second.base, version.code(), second.numbering.highest)
    assert last.id not in by_id(third.code.lanes)
    assert f"L{len(first.lanes) + 1}" in by_id(third.code.lanes)


@pytest.mark.parametrize("edit", ["renamed", "shifted", "both"])
def test_another_export_of_the_map_keeps_every_id(edit: str) -> None:
    first, version = Crossing.plain().code(), Crossing.plain()
    version.tag = "" if edit == "shifted" else "export2-"
    version.shift = 0.0 if edit == "renamed" else 0.05
    version.seed = 3
    carried = again(first, version)
    for table in ("lanes", "links", "connections", "signal_groups"):
        assert [row.id for row in getattr(carried.code, table)] == [row.id for row in getattr(first, table)]
    lines = changes(first, carried.code)
    assert any("everything moved 0.05 m to the east" in line for line in lines) == (edit != "renamed")
    assert any("called otherwise: lane" in line for line in lines) == (edit != "shifted")
    assert not any(
        "moved" in line and "everything" not in line and "reference" not in line and "node" not in line
        for line in lines
    ), lines


def test_codes_imported_apart_are_compared_by_what_is_what() -> None:
    version = Crossing.plain()
    version.lanes.remove(version.lane("Ein0"))
    version.seed = 11
    lines = changes(Crossing.plain().code(), version.code())
    assert [line.partition(",")[0] for line in lines if line.startswith("lane") and "removed" in line] == [
        "lane 1 of east approach (L1) removed"
    ]
    assert any(line.startswith("ids given otherwise") for line in lines)


# --- what was written by hand ---


def test_rules_written_by_hand_stay_on_their_lanes() -> None:
    first = Crossing.plain().code()
    lane = ids(first)["Ein2"]
    ban = Rule("R90", "no_entry", (Target(lane, 20.0, 60.0),), classes=("truck",))
    prev = handed(first, ban)
    version = Crossing.plain()
    version.lanes.remove(version.lane("Ein0"))
    version.lanes.remove(version.lane("Ein1"))
    carried = again(first, version, prev)
    assert ban in carried.code.rules
    assert not [loss for loss in carried.losses if "R90" in loss.entity]
    assert errors(carried.code) == []


def test_a_rule_whose_lane_is_gone_is_reported_with_all_that_it_was() -> None:
    first = Crossing.plain().code()
    lane, other = ids(first)["Ein0"], ids(first)["Win0"]
    prev = handed(
        first,
        Rule("R90", "no_entry", (Target(lane),), text="works"),
        Rule("R91", "no_stopping", (Target(lane), Target(other))),
    )
    version = Crossing.plain()
    version.lanes.remove(version.lane("Ein0"))
    carried = again(first, version, prev)
    told = {loss.entity: loss.detail for loss in carried.losses}
    assert "lost its place" in told["rule R90"]
    assert '"text":"works"' in told["rule R90"]
    assert lane in told["rule R91"]
    assert by_id(carried.code.rules)["R91"].targets == (Target(other),)
    lines = changes(prev, carried.code)
    assert f"rule R90 (no_entry) lost its place: {lane} is gone" in lines
    assert f"rule R91 (no_stopping) holds no longer on {lane}, which is gone" in lines


def test_edits_by_hand_stay_and_a_word_of_both_is_reported() -> None:
    first = Crossing.plain().code()
    name, free = ids(first)["Ein0"], ids(first)["Ein1"]
    lanes = tuple(
        replace(x, speed=8.33, width_cm=300) if x.id == name else replace(x, width_cm=310) if x.id == free else x
        for x in first.lanes
    )
    stops = tuple(replace(x, s=x.s - 4) if x.lane == name else x for x in first.stop_lines)
    zone = Zone(
        "Z1", "school", tuple((397955000 + a, 1165080000 + b) for a, b in ((0, 0), (0, 9000), (2000, 9000), (2000, 0)))
    )
    prev = replace(
        first,
        lanes=lanes,
        stop_lines=stops,
        zones=(zone,),
        accuracy_cm=10,
        alias=(*first.alias, Alias("ga1049", "X1")),
        revision=5,
    )
    version = Crossing.plain()
    version.lane("Ein0").speed = 11.1
    version.lane("Win0").speed = 11.1
    version.lane("Ein0").length = 100.0
    carried = again(first, version, prev)
    now = by_id(carried.code.lanes)
    assert (now[name].speed, now[name].width_cm, now[free].width_cm, now[ids(first)["Win0"]].speed) == (
        8.33,
        300,
        310,
        11.1,
    )
    assert [str(loss) for loss in carried.losses if "speed" in loss.entity and name in loss.entity] == [
        f"differs: lane {name}.speed: was changed by hand and in the source: 8.33 stays, the source had 13.9 and "
        "has 11.1 now"
    ]
    stop = next(line for line in carried.code.stop_lines if line.lane == name)
    assert stop.s == pytest.approx(100.0 - 15.0 - 4.0, abs=0.05)
    assert (carried.code.zones, carried.code.accuracy_cm, carried.code.revision) == ((zone,), 10, 6)
    assert Alias("ga1049", "X1") in carried.code.alias


def test_what_was_taken_out_by_hand_stays_out() -> None:
    first = Crossing.plain().code()
    lane = ids(first)["Ein0"]
    moves = {c.id for c in first.connections if c.from_lane == lane}
    prev = replace(
        first,
        revision=2,
        connections=tuple(c for c in first.connections if c.id not in moves),
        conflicts=tuple(c for c in first.conflicts if not {c.a, c.b} & moves),
        rules=(),
    )
    version = Crossing.plain()
    version.lane("Sin1").offset = 0.5
    carried = again(first, version, prev)
    assert {c.id for c in carried.code.connections} == {c.id for c in prev.connections}
    assert carried.code.rules == ()


def test_plans_follow_the_signal_groups() -> None:
    first = Crossing.plain().code()
    order = [group.id for group in first.signal_groups]
    hand = Plan(
        "night",
        (
            Phase(30_000, "".join("G" if g == 1 else "R" for g in order)),
            Phase(30_000, "".join("G" if g == 2 else "R" for g in order)),
        ),
    )
    prev = replace(first, plans=(hand,), signal_exceptions=(SignalException(1, 3, "opposite"),))
    version = Crossing.plain()
    version.lanes = [lane for lane in version.lanes if not (lane.side == "E" and lane.way == "in")]
    carried = again(first, version, prev)
    now = [group.id for group in carried.code.signal_groups]
    assert 1 not in now
    (plan,) = carried.code.plans
    assert [dict(zip(now, phase.shows, strict=True))[2] for phase in plan.phases] == ["R", "G"]
    assert any("signal exception 1/3" in loss.entity and "lost its place" in loss.detail for loss in carried.losses)


def test_a_code_whose_last_import_was_not_kept_keeps_its_rules() -> None:
    first = Crossing.plain().code()
    lane = ids(first)["Ein2"]
    ban, slow = (
        Rule("R90", "no_entry", (Target(lane),), classes=("truck",)),
        Rule("R91", "speed_max", (Target(lane),), 8.33),
    )
    version = Crossing.plain()
    for x in version.lanes:
        x.speed = 11.1
    carried = carry(handed(first, ban, slow), None, version.code(), {})
    assert {rule.id: rule.value for rule in carried.code.rules} == {"R1": 11.1, "R90": None, "R91": 8.33}
    assert any("was not kept" in loss.detail for loss in carried.losses)


def test_a_rule_follows_its_stretch_of_road_when_the_road_is_split() -> None:
    first = Crossing.plain().code()
    name = ids(first)["Ein1"]
    link = by_id(first.lanes)[name].link
    rules = (
        Rule("R90", "no_stopping", (Target(name, 10.0, 30.0),)),  # on what becomes the upper road
        Rule("R91", "no_overtaking", (Target(name, 90.0, 100.0),)),
        Rule("R92", "bus_lane", (Target(name),)),
        Rule("R93", "no_entry", (Target(link),), classes=("truck",)),
    )
    prev = handed(first, *rules)
    fresh = _split(Crossing.plain(), "E", 45.0)
    carried = carry(prev, first, fresh, {})
    now = by_id(carried.code.rules)
    upper = next(lane.id for lane in carried.code.lanes if lane.alias[0].value == "Ein1.up")
    assert by_id(carried.code.lanes)[name].link == link
    assert now["R90"].targets == (Target(upper, 10.0, 30.0),)
    (place,) = now["R91"].targets
    assert (place.entity, place.s_from, place.s_to) == (
        name,
        pytest.approx(30.0, abs=0.2),
        pytest.approx(40.0, abs=0.2),
    )
    assert set(now["R92"].targets) == {Target(name), Target(upper)}
    assert set(now["R93"].targets) == {Target(link), Target(by_id(carried.code.lanes)[upper].link)}
    assert not [loss for loss in carried.losses if loss.what == "dropped"]
    back = carry(carried.code, carried.base, Crossing.plain().code(), carried.numbering.highest)
    joined = by_id(back.code.rules)
    assert (joined["R90"].targets[0].entity, joined["R90"].targets[0].s_to) == (name, pytest.approx(30.0, abs=0.2))
    assert (joined["R91"].targets[0].s_from, joined["R91"].targets[0].s_to) == (
        pytest.approx(90.0, abs=0.2),
        pytest.approx(100.0, abs=0.2),
    )


def _split(version: Crossing, side: str, at: float) -> IntersectionCode:
    """Return the map with the road from one side in two pieces, `at` m from the middle, as an importer with upstream
    roads gives it."""
    from cloudctl.codes.model import Connection, Link
    from cloudctl.codes.model import Lane as CodeLane

    for lane in version.lanes:
        if lane.side == side and lane.way == "in":
            lane.length = 60.0
    code, whole = version.code(), Crossing.plain().code()
    link = next(lane.link for lane in code.lanes if lane.alias[0].value == f"{side}in0")
    lanes, joints = [], []
    for k, lane in enumerate(whole.lanes):
        name = lane.alias[0].value
        if name.startswith(f"{side}in"):
            lower = next(x for x in code.lanes if x.alias[0].value == name)
            lanes.append(
                CodeLane(
                    f"L9{k}",
                    "K9",
                    lane.number,
                    lane.width_cm,
                    lane.speed,
                    (lane.points[0], lower.points[0]),
                    alias=(Alias("sumo", name + ".up"),),
                )
            )
            joints.append(
                Connection(f"C9{k}", f"L9{k}", lower.id, "straight", (lower.points[0], lower.points[1]), inner=False)
            )
    return (
        replace(
            code,
            links=(*code.links, Link("K9", "upstream")),
            lanes=(*code.lanes, *lanes),
            connections=(*code.connections, *joints),
        )
        if link
        else code
    )
