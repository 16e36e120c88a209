"""SPAT of SAE J2735 / ISO/TS 19091 (SPATEM) <-> our signal states.

A field that is wrong costs only itself: see `spat_fields`. Times: see `spat_time`.
"""

from typing import Any

import msgspec

from ..codes.findings import CodeError, refuse
from ..codes.formats.messages.tree import MALFORMED
from ..codes.formats.messages.uper import decode, encode, framed, is_pdu, read_pdu, unframe, write_pdu
from ..schema import Group, SignalState
from .spat_events import Event, marked_event, next_green, present_event
from .spat_fields import (
    Refusals,
    Spat,
    Spats,
    Tree,
    as_signal,
    check_written,
    doubts_of,
    groups_of,
    name_of,
    note_ends,
    spats,
    time_of_message,
)
from .spat_time import MILLISECOND, UNKNOWN_MARK, ends_of, mark_of, minute_of_year, time_of

S = SignalState
STATE_OF_NAME = {  # MovementPhaseState
    "unavailable": S.UNKNOWN,
    "dark": S.DARK,
    "stop-Then-Proceed": S.RED_FLASH,
    "stop-And-Remain": S.RED,
    "pre-Movement": S.PRE_MOVEMENT,
    "permissive-Movement-Allowed": S.GREEN_PERMISSIVE,
    "protected-Movement-Allowed": S.GREEN_PROTECTED,
    "permissive-clearance": S.YELLOW_PERMISSIVE,
    "protected-clearance": S.YELLOW_PROTECTED,
    "caution-Conflicting-Traffic": S.YELLOW_FLASH,
}
STATES = tuple(STATE_OF_NAME)
NAME_OF_STATE = {state: name for name, state in STATE_OF_NAME.items()} | {S.GREEN_FLASH: "permissive-Movement-Allowed"}
# % of the sixteen levels
CONFIDENCE = (21, 36, 47, 56, 62, 68, 73, 77, 81, 85, 88, 91, 94, 96, 98, 100)
END_NAMES = ("minEndTime", "maxEndTime", "likelyTime")
MAX_GROUPS = 255


def read_spat(data: bytes, received: int) -> Spats:
    """Return the states that a SPAT holds: a frame or SPAT in UPER, or JSON; what was refused of them is in `.refused`.

    `received` (ns) decides what the message leaves open: the year, and the minute or all of its time. Raises CodeError
    where no intersection is valid.
    """
    refusals = Refusals("SPAT")
    try:
        tree = _tree(data)
        rows, minute = _rows(tree), tree.get("timeStamp")
    except MALFORMED as error:
        if isinstance(error, CodeError):
            raise

        raise refuse(
            "SPAT",
            "SPAT",
            field="fields",
            value=f"{error!r:.80}",
            rule="a SPAT has intersections, each with id, revision and states",
            remedy="correct the sender",
        ) from None

    return spats(rows, lambda row: _intersection(row, minute, received, refusals), refusals)


def _tree(data: bytes) -> Tree:
    if data.lstrip()[:1] == b"{":
        try:
            tree: Tree = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refuse(
                "SPAT",
                "SPAT",
                field="JSON",
                value=f"{len(data)} bytes",
                rule=f"cannot be read ({error})",
                remedy="give whole JSON",
            ) from None

        spat: Tree = tree.get("payload", {}).get("data", tree)
        return spat

    # Values out of their range are refused one by one, as those of JSON are: the message's other values are valid.
    if data[:2] == b"\x00\x13":
        return decode(*unframe(data), bounded=False)

    if is_pdu("SPATEM", data):
        return read_pdu("SPATEM", data, bounded=False)

    return decode("SPAT", data, bounded=False)


def _rows(tree: Tree) -> Any:
    return tree.get("intersections") or tree["intersectionStateList"]["intersectionStatelist"]


def _intersection(row: Tree, minute: Any, received: int, refusals: Refusals) -> Spat:
    name = name_of(row.get("id"), refusals)
    revision = refusals.number(name, "revision", row.get("revision"), 127)
    time_ns = time_of_message(name, row, minute, received, refusals)
    doubts = doubts_of(name, row.get("status"), refusals)

    movements = row.get("states")

    if isinstance(movements, dict):
        movements = movements.get("movementList")

    groups = groups_of(name, movements, "states", lambda movement: _group(name, movement, time_ns, refusals), refusals)
    return Spat(
        intersection=name, revision=revision, t=time_ns, groups=groups, doubts=doubts.states, time_doubts=doubts.times
    )


