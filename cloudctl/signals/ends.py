"""The promised ends of a signal state: which of them counts, and how exactly it has to be kept."""

from ..clock import MS
from ..schema import Group
from .colours import RED_STATES

# By which a state may outlast its end: tenths of a second on the wire, and one message at 10 Hz
TOLERANCE = 150 * MS
# By which the states of a message may be ahead of the node's clock: as far as clocks are kept by NTP over a radio link
MAX_AHEAD = 100 * MS
# ns between two messages beyond which a state may have come and gone unseen
MAX_UNSEEN = 1_500 * MS
# ns by which traffic may put off an end at once: the longest usual extension of a green
MAX_EXTENSION = 3_000 * MS


def promised_end(group: Group) -> int | None:
    """Return by when (ns) a state will have ended, as its controller promises; None where it promises nothing.

    That is its greatest end; of red without one, the likely beginning of green.
    """
    if group.max_end is None and group.state in RED_STATES:
        return group.next_green

    return group.max_end


def countdown_end(group: Group) -> int | None:
    """Return when (ns) a state is expected to end: the likely end, or the end where its bounds leave no choice.

    None where the bounds leave the choice to traffic, or no end is known.
    """
    if group.min_end is not None and group.max_end is not None and group.max_end - group.min_end > MAX_EXTENSION:
        return None
    if group.likely_end is not None:
        return group.likely_end

    return group.min_end if group.min_end == group.max_end else None


def known_ends(group: Group) -> list[int]:
    """Return the ends that a group has, ns: earliest, likely, greatest."""
    return [end for end in (group.min_end, group.likely_end, group.max_end) if end is not None]
