"""Bit strings of messages: every form that converters write is read alike, and what is none opens no lane."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_maps import WEST, j2735, join, lane, node, ydt, ydt_join, ydt_lane
from made_maps import road as ydt_road

from cloudctl.codes.formats.j2735.importer import import_map
from cloudctl.codes.formats.messages.bit_strings import MAX_BITS, read_bits, read_flags, unread_flags
from cloudctl.codes.formats.messages.names import BIT_STRING_FIELDS, LANE_TYPES
from cloudctl.codes.formats.ydt.importer import import_ydt
from cloudctl.codes.model import IntersectionCode
from cloudctl.codes.rules import Vehicle, effective

FIELDS = {**BIT_STRING_FIELDS, **LANE_TYPES}
WEST_NODES = [node(-1000, -175), node(-5000, 0)]
MOTORS = ("car", "taxi", "truck", "motorcycle", "coach")


@st.composite
def strings(draw: st.DrawFn) -> tuple[tuple[str, ...], int, set[str]]:
    """Return a field's names and size, and some of its flags."""
    names, size = FIELDS[draw(st.sampled_from(sorted(FIELDS)))]
    return names, size, set(draw(st.lists(st.sampled_from(names), unique=True)))


def forms(names: tuple[str, ...], size: int, chosen: set[str]) -> list[Any]:
    """Return one bit string as every converter writes it."""
    on = [k < len(names) and names[k] in chosen for k in range(size)]
    text = "".join("1" if bit else "0" for bit in on)
    whole = text.ljust((size + 7) // 8 * 8, "0")
    digits = f"{int(whole, 2):0{len(whole) // 4}x}"
    listed = [name for name in names if name in chosen]
    rows: list[Any] = [
        text,
        f"b{text}",
        f"0b{text}",
        f"'{text}'B",
        f"0x{digits}",
        f"'{digits.upper()}'H",
        int(text, 2),
        on,
        [int(bit) for bit in on],
        ["1" if bit else "0" for bit in on],
        (int(text, 2), size),
        [int(text, 2), size],
        [text],
        listed,
        [name.upper() for name in listed],
        " ".join(listed),
        dict(zip(names, on, strict=False)),
        {name.replace("-", "_"): "true" for name in listed},
        {name: {} for name in listed},
        [{name: True} for name in listed],
        {"value": text, "length": size},
    ]
    return (
        rows
        if size > 2
        else [row for row in rows if row not in (f"0x{digits}", f"'{digits.upper()}'H")] + [f"0x{digits}"]
    )


@given(strings())
def test_every_form_of_a_bit_string_says_the_same(choice: tuple[tuple[str, ...], int, set[str]]) -> None:
    names, size, chosen = choice
    for form in forms(names, size, chosen):
        assert read_flags(form, names, size) == dict.fromkeys((n for n in names if n in chosen), True), form


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 400) | st.floats() | st.text("01bxh' ingres", max_size=9),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(anything)
def test_anything_else_is_read_as_flags_or_as_not_understood_and_never_fails(value: Any) -> None:
    names, size = LANE_TYPES["vehicle"]
    flags = read_flags(value, names, size)
    assert isinstance(flags, dict)
    if (
        isinstance(value, list)
        and any(value)
        and any(read_flags(element, names, size) for element in value)  # an object of null flags sets none
        and len(value) != size
        and not set(names) & flags.keys()
        and not (len(value) == 2 and value[0] == 0 and value[1] in range(size, MAX_BITS + 1))  # no bit of so many
        and len(value) > 1
    ):
        assert unread_flags(flags, names)


def one(kind: Any, maker: str) -> tuple[IntersectionCode, str]:
    if maker == "j2735":
        found = import_map(json.dumps(j2735(lane(1, "in", WEST_NODES, join(2, 1), kind=kind))).encode())
    else:
        found = import_ydt(json.loads(json.dumps(ydt(west=ydt_road(1, ydt_lane(1, WEST, ydt_join(2, 1), kind=kind))))))
    (code,) = found
    return code, "\n".join(map(str, found.losses))


def who(code: IntersectionCode) -> set[str]:
    """Return the motor classes that the first lane of the west road lets in; none where it was left out."""
    first = next((c.from_lane for c in code.connections if c.group == 1), None)
    return {kind for kind in MOTORS if first is not None and effective(code, first, Vehicle(kind), 0).allowed}


