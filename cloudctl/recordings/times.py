"""Times as a person gives them on the command line."""

from datetime import datetime

from ..clock import SECOND
from ..io.recording.parts import RecordingError

MIN_NANOSECONDS = 10**15  # since 1970: 11 days after; a smaller number is a count of seconds whose + was forgotten


def time_of_text(option: str, text: str, begin: int) -> int:
    """Return ns of a time: "+SECONDS" from a recording's begin (ns), ns since 1970, or ISO 8601 with its zone. Raises
    RecordingError."""
    try:
        if text.startswith("+"):
            return begin + round(float(text[1:]) * SECOND)

        if text.isdecimal():
            if int(text) < MIN_NANOSECONDS:
                raise ValueError("a bare number is ns since 1970, and this one is not of our time")
            return int(text)

        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError("it has no zone")
    except (ValueError, OverflowError) as error:
        raise RecordingError(
            f"{option} {text!r} is no time ({error}). Write +SECONDS from the beginning, as +90.5, or a time with its "
            "zone, as 2026-05-01T08:00:00Z"
        ) from None

    whole = int(at.replace(microsecond=0).timestamp())
    return whole * SECOND + at.microsecond * 1000
