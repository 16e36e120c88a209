"""Makes the messages and recordings of tests/data anew: `PYTHONPATH=. python tests/make_data.py`.

They have the shapes that roadside units, the ODE of the US DOT and data sets of intersections have, and the content of
the shipped
intersection, so that a clean clone tests what else needs recordings that may not be passed on. test_made_data.py holds
script and files together.
"""

import json
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace
from paths import DATA
from pycrate_asn1dir.ITS_IS import DSRC

from cloudctl import codes, maps
from cloudctl.codes.formats.j2735.encode import map_tree, write_map
from cloudctl.codes.formats.messages.uper import encode, framed
from cloudctl.codes.formats.ydt.export import write_ydt_map
from cloudctl.schema import Group, SignalState
from cloudctl.signals.spat import write_spat

MS, SECOND = 10**6, 10**9
T = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z: the beginning of an hour, so that time marks count from it
INTERSECTION = 300
CODE = codes.load(maps.path("intersection.json"))
SHAPES = ("intersection.json", *(f"corridor-{k}.json" for k in range(1, 6)))
S = SignalState
ODE_STATE = {
    S.RED: "STOP_AND_REMAIN",
    S.GREEN_PROTECTED: "PROTECTED_MOVEMENT_ALLOWED",
    S.YELLOW_PROTECTED: "PROTECTED_CLEARANCE",
}
OTHER_FRAMES = {
    "BSM": 20,
    "TIM": 31,
    "PSM": 32,
    "SDSM": 41,
}  # kinds that are not read, only recognised by the frame's id

Moment = tuple[int, tuple[Group, ...]]  # ms from T, and what every group shows


# --- UPER frames as hex text ---


def frames() -> dict[str, list[dict[str, str]]]:
    """Return frames by kind: maps of the shipped codes, SPaT with and without faults, requests, and kinds that are not
    read.
    """
    maps_sent = [write_map(codes.load(maps.path(name)), INTERSECTION, region=10, frame=True) for name in SHAPES]
    request = {"id": {"id": INTERSECTION}, "requestID": 1, "requestType": "priorityRequest", "inBoundLane": ("lane", 1)}
    sender = {"id": ("stationID", 7)}
    requests = {"second": 1000, "requests": [{"request": request}], "requestor": sender}
    status = {
        "sequenceNumber": 1,
        "id": {"id": INTERSECTION},
        "sigStatus": [{"inboundOn": ("lane", 1), "status": "granted"}],
    }
    by_kind = {
        "MAP": maps_sent,
        "SPAT": list(spat_frames()),
        "SRM": [framed("SignalRequestMessage", encode("SignalRequestMessage", requests))],
        "SSM": [framed("SignalStatusMessage", encode("SignalStatusMessage", {"second": 1000, "status": [status]}))],
    }
    for kind, number in OTHER_FRAMES.items():
        by_kind[kind] = [number.to_bytes(2) + bytes([size]) + bytes(range(size)) for size in (16, 40)]
    return {kind: [{"hex": frame.hex().upper(), "source": "made"} for frame in sent] for kind, sent in by_kind.items()}


def spat_frames() -> Iterator[bytes]:
    """Yield one SPaT without a fault, one whose light is off, and two whose ends are out of order."""
    good = tuple(Group(number, S.RED, T + 5 * SECOND, T + 9 * SECOND) for number in (1, 2))
    for groups in (
        good,
        (replace(good[0], state=S.DARK), good[1]),
        (replace(good[0], max_end=T + 4 * SECOND), good[1]),
        (replace(good[0], likely_end=T + 20 * SECOND), good[1]),
    ):
        yield write_spat(INTERSECTION, CODE.revision, T, groups, frame=True)


# --- recordings of signals, in lines of KIND,ms,JSON as the ODE's converters write them ---


def ode_map() -> dict[str, Any]:
    """Return the shipped intersection's MAP in JSON within the ODE's envelope."""
    DSRC.MapData.set_val(map_tree(CODE, INTERSECTION))
    return {"metadata": {"recordType": "mapTx"}, "payload": {"data": json.loads(DSRC.MapData.to_jer())}}


def ode_spat(groups: tuple[Group, ...]) -> dict[str, Any]:
    """Return a SPaT as the ODE decodes it: its state names, ends as tenths of a second within the hour."""
    movements = []
    for group in groups:
        timing = {"minEndTime": tenths(group.min_end), "maxEndTime": tenths(group.max_end)}
        event = {"eventState": ODE_STATE[group.state], "timing": timing}
        movements.append({"signalGroup": group.group, "state_time_speed": {"movementEventList": [event]}})
    row = {"id": {"id": INTERSECTION}, "revision": CODE.revision, "states": {"movementList": movements}}
    return {"payload": {"data": {"intersectionStateList": {"intersectionStatelist": [row]}}}}


