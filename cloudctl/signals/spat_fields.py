"""What readers of SPAT messages share: fields checked one by one, so that what is wrong loses only itself and is named.

A value that is not what the standard allows is refused with a `Finding`: a time or a confidence by itself, a state with its group (which is then unknown), a
group number with its group, an identity, revision, status or time of the message with its intersection.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from cloudctl.schema import Group, SignalState

from ..codes.findings import CodeError, Finding, refuse
from ..codes.formats.messages.tree import MALFORMED
from .spat_time import INVALID_MINUTE, MAX_MILLISECOND, MAX_MINUTE, NO_MILLISECOND, UNKNOWN_MARK, Ends, disorder, moment

MAX_REFUSALS = 64  # of one message, in words; the rest is counted
MAX_INTERSECTIONS = 32  # of one message (IntersectionStateList)
SHOWN = 80  # characters of a refused value
STATE_DOUBTS = {
    "failureFlash": 2,
    "failureMode": 8,
    "off": 9,
    "noValidMAPisAvailableAtThisTime": 12,
    "noValidSPATisAvailableAtThisTime": 13,
}  # bits of status
TIME_DOUBTS = {
    "manualControlIsEnabled": 0,
    "stopTimeIsActivated": 1,
}  # bits of status: nothing is known of when states end
STATUS_BITS = 16
Tree = dict[str, Any]
Item = TypeVar("Item")


class Spat(Struct, frozen=True):
    """The states of one intersection as a SPAT gives them; `intersection` is region/id, `revision` that of the MAP (0 to 127; None: the message has none)."""

    intersection: str
    revision: int | None
    t: int  # ns
    groups: tuple[Group, ...]
    doubts: tuple[str, ...] = ()  # status bits that say the states are not to be trusted
    time_doubts: tuple[str, ...] = ()  # status bits that say the end times are not


class Spats(list[Spat]):
    """The intersections of one message, and what was refused of it, `refused`: entity ("region/id", "region/id group n"), field, value, rule, remedy."""

    def __init__(self, found: Iterable[Spat], refused: Iterable[Finding]) -> None:
        super().__init__(found)
        self.refused = tuple(refused)


class Refusals:
    """Collects what is refused of one message. `where`: the message's kind, `text`: whether numbers may be written as text."""

    def __init__(self, where: str, *, text: bool = False) -> None:
        self.where, self.text = where, text
        self.findings: list[Finding] = []
        self.more = 0
        self.unread = 0  # groups whose state was refused

    def add(self, entity: str, field: str, value: object, rule: str, remedy: str = "correct the sender") -> None:
        """Note one refusal."""
        if len(self.findings) < MAX_REFUSALS:
            self.findings.append(Finding(entity, field, shown(value), rule, "error", remedy))
        else:
            self.more += 1

    def error(self, entity: str, field: str, value: object, rule: str) -> CodeError:
        """Return the error that gives up a group or an intersection, to be raised."""
        return refuse(self.where, entity, field, shown(value), rule, "correct the sender")

    def unknown(self, group: int) -> Group:
        """Return a group whose state was refused."""
        self.unread += 1
        return Group(group, SignalState.UNKNOWN)

    def number(self, entity: str, field: str, value: object, high: int, low: int = 0) -> int:
        """Return a whole number within `low` .. `high`. Raises CodeError."""
        number = (
            int(value)
            if self.text and isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 12
            else value
        )
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise self.error(entity, field, value, f"must be a whole number, {low} .. {high}")
        return number

    def optional(self, entity: str, field: str, value: object, high: int) -> int | None:
        """Return a whole number within 0 .. `high`; None where there is none, or it is refused."""
        if value is None:
            return None
        try:
            return self.number(entity, field, value, high)
        except CodeError as error:
            self.take(error)
            return None

    def take(self, error: CodeError) -> None:
        """Note what an error says."""
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
                self.where,
                "refused",
                f"{self.more} more",
                f"only {MAX_REFUSALS} refusals of a message are told",
                "error",
                "correct the sender",
            ),
        ]


def shown(value: object) -> str:
    """Return a value as text, cut to SHOWN characters."""
    text = value[:SHOWN] if isinstance(value, str) else str(value)
    return text[:SHOWN]


def each(items: Any, read: Callable[[Any], Item], entity: str, field: str, refusals: Refusals) -> list[Item]:
    """Return what `read` makes of each item that is as it should be; what is wrong with the others is noted."""
    if not isinstance(items, list | tuple):
        raise refusals.error(entity, field, items, "must be a list")
    out = []
    for number, item in enumerate(items):
        try:
            out.append(read(item))
        except CodeError as error:
            refusals.take(error)
        except MALFORMED as error:
            refusals.add(entity, f"{field}[{number}]", shown(item), f"is not as the standard has it ({error!r:.60})")
    return out


