"""Times of SPAT messages (SAE J2735, ISO/TS 19091, ETSI TS 103 301, YD/T 3709) <-> ns since 1970, UTC. Wire time marks
live here and nowhere else.

* **TimeMark**, tenths of a second within a UTC hour, of the hour that runs or the next: 0 .. 35999; 36000 is "an hour
  or more away", 36001 "not known". 35991 .. 35999 also stand for a leap second, which UTC counted in seconds since 1970
  does not have: they are read as the last second of the hour.
* **DSecond**, ms within the minute: 0 .. 59999, in a leap second to 60999; 65535 is "not available", the rest is
  reserved.
* **MinuteOfTheYear**: 0 .. 527039; 527040 is "not valid".

A mark of an end names a time in the future: what stands for it repeats every hour, and a state may last nearly one. A
controller that is late does not renew its marks, though, so that a mark just behind the message is an end that has
passed, and no promise of an hour. It is read as the first time after PAST before the message: all up to an hour less
PAST ahead is read right, and so is what passed within PAST. An earliest or likely end can be longer past, where a
controller leaves it as it was while traffic prolongs the state. A greatest end decides: an end that would come long
after it has passed. Without one, an end more than MAX_OPEN_END ahead may as well have passed, and is not known.

A mark of a start may lie on either side: a state may have begun, or be announced. See `start_of`.
"""

from typing import NamedTuple

SECOND, MINUTE, HOUR = 1_000_000_000, 60_000_000_000, 3_600_000_000_000  # ns
TENTH, MILLISECOND = SECOND // 10, SECOND // 1000
MAX_MARK, HOUR_OR_MORE, UNKNOWN_MARK = 35_999, 36_000, 36_001
MAX_MINUTE, INVALID_MINUTE = 527_039, 527_040
MAX_MILLISECOND, NO_MILLISECOND = 60_999, 65_535
# How long ago an end may be that a mark stands for: controllers that are late keep an end for tens of seconds. An end
# that is meant to be so near to an hour ahead is rare, and read right once it is nearer.
PAST = MINUTE
# How long ago an end may be to be written: other readers may take an older mark for the next hour
MAX_WRITTEN_PAST = SECOND
# How far ahead a state is announced whose start contradicts its end: two of the longest usual cycles
MAX_ANNOUNCED = 10 * MINUTE
MAX_OPEN_END = HOUR // 2  # ahead, of an earliest or likely end without a greatest


class BrokenEnd(NamedTuple):
    """One of the ends of a state ("earliest", "greatest", "likely"), and the rule that it breaks."""

    end: str
    rule: str


class Ends(NamedTuple):
    """When a state ends, ns; `refused` are the ends that were left out."""

    earliest: int | None
    greatest: int | None
    likely: int | None
    refused: tuple[BrokenEnd, ...] = ()

    @property
    def surest(self) -> int | None:
        """The likely end, else the greatest, else the earliest, ns; None where none is known."""
        return next((end for end in (self.likely, self.greatest, self.earliest) if end is not None), None)


def time_of(mark: int | None, time_ns: int) -> int | None:
    """Return ns of a time mark in a message of `time_ns`: the first after PAST before it; None for marks that name no
    time."""
    if mark is None or not 0 <= mark <= MAX_MARK:
        return None

    time = time_ns // HOUR * HOUR + mark * TENTH
    if time <= time_ns - PAST:
        return time + HOUR

    return time - HOUR if time > time_ns - PAST + HOUR else time


def start_of(mark: int | None, ends: Ends, time_ns: int, *, is_alone: bool = False) -> int | None:
    """Return when a state began, or begins, by its mark in a message of `time_ns`; None where the mark is not known.

    `ends` are those of the same state: it began within the hour before the end that is surest. A start that would be
    after it has passed, unless it is at most MAX_ANNOUNCED ahead: a state that is announced is not to be taken for one
    that is shown, however wrong its ends are. Without an end it is the start nearest to the message, and so it is of a
    state that is listed alone: no controller sends what will be in more than half an hour and not what is.
    """
    if mark == HOUR_OR_MORE:
        return time_ns + HOUR
    if mark is None or not 0 <= mark <= MAX_MARK:
        return None

    start = time_ns // HOUR * HOUR + mark * TENTH
    start += HOUR if start <= time_ns else 0
    start -= HOUR if start > time_ns + HOUR else 0

    latest = time_ns + HOUR // 2 if ends.surest is None else ends.surest
    has_passed = start > latest and (ends.surest is None or start > time_ns + MAX_ANNOUNCED)
    has_passed |= is_alone and time_ns + HOUR // 2 < start < time_ns + HOUR

    return start - HOUR if has_passed else start