def processed_spat(groups: tuple[Group, ...], *, revision: int, late_ms: int) -> dict[str, Any]:
    """Return a SPaT as the ODE's monitor keeps it: with a time stamp that its player fills in, `late_ms` before the
    moment of playing.
    """
    states = []
    for group in groups:
        timing = {"minEndTime": f"@{tenths(group.min_end) / 10}@", "maxEndTime": f"@{tenths(group.max_end) / 10}@"}
        states.append(
            {
                "signalGroup": group.group,
                "stateTimeSpeed": [{"eventState": ODE_STATE[group.state], "timing": timing}],
            }
        )
    return {"messageType": "SPAT", "utcTimeStamp": f"@MILLIS_{-late_ms}@", "revision": revision, "states": states}


def tenths(t: int | None) -> int:
    """Return a time as tenths of a second from T."""
    assert t is not None
    return (t - T) // (100 * MS)


def phases(shows: list[dict[int, SignalState]], *, step_ms: int = 200, each: int = 5) -> list[Moment]:
    """Return each of `shows` (group: state; red else) for `each` messages, every end at the end of what is shown."""
    moments = []
    for k, shown in enumerate(shows):
        end = T + (k + 1) * each * step_ms * MS
        groups = tuple(Group(g.id, shown.get(g.id, S.RED), end, end) for g in CODE.signal_groups)
        moments += [((k * each + i) * step_ms, groups) for i in range(each)]
    return moments


def crossing_groups() -> tuple[int, int]:
    """Return the first two groups of vehicles whose straight movements cross."""
    by_id = {c.id: c for c in CODE.connections}
    vehicles = {g.id for g in CODE.signal_groups if g.kind == "vehicle"}
    pairs = [(by_id[c.a], by_id[c.b]) for c in CODE.conflicts]
    return min(
        (a.group, b.group)
        for a, b in pairs
        if (a.turn, b.turn) == ("straight", "straight") and {a.group, b.group} <= vehicles and a.group != b.group
    )


def recordings() -> dict[str, list[str]]:
    """Return the lines of each recording by the check it trips; `none` trips none."""
    first, second = crossing_groups()
    green, yellow = S.GREEN_PROTECTED, S.YELLOW_PROTECTED
    in_order = phases([{first: green}, {first: yellow}, {}, {second: green}, {second: yellow}, {}])
    both = phases([{first: green, second: green}])
    swapped = [
        (ms, tuple(replace(group, max_end=group.min_end - 500 * MS) for group in groups)) for ms, groups in in_order[:5]
    ]
    still = phases([{}], step_ms=500)
    return {
        "none": [line("MAP", 0, ode_map()), *(line("SPAT", ms, ode_spat(groups)) for ms, groups in in_order)],
        "conflict": [line("MAP", 0, ode_map()), *(line("SPAT", ms, ode_spat(groups)) for ms, groups in both)],
        "end_order": [line("SPAT", ms, ode_spat(groups)) for ms, groups in swapped],
        "revision": [
            line("ProcessedSpat", ms, processed_spat(groups, revision=CODE.revision + 1 + k % 2, late_ms=50))
            for k, (ms, groups) in enumerate(still)
        ],
        "age": [
            line("ProcessedSpat", ms, processed_spat(groups, revision=CODE.revision, late_ms=3000))
            for ms, groups in still
        ],
    }


def line(kind: str, ms: int, body: dict[str, Any]) -> str:
    """Return one line of a recording."""
    return f"{kind},{ms},{json.dumps(body, separators=(',', ':'))}"


def lights() -> list[str]:
    """Return eight heads of a four-phase signal as a data set records them: a row where anything changes; 0 red, 1
    green, 3 yellow.
    """
    rows = ["RawFrameID,timestamp(ms)," + ",".join(f"Traffic light {k}" for k in range(1, 9))]
    frame, last = 0, None
    for cycle in range(4):
        for phase in range(4):
            for value, frames_shown in (("1", 600 + 30 * cycle), ("3", 90), ("0", 60)):
                shown = [value if k % 4 == phase else "0" for k in range(8)]  # heads k and k + 4 face each other
                if shown != last:
                    rows.append(f"{frame},{frame * 1000 / 30:.3f},{','.join(shown)}")
                frame, last = frame + frames_shown, shown
    return rows


def page() -> str:
    """Return a page of a manual with a MAP of YD/T 3709 in it, as JSON with comments, as vendors print them."""
    sent = json.loads(write_ydt_map(CODE, 19, region=10))
    body = json.dumps(sent, indent=1).replace("{", "{ // an object", 1)
    return f"# A MAP message\n\nAs a roadside unit sends it:\n\n```json\n{body}\n```\n"


def files() -> dict[str, str]:
    """Return the text of each file by its path in tests/data."""
    texts = {f"messages/recordings/{name}.csv": "\n".join(lines) + "\n" for name, lines in recordings().items()}
    texts["messages/uper_hex.json"] = json.dumps(frames(), indent=1) + "\n"
    texts["messages/ydt_map_page.md"] = page()
    texts["lights.csv"] = "\n".join(lights()) + "\n"
    return texts


if __name__ == "__main__":
    for name, text in files().items():
        path = DATA / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"wrote {path}, {len(text)} bytes")
