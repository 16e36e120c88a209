"""MAP and SPAT: real messages come in, ours go out and come back the same, and what does not fit is named."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from paths import DATA, OUTSIDE, outside

from cloudctl import codes, maps
from cloudctl.client import Gateway
from cloudctl.io.zeromq import Server
from cloudctl.schema import Group, Signal, SignalState
from cloudctl.signals.spat import Spat, as_signal, mark_of, minute_of_year, read_spat, time_of, write_spat

pytest.importorskip("pycrate_asn1dir")
from cloudctl.codes.formats.export import Number, export_code
from cloudctl.codes.formats.j2735.encode import map_tree, write_map
from cloudctl.codes.formats.j2735.importer import import_map
from cloudctl.codes.formats.messages.uper import encode

GOOD = codes.load(maps.path("intersection.json"))
SECOND, HOUR = 10**9, 3600 * 10**9


OWN_FRAMES, THEIR_FRAMES = DATA / "messages/uper_hex.json", OUTSIDE / "data/messages/j2735_uper_hex.json"
FRAMES = [path for path in (OWN_FRAMES, THEIR_FRAMES) if path.exists()]
MAP_LINES = [DATA / "messages/recordings/none.csv", *outside("data/messages/conflictmonitor/MAP_MinData.csv")]


def samples(path: Path, kind: str) -> list[str]:
    return [row["hex"] for row in json.loads(path.read_text())[kind]]


@pytest.mark.parametrize("path", FRAMES, ids=lambda path: path.name)
def test_maps_in_frames_come_in_whole(path: Path) -> None:
    for text in samples(path, "MAP"):
        for code in import_map(text.encode()):
            assert [f for f in codes.validate(code) if f.severity == "error"] == []
            assert code.signal_groups
            assert code.conflicts
            assert codes.compile_code(code).n_conns > 10


@pytest.mark.parametrize("path", MAP_LINES, ids=lambda path: path.name)
def test_a_map_as_json_comes_in_whole(path: Path) -> None:
    line = next(line for line in path.read_text().splitlines() if line.startswith("MAP"))
    (code,) = import_map(line[line.index("{") :].replace('"@MINUTE_OF_YEAR@"', "1").encode())
    assert codes.validate(code) == []
    assert {c.turn for c in code.connections} >= {"straight", "left"}


def test_spats_come_in_and_what_is_wrong_in_them_is_refused_with_the_field() -> None:
    messages = [read_spat(bytes.fromhex(text), 1_767_225_600 * SECOND) for text in samples(OWN_FRAMES, "SPAT")]
    assert [[g.state for g in spat.groups] for message in messages for spat in message] == [
        [SignalState.RED, SignalState.RED],
        [SignalState.DARK, SignalState.RED],
        [SignalState.RED, SignalState.RED],
        [SignalState.RED, SignalState.RED],
    ]
    assert [[(finding.entity, finding.field) for finding in message.refused] for message in messages] == [
        [],
        [],
        [("0/300 group 1", "maxEndTime")],
        [("0/300 group 1", "likelyTime")],
    ]


def test_real_spats_come_in_and_what_is_wrong_in_them_is_refused_with_the_field() -> None:
    if not THEIR_FRAMES.exists():
        pytest.skip(f"{THEIR_FRAMES} is not there: it may not be passed on; the test above reads made ones")
    now = 1_748_764_798 * SECOND
    messages = [read_spat(bytes.fromhex(text), now) for text in samples(THEIR_FRAMES, "SPAT")]
    assert sum(map(len, messages)) == 15
    assert all(
        g.state != SignalState.UNKNOWN
        for message in messages
        if len(message) == 1
        for spat in message
        for g in spat.groups
    )
    refused = [finding for message in messages for finding in message.refused]
    assert {(finding.entity, finding.field, finding.value) for finding in refused if finding.field == "startTime"} == {
        ("34051/18364 group 148", "startTime", "36028")
    }
    assert {finding.field for finding in refused} == {"startTime", "maxEndTime", "likelyTime"}, (
        "the others are ends out of order"
    )
    assert {spat.doubts for message in messages for spat in message} == {
        (),
        ("off",),
        ("noValidMAPisAvailableAtThisTime",),
    }


def test_time_marks_of_the_standard() -> None:
    t = 1_748_764_798_400_000_000
    assert (mark_of(t, t), minute_of_year(t)) == (35984, (217919, 58400))
    assert (mark_of(t + 5 * SECOND, t), minute_of_year(t + 5 * SECOND)[0]) == (34, 217920)
    assert time_of(34, t) == t + 5 * SECOND
    assert [time_of(mark, t) for mark in (None, 36000, 36001, -1)] == [None] * 4
    assert mark_of(t + HOUR, t) == 36000


groups = st.lists(
    st.builds(
        Group,
        st.integers(1, 255),
        st.sampled_from([s for s in SignalState if s != SignalState.GREEN_FLASH]),
        st.integers(0, 9000),
        st.none() | st.integers(9000, 17000),
        st.none() | st.integers(0, 17000),
        st.none() | st.sampled_from([0.21, 0.5, 1.0]),
        st.none() | st.integers(0, 17000),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda g: g.group,
)


@settings(max_examples=40)
@given(groups, st.integers(1_735_689_600_0, 1_767_225_599_9), st.integers(0, 127))
def test_a_spat_goes_out_and_comes_back(found: list[Group], tenths: int, revision: int) -> None:
    t = tenths * SECOND // 10
    moved = tuple(
        replace(
            g,
            **{
                name: None if getattr(g, name) is None else t + getattr(g, name) * SECOND // 10
                for name in ("min_end", "max_end", "likely_end", "next_green")
            },
        )
        for g in found
    )
    (back,) = read_spat(write_spat(300, revision, t, moved, region=10, frame=True), t)
    assert (back.intersection, back.revision, back.t) == ("10/300", revision, t)
    known = {0.21: 0.21, 0.5: 0.47, 1.0: 1.0, None: None}
    assert back.groups == tuple(replace(g, confidence=known[g.confidence]) for g in moved)


@pytest.mark.parametrize("name", ["intersection.json", "corridor-3.json"])
def test_a_map_goes_out_and_comes_back(name: str) -> None:
    code = codes.load(maps.path(name))
    sent = write_map(code, 300, region=10, frame=True)
    assert len(sent) < 2400
    (back,) = import_map(sent)
    assert write_map(back, 300, region=10, frame=True) == sent or _same(code, back)
    assert _same(code, back)


def _same(a: codes.IntersectionCode, b: codes.IntersectionCode) -> bool:
    x, y = codes.compile_code(a), codes.compile_code(b)
    keys = [{_key(c, k): k for k in range(c.n_lanes)} for c in (x, y)]
    assert len(keys[0]) == x.n_lanes == y.n_lanes
    pair = {keys[0][key]: keys[1][key] for key in keys[0]}
    for k, m in pair.items():
        p, q = (c.path_xy[c.path_start[i] : c.path_start[i + 1]] for c, i in ((x, k), (y, m)))
        assert max(_off(p, q), _off(q, p)) < 0.03
        assert (x.lane_use[k], x.lane_role[k], x.lane_width[k]) == (y.lane_use[m], y.lane_role[m], y.lane_width[m])
    mine = {
        (pair[f], pair[t], turn, x.group_ids[g])
        for f, t, turn, g in zip(x.conn_from, x.conn_to, x.conn_turn, x.conn_group, strict=True)
    }
    theirs = {
        (f, t, turn, y.group_ids[g])
        for f, t, turn, g in zip(y.conn_from, y.conn_to, y.conn_turn, y.conn_group, strict=True)
    }
    assert mine == theirs
    assert [(w.width_cm, w.group) for w in a.crosswalks] == [(w.width_cm, w.group) for w in b.crosswalks]
    return True


def _off(points, line) -> float:
    """Return how far (m) points are from a line, at most."""
    a, d = line[:-1], np.diff(line, axis=0)
    along = np.clip(((points[:, None] - a) * d).sum(axis=2) / (d**2).sum(axis=1), 0, 1)
    return float(np.hypot(*np.moveaxis(points[:, None] - a - along[..., None] * d, 2, 0)).min(axis=1).max())


def _key(code, k: int) -> tuple:
    end = code.path_xy[code.path_start[k + 1] - 1] if code.lane_role[k] == 0 else code.path_xy[code.path_start[k]]
    return (*(int(v) for v in np.rint(end)), int(code.lane_role[k]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda c: replace(
                c,
                lanes=(
                    replace(
                        c.lanes[0], points=tuple((397955000 + 100 * (k % 2), 1165080000 + 100 * k) for k in range(70))
                    ),
                    *c.lanes[1:],
                ),
            ),
            "63 nodes",
        ),
        (lambda c: replace(c, lanes=(replace(c.lanes[0], width_cm=2000), *c.lanes[1:])), "widths"),
        (
            lambda c: replace(
                c, connections=c.connections + tuple(replace(c.connections[0], id=f"C{k}") for k in range(50, 70))
            ),
            "16 connections",
        ),
        (lambda c: replace(c, crosswalks=c.crosswalks * 70), "255 lanes"),
    ],
)
def test_what_does_not_fit_is_named_never_cut(change, says: str) -> None:
    with pytest.raises(codes.CodeError, match=says):
        write_map(change(GOOD), 300)


def test_what_a_map_cannot_carry_is_told() -> None:
    assert {f.field for f in export_code(GOOD, "j2735", number=Number(300)).losses} >= {
        "conflicts",
        "plans",
        "connections.points",
    }


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", b"\x00\x12", b"\x00\x12\x90\xff\x00", b"\x00\x99\x01\x00", b"{", b"{}", b'{"payload":{}}', b"zz"],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(codes.CodeError):
        import_map(data)
    with pytest.raises(codes.CodeError):
        read_spat(data.replace(b"\x12", b"\x13"), 0)


def test_mapem_and_spatem_with_their_header() -> None:
    sent = write_map(GOOD, 300, region=10, station=7)
    assert sent[:6] == bytes((2, 5, 0, 0, 0, 7))
    assert _same(GOOD, import_map(sent)[0])
    assert codes.read_any(sent, "mapem")[0] == import_map(sent)[0]
    t = 1_748_764_798_400_000_000
    green = (Group(1, SignalState.GREEN_PROTECTED, t + SECOND, t + 2 * SECOND),)
    message = write_spat(300, 0, t, green, region=10, station=7)
    assert message[:6] == bytes((2, 4, 0, 0, 0, 7))
    assert read_spat(message, t)[0].groups == green


def test_a_gateway_makes_our_form_of_a_spat() -> None:
    t = 1_748_764_798_400_000_000
    server = Server("tcp://127.0.0.1:*", None, {})
    gateway = Gateway(server.address, ["r"], now=lambda: t)
    try:
        groups = (
            Group(1, SignalState.RED, t + 5 * SECOND, t + 5 * SECOND),
            Group(2, SignalState.GREEN_PROTECTED, t + 2 * SECOND),
        )
        for revision, frame in ((4, True), (9, False)):
            assert (
                gateway.spat(
                    "r", {"10/300": (GOOD.id, 5)}, write_spat(300, revision, t, groups, region=10, frame=frame)
                )
                == 1
            )
        assert gateway.spat("r", {"10/7": (GOOD.id, 5)}, write_spat(300, 4, t, groups, region=10)) == 0
        found = []
        for _ in range(200):
            found += [m for m in server.drain(16) if m.kind == b"S"]
            if len(found) == 2:
                break
            gateway.poll(10)
        first, second = (msgspec.msgpack.decode(m.body, type=Signal) for m in found)
        assert (first.intersection, first.revision, first.t, first.groups) == (GOOD.id, 5, t, groups)
        assert second.revision == 9, "a revision that is not the code's is passed on, for the node to see"
    finally:
        gateway.close()
        server.close()
    doubtful = as_signal(Spat(intersection="10/300", revision=4, t=t, groups=groups, doubts=("failureMode",)), 5)
    assert [g.state for g in doubtful[1]] == [SignalState.UNKNOWN] * 2


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["intersection.json", "corridor-2.json"]))
def test_a_map_of_the_common_profile_comes_back(seed: int, name: str) -> None:
    """Lanes with line, width, use and flags, movements with turn and group, crosswalks, revision: the same, lines to 3
    cm (a MAP counts in cm)."""
    code, rng = codes.load(maps.path(name)), np.random.default_rng(seed)
    groups = [0, *(g.id for g in code.signal_groups if g.kind == "vehicle")]
    lanes = tuple(
        replace(lane, width_cm=int(rng.integers(250, 400)), revocable=lane.use == "vehicle" and bool(rng.integers(2)))
        for lane in code.lanes
    )
    code = replace(
        code,
        lanes=lanes,
        connections=tuple(replace(c, group=int(rng.choice(groups))) for c in code.connections),
        revision=int(rng.integers(1, 129)),
    )
    (once,) = import_map(write_map(code, 300, region=10, frame=True))
    (twice,) = import_map(write_map(once, 300, region=10, frame=True))
    assert _same(code, once)
    assert _same(once, twice)
    assert once.revision == twice.revision == code.revision
    roles = {link.id: link.role for link in code.links}
    assert sum(lane.revocable for lane in once.lanes) == sum(
        lane.revocable for lane in code.lanes if roles[lane.link] != "upstream"
    )


def test_computed_lanes_and_nodes_in_degrees() -> None:
    """One lane moved aside from another, one with its nodes in degrees: the same place as with steps."""
    tree = map_tree(GOOD, 300, 10)
    plain = import_map(encode("MapData", tree))[0]
    lanes = tree["intersections"][0]["laneSet"]
    first, second = lanes[0], lanes[1]
    apart = [second["nodeList"][1][0]["delta"][1][k] - first["nodeList"][1][0]["delta"][1][k] for k in "xy"]
    assert [n["delta"][1] for n in first["nodeList"][1][1:]] == [n["delta"][1] for n in second["nodeList"][1][1:]]
    second["nodeList"] = (
        "computed",
        {"referenceLaneId": first["laneID"], "offsetXaxis": ("small", apart[0]), "offsetYaxis": ("small", apart[1])},
    )
    points = GOOD.lanes[0].points[::-1]
    first_nodes = [{"delta": ("node-LatLon", {"lon": lon, "lat": lat})} for lat, lon in points]
    lanes[0] = {**first, "nodeList": ("nodes", first_nodes)}
    found = import_map(encode("MapData", tree))
    assert _same(plain, found[0])
    second["nodeList"][1]["rotateXY"] = 40
    assert any("computed" in loss.detail for loss in import_map(encode("MapData", tree)).losses)
