"""SPAT of YD/T 3709 / T/CSAE 53 in JSON <-> our signal states. Both kinds of timing are read, counting down is written.

Counts are tenths of a second from the message's own time, 36000 an hour or more, 36001 not known; marks are those of
`spat_time`. Yellow does not show what green came before it: it is read as permissive, the more careful. Red and yellow
at once is written as red. A SPAT has no revision of the MAP. A field that is wrong costs only itself: see
`spat_fields`.
"""

from typing import Any

import msgspec

from ..codes.findings import refuse
from ..codes.formats.messages.tree import MALFORMED
from ..codes.formats.ydt.link import list_items
from ..schema import Group, SignalState
from .spat_events import Event, marked_event, next_green, present_event
from .spat_fields import (
    MAX_GROUP,
    STATUS_BITS,
    Refusals,
    Spat,
    Spats,
    Tree,
    check_written,
    doubts_of,
    each,
    groups_of,
    name_of,
    note_ends,
    spats,
    time_of_message,
)
from .spat_time import (
    HOUR,
    HOUR_OR_MORE,
    MAX_MARK,
    MAX_WRITTEN_PAST,
    TENTH,
    UNKNOWN_MARK,
    Ends,
    ends_of,
    minute_of_year,
)

S = SignalState
STATE_OF_LIGHT = {  # LightState, in the order of its numbers
    "unavailable": S.UNKNOWN,
    "dark": S.DARK,
    "flashing-red": S.RED_FLASH,
    "red": S.RED,
    "flashing-green": S.GREEN_FLASH,
    "permissive-green": S.GREEN_PERMISSIVE,
    "protected-green": S.GREEN_PROTECTED,
    "yellow": S.YELLOW_PERMISSIVE,
    "flashing-yellow": S.YELLOW_FLASH,
}
LIGHTS = tuple(STATE_OF_LIGHT)
LIGHT_OF_STATE = {state: light for light, state in STATE_OF_LIGHT.items()} | {
    S.YELLOW_PROTECTED: "yellow",
    S.PRE_MOVEMENT: "red",
}
MAX_PHASES = 16
MAX_CONFIDENCE = 200  # of timeConfidence, in steps of 0.5 %
COUNT_NAMES = ("minEndTime", "maxEndTime", "likelyEndTime")
MARK_NAMES = ("minEndUTCTime", "maxEndUTCTime", "likelyEndUTCTime")


def read_ydt_spat(data: bytes, received: int) -> Spats:
    """Return the states that a SPAT holds; what was refused of them is in `.refused`.

    `received` (ns) decides what the message leaves open of its time. Raises CodeError, naming the field, where no
    intersection is valid.
    """
    refusals = Refusals("YD/T 3709 SPAT", text=True)
    try:
        tree = msgspec.json.decode(data)
        tree = tree.get("spatFrame", tree)
        intersections, minute = list_items(tree["intersections"], "IntersectionState"), tree.get("moy")
    except (msgspec.DecodeError, RecursionError, *MALFORMED) as error:
        raise refuse(
            "YD/T 3709 SPAT",
            "SPAT",
            field="fields",
            value=f"{error!r:.80}",
            rule="a SPAT has intersections, each with intersectionId, status and phases",
            remedy="correct the sender",
        ) from None

    return spats(intersections, lambda row: _intersection(row, minute, received, refusals), refusals)


def _intersection(row: Tree, minute: Any, received: int, refusals: Refusals) -> Spat:
    name = name_of(row.get("intersectionId"), refusals)
    time_ns = time_of_message(name, row, minute, received, refusals)
    doubts = doubts_of(name, row.get("status"), refusals)
    phases = list_items(row.get("phases"), "Phase")
    groups = groups_of(name, phases, "phases", lambda phase: _group(name, phase, time_ns, refusals), refusals)

    return Spat(
        intersection=name, revision=None, t=time_ns, groups=groups, doubts=doubts.states, time_doubts=doubts.times
    )


def _group(entity: str, phase: Tree, time_ns: int, refusals: Refusals) -> Group:
    """Return the state of one signal group: that of its present phase state, and its next green. Raises CodeError for a
    wrong number."""
    number = refusals.number(entity, "phases.id", phase.get("id"), MAX_GROUP, 1)
    name = f"{entity} group {number}"

    rows = list_items(phase.get("phaseStates"), "PhaseState")
    is_alone = isinstance(rows, list | tuple) and len(rows) == 1
    states = each(
        rows,
        lambda state: _phase_state(name, state, time_ns, refusals, is_alone=is_alone),
        name,
        "phaseStates",
        refusals,
    )

    present = present_event(name, "phaseStates", states, time_ns, refusals)
    if present is None or present.state is None:
        return refusals.unknown(number)

    green = next_green(states, present)
    return Group(
        group=number,
        state=present.state,
        min_end=present.ends.earliest,
        max_end=present.ends.greatest,
        likely_end=present.ends.likely,
        confidence=present.confidence,
        next_green=None if green is None else green.announced,
        next_duration=None if green is None else _duration(green),
    )


