"""SPAT of SAE J2735 / ISO 19091 (SPATEM) <-> our signal states. Wire time marks live here and nowhere else.

A time mark is tenths of a second within the UTC hour: 36000 is "more than an hour away", 36001 not known.
"""

from typing import Any

import msgspec
from msgspec import Struct

from cloudctl.schema import Group, SignalState

from .findings import CodeError, refuse
from .uper import decode, encode, framed, is_pdu, read_pdu, unframe, write_pdu

SECOND, MINUTE, HOUR = 1_000_000_000, 60_000_000_000, 3_600_000_000_000
TENTH = SECOND // 10
FAR, UNKNOWN = 36_000, 36_001
STATES = ("unavailable", "dark", "stop-Then-Proceed", "stop-And-Remain", "pre-Movement", "permissive-Movement-Allowed",
          "protected-Movement-Allowed", "permissive-clearance", "protected-clearance", "caution-Conflicting-Traffic")
OURS = (SignalState.UNKNOWN, SignalState.DARK, SignalState.RED_FLASH, SignalState.RED, SignalState.PRE_MOVEMENT, SignalState.GREEN_PERMISSIVE,
        SignalState.GREEN_PROTECTED, SignalState.YELLOW_PERMISSIVE, SignalState.YELLOW_PROTECTED, SignalState.YELLOW_FLASH)
READ = {name.replace("-", "_").upper(): state for name, state in zip(STATES, OURS, strict=True)}
WRITTEN = {state: name for name, state in zip(STATES, OURS, strict=True)} | {SignalState.GREEN_FLASH: "permissive-Movement-Allowed"}
CONFIDENCE = (21, 36, 47, 56, 62, 68, 73, 77, 81, 85, 88, 91, 94, 96, 98, 100)  # % of the sixteen levels
STATUS = {"failureFlash": 0x2000, "failureMode": 0x0100, "off": 0x0080, "noValidMAPisAvailableAtThisTime": 0x0010,
          "noValidSPATisAvailableAtThisTime": 0x0008}  # bits of status that say: do not trust the states
GREEN_OR_YELLOW = frozenset((5, 6, 7, 8))


class Spat(Struct, frozen=True):
    """The states of one intersection as a SPAT gives them; `intersection` is region/id, `revision` that of the MAP (0 to 127)."""

    intersection: str
    revision: int
    t: int  # ns
    groups: tuple[Group, ...]
    doubts: tuple[str, ...] = ()  # status bits that say the states are not to be trusted


def as_signal(spat: Spat, revision: int) -> tuple[int, tuple[Group, ...]]:
    """Return (revision, groups) as a gateway sends them to a node, when it knows the code of the place in `revision`.

    The wire's revision is said as it came where it is not that code's; states that are not to be trusted become unknown.
    """
    said = revision if (revision - 1) % 128 == spat.revision else spat.revision
    groups = tuple(Group(group.group, SignalState.UNKNOWN) for group in spat.groups) if spat.doubts else spat.groups
    return said, groups


def time_of(mark: int | None, t: int) -> int | None:
    """Return ns of a time mark in a message of `t` ns: the time nearest to it; None for marks that name no time."""
    if mark is None or not 0 <= mark < FAR:
        return None
    at = t // HOUR * HOUR + mark * TENTH
    return at + HOUR if at < t - HOUR // 2 else at - HOUR if at > t + HOUR // 2 else at


def mark_of(at: int | None, t: int) -> int:
    """Return the time mark of `at` ns in a message of `t` ns."""
    if at is None:
        return UNKNOWN
    return FAR if at - t >= HOUR // 2 else at % HOUR // TENTH


def minute_of_year(t: int) -> tuple[int, int]:
    """Return (minutes since the year began, ms within the minute) of `t` ns, UTC."""
    return (t - year_start(t)) // MINUTE, t % MINUTE // 1_000_000


def moment(minute: int | None, ms: int | None, received: int) -> int:
    """Return ns of a minute of the year and ms within it: of the year that is nearest to `received`, which stands in where either is missing."""
    if ms is None:
        return received
    if minute is None:
        return received // MINUTE * MINUTE + ms * 1_000_000
    first = year_start(received)
    years = (first, year_start(first - 1), year_start(first + 370 * 24 * HOUR))
    return min((year + minute * MINUTE + ms * 1_000_000 for year in years), key=lambda t: abs(t - received))