def mark_of(time: int | None, time_ns: int) -> int:
    """Return the time mark of `time` ns in a message of `time_ns`. What passed more than MAX_WRITTEN_PAST ago is not
    known."""
    if time is None or time // TENTH * TENTH <= time_ns - MAX_WRITTEN_PAST:
        return UNKNOWN_MARK
    if time // TENTH * TENTH > time_ns - PAST + HOUR:
        return HOUR_OR_MORE

    return time % HOUR // TENTH


def ends_of(earliest: int | None, greatest: int | None, likely: int | None, time_ns: int) -> Ends:
    """Return when a state ends by its three marks in a message of `time_ns`; what names no time for sure is left
    out."""
    high = time_of(greatest, time_ns)
    refused, times = [], []

    for name, mark in (("earliest", earliest), ("likely", likely)):
        end = time_of(mark, time_ns)
        if end is not None and high is not None and end > high + HOUR // 2:
            end -= HOUR  # it has passed, and was not renewed
        elif end is not None and high is None and end > time_ns + MAX_OPEN_END:
            minutes = (end - time_ns) // MINUTE
            rule = f"without a greatest end, {minutes} min ahead cannot be told from an end that has passed"
            refused.append(BrokenEnd(name, rule))
            end = None

        times.append(end)

    return Ends(earliest=times[0], greatest=high, likely=times[1], refused=tuple(refused))


def disorder(low: int | None, high: int | None, likely: int | None) -> BrokenEnd | None:
    """Return which of three ends is out of order: all of them with "greatest", or the likely one; None where they are
    in order."""
    if low is not None and high is not None and low > high:
        return BrokenEnd("greatest", "is before the earliest end: none of the ends is used")

    is_early = likely is not None and low is not None and likely < low
    is_late = likely is not None and high is not None and likely > high
    if is_early or is_late:
        return BrokenEnd("likely", "is outside of the earliest and the greatest end: it is not used")

    return None


def minute_of_year(time_ns: int) -> tuple[int, int]:
    """Return (minutes since the year began, ms within the minute) of `time_ns`, UTC."""
    return (time_ns - year_start(time_ns)) // MINUTE, time_ns % MINUTE // MILLISECOND


def moment(minute: int | None, ms: int | None, received: int) -> int:
    """Return ns of a minute of the year and ms within it, None where not known: the time of that name that is nearest
    to `received`.

    Without the minute it is the nearest with those ms; without the ms `received` itself, kept within the minute where
    that is known.
    """
    if minute is None:
        if ms is None:
            return received
        start = received // MINUTE * MINUTE + ms * MILLISECOND
        return min((start, start - MINUTE, start + MINUTE), key=lambda time_ns: abs(time_ns - received))

    first = year_start(received)
    years = (first, year_start(first - 1), year_start(first + 370 * 24 * HOUR))
    starts = [year + minute * MINUTE for year in years]

    if ms is not None:
        return min((start + ms * MILLISECOND for start in starts), key=lambda time_ns: abs(time_ns - received))

    nearest_within = (min(max(received, start), start + MINUTE - MILLISECOND) for start in starts)
    return min(nearest_within, key=lambda time_ns: abs(time_ns - received))


def year_start(time_ns: int) -> int:
    """Return when the UTC year of `time_ns` began, ns."""
    days = time_ns // (24 * HOUR)
    year = 1970 + int(days // 365.2425)
    while _days_before(year + 1) <= days:
        year += 1

    while _days_before(year) > days:
        year -= 1

    return _days_before(year) * 24 * HOUR


def _days_before(year: int) -> int:
    """Return the days from 1970 to the beginning of a year (Gregorian calendar)."""
    before = year - 1
    return before * 365 + before // 4 - before // 100 + before // 400 - 719_162
