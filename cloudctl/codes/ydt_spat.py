"""SPAT of YD/T 3709 / T/CSAE 53 in JSON <-> our signal states. Both kinds of timing are read, counting down is written.

Counts are tenths of a second from the message's own time, 36000 "far off"; marks are tenths within the UTC hour. Yellow does not say
what green came before it: it is read as permissive, the more careful. Red and yellow at once is written as red.
"""

from typing import Any

import msgspec

from cloudctl.schema import Group, SignalState

from .findings import refuse
from .spat import FAR, TENTH, Spat, minute_of_year, moment, time_of
from .ydt import bits, rows

LIGHTS = ("unavailable", "dark", "flashing-red", "red", "flashing-green", "permissive-green", "protected-green", "yellow", "flashing-yellow")
S = SignalState
READ = dict(zip(LIGHTS, (S.UNKNOWN, S.DARK, S.RED_FLASH, S.RED, S.GREEN_FLASH, S.GREEN_PERMISSIVE, S.GREEN_PROTECTED, S.YELLOW_PERMISSIVE, S.YELLOW_FLASH), strict=True))
WRITTEN = {state: light for light, state in READ.items()} | {S.YELLOW_PROTECTED: "yellow", S.PRE_MOVEMENT: "red"}
DOUBTS = {2: "failureFlash", 8: "failureMode", 9: "off", 12: "noValidMAPisAvailableAtThisTime", 13: "noValidSPATisAvailableAtThisTime"}  # bits of status
PHASES = 16
GREEN = (S.GREEN_PERMISSIVE, S.GREEN_PROTECTED)
Tree = dict[str, Any]


def read_ydt_spat(data: bytes, received: int) -> list[Spat]:
    """Return the states a SPAT holds; `received`, ns, tells the year. Raises CodeError naming the field."""
    try:
        tree = msgspec.json.decode(data)
        tree = tree.get("spatFrame", tree)
        return [_state(row, tree.get("moy"), received) for row in rows(tree["intersections"], "IntersectionState")]
    except (msgspec.DecodeError, RecursionError, KeyError, OverflowError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise refuse("YD/T 3709 SPAT", "SPAT", "fields", f"{error!r}", "a SPAT has intersections, each with intersectionId, status and phases", "correct the sender") from None


def _state(row: Tree, minute: Any, received: int) -> Spat:
    moy, ms = row.get("moy", minute), row.get("timeStamp", row.get("timestamp"))
    t = moment(None if moy is None else int(moy), None if ms is None else int(ms), received)
    status, number = bits(row.get("status"), 16), row["intersectionId"]
    groups = tuple(_group(phase, t) for phase in rows(row["phases"], "Phase"))
    return Spat(f"{int(number.get('region') or 0)}/{int(number['id'])}", 0, t, groups, tuple(name for k, name in DOUBTS.items() if status[k]))


def _group(phase: Tree, t: int) -> Group:
    states = rows(phase["phaseStates"], "PhaseState")
    timed = [(_light(state["light"]), *_times(state.get("timing"), t)) for state in states]
    now = next((row for row in timed if row[1] is None or row[1] <= t), timed[0])
    green = next((row for row in timed if row is not now and row[0] in GREEN and row[1] is not None and row[1] > t), None)
    duration = green[4] - green[1] if green is not None and green[1] is not None and green[4] is not None else None
    return Group(int(phase["id"]), now[0], now[2], now[3], now[4], now[5], green[1] if green else None, duration)


def _light(value: Any) -> SignalState:
    name = next(iter(value)) if isinstance(value, dict) else value
    return READ[LIGHTS[int(name)] if str(name).isdecimal() else str(name).replace("_", "-")]


def _times(timing: Tree | None, t: int) -> tuple[int | None, int | None, int | None, int | None, float | None]:
    """Return (start, min, max, likely end, confidence)."""
    if not timing:
        return None, None, None, None, None
    ((kind, value),) = timing.items()
    names = ("startTime", "minEndTime", "maxEndTime", "likelyEndTime")
    if kind == "counting":
        found = [_counted(value.get(name), t) for name in names]
    else:
        found = [time_of(None if (mark := value.get(name.replace("Time", "UTCTime"))) is None else int(mark), t) for name in names]
    share = value.get("timeConfidence")
    return found[0], found[1], found[2], found[3], None if share is None else int(share) / 200


def _counted(value: Any, t: int) -> int | None:
    return None if value is None or int(value) >= FAR else t + int(value) * TENTH


def write_ydt_spat(intersection: int, t: int, groups: tuple[Group, ...], *, region: int = 0) -> bytes:
    """Return a SPAT in JSON. A missing likely end is the middle of its bounds, or 36000. Raises CodeError."""
    if not 1 <= len(groups) <= PHASES:
        raise refuse("YD/T 3709 SPAT", "SPAT", "phases", len(groups), f"a SPAT holds 1 .. {PHASES} phases", "split the intersection")
    for group in groups:
        if not 1 <= group.group <= 255:
            raise refuse("YD/T 3709 SPAT", "SPAT", "phases.id", group.group, "must be 1 .. 255", "number the groups so")
    minute, ms = minute_of_year(t)
    row = {"intersectionId": {"region": region, "id": intersection}, "status": "0" * 16, "moy": minute, "timeStamp": ms, "phases": [_phase(g, t) for g in groups]}
    return msgspec.json.encode({"msgCnt": 0, "intersections": [row]})


def _phase(group: Group, t: int) -> Tree:
    likely = group.likely_end
    if likely is None and group.min_end is not None and group.max_end is not None:
        likely = (group.min_end + group.max_end) // 2
    timing: Tree = {"startTime": 0, "likelyEndTime": _count(likely, t)}
    for name, at in (("minEndTime", group.min_end), ("maxEndTime", group.max_end)):
        if at is not None:
            timing[name] = _count(at, t)
    if group.confidence is not None:
        timing["timeConfidence"] = int(group.confidence * 200 + 1e-6)
    states = [{"light": WRITTEN[SignalState(group.state)], "timing": {"counting": timing}}]
    if group.next_green is not None:
        end = None if group.next_duration is None else group.next_green + group.next_duration
        states.append({"light": "permissive-green", "timing": {"counting": {"startTime": _count(group.next_green, t), "likelyEndTime": _count(end, t)}}})
    return {"id": group.group, "phaseStates": states}


def _count(at: int | None, t: int) -> int:
    return FAR if at is None else min(max(at - t, 0) // TENTH, FAR)
