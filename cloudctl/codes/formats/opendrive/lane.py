"""What OpenDRIVE records along one lane: limits, permissions, rules, each from a place on until the next record of its
kind.

A limit of the lane goes before that of the road's type. Permissions that begin at one place belong together: those that
allow admit only the classes they name, those that deny exclude the classes they name (ASAM OpenDRIVE 1.8, 11.7)."""

from collections.abc import Callable
from itertools import pairwise
from math import isfinite
from typing import NamedTuple, TypeVar

from ...checks.rules import VALUE_LIMITS
from ...rule import CLASSES
from ...terms import KMH_PER_MPS, MPH_PER_MPS
from ..importing.accounting import XmlRecord

T = TypeVar("T")
# Unit of a limit -> how many of it are 1 m/s
UNITS_PER_MPS = {"m/s": 1.0, "km/h": KMH_PER_MPS, "kmh": KMH_PER_MPS, "kph": KMH_PER_MPS, "mph": MPH_PER_MPS}
NO_LIMIT_WORDS = ("no limit", "undefined")  # words of the format
MIN_LIMIT, MAX_LIMIT = VALUE_LIMITS["speed_max"]  # m/s
CLASS_OF_PARTICIPANT = {  # of <access>, in small letters -> class
    "passengercar": "car",
    "car": "car",
    "bus": "bus",
    "taxi": "taxi",
    "truck": "truck",
    "trucks": "truck",
    "emergency": "emergency",
    "bicycle": "bicycle",
    "pedestrian": "pedestrian",
    "motorcycle": "motorcycle",
    "autonomoustraffic": "automated",
    "autonomous traffic": "automated",
}
# Names that restrict nothing, and a name of no road user
UNRESTRICTED_NAMES, SIMULATOR_NAME = ("", "none"), "simulator"
NO_STOPPING, CAR_POOL = "no stopping at any time", "car pool"


class Access(NamedTuple):
    """The permitted users of a lane: `only` these classes (None: those that its type admits), `never` those."""

    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()


class State(NamedTuple):
    """What holds on one stretch of a lane: its limit in m/s (None: not given), its permissions, its rules in words, its
    type."""

    speed: float | None
    access: Access = Access()
    notes: frozenset[str] = frozenset()
    kind: str = ""


class Stretch(NamedTuple):
    """From where to where a state holds, m along the lane's line in driving direction."""

    s_from: float
    s_to: float
    state: State


class LaneRecords(NamedTuple):
    """The records of one lane of one section, each with the s of the road from which it holds, in order."""

    speeds: list[tuple[float, float | None]]
    accesses: list[tuple[float, Access]]
    notes: list[tuple[float, frozenset[str]]]


def read_records(lane: XmlRecord, start: float) -> LaneRecords:
    """Return the records of a lane whose section begins at `start`. Raises CodeError."""
    speeds = [(start + element.number("sOffset", 0.0), speed_of(element)) for element in lane.children("speed")]
    accesses: dict[float, Access] = {}

    for element in lane.children("access"):
        s = start + element.number("sOffset", 0.0)
        accesses[s] = _access(accesses.get(s, Access()), element)

    notes: dict[float, frozenset[str]] = {}
    for element in lane.children("rule"):
        s, text = start + element.number("sOffset", 0.0), element.get("value")
        if text not in (NO_STOPPING, CAR_POOL):
            element.unknown("value", text, "left out")
        notes[s] = notes.get(s, frozenset()) | {text}

    return LaneRecords(
        sorted(speeds, key=lambda row: row[0]), sorted(accesses.items()), sorted(notes.items(), key=lambda row: row[0])
    )


def speed_of(
    element: XmlRecord | None, value: str = "max", unit: str = "m/s", absent: tuple[str, ...] = ()
) -> float | None:
    """Return the limit an element gives, in m/s, None where it gives none; `unit` is that of one without. What is not
    understood is reported.

    `absent` are values that stand for none besides the words of the format.
    """
    if element is None:
        return None

    text, unit = element.get(value).strip(), element.get("unit").strip() or unit
    if text.lower() in (*NO_LIMIT_WORDS, *absent):
        return None

    if unit.lower() not in UNITS_PER_MPS:
        element.unknown("unit", unit, f"the limit {text} is left out")
        return None

    limit = _number(text) / UNITS_PER_MPS[unit.lower()]
    if not limit > 0:
        element.unknown(value, text, "no limit is taken")
        return None

    limited = min(max(limit, MIN_LIMIT), MAX_LIMIT)
    if limited != limit:
        element.unknown(
            value,
            text,
            f"{'higher' if limit > limited else 'lower'} than any limit of a code: {limited:g} m/s is taken",
        )

    return round(limited, 2)


def _number(text: str) -> float:
    """Return the number a text is, 0 for other text."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if isfinite(number) else 0.0


def _access(before: Access, element: XmlRecord) -> Access:
    """Return permissions with those of one more <access> that begins at the same place."""
    allow = element.choice("rule", {"allow": True, "deny": False}, False)
    classes, names_someone = set(), False

    for record, name in ((element, "restriction"), *((child, "type") for child in element.children("restriction"))):
        text = record.get(name)
        if text.lower() in UNRESTRICTED_NAMES or text.lower() == SIMULATOR_NAME:
            continue

        names_someone = True
        vehicle_class = CLASS_OF_PARTICIPANT.get(text.lower(), "")
        if vehicle_class in CLASSES:
            classes.add(vehicle_class)
        else:
            record.unknown(
                name,
                text,
                "is no class of a code: left out of those let in" if allow else "is no class of a code: not kept out",
            )

    if not names_someone:
        return before
    if allow:
        return before._replace(only=(before.only or frozenset()) | classes)

    return before._replace(never=before.never | classes)


def stretches(
    kind: str, records: LaneRecords, road: list[tuple[float, float | None]], start: float, end: float
) -> list[tuple[float, float, State]]:
    """Return the states of a lane of a type between two s of its road; `road` has the limits of the road's types."""
    states: list[tuple[float, float, State]] = []
    starts = [s for s, _ in (*records.speeds, *records.accesses, *records.notes, *road)]
    for begin, finish in pairwise([start, *sorted({s for s in starts if start < s < end}), end]):
        midpoint = (begin + finish) / 2
        lane_limit = _last(records.speeds, midpoint, default=None)

        state = State(
            speed=lane_limit if lane_limit is not None else _last(road, midpoint, default=None),
            access=_last(records.accesses, midpoint, Access()),
            notes=_last(records.notes, midpoint, frozenset()),
            kind=kind,
        )
        if states and states[-1][2] == state:
            states[-1] = (states[-1][0], finish, state)
        else:
            states.append((begin, finish, state))

    return states


def limit_only(state: State) -> State:
    """Return a state without all but its limit."""
    return State(state.speed)


def without_limit(state: State) -> State:
    """Return a state without its limit."""
    return state._replace(speed=None)


def merged(stretches: list[Stretch], reduced: Callable[[State], State]) -> list[Stretch]:
    """Return stretches with those put together that follow each other and whose states are alike."""
    merged_stretches: list[Stretch] = []
    for stretch in stretches:
        state = reduced(stretch.state)
        if merged_stretches and merged_stretches[-1].state == state:
            merged_stretches[-1] = Stretch(merged_stretches[-1].s_from, stretch.s_to, state)
        else:
            merged_stretches.append(Stretch(stretch.s_from, stretch.s_to, state))

    return merged_stretches


def _last(rows: list[tuple[float, T]], s: float, default: T) -> T:
    """Return the value of the last record that begins before `s`."""
    return next((record_value for begin, record_value in reversed(rows) if begin <= s), default)
