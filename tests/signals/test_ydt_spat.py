"""SPAT messages of YD/T 3709, in JSON and in UPER with the user's own modules."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import outside_file

from cloudctl import codes, maps
from cloudctl.__main__ import main
from cloudctl.codes.formats.ydt.export import ydt_tree
from cloudctl.codes.formats.ydt.importer import import_ydt
from cloudctl.codes.formats.ydt.uper import MAP, SPAT, Modules
from cloudctl.schema import Group, SignalState
from cloudctl.signals.ydt_spat import read_ydt_spat, write_ydt_spat

GOOD = codes.load(maps.path("intersection.json"))


SECOND = 10**9
STATES = [s for s in SignalState if s not in (SignalState.YELLOW_PROTECTED, SignalState.PRE_MOVEMENT)]
tenths = st.integers(1, 35_999)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 255),
            st.sampled_from(STATES),
            st.none() | tenths,
            st.none() | tenths,
            tenths,
            st.none() | st.integers(0, 200),
            st.none() | tenths,
        ),
        min_size=1,
        max_size=16,
        unique_by=lambda row: row[0],
    ),
    st.integers(1_735_689_600_0, 1_767_225_599_9),
)
def test_a_spat_of_yd_t_3709_goes_out_and_comes_back(found: list[tuple], when: int) -> None:
    t = when * SECOND // 10
    groups = tuple(
        Group(
            g,
            s,
            *(None if v is None else t + v * SECOND // 10 for v in (low, high, likely)),
            None if share is None else share / 200,
            None if green is None else t + green * SECOND // 10,
            None if green is None or green > 35_000 else 5 * SECOND,
        )
        for g, s, low, high, likely, share, green in found
    )
    (back,) = read_ydt_spat(write_ydt_spat(19, t, groups, region=10), t + SECOND)
    assert (back.intersection, back.t, back.doubts) == ("10/19", t, ())
    assert back.groups == groups


def test_a_spat_as_converters_write_it_in_both_kinds_of_timing() -> None:
    t = 1_748_764_798_400_000_000
    text = """{"intersections": {"IntersectionState": {"intersectionId": {"region": "10", "id": "19"}, "status": "0010000000000000", "moy": "217919", "timeStamp": "58400", "phases": {"Phase": [
      {"id": "6", "phaseStates": {"PhaseState": [{"light": {"red": null}, "timing": {"counting": {"startTime": "0", "likelyEndTime": "50"}}},
        {"light": {"protected-green": null}, "timing": {"counting": {"startTime": "50", "likelyEndTime": "250"}}}]}},
      {"id": "7", "phaseStates": {"PhaseState": {"light": "6", "timing": {"utcTiming": {"startUTCTime": "35900", "likelyEndUTCTime": "34", "timeConfidence": "100"}}}}}]}}}}"""  # noqa: E501
    (spat,) = read_ydt_spat(text.encode(), t + SECOND)
    assert (spat.t, spat.doubts) == (t, ("failureFlash",))
    assert spat.groups == (
        Group(6, SignalState.RED, None, None, t + 5 * SECOND, None, t + 5 * SECOND, 20 * SECOND),
        Group(7, SignalState.GREEN_PROTECTED, None, None, t + 5 * SECOND, 0.5),
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"intersections": [{}]}',
        (
            b'{"intersections": [{"intersectionId": {"id": 1}, "phases": [{"id": 1, "phaseStates": [{"light":'
            b' "blue"}]}]}]}'
        ),
    ],
)
def test_what_is_no_spat_is_refused(data: bytes) -> None:
    with pytest.raises(codes.CodeError, match="YD/T"):
        read_ydt_spat(data, 0)


def test_too_many_phases_are_named() -> None:
    with pytest.raises(codes.CodeError, match="16 phases"):
        write_ydt_spat(19, 0, tuple(Group(k, SignalState.RED) for k in range(1, 18)))


# --- UPER of YD/T 3709, with modules that the user brings ---

MODULES = """V2X DEFINITIONS AUTOMATIC TAGS ::= BEGIN
MessageFrame ::= CHOICE { mapFrame MapData, spatFrame SPAT }
MapData ::= SEQUENCE { msgCnt INTEGER (0..127), nodes SEQUENCE (SIZE (1..32)) OF Node, ... }
Node ::= SEQUENCE { name IA5String (SIZE (1..63)) OPTIONAL, id NodeId, refPos SEQUENCE { lat INTEGER, long INTEGER }, inLinks SEQUENCE (SIZE (1..32)) OF Link OPTIONAL, ... }
NodeId ::= SEQUENCE { region INTEGER (0..65535) OPTIONAL, id INTEGER (0..65535) }
Limits ::= SEQUENCE OF SEQUENCE { type ENUMERATED { unknown, vehicleMaxSpeed }, speed INTEGER (0..8191) }
Link ::= SEQUENCE { name IA5String (SIZE (1..63)) OPTIONAL, upstreamNodeId NodeId, speedLimits Limits OPTIONAL, linkWidth INTEGER (0..32767), lanes SEQUENCE (SIZE (1..32)) OF Lane, ... }
Lane ::= SEQUENCE { laneID INTEGER (0..255), laneWidth INTEGER (0..32767) OPTIONAL, laneAttributes SEQUENCE { shareWith BIT STRING (SIZE (10)) OPTIONAL, laneType LaneType } OPTIONAL,
  maneuvers BIT STRING (SIZE (12)) OPTIONAL, connectsTo SEQUENCE (SIZE (1..8)) OF Connection OPTIONAL, speedLimits Limits OPTIONAL, points SEQUENCE (SIZE (2..31)) OF Point OPTIONAL, ... }