def year_start(t: int) -> int:
    """Return when the UTC year of `t` ns began, ns."""
    days = t // (24 * HOUR)
    year = 1970 + int(days // 365.2425)
    while _days_before(year + 1) <= days:
        year += 1
    while _days_before(year) > days:
        year -= 1
    return _days_before(year) * 24 * HOUR


def _days_before(year: int) -> int:
    y = year - 1
    return y * 365 + y // 4 - y // 100 + y // 400 - 719_162


def read_spat(data: bytes, received: int) -> list[Spat]:
    """Return the states a SPAT holds: a frame or SPAT in UPER, or JSON. `received`, ns, tells the year. Raises CodeError."""
    tree = _tree(data)
    try:
        return [_state(row, tree.get("timeStamp"), received) for row in _rows(tree)]
    except (KeyError, OverflowError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise refuse("SPAT", "SPAT", "fields", f"{error!r}", "a SPAT has intersections, each with id, revision and states", "correct the sender") from None


def _tree(data: bytes) -> dict[str, Any]:
    if data.lstrip()[:1] == b"{":
        try:
            tree: dict[str, Any] = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refuse("SPAT", "SPAT", "JSON", f"{len(data)} bytes", f"cannot be read ({error})", "give whole JSON") from None
        found: dict[str, Any] = tree.get("payload", {}).get("data", tree)
        return found
    if data[:2] == b"\x00\x13":
        return decode(*unframe(data))
    return read_pdu("SPATEM", data) if is_pdu("SPATEM", data) else decode("SPAT", data)


def _rows(tree: dict[str, Any]) -> list[dict[str, Any]]:
    rows = tree.get("intersections") or tree["intersectionStateList"]["intersectionStatelist"]
    return list(rows)


def _state(row: dict[str, Any], minute: int | None, received: int) -> Spat:
    moy, ms = row.get("moy", minute), row.get("timeStamp")
    t = moment(moy if isinstance(moy, int) else None, ms if isinstance(ms, int) else None, received)
    moves = row["states"]
    moves = moves["movementList"] if isinstance(moves, dict) else moves
    status = row.get("status") or (0, 16)
    bits = sum(bit for name, bit in STATUS.items() if status.get(name)) if isinstance(status, dict) else status[0]
    number = row["id"]
    return Spat(f"{number.get('region') or 0}/{number['id']}", row["revision"], t, tuple(_group(move, t) for move in moves),
                tuple(name for name, bit in STATUS.items() if bits & bit))


def _group(move: dict[str, Any], t: int) -> Group:
    events = move.get("state-time-speed") or move["state_time_speed"]["movementEventList"]
    now = events[0]
    state = READ[now["eventState"].replace("-", "_").upper()]
    timing = now.get("timing") or {}
    level = timing.get("confidence")
    green = next((e for e in events[1:] if int(READ[e["eventState"].replace("-", "_").upper()]) in (5, 6)), None)
    begins = (green.get("timing") or {}).get("startTime") if green else timing.get("nextTime")
    return Group(move["signalGroup"], state, time_of(timing.get("minEndTime"), t), time_of(timing.get("maxEndTime"), t),
                 time_of(timing.get("likelyTime"), t), CONFIDENCE[level] / 100 if isinstance(level, int) else None, time_of(begins, t))


def write_spat(
    intersection: int, revision: int, t: int, groups: tuple[Group, ...], *, region: int | None = None, frame: bool = False, station: int | None = None
) -> bytes:
    """Return a SPAT in UPER: bare, in a J2735 frame, or as the SPATEM of a `station`. Raises CodeError.

    `revision` is the wire's (0 .. 127); a missing least end is `t`, the most cautious.
    """
    if len(groups) > 255 or not groups:
        raise refuse("SPAT", "SPAT", "groups", len(groups), "a SPAT holds 1 .. 255 movements", "split the intersection")
    minute, ms = minute_of_year(t)
    number = {"id": intersection} if region is None else {"region": region, "id": intersection}
    row = {"id": number, "revision": revision % 128, "status": (0, 16), "moy": minute, "timeStamp": ms, "states": [_movement(g, t) for g in groups]}
    tree = {"intersections": [row]}
    if station is not None:
        return write_pdu("SPATEM", tree, station)
    body = encode("SPAT", tree)
    return framed("SPAT", body) if frame else body


def _movement(group: Group, t: int) -> dict[str, Any]:
    timing = {"minEndTime": mark_of(t if group.min_end is None else group.min_end, t)}
    for name, at in (("maxEndTime", group.max_end), ("likelyTime", group.likely_end), ("nextTime", group.next_green)):
        if at is not None:
            timing[name] = mark_of(at, t)
    if group.confidence is not None:
        timing["confidence"] = max([k for k, share in enumerate(CONFIDENCE) if share <= group.confidence * 100 + 1e-6], default=0)
    return {"signalGroup": group.group, "state-time-speed": [{"eventState": WRITTEN[SignalState(group.state)], "timing": timing}]}


__all__ = ["CodeError", "Spat", "as_signal", "mark_of", "minute_of_year", "read_spat", "time_of", "write_spat"]
