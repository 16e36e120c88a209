"""The registry never issues a code twice; the index finds codes and places; revisions follow each other in time."""

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from cloudctl import codes, maps
from cloudctl.codes.citycode import CityCodeError, parse_code, sub_code
from cloudctl.codes.registry import Index, Registry
from cloudctl.codes.versions import Versions, diff, json_schema, wire_revision

GOOD = codes.load(maps.path("intersection.json"))
PLACE = (GOOD.ref_lat_e7, GOOD.ref_lon_e7)


def test_a_code_is_issued_once(tmp_path) -> None:
    registry = Registry()
    first = registry.allocate("110115403", "IX", *PLACE, t=1, note="J0")
    registry.retire(first, t=2)
    second = registry.allocate("110115403", "IX", *PLACE, t=3)
    device = registry.allocate("110115403", "DV", *PLACE, t=3)
    assert len({first, second, device}) == 3
    assert parse_code(second).serial == 2
    with pytest.raises(CityCodeError, match="already"):
        registry.adopt(first, *PLACE, t=4)
    registry.save(tmp_path / "registry.json")
    again = Registry.load(tmp_path / "registry.json")
    assert (len(again), again[first].retired, again[first].note) == (3, 2, "J0")
    assert parse_code(again.allocate("110115403", "IX", *PLACE, t=5)).serial == 3
    (tmp_path / "registry.json").write_text("[]")
    with pytest.raises(CityCodeError, match="last copy"):
        Registry.load(tmp_path / "registry.json")


def test_numbers_for_messages_are_allocated_not_hashed() -> None:
    registry = Registry()
    assert [registry.number(name, 10) for name in ("a", "b", "a")] == [256, 257, 256]
    assert registry.number("b", 11) == 256


def test_the_index_resolves_codes_and_places() -> None:
    made = [codes.load(maps.path(f"corridor-{k}.json")) for k in range(1, 6)]
    index = Index(made)
    assert index[made[0].id].item is made[0]
    lane = made[2].lanes[4]
    name = sub_code(made[2].id, lane.id)
    assert index[name].item is lane
    with pytest.raises(KeyError):
        index[made[0].id + "X"]
    first, last, who = index.near(np.array([lane.points[0][0], 0]), np.array([lane.points[0][1], 0]))
    assert name in {index.names[k] for k in who[first[0] : last[0]]}
    assert first[1] == last[1]


def test_revisions_follow_each_other_in_time() -> None:
    versions = Versions()
    later = replace(GOOD, revision=2, valid_from=1000, valid_to=2000, accuracy_cm=20)
    versions.add(GOOD)
    versions.add(later)
    versions.add(later)
    assert [versions.current(GOOD.id, t).revision for t in (0, 999, 1000)] == [1, 1, 2]
    assert versions.announced(GOOD.id, 0) is later
    assert versions.announced(GOOD.id, 1000) is None
    assert versions.current(GOOD.id, 2000) is None
    assert versions.current("unknown", 0) is None
    assert [versions.next_change(t) for t in (0, 1000, 2000)] == [1000, 2000, None]
    with pytest.raises(codes.CodeError, match="new revision"):
        versions.add(replace(later, accuracy_cm=30))
    with pytest.raises(codes.CodeError, match="must begin after"):
        versions.add(replace(GOOD, revision=3, valid_from=500))
    assert wire_revision(replace(GOOD, revision=130)) == 1


def test_a_diff_names_what_changed() -> None:
    lanes = (replace(GOOD.lanes[0], speed=8.33), *GOOD.lanes[1:])
    changed = replace(GOOD, revision=2, lanes=lanes, stop_lines=GOOD.stop_lines[1:])
    assert [str(c)[:40] for c in diff(GOOD, changed)] == [
        "changed: L1.speed: 16.67 -> 8.33",
        f"removed: stop line {GOOD.stop_lines[0].lane}: "
        + str(msgspec.json.encode(GOOD.stop_lines[0]).decode())[
            : 40 - len(f"removed: stop line {GOOD.stop_lines[0].lane}: ")
        ],
        "changed: code.revision: 1 -> 2",
    ]
    assert diff(GOOD, GOOD) == []


def test_the_schema_names_every_entity() -> None:
    schema = json_schema()
    assert set(schema["$defs"]) >= {
        "IntersectionCode",
        "Lane",
        "Connection",
        "Conflict",
        "SignalGroup",
        "Rule",
        "Plan",
        "Crosswalk",
    }