LaneType ::= CHOICE { vehicle BIT STRING (SIZE (8)), crosswalk BIT STRING (SIZE (16)), bikeLane BIT STRING (SIZE (16)), sidewalk BIT STRING (SIZE (16)), ... }
Connection ::= SEQUENCE { remoteIntersection NodeId, connectingLane SEQUENCE { lane INTEGER (0..255), maneuver BIT STRING (SIZE (12)) OPTIONAL } OPTIONAL, phaseId INTEGER (0..255) OPTIONAL }
Point ::= SEQUENCE { posOffset SEQUENCE { offsetLL Offset } }
Place ::= SEQUENCE { lon INTEGER, lat INTEGER }
Offset ::= CHOICE { position-LL1 Place, position-LL2 Place, position-LL3 Place, position-LL4 Place, position-LL5 Place, position-LL6 Place, position-LatLon Place }
SPAT ::= SEQUENCE { msgCnt INTEGER (0..127), intersections SEQUENCE OF SEQUENCE { intersectionId NodeId, status BIT STRING (SIZE (16)), moy INTEGER OPTIONAL, timeStamp INTEGER OPTIONAL,
  phases SEQUENCE (SIZE (1..16)) OF SEQUENCE { id INTEGER (0..255), phaseStates SEQUENCE (SIZE (1..16)) OF SEQUENCE { light Light, timing CHOICE { counting Counting } OPTIONAL } } } }
Light ::= ENUMERATED { unavailable, dark, flashing-red, red, flashing-green, permissive-green, protected-green, yellow, flashing-yellow, ... }
Counting ::= SEQUENCE { startTime INTEGER (0..36001), minEndTime INTEGER (0..36001) OPTIONAL, maxEndTime INTEGER (0..36001) OPTIONAL, likelyEndTime INTEGER (0..36001),
  timeConfidence INTEGER (0..200) OPTIONAL, nextStartTime INTEGER (0..36001) OPTIONAL, nextDuration INTEGER (0..36001) OPTIONAL }
END
"""  # noqa: E501


def test_uper_with_modules_of_ones_own(tmp_path: Path) -> None:
    pytest.importorskip("asn1tools")
    modules, tree = Modules(MODULES), ydt_tree(GOOD, 19, 10)
    for frame in (False, True):
        data = modules.write(MAP, tree, frame=frame)
        assert len(data) < len(json.dumps(tree)) / 8
        assert import_ydt(modules.read(MAP, data))[0] == import_ydt(tree)[0]
    t = 1_748_764_798_400_000_000
    groups = tuple(Group(k, SignalState.RED, t + SECOND, t + 9 * SECOND, t + 2 * SECOND, 0.5) for k in range(1, 17))
    spat = modules.write(SPAT, json.loads(write_ydt_spat(19, t, groups, region=10)), frame=True)
    assert read_ydt_spat(json.dumps(modules.read(SPAT, spat)).encode(), t)[0].groups == groups
    for wrong in (b"", data[:-40], b"zz"):
        with pytest.raises(codes.CodeError, match="no MapData"):
            modules.read(MAP, wrong)
    with pytest.raises(codes.CodeError, match="msgCnt"):
        modules.write(MAP, {**tree, "msgCnt": 200})
    for text in ("nonsense", "A DEFINITIONS ::= BEGIN B ::= INTEGER END"):
        with pytest.raises(codes.CodeError, match=r"MapData|compile"):
            Modules(text)
    (tmp_path / "v2x.asn").write_text(MODULES)
    (tmp_path / "code.json").write_bytes(codes.dump(GOOD))
    asn1 = ["--asn1", str(tmp_path / "v2x.asn")]
    assert (
        main(
            [
                "codes",
                "export",
                str(tmp_path / "code.json"),
                "--to",
                "ydt3709",
                "--id",
                "19",
                "--out",
                str(tmp_path / "map.uper"),
                *asn1,
            ]
        )
        == 0
    )
    assert main(["codes", "import", str(tmp_path / "map.uper"), "--out", str(tmp_path / "back"), *asn1]) == 0
    assert len(codes.load(tmp_path / "back" / "0.json").connections) == len(GOOD.connections)


def test_uper_with_the_definitions_of_the_standard() -> None:
    """The definitions as the page beside the Beijing sample has them; LaneID and the heights, which it leaves out, as
    the standard says."""
    pytest.importorskip("asn1tools")
    found: dict[str, str] = {}
    for block in re.findall(
        r"```ASN\.1\n(.*?)```", outside_file("data/messages/openv2x_yizhuang_map.md").decode(), re.DOTALL
    ):
        lines = [line.split("--")[0].strip() for line in block.splitlines()]
        text = "\n".join(
            line for line in lines if line and line != "one:" and not line.isdigit() and "CSAE" not in line
        )
        for part in re.split(r"(?m)^(?=[A-Z][\w-]* ?::=)", text):
            if name := re.match(r"([A-Z][\w-]*) ?::=", part):
                found.setdefault(name[1], part)
    heights = "".join(f"VertOffset-B{n:02d} ::= INTEGER ({-(1 << n - 1)}..{(1 << n - 1) - 1})\n" for n in range(7, 13))
    whole = (
        "MapData ::= SEQUENCE { msgCnt MsgCount, timeStamp MinuteOfTheYear OPTIONAL, nodes NodeList, ... }\nLaneID "
        "::= INTEGER (0..255)\n"
    )
    modules = Modules(
        "V2X DEFINITIONS AUTOMATIC TAGS ::= BEGIN\n" + whole + heights + "\n".join(found.values()) + "\nEND\n"
    )
    for name in ("intersection.json", "corridor-3.json"):
        tree = ydt_tree(codes.load(maps.path(name)), 19, 10)
        assert modules.read(MAP, modules.write(MAP, tree)) == tree