def _duration(green: Event) -> int | None:
    """Return how long a green to come is likely to last, ns; None where not known."""
    if green.announced is None or green.ends.likely is None or green.ends.likely < green.announced:
        return None
    return green.ends.likely - green.announced


def _phase_state(entity: str, state: Tree, time_ns: int, refusals: Refusals, *, is_alone: bool) -> Event:
    light = _light(entity, state.get("light"), refusals)
    untimed = Event(light, start=None, announced=None, ends=Ends(None, None, None))
    timing = state.get("timing")

    if not timing:
        return untimed

    if not isinstance(timing, dict) or len(timing) != 1:
        refusals.add(entity, "timing", timing, "must be one of counting and utcTiming")
        return untimed

    # A CHOICE: one of two forms, a countdown or marks within the hour
    ((kind, value),) = timing.items()
    if kind not in ("counting", "utcTiming") or not isinstance(value, dict):
        refusals.add(entity, "timing", timing, "must be one of counting and utcTiming")
        return untimed

    names = COUNT_NAMES if kind == "counting" else MARK_NAMES
    low, high, likely = (refusals.mark(entity, field, value.get(field)) for field in names)
    begins = refusals.mark(entity, "start", value.get("startTime" if kind == "counting" else "startUTCTime"))
    steps = refusals.optional(entity, "timeConfidence", value.get("timeConfidence"), MAX_CONFIDENCE)

    confidence = None if steps is None else steps / MAX_CONFIDENCE

    if kind == "utcTiming":
        ends = note_ends(entity, ends_of(low, high, likely, time_ns), names, (low, high, likely), refusals)
        return marked_event(light, begins, ends, confidence, time_ns, is_alone=is_alone)

    ends = Ends(earliest=_counted(low, time_ns), greatest=_counted(high, time_ns), likely=_counted(likely, time_ns))
    note_ends(entity, ends, names, (low, high, likely), refusals)
    announced = _counted(begins, time_ns)

    return Event(
        state=light,
        start=time_ns + HOUR if begins == HOUR_OR_MORE else announced,
        announced=announced,
        ends=ends,
        confidence=confidence,
    )


def _light(entity: str, value: Any, refusals: Refusals) -> SignalState | None:
    """Return the state of a light, by name (as text, or as the one key of an object) or number; None where it is
    refused."""
    name = next(iter(value), None) if isinstance(value, dict) else value
    number = None
    if isinstance(name, int) or (isinstance(name, str) and name.isdecimal()):
        number = refusals.optional(entity, "light", name, len(LIGHTS) - 1)

    state = None
    if number is not None:
        state = STATE_OF_LIGHT[LIGHTS[number]]
    elif isinstance(name, str):
        state = STATE_OF_LIGHT.get(name.replace("_", "-"))

    if state is None:
        refusals.add(entity, "light", value, "is no LightState")

    return state


def _counted(count: int | None, time_ns: int) -> int | None:
    """Return ns of a count from `time_ns`; None for counts that name no time."""
    return None if count is None or count > MAX_MARK else time_ns + count * TENTH


def write_ydt_spat(intersection: int, time_ns: int, groups: tuple[Group, ...], *, region: int = 0) -> bytes:
    """Return a SPAT in JSON. A likely end that is not known is 36001, or the end where its bounds leave no choice.
    Raises CodeError."""
    check_written("YD/T 3709 SPAT", groups, MAX_PHASES, "phases")
    minute, ms = minute_of_year(time_ns)

    row = {
        "intersectionId": {"region": region, "id": intersection},
        "status": "0" * STATUS_BITS,
        "moy": minute,
        "timeStamp": ms,
        "phases": [_phase(group, time_ns) for group in groups],
    }

    return msgspec.json.encode({"msgCnt": 0, "intersections": [row]})


def _phase(group: Group, time_ns: int) -> Tree:
    likely = group.likely_end
    if likely is None and group.min_end == group.max_end:
        likely = group.max_end

    timing: Tree = {"startTime": 0, "likelyEndTime": _count(likely, time_ns)}
    if group.min_end is not None:
        timing["minEndTime"] = _count(max(group.min_end, time_ns), time_ns)  # what has passed: at any moment

    if group.max_end is not None:
        timing["maxEndTime"] = _count(group.max_end, time_ns)

    if group.confidence is not None:
        timing["timeConfidence"] = int(group.confidence * MAX_CONFIDENCE + 1e-6)

    states = [{"light": LIGHT_OF_STATE[SignalState(group.state)], "timing": {"counting": timing}}]
    if group.next_green is not None:
        end = None if group.next_duration is None else group.next_green + group.next_duration
        states.append(
            {
                "light": "permissive-green",
                "timing": {
                    "counting": {"startTime": _count(group.next_green, time_ns), "likelyEndTime": _count(end, time_ns)}
                },
            }
        )

    return {"id": group.group, "phaseStates": states}


def _count(time: int | None, time_ns: int) -> int:
    """Return the tenths of a second from `time_ns` to `time`, ns; what passed more than MAX_WRITTEN_PAST ago is not
    known."""
    if time is None or time <= time_ns - MAX_WRITTEN_PAST:
        return UNKNOWN_MARK
    return min(max(time - time_ns, 0) // TENTH, HOUR_OR_MORE)
