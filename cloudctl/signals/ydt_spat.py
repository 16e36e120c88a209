"""SPAT of YD/T 3709 / T/CSAE 53 in JSON <-> our signal states. Both kinds of timing are read, counting down is written.

Counts are tenths of a second from the message's own time, 36000 an hour or more, 36001 not known; marks are those of `spat_time`. Yellow does not say
what green came before it: it is read as permissive, the more careful. Red and yellow at once is written as red. A SPAT has no revision of the MAP.
What is wrong loses only itself: see `spat_reading`.
"""

from typing import Any, NamedTuple

import msgspec

from cloudctl.schema import Group, SignalState

from ..codes.findings import refuse
from ..codes.formats.messages.bit_strings import read_bits
from ..codes.formats.messages.tree import MALFORMED
from ..codes.formats.ydt.link import list_items
from .spat_fields import (
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
from .spat_time import HOUR, HOUR_OR_MORE, MAX_MARK, TENTH, UNKNOWN_MARK, Ends, ends_of, minute_of_year, time_of

LIGHTS = (
    "unavailable",
    "dark",
    "flashing-red",
    "red",
    "flashing-green",
    "permissive-green",
    "protected-green",
    "yellow",
    "flashing-yellow",
)
S = SignalState
READ = dict(
    zip(
        LIGHTS,
        (
            S.UNKNOWN,
            S.DARK,
            S.RED_FLASH,
            S.RED,
            S.GREEN_FLASH,
            S.GREEN_PERMISSIVE,
            S.GREEN_PROTECTED,
            S.YELLOW_PERMISSIVE,
            S.YELLOW_FLASH,
        ),
        strict=True,
    )
)
WRITTEN = {state: light for light, state in READ.items()} | {S.YELLOW_PROTECTED: "yellow", S.PRE_MOVEMENT: "red"}
MAX_PHASES = 16
MAX_CONFIDENCE = 200  # of timeConfidence, in steps of 0.5 %
GREEN = (S.GREEN_PERMISSIVE, S.GREEN_PROTECTED)
COUNT_NAMES = ("minEndTime", "maxEndTime", "likelyEndTime")
MARK_NAMES = ("minEndUTCTime", "maxEndUTCTime", "likelyEndUTCTime")


class PhaseState(NamedTuple):
    """One state of a phase, of the present or to come; times in ns, None where not known."""

    state: SignalState | None  # None: refused
    start: int | None
    earliest: int | None = None
    greatest: int | None = None
    likely: int | None = None
    confidence: float | None = None


def read_ydt_spat(data: bytes, received: int) -> Spats:
    """Return the states a SPAT holds; what was refused of them is in `.refused`.

    `received`, ns, tells what the message leaves open of its time. Raises CodeError, naming the field, where no intersection is as it should be.
    """
    refusals = Refusals("YD/T 3709 SPAT", text=True)
    try:
        tree = msgspec.json.decode(data)
        tree = tree.get("spatFrame", tree)
        found, minute = list_items(tree["intersections"], "IntersectionState"), tree.get("moy")
    except (msgspec.DecodeError, RecursionError, *MALFORMED) as error:
        raise refuse(
            "YD/T 3709 SPAT",
            "SPAT",
            "fields",
            f"{error!r:.80}",
            "a SPAT has intersections, each with intersectionId, status and phases",
            "correct the sender",
        ) from None
    return spats(found, lambda row: _state(row, minute, received, refusals), refusals)


def _state(row: Tree, minute: Any, received: int, refusals: Refusals) -> Spat:
    name = name_of(row.get("intersectionId"), refusals)
    t = time_of_message(name, row, minute, received, refusals)
    try:
        flags = read_bits(row.get("status"), STATUS_BITS)
    except MALFORMED:
        raise refusals.error(name, "status", row.get("status"), f"must be {STATUS_BITS} bits") from None
    states, times = doubts_of(flags)
    groups = groups_of(
        name, list_items(row.get("phases"), "Phase"), "phases", lambda phase: _group(name, phase, t, refusals), refusals
    )
    return Spat(name, None, t, groups, states, times)


def _group(entity: str, phase: Tree, t: int, refusals: Refusals) -> Group:
    number = refusals.number(entity, "phases.id", phase.get("id"), 255, 1)
    name = f"{entity} group {number}"
    timed = each(
        list_items(phase.get("phaseStates"), "PhaseState"),
        lambda state: _phase_state(name, state, t, refusals),
        name,
        "phaseStates",
        refusals,
    )

    # The present state has begun; one without a start is it only where no other says so. A start is cut to a tenth, or rounded up.
    now = next(
        (row for row in timed if row.start is not None and row.start <= t + TENTH),
        next((row for row in timed if row.start is None), None),
    )
    if now is None or now.state is None:
        if now is None:
            refusals.add(
                name, "phaseStates", f"{len(timed)} states", "none of them has begun: the present state is not known"
            )
        return refusals.unknown(number)
    green = next(
        (row for row in timed if row is not now and row.state in GREEN and row.start is not None and row.start > t),
        None,
    )
    begins = None if green is None else green.start
    duration = green.likely - begins if green is not None and begins is not None and green.likely is not None else None
    return Group(number, now.state, now.earliest, now.greatest, now.likely, now.confidence, begins, duration)


def _phase_state(entity: str, state: Tree, t: int, refusals: Refusals) -> PhaseState:
    light = _light(entity, state.get("light"), refusals)
    timing = state.get("timing")
    if not timing:
        return PhaseState(light, None)
    if not isinstance(timing, dict) or len(timing) != 1:
        refusals.add(entity, "timing", timing, "must be one of counting and utcTiming")
        return PhaseState(light, None)
    ((kind, value),) = timing.items()
    if kind not in ("counting", "utcTiming") or not isinstance(value, dict):
        refusals.add(entity, "timing", timing, "must be one of counting and utcTiming")
        return PhaseState(light, None)

    names = COUNT_NAMES if kind == "counting" else MARK_NAMES
    low, high, likely = (refusals.mark(entity, field, value.get(field)) for field in names)
    begins = refusals.mark(entity, "start", value.get("startTime" if kind == "counting" else "startUTCTime"))
    share = refusals.optional(entity, "timeConfidence", value.get("timeConfidence"), MAX_CONFIDENCE)
    if kind == "counting":
        ends = Ends(_counted(low, t), _counted(high, t), _counted(likely, t))
        start = t + HOUR if begins == HOUR_OR_MORE else _counted(begins, t)
    else:
        ends = ends_of(low, high, likely, t)
        start = _started(
            begins, next((end for end in (ends.likely, ends.greatest, ends.earliest) if end is not None), None), t
        )
    note_ends(entity, ends, names, (low, high, likely), refusals)
    return PhaseState(
        light, start, ends.earliest, ends.greatest, ends.likely, None if share is None else share / MAX_CONFIDENCE
    )


def _light(entity: str, value: Any, refusals: Refusals) -> SignalState | None:
    name = next(iter(value), None) if isinstance(value, dict) else value
    number = (
        refusals.optional(entity, "light", name, len(LIGHTS) - 1)
        if isinstance(name, int) or (isinstance(name, str) and name.isdecimal())
        else None
    )
    state = READ.get(LIGHTS[number] if number is not None else name.replace("_", "-") if isinstance(name, str) else "")
    if state is None:
        refusals.add(entity, "light", value, "is no LightState")
    return state


def _counted(count: int | None, t: int) -> int | None:
    return None if count is None or count > MAX_MARK else t + count * TENTH


def _started(mark: int | None, end: int | None, t: int) -> int | None:
    """Return when a state begins, or began, by its mark: no later than it ends; where that is not known, the time nearest to the message."""
    start = time_of(mark, t)
    if start is None:
        return None
    latest = t + HOUR // 2 if end is None else end
    return start - HOUR if start > latest else start


def write_ydt_spat(intersection: int, t: int, groups: tuple[Group, ...], *, region: int = 0) -> bytes:
    """Return a SPAT in JSON. A likely end that is not known is 36001, or the end where its bounds leave no choice. Raises CodeError."""
    check_written("YD/T 3709 SPAT", groups, MAX_PHASES, "phases")
    minute, ms = minute_of_year(t)
    row = {
        "intersectionId": {"region": region, "id": intersection},
        "status": "0" * STATUS_BITS,
        "moy": minute,
        "timeStamp": ms,
        "phases": [_phase(g, t) for g in groups],
    }
    return msgspec.json.encode({"msgCnt": 0, "intersections": [row]})


def _phase(group: Group, t: int) -> Tree:
    likely = group.likely_end
    if likely is None and group.min_end == group.max_end:
        likely = group.max_end
    timing: Tree = {"startTime": 0, "likelyEndTime": _count(likely, t)}
    for name, at in (("minEndTime", group.min_end), ("maxEndTime", group.max_end)):
        if at is not None:
            timing[name] = _count(at, t)
    if group.confidence is not None:
        timing["timeConfidence"] = int(group.confidence * MAX_CONFIDENCE + 1e-6)
    states = [{"light": WRITTEN[SignalState(group.state)], "timing": {"counting": timing}}]
    if group.next_green is not None:
        end = None if group.next_duration is None else group.next_green + group.next_duration
        states.append(
            {
                "light": "permissive-green",
                "timing": {"counting": {"startTime": _count(group.next_green, t), "likelyEndTime": _count(end, t)}},
            }
        )
    return {"id": group.group, "phaseStates": states}


def _count(at: int | None, t: int) -> int:
    return UNKNOWN_MARK if at is None else min(max(at - t, 0) // TENTH, HOUR_OR_MORE)