def _group(entity: str, movement: Tree, time_ns: int, refusals: Refusals) -> Group:
    """Return the state of one signal group: that of its present event, and when its next green begins. Raises CodeError
    for a wrong group number."""
    number = refusals.number(entity, "signalGroup", movement.get("signalGroup"), MAX_GROUPS, 1)
    name = f"{entity} group {number}"

    rows = _events(movement)

    if not isinstance(rows, list | tuple) or not rows:
        refusals.add(name, "state-time-speed", rows, "must be a list of events, the present one first")
        return refusals.unknown(number)

    events, timings = [], []
    for row in rows:
        timings.append(_timing(name, row, refusals))
        events.append(_event(name, row, timings[-1], time_ns, refusals, is_alone=len(rows) == 1))

    present = present_event(name, "state-time-speed", events, time_ns, refusals)
    if present is None or present.state is None:
        return refusals.unknown(number)

    green = next_green(events, present)
    next_time = refusals.mark(name, "nextTime", timings[events.index(present)].get("nextTime"))

    return Group(
        group=number,
        state=present.state,
        min_end=present.ends.earliest,
        max_end=present.ends.greatest,
        likely_end=present.ends.likely,
        confidence=present.confidence,
        next_green=time_of(next_time, time_ns) if green is None else green.announced,
    )


def _event(entity: str, row: Any, timing: Tree, time_ns: int, refusals: Refusals, *, is_alone: bool) -> Event:
    state = _phase_state(entity, row, refusals)
    low, high, likely = (refusals.mark(entity, field, timing.get(field)) for field in END_NAMES)
    start = refusals.mark(entity, "startTime", timing.get("startTime"))

    ends = note_ends(entity, ends_of(low, high, likely, time_ns), END_NAMES, (low, high, likely), refusals)
    level = refusals.optional(entity, "confidence", timing.get("confidence"), len(CONFIDENCE) - 1)
    confidence = None if level is None else CONFIDENCE[level] / 100
    return marked_event(state, start, ends, confidence, time_ns, is_alone=is_alone)


def _events(movement: Tree) -> Any:
    """Return the events of a movement, by either of the two names that JSON encoders give the field."""
    events = movement.get("state-time-speed")
    if events is not None:
        return events
    outer = movement.get("state_time_speed")
    return outer.get("movementEventList") if isinstance(outer, dict) else outer


def _phase_state(entity: str, event: Any, refusals: Refusals) -> SignalState | None:
    value = event.get("eventState") if isinstance(event, dict) else event
    state = STATE_OF_SPELLING.get(_spelling(value)) if isinstance(value, str) else None
    if state is None:
        refusals.add(entity, "eventState", value, "is no MovementPhaseState")
    return state


def _spelling(name: str) -> str:
    """Return a name as it is compared: encoders differ in case and dashes."""
    return name.replace("-", "_").upper()


STATE_OF_SPELLING = {_spelling(name): state for name, state in STATE_OF_NAME.items()}


def _timing(entity: str, event: Any, refusals: Refusals) -> Tree:
    timing = event.get("timing") if isinstance(event, dict) else None
    if timing is not None and not isinstance(timing, dict):
        refusals.add(entity, "timing", timing, "must give minEndTime and what else is known")
    return timing if isinstance(timing, dict) else {}


def write_spat(
    intersection: int,
    revision: int,
    time_ns: int,
    groups: tuple[Group, ...],
    *,
    region: int | None = None,
    frame: bool = False,
    station: int | None = None,
) -> bytes:
    """Return a SPAT in UPER: bare, in a J2735 frame, or as the SPATEM of a `station`. Raises CodeError.

    `revision` is the wire's (0 .. 127). An end that is not known is 36001, an hour or more 36000; an earliest end that
    has passed is `time_ns`, another is not known.
    """
    check_written("SPAT", groups, MAX_GROUPS, "movements")
    time_ns = time_ns // MILLISECOND * MILLISECOND  # as it is read back
    minute, ms = minute_of_year(time_ns)
    number = {"id": intersection} if region is None else {"region": region, "id": intersection}

    row = {
        "id": number,
        "revision": revision % 128,
        "status": (0, 16),
        "moy": minute,
        "timeStamp": ms,
        "states": [_movement(group, time_ns) for group in groups],
    }

    tree = {"intersections": [row]}
    if station is not None:
        return write_pdu("SPATEM", tree, station)

    body = encode("SPAT", tree)
    return framed("SPAT", body) if frame else body


def _movement(group: Group, time_ns: int) -> dict[str, Any]:
    earliest = mark_of(group.min_end, time_ns)
    if group.min_end is not None and earliest == UNKNOWN_MARK:
        earliest = mark_of(time_ns, time_ns)

    timing = {"minEndTime": earliest}
    for name, time in (("maxEndTime", group.max_end), ("likelyTime", group.likely_end), ("nextTime", group.next_green)):
        if time is not None:
            timing[name] = mark_of(time, time_ns)

    if group.confidence is not None:
        percent = group.confidence * 100 + 1e-6
        timing["confidence"] = max([level for level, floor in enumerate(CONFIDENCE) if floor <= percent], default=0)

    return {
        "signalGroup": group.group,
        "state-time-speed": [{"eventState": NAME_OF_STATE[SignalState(group.state)], "timing": timing}],
    }


__all__ = ["CodeError", "Spat", "Spats", "as_signal", "mark_of", "minute_of_year", "read_spat", "time_of", "write_spat"]