@pytest.mark.parametrize("maker", ["j2735", "ydt3709"])
@pytest.mark.parametrize(
    "value",
    [
        [0, 0, 0, 1, 0, 0, 0, 0],
        [False] * 3 + [True] + [False] * 4,
        ["restrictedToBusUse"],
        "restrictedToBusUse",
        "b00010000",
        "'00010000'B",
        "10",
        [16, 8],
        {"restricted_to_bus_use": 1},
    ],
)
def test_a_bus_lane_stays_one_however_its_flags_are_written(maker: str, value: Any) -> None:
    code, report = one({"vehicle": value}, maker)
    assert who(code) == set()
    assert "closed to all" not in report
    assert (
        next(x.use for x in code.lanes if x.id == next(c.from_lane for c in code.connections if c.group == 1)) == "bus"
    )


@pytest.mark.parametrize("maker", ["j2735", "ydt3709"])
@pytest.mark.parametrize(
    "value",
    [
        "0001",
        "xx",
        [0, 0, 0, 1],
        [0, 1],
        ["restrictedToBuses"],
        {"restrictedToBuses": True},
        {"restrictedToBusUse": "maybe"},
        4096,
        1.5,
        [[[[[["00010000"]]]]]],
        ["00010000", "00010000"],
    ],
)
def test_a_lane_type_that_is_not_understood_opens_no_lane_and_is_named(maker: str, value: Any) -> None:
    code, report = one({"vehicle": value}, maker)
    assert who(code) == set()
    assert "is not known: the lane is closed to all" in report
    assert "restrictedToTaxiUse" in report, "the remedy lists the flags"


@pytest.mark.parametrize(
    ("value", "way"),
    [
        ([1, 0], "in"),
        ([0, 1], "out"),
        (["ingressPath"], "in"),
        ("egressPath", "out"),
        ("10", "in"),
        ([2, 2], "in"),
        ([True, False], "in"),
        ([1, 1], "both"),
        ([3, 2], "both"),
        (1, "out"),
    ],
)
def test_the_direction_of_a_lane_is_read_in_every_form(value: Any, way: str) -> None:
    tree = j2735(lane(5, "in", [node(-1000, -525), node(-5000, 0)], join(2, 1)))
    rows = tree["intersections"]["intersectionGeometry"][0]["laneSet"]["GenericLane"]
    rows[-1]["laneAttributes"]["directionalUse"] = value
    (code,) = import_map(json.dumps(tree).encode())
    roles = {link.id: link.role for link in code.links}
    found = {roles[x.link] for x in code.lanes for a in x.alias if a.value.startswith("5")}
    assert found == {"in": {"ingress"}, "out": {"egress"}, "both": {"ingress", "egress"}}[way]


def test_a_direction_that_is_not_understood_leaves_the_lane_out_with_the_reason() -> None:
    tree = j2735(lane(5, "in", [node(-1000, -525), node(-5000, 0)], join(2, 1)))
    tree["intersections"]["intersectionGeometry"][0]["laneSet"]["GenericLane"][-1]["laneAttributes"][
        "directionalUse"
    ] = ["inward"]
    found = import_map(json.dumps(tree).encode())
    assert len(found[0].lanes) == 4
    assert any(
        "directionalUse" in str(loss) and "inward" in str(loss) and "ingressPath" in str(loss) for loss in found.losses
    )


@pytest.mark.parametrize("value", [[0, 0, 0, 0, 0, 0, 0, 1, 0, 0], ["cyclistVehicleTraffic"], "0000000100"])
def test_sharing_is_read_in_every_form(value: Any) -> None:
    (code,) = import_map(json.dumps(j2735(lane(1, "in", WEST_NODES, join(2, 1), shareWith=value))).encode())
    assert next(x for x in code.lanes for a in x.alias if a.value == "1").shared == ("bike",)


def test_bits_without_names_are_read_by_their_places() -> None:
    assert read_bits("1000000000000001", 16) == read_bits([1, *[0] * 14, 1], 16) == [True, *[False] * 14, True]
    for value in ("10", [1, 0], "zz", {"a": 1}):
        with pytest.raises(ValueError, match="16 bits"):
            read_bits(value, 16)
