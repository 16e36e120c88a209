"""Times of ETSI messages: TimestampIts and generationDeltaTime <-> ns since 1970, UTC.

TimestampIts counts ms of TAI since 2004-01-01T00:00:00 UTC: leap seconds since then are in it (TS 102 894-2).
generationDeltaTime is TimestampIts modulo 65,536 ms: of all times with that remainder the one nearest to the reception
is meant.
"""

from typing import Final

from ..clock import MS, SECOND

EPOCH: Final = 1_072_915_200 * SECOND  # 2004-01-01T00:00:00 UTC, ns since 1970
MAX_TIMESTAMP: Final = 4_398_046_511_103  # ms
DELTA_TIMES: Final = 65_536  # ms
# UTC seconds since 1970 before which a leap second was put in since 2004 (IERS Bulletin C): 2006-01-01, 2009-01-01,
# 2012-07-01, 2015-07-01, 2017-01-01.
LEAPS: Final = (1_136_073_600, 1_230_768_000, 1_341_100_800, 1_435_708_800, 1_483_228_800)


def utc_of(timestamp: int) -> int:
    """Return ns since 1970, UTC, of a TimestampIts (ms). A leap second is read as the last second before it."""
    t = EPOCH + timestamp * MS
    for number, leap in enumerate(LEAPS):
        # the leap second itself begins where UTC, less those counted so far, would reach the new day
        if t - number * SECOND < leap * SECOND:
            return t - number * SECOND
        if t - number * SECOND < (leap + 1) * SECOND:
            return t - (number + 1) * SECOND

    return t - len(LEAPS) * SECOND


def timestamp_of(t: int) -> int:
    """Return the TimestampIts (ms) of `t` ns since 1970, UTC."""
    passed = sum(t >= leap * SECOND for leap in LEAPS)
    return (t - EPOCH + passed * SECOND) // MS


def utc_of_delta(delta: int, received: int) -> int:
    """Return ns of a generationDeltaTime (ms): the time of that remainder that is nearest to `received` ns."""
    now = timestamp_of(received)
    behind = (now - delta + DELTA_TIMES // 2) % DELTA_TIMES - DELTA_TIMES // 2
    return utc_of(now - behind)