def spats(rows: Any, read: Callable[[Any], Spat], refusals: Refusals) -> Spats:
    """Return the intersections of a message. Raises CodeError where none is as it should be."""
    found = each(rows, read, refusals.where, "intersections", refusals)
    if not found:
        if not refusals.findings:
            raise refusals.error(refusals.where, "intersections", "none", "a SPAT has the states of an intersection")
        raise CodeError(refusals.where, refusals.all())
    if len(found) > MAX_INTERSECTIONS:
        refusals.add(
            refusals.where,
            "intersections",
            len(found),
            f"a SPAT holds {MAX_INTERSECTIONS} at most: the others are left out",
            "split the message",
        )
    return Spats(found[:MAX_INTERSECTIONS], refusals.all())


def name_of(number: Any, refusals: Refusals) -> str:
    """Return region/id of an intersection. Raises CodeError."""
    if not isinstance(number, dict):
        raise refusals.error(refusals.where, "id", number, "must give region and id")
    region = number.get("region")
    return f"{0 if region is None else refusals.number(refusals.where, 'id.region', region, 65_535)}/{refusals.number(refusals.where, 'id.id', number.get('id'), 65_535)}"


def time_of_message(entity: str, row: Tree, outer: object, received: int, refusals: Refusals) -> int:
    """Return when the states of an intersection were true, ns; `outer` is the minute of the whole message. Raises CodeError for a time that is none."""
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


def doubts_of(flags: list[bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of status bits that say the states, and that the end times, are not to be trusted."""
    states, times = (tuple(name for name, bit in table.items() if flags[bit]) for table in (STATE_DOUBTS, TIME_DOUBTS))
    return states, times


def groups_of(
    entity: str, items: Any, field: str, read: Callable[[Any], Group], refusals: Refusals
) -> tuple[Group, ...]:
    """Return the groups of an intersection. One whose state was refused, or that stands more than once, is unknown: which state is shown nobody can tell.
    Raises CodeError where no group has a state."""
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
                "stands more than once: none of its states is used",
                "send each group once",
            )
            once[group.group] = Group(group.group, SignalState.UNKNOWN)
        else:
            once[group.group] = group
    return tuple(once.values())


def note_ends(
    entity: str, ends: Ends, names: tuple[str, str, str], marks: tuple[object, object, object], refusals: Refusals
) -> Ends:
    """Note what is wrong with the ends of a group, under the standard's `names` of earliest, greatest and likely end. Ends out of order are returned as they
    are: what is sent of them is `as_signal`'s."""
    wrong = disorder(ends.earliest, ends.greatest, ends.likely)
    for which, rule in ends.refused if wrong is None else (*ends.refused, wrong):
        place = ("earliest", "greatest", "likely").index(which)
        refusals.add(
            entity,
            names[place],
            marks[place],
            rule,
            "give the ends in order, the greatest with the others, and renew what has passed",
        )
    return ends


def as_signal(spat: Spat, revision: int) -> tuple[int, tuple[Group, ...]]:
    """Return (revision, groups) as a gateway sends them to a node, when it knows the code of the place in `revision`.

    The wire's revision is passed on as it came where it is not that code's; states, or end times, that are not to be trusted become unknown, as do ends
    that are out of order, which would cost the node the whole message.
    """
    given = revision if spat.revision is None or (revision - 1) % 128 == spat.revision else spat.revision
    if spat.doubts:
        return given, tuple(Group(group.group, SignalState.UNKNOWN) for group in spat.groups)
    if spat.time_doubts:
        return given, tuple(Group(group.group, group.state) for group in spat.groups)
    return given, tuple(_in_order(group) for group in spat.groups)


def _in_order(group: Group) -> Group:
    """Return the group without what is out of order of its ends."""
    wrong = disorder(group.min_end, group.max_end, group.likely_end)
    if wrong is None:
        return group
    if wrong[0] == "likely":
        return replace(group, likely_end=None, confidence=None)
    return replace(group, min_end=None, max_end=None, likely_end=None, confidence=None)


def check_written(where: str, groups: tuple[Group, ...], limit: int, called: str) -> None:
    """Raise CodeError for groups that no SPAT of up to `limit` can carry; `called`: what the standard calls them."""
    if not 1 <= len(groups) <= limit:
        raise refuse(
            where, "SPAT", called, len(groups), f"a SPAT holds 1 .. {limit} {called}", "split the intersection"
        )
    for group in groups:
        if not 1 <= group.group <= 255:
            raise refuse(where, "SPAT", "group", group.group, "must be 1 .. 255", "number the groups so")
        if group.confidence is not None and not 0 <= group.confidence <= 1:
            raise refuse(
                where,
                "SPAT",
                f"g[{group.group}].confidence",
                group.confidence,
                "must be 0 .. 1",
                "give a share, or leave it out",
            )
