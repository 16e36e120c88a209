"""How long a vehicle waits before it connects again, and what its connections show about its identity and its clock."""

import logging
import random
from collections import deque
from enum import IntEnum
from statistics import median

from ..clock import MS, SECOND, STEP

FIRST_PAUSE, MAX_PAUSE = 0.2, 0.4  # s; short: a link that is back is used within 2 s
# s; a broker that refused once will mostly refuse again
REFUSED_PAUSE, MAX_REFUSED_PAUSE = 1.0, 30.0
# s; of two clients with one id, each must leave the other in peace, and be back soon once it is alone
TAKEN_PAUSE, MAX_TAKEN_PAUSE = 1.0, 15.0
# A connection that the broker ended so soon may have been taken over, which MQTT 3.1.1 and some brokers do not report
SHORT_LIVED = 5 * SECOND
MAX_SHORT_LIVED = 3  # such connections in a row
# A connection that lasted longer proves that no other client uses the id
SETTLED = 2 * int(MAX_TAKEN_PAUSE) * SECOND
CERTIFICATE_ALERTS = (
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
)
OFFSETS = 8  # messages among which the fastest one is taken to have had no delay
MIN_OFFSETS = 3  # of them before anything is concluded
# The fastest of several messages does not take longer on the way: the clock is ahead
AHEAD = 500 * MS
# No message comes before it was sent: one shows it. NTP over mobile networks is better than that
BEHIND = 250 * MS


class Trouble(IntEnum):
    """What keeps a vehicle from its broker; a later one explains an earlier one."""

    NO_LINK = 1
    REFUSED = 2
    SHARED_ID = 3

    def replaces(self, standing: "Trouble | None") -> bool:
        """Return whether this one is reported while another stands. Two clients with one id may part again: then
        anything else is news.
        """
        return standing is None or self > standing or (standing is Trouble.SHARED_ID and self is not standing)


class LinkLog(logging.Logger):
    """Takes what the MQTT library would log of each attempt, and keeps the newest line: the cause that TLS gives."""

    def __init__(self) -> None:
        super().__init__("cloudctl.client.mqtt", logging.ERROR)
        self._newest = ""
        self.addFilter(self._keep)

    def take(self) -> str:
        """Return the newest line, "" where there is none since the last call."""
        newest, self._newest = self._newest, ""
        return newest

    def _keep(self, record: logging.LogRecord) -> bool:
        self._newest = record.getMessage()
        return False


def certificate_refusal(text: str) -> str | None:
    """Return how the other end refuses this one's certificate, by the alert of TLS (RFC 8446, 6.2) in an error's text;
    None where it does not.
    """
    upper = text.upper().replace(" ", "_")
    if "ALERT" not in upper:
        return None

    for alert in CERTIFICATE_ALERTS:
        if alert in upper:
            return alert.lower().replace("_", " ")

    return None


def in_brackets(cause: object) -> str:
    """Return a cause as it stands behind a sentence, "" where it is empty."""
    text = str(cause)
    return "" if not text or "Unspecified error" in text else f" ({text})"


class Pauses:
    """Growing, jittered pauses between attempts to connect, by what ended the last one."""

    def __init__(self) -> None:
        self._failures = self._refusals = self._takeovers = self._short = 0
        self._last_takeover_pause = 0.0  # s

    @property
    def is_contended(self) -> bool:
        """Whether another client may still use this one's id."""
        return self._takeovers > 0

    def failed(self) -> float:
        """Return s to wait after a broker could not be reached, or was lost."""
        self._failures += 1
        return _jittered(FIRST_PAUSE * 1.5 ** min(self._failures - 1, 10), MAX_PAUSE)

    def refused(self) -> float:
        """Return s to wait after a broker refused this client."""
        self._refusals += 1
        return _jittered(REFUSED_PAUSE * 2.0 ** min(self._refusals - 1, 10), MAX_REFUSED_PAUSE)

    def taken_over(self) -> float:
        """Return s to wait after another client took over this one's session."""
        self._takeovers += 1
        self._last_takeover_pause = _jittered(TAKEN_PAUSE * 2.0 ** min(self._takeovers - 1, 10), MAX_TAKEN_PAUSE)
        return self._last_takeover_pause

    def lived(self, duration: int) -> bool:
        """Take in that a connection was made and lasted `duration` ns; return whether, ended by the broker, it looks
        taken over.

        Two that fight pause about as long as each other: a connection then lasts for the other's pause.
        """
        self._failures = self._refusals = 0
        if duration > SETTLED:
            self._takeovers = 0
        if self._takeovers:
            return duration < SHORT_LIVED + int(4 * self._last_takeover_pause * SECOND)

        self._short = self._short + 1 if duration < SHORT_LIVED else 0
        return self._short >= MAX_SHORT_LIVED


class ClockWatch:
    """Compares the times in messages with this vehicle's clock: the least delay of several is the clock's error."""

    def __init__(self) -> None:
        self._offsets: deque[int] = deque(maxlen=OFFSETS)
        self._ahead: int | None = None  # of this vehicle's clock against a monotonic one

    def watch(self, now: int, monotonic: int) -> None:
        """Notice that this vehicle's clock has stepped: what was compared before does not hold for it."""
        ahead = now - monotonic
        if self._ahead is not None and abs(ahead - self._ahead) > STEP:
            self._offsets.clear()
        self._ahead = ahead

    def usual_offset(self) -> int | None:
        """Return by how many ns messages come later than they were made: the middle of the last ones, which no single
        one can shift; None while few have come.
        """
        if len(self._offsets) < MIN_OFFSETS:
            return None
        return int(median(self._offsets))

    def end_of(self, sent: int, valid_until: int, now: int) -> int:
        """Return until when, by this vehicle's clock, a message that came `now` holds: one that is behind must not keep
        it for longer than was meant. All in ns."""
        usual = self.usual_offset()
        behind = usual if usual is not None and usual < -BEHIND else 0
        return min(valid_until + behind, now + valid_until - sent)

    def observe(self, sent: int, now: int) -> float | None:
        """Take in a message's time and this vehicle's (ns); return by how many s the vehicle's clock is ahead
        (negative: behind), None when it is right or not known.
        """
        self._offsets.append(now - sent)
        least = min(self._offsets)
        is_behind = least < -BEHIND
        is_ahead = least > AHEAD and len(self._offsets) >= MIN_OFFSETS
        return least / SECOND if is_ahead or is_behind else None


def _jittered(pause: float, greatest: float) -> float:
    return min(pause, greatest) * random.uniform(0.5, 1.5)
