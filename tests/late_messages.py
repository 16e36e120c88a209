"""What a machine that stands still does to messages that were sent in time: they are late where they come."""

from collections.abc import Iterable

from cloudctl.schema import Reject


def unless_late(rejects: Iterable[Reject]) -> list[Reject]:
    """Return the refusals but those of messages that were too old when they came."""
    return [reject for reject in rejects if not (reject.field == "t" and "s old; at most" in reject.rule)]
