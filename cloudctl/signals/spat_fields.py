"""What readers of SPAT messages share: fields are checked one by one, so that a wrong one costs only itself, and is
named.

A value that is not what the standard allows is refused with a `Finding`: a time or a confidence by itself, a state with
its group (which is then unknown), a group number with its group, an identity, revision, status or time of the message
with its intersection.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeGuard, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ..codes.findings import CodeError, Finding, refuse
from ..codes.formats.messages.bit_strings import UNREAD_KEY, read_flags, unread_flags
from ..codes.formats.messages.tree import MALFORMED
from ..schema import Group, SignalState
from .spat_time import INVALID_MINUTE, MAX_MILLISECOND, MAX_MINUTE, NO_MILLISECOND, UNKNOWN_MARK, Ends, disorder, moment

MAX_REFUSALS = 64  # of one message, in words; the rest is counted
MAX_INTERSECTIONS = 32  # of one message (IntersectionStateList)
MAX_SHOWN = 80  # characters of a refused value
MAX_NUMBER_TEXT = 12  # characters of a number that is written as text
# Bits of status (IntersectionStatusObject), the first of them the highest; the last two have no meaning yet.
STATUS_NAMES = (
    "manualControlIsEnabled",
    "stopTimeIsActivated",
    "failureFlash",
    "preemptIsActive",
    "signalPriorityIsActive",
    "fixedTimeOperation",
    "trafficDependentOperation",
    "standbyOperation",
    "failureMode",
    "off",
    "recentMAPmessageUpdate",
    "recentChangeInMAPassignedLanesIDsUsed",
    "noValidMAPisAvailableAtThisTime",
    "noValidSPATisAvailableAtThisTime",
)
STATUS_BITS = 16
# The states are not to be trusted; nothing is known of when they end.
STATE_DOUBTS = (
    "failureFlash",
    "failureMode",
    "off",
    "noValidMAPisAvailableAtThisTime",
    "noValidSPATisAvailableAtThisTime",
)
TIME_DOUBTS = ("manualControlIsEnabled", "stopTimeIsActivated")
MAP_REVISIONS = 128
MAX_GROUP = 255
MAX_ID = 65_535  # of an intersection, and of its region
Tree = dict[str, Any]
Item = TypeVar("Item")


class Spat(Struct, frozen=True, kw_only=True):
    """The states of one intersection as a SPAT gives them."""

    intersection: str  # region/id
    revision: int | None  # of the MAP, 0 .. 127; None: the message has none
    t: int  # ns
    groups: tuple[Group, ...]
    doubts: tuple[str, ...] = ()  # Status bits by which the states are not to be trusted
    time_doubts: tuple[str, ...] = ()  # Status bits by which the end times are not


class Spats(list[Spat]):
    """The intersections of one message, and what was refused of it, `refused`: entity ("region/id", "region/id group
    n"), field, value, rule, remedy."""

    def __init__(self, found: Iterable[Spat], refused: Iterable[Finding]) -> None:
        super().__init__(found)
        self.refused = tuple(refused)


class Refusals:
    """Collects what is refused of one message. `where`: the message's kind. `text`: numbers may be written as text."""

    def __init__(self, where: str, *, text: bool = False) -> None:
        self.where, self.text = where, text
        self.findings: list[Finding] = []
        self.more = 0
        self.unread = 0  # groups whose state was refused
        self.names: Counter[str] = Counter()  # the intersections of the message

    def add(self, entity: str, field: str, value: object, rule: str, remedy: str = "correct the sender") -> None:
        """Note one refusal."""
        if len(self.findings) < MAX_REFUSALS:
            self.findings.append(
                Finding(entity=entity, field=field, value=shown(value), rule=rule, severity="error", remedy=remedy)
            )
        else:
            self.more += 1

    def error(self, entity: str, field: str, value: object, rule: str) -> CodeError:
        """Return the error that gives up a group or an intersection, to be raised."""
        return refuse(self.where, entity, field=field, value=shown(value), rule=rule, remedy="correct the sender")

    def unknown(self, group: int) -> Group:
        """Return a group whose state was refused."""
        self.unread += 1
        return Group(group, SignalState.UNKNOWN)

    def number(self, entity: str, field: str, value: object, high: int, low: int = 0) -> int:
        """Return a whole number within `low` .. `high`. Raises CodeError."""
        number = int(value) if self.text and _is_number_text(value) else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise self.error(entity, field, value, f"must be a whole number, {low} .. {high}")
        return number

    def optional(self, entity: str, field: str, value: object, high: int, low: int = 0) -> int | None:
        """Return a whole number within `low` .. `high`; None where there is none, or it is refused."""
        if value is None:
            return None

        try:
            return self.number(entity, field, value, high, low)
        except CodeError as error:
            self.take(error)
            return None

    def take(self, error: CodeError) -> None:
        """Note the findings of an error."""
        for finding in error.findings:
            self.add(finding.entity, finding.field, finding.value, finding.rule, finding.remedy)

    def mark(self, entity: str, field: str, value: object) -> int | None:
        """Return a TimeMark; None where there is none, or it is refused."""
        return self.optional(entity, field, value, UNKNOWN_MARK)

    def all(self) -> list[Finding]:
        """Return the refusals, the last of them the count of those beyond MAX_REFUSALS."""
        if not self.more:
            return self.findings

        return [
            *self.findings,
            Finding(
                entity=self.where,
                field="refused",
                value=f"{self.more} more",
                rule=f"only {MAX_REFUSALS} refusals of a message are listed",
                severity="error",
                remedy="correct the sender",
            ),
        ]


def _is_number_text(value: object) -> TypeGuard[str]:
    if not isinstance(value, str) or len(value) >= MAX_NUMBER_TEXT:
        return False
    return value.isascii() and value.removeprefix("-").isdecimal()


def shown(value: object) -> str:
    """Return a value as text, cut to MAX_SHOWN characters."""
    text = value[:MAX_SHOWN] if isinstance(value, str) else str(value)
    return text[:MAX_SHOWN]


def each(items: Any, read: Callable[[Any], Item], entity: str, field: str, refusals: Refusals) -> list[Item]:
    """Return what `read` makes of each valid item; what is wrong with the others is noted. Raises CodeError for what is
    no list."""
    if not isinstance(items, list | tuple):
        raise refusals.error(entity, field, items, "must be a list")

    valid = []
    for number, element in enumerate(items):
        try:
            valid.append(read(element))
        except CodeError as error:
            refusals.take(error)
        except MALFORMED as error:
            refusals.add(entity, f"{field}[{number}]", shown(element), f"is not as the standard has it ({error!r:.60})")

    return valid


def spats(rows: Any, read: Callable[[Any], Spat], refusals: Refusals) -> Spats:
    """Return the intersections of a message. Raises CodeError where none is valid."""
    states = _once(each(rows, read, refusals.where, "intersections", refusals), refusals)
    if not states:
        if not refusals.findings:
            raise refusals.error(refusals.where, "intersections", "none", "a SPAT has the states of an intersection")
        raise CodeError(refusals.where, refusals.all())

    if len(states) > MAX_INTERSECTIONS:
        refusals.add(
            refusals.where,
            "intersections",
            len(states),
            f"a SPAT holds {MAX_INTERSECTIONS} at most: the others are left out",
            "split the message",
        )

    return Spats(states[:MAX_INTERSECTIONS], refusals.all())


def _once(states: Iterable[Spat], refusals: Refusals) -> list[Spat]:
    """Return each intersection once: of several copies the first where all are the same, none where they are not, or
    one of them was refused. Either is noted."""
    by_name: dict[str, list[Spat]] = {}
    for spat in states:
        by_name.setdefault(spat.intersection, []).append(spat)

    once = []
    for name, copies in by_name.items():
        number = refusals.names[name]
        if number < 2:
            once.append(copies[0])
            continue

        is_same = len(copies) == number and all(copy == copies[0] for copy in copies)
        if is_same:
            rule = "is in the message more than once, all copies the same: the first is used"
            once.append(copies[0])
        else:
            rule = "is in the message more than once, and not the same: none of its states is used"

        refusals.add(name, "id", f"{number} times", rule, "send each intersection once")

    return once


def name_of(number: Any, refusals: Refusals) -> str:
    """Return region/id of an intersection. Raises CodeError."""
    if not isinstance(number, dict):
        raise refusals.error(refusals.where, "id", number, "must give region and id")

    region = number.get("region")
    if region is None:
        region = 0

    region = refusals.number(refusals.where, "id.region", region, MAX_ID)
    name = f"{region}/{refusals.number(refusals.where, 'id.id', number.get('id'), MAX_ID)}"
    refusals.names[name] += 1

    return name


def time_of_message(entity: str, row: Tree, outer: object, received: int, refusals: Refusals) -> int:
    """Return when the states of an intersection were true, ns. Raises CodeError for a time that is none.

    `outer` is the minute of the whole message, `received` (ns) decides what is not given.
    """
    minute = _minute(entity, row.get("moy"), refusals)
    if minute is None:
        minute = _minute(entity, outer, refusals)

    value = row.get("timeStamp", row.get("timestamp"))
    ms = None if value is None else refusals.number(entity, "timeStamp", value, NO_MILLISECOND)
    if ms is not None and MAX_MILLISECOND < ms < NO_MILLISECOND:
        raise refusals.error(entity, "timeStamp", ms, f"{MAX_MILLISECOND + 1} .. {NO_MILLISECOND - 1} are reserved")

    return moment(minute, None if ms == NO_MILLISECOND else ms, received)


def _minute(entity: str, value: object, refusals: Refusals) -> int | None:
    minute = None if value is None else refusals.number(entity, "moy", value, INVALID_MINUTE)
    return minute if minute is None or minute <= MAX_MINUTE else None


class Doubts(NamedTuple):
    """The names of the status bits by which the states, and by which the end times, are not to be trusted."""

    states: tuple[str, ...]
    times: tuple[str, ...]


def doubts_of(entity: str, status: object, refusals: Refusals) -> Doubts:
    """Return what a status, in any form that `bit_strings` reads, puts in doubt. Raises CodeError where it cannot be
    known whether the states may be used; a name that the standard does not have is noted."""
    flags = read_flags(status, STATUS_NAMES, STATUS_BITS)
    unread = unread_flags(flags, STATUS_NAMES)
    if UNREAD_KEY in unread:
        raise refusals.error(entity, "status", status, f"must be {STATUS_BITS} bits, or names of the standard's status")

    for name, value in unread.items():
        if name in STATE_DOUBTS or name in TIME_DOUBTS:
            raise refusals.error(entity, f"status.{name}", value, "must be true or false")

        rule = "must be true or false" if name in STATUS_NAMES else "is no status of the standard: it is not used"
        refusals.add(entity, f"status.{name}", value, rule, f"use the standard's names ({', '.join(STATUS_NAMES)})")

    return Doubts(
        states=tuple(name for name in STATE_DOUBTS if name in flags),
        times=tuple(name for name in TIME_DOUBTS if name in flags),
    )


def groups_of(
    entity: str, items: Any, field: str, read: Callable[[Any], Group], refusals: Refusals
) -> tuple[Group, ...]:
    """Return the groups of an intersection. Raises CodeError where no group has a state.

    A group whose state was refused, or that the message has more than once, is unknown: which state is shown cannot be
    known.
    """
    before = refusals.unread
    groups = each(items, read, entity, field, refusals)
    if len(groups) == refusals.unread - before:
        raise refusals.error(entity, field, f"{len(groups)} groups", "none has a state that can be read")

    once: dict[int, Group] = {}
    for group in groups:
        if group.group in once:
            refusals.add(
                f"{entity} group {group.group}",
                "signalGroup",
                group.group,
                "is in the message more than once: none of its states is used",
                "send each group once",
            )

            once[group.group] = Group(group.group, SignalState.UNKNOWN)
        else:
            once[group.group] = group

    return tuple(once.values())


def note_ends(
    entity: str, ends: Ends, names: tuple[str, str, str], marks: tuple[object, object, object], refusals: Refusals
) -> Ends:
    """Note what is wrong with the ends of a group, under the standard's `names` of earliest, greatest and likely end;
    return the ends as they are.

    Ends out of order are left in: `as_signal` decides what is sent of them.
    """
    broken = ends.refused
    out_of_order = disorder(ends.earliest, ends.greatest, ends.likely)
    if out_of_order is not None:
        broken = (*broken, out_of_order)

    for which, rule in broken:
        kind_index = ("earliest", "greatest", "likely").index(which)
        refusals.add(
            entity,
            names[kind_index],
            marks[kind_index],
            rule,
            "give the ends in order, the greatest with the others, and renew what has passed",
        )

    return ends


def as_signal(spat: Spat, revision: int) -> tuple[int, tuple[Group, ...]]:
    """Return (revision, groups) as a gateway sends them to a node, when it knows the code of the place in `revision`.

    The wire's revision is passed on as it came where it is not that code's; states, or end times, that are not to be
    trusted become unknown, as do ends that are out of order, which would cost the node the whole message.
    """
    # A MAP counts revisions from 0 to 127, and begins again.
    is_of_code = spat.revision is None or (revision - 1) % MAP_REVISIONS == spat.revision
    sent_revision = revision if is_of_code or spat.revision is None else spat.revision
    if spat.doubts:
        return sent_revision, tuple(Group(group.group, SignalState.UNKNOWN) for group in spat.groups)
    if spat.time_doubts:
        return sent_revision, tuple(Group(group.group, group.state) for group in spat.groups)

    return sent_revision, tuple(_without_disorder(group) for group in spat.groups)


def _without_disorder(group: Group) -> Group:
    """Return the group without those of its ends that are out of order."""
    out_of_order = disorder(group.min_end, group.max_end, group.likely_end)
    if out_of_order is None:
        return group
    if out_of_order.end == "likely":
        return replace(group, likely_end=None, confidence=None)

    return replace(group, min_end=None, max_end=None, likely_end=None, confidence=None)


def check_written(where: str, groups: tuple[Group, ...], limit: int, field: str) -> None:
    """Raise CodeError for groups that no SPAT of up to `limit` can carry; `field`: the standard's name of them."""
    if not 1 <= len(groups) <= limit:
        rule = f"a SPAT holds 1 .. {limit} {field}"
        raise refuse(where, "SPAT", field=field, value=len(groups), rule=rule, remedy="split the intersection")

    for group in groups:
        if not 1 <= group.group <= MAX_GROUP:
            raise refuse(
                where, "SPAT", field="group", value=group.group, rule="must be 1 .. 255", remedy="number the groups so"
            )

        if group.confidence is not None and not 0 <= group.confidence <= 1:
            raise refuse(
                where,
                "SPAT",
                field=f"g[{group.group}].confidence",
                value=group.confidence,
                rule="must be 0 .. 1",
                remedy="give a share, or leave it out",
            )
