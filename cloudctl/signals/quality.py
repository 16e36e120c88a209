"""Signal quality while running: what is wrong with the states an intersection is sent, reported once, with the reason.

Each check of `CHECKS` says what its faults put in doubt: every group of the intersection, the state of the groups concerned, their end times
only, or nothing. A fault is an event when it begins; it is active until HOLD after it was last seen, and as long as it is, advice that rests
on what it doubts is withheld. The age of states is the exception: they are trusted again with the first message that is in time.
Bounds: T/CSAE 159-2020 (SPAT within 500 ms of one another), ISO/TS 19091 (states, order of end times); what is compared for alignment and
conflict is in `signal_conflicts`.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from cloudctl.schema import Group, SignalState

from ..codes.model import IntersectionCode
from .conflicts import Alignment, Clash, align, clashes, foes_of

ALL, STATE, TIMES, NOTHING = "all", "state", "times", "nothing"  # what a fault puts in doubt
CHECKS: Mapping[str, str] = {
    "rate": ALL,
    "age": ALL,
    "phase_order": STATE,
    "end_order": TIMES,
    "countdown": TIMES,
    "revision": ALL,
    "conflict": STATE,
    "alignment": NOTHING,  # an unknown group concerns no movement; a missing one ages by itself, and is unknown when it is too old
    "duplicate": STATE,
    "overdue": TIMES,
}
MS = 1_000_000
HOLD = 2_000 * MS  # ns
WINDOW = 10_000 * MS  # ns over which the rate is taken
MAX_GAP = (
    WINDOW // 2
)  # ns; after a longer silence (a link that was cut) the rate is taken anew: what was old meanwhile is seen by its age
SLOWEST, FASTEST = 2.0, 40.0  # messages a second, of all roadside units of the intersection together
OLDEST, EARLIEST = 500 * MS, -100 * MS  # ns
UNSEEN = 1_500 * MS  # ns between two messages beyond which a state may have come and gone unseen
SHOWN_IDS = 8  # of groups, in words
EXTENSION = 3_000 * MS  # ns by which traffic may put off an end at once: the longest usual extension of a green

TOLERANCE = 150 * MS  # by which a state may outlast its end: tenths of a second on the wire, and one message of 10 Hz
NEVER = 2**62  # ns

S = SignalState
REDS = (S.RED, S.RED_FLASH, S.PRE_MOVEMENT)
RED, GREEN, YELLOW = (
    (S.RED,),
    (S.GREEN_PERMISSIVE, S.GREEN_PROTECTED, S.GREEN_FLASH),
    (S.YELLOW_PERMISSIVE, S.YELLOW_PROTECTED),
)
DRIVEN = ("vehicle", "bus", "tram")  # kinds of groups that show yellow after green
ANY = (
    S.UNKNOWN,
    S.DARK,
    S.RED_FLASH,
    S.YELLOW_FLASH,
)  # of a controller that begins, ends or fails: may follow and precede all
FOLLOWS = {
    S.RED: (S.PRE_MOVEMENT, *GREEN),
    S.PRE_MOVEMENT: GREEN,
    **dict.fromkeys(GREEN, (*GREEN, *YELLOW)),
    **dict.fromkeys(YELLOW, (*RED, *YELLOW)),
}
COLOUR = {S.RED: "R", S.PRE_MOVEMENT: "P", **dict.fromkeys(GREEN, "G"), **dict.fromkeys(YELLOW, "Y")}
SHOWN = {"R": "R", "G": "G", "g": "G", "y": "G", "Y": "Y", "P": "P"}  # the colour of a plan's letter


class SignalFault(Struct, frozen=True):
    """One fault of the signal states of one intersection, as an event; `group` is 0 where it is of no one group, `other` the second of two."""

    intersection: str
    check: str
    t: int  # ns; when it was seen
    group: int
    field: str
    value: str
    rule: str
    remedy: str
    other: int = 0

    def __str__(self) -> str:
        return f"{self.intersection}: signal {self.check}: {self.field} = {self.value}: {self.rule}. {self.remedy}"


class SignalQuality:
    """Watches the signal states of one intersection. Every call returns the faults that begin with it, and counts all it sees."""

    def __init__(self, code: IntersectionCode) -> None:
        self.counts = dict.fromkeys(CHECKS, 0)
        self._id, self._revision = code.id, code.revision
        self._kinds = {group.id: group.kind for group in code.signal_groups}
        self._foes = foes_of(code)
        self._planned = _planned(code)
        self._active: dict[
            tuple[str, str], tuple[int, SignalFault]
        ] = {}  # by check and field; bounded by the code's groups
        self._groups: Sequence[Group] | None = None
        self._ids: tuple[int, ...] | None = None  # of the groups of the newest message
        self._alignment = Alignment((), (), ())
        self._last: dict[int, Group] = {}
        self._t = self._t_rx = self._window = 0
        self._heard = 0
        self._in_time = True
        self._clashes: list[Clash] = []
        self._first_end = NEVER  # of those promised in the newest message
        self._disorders: list[tuple[int, str]] = []  # groups whose ends are out of order, and those ends

    def observe(self, t_rx: int, t: int, revision: int, groups: Sequence[Group], offset: int = 0) -> list[SignalFault]:
        """Take a message received at `t_rx` whose states were true at `t`, ns; `offset` is how far the sender's end times are ahead."""
        begun: list[SignalFault] = []
        self._heard += 1
        if t_rx - self._t_rx > MAX_GAP:
            self._window, self._heard = t_rx, 1
        elif t_rx - self._window >= WINDOW:
            self._rate(t_rx, begun)
        self._in_time = EARLIEST <= t_rx - t <= OLDEST
        if not self._in_time:
            self.late(t_rx, t_rx - t, begun)
        if revision != self._revision:
            self._note(
                begun,
                t_rx,
                "revision",
                0,
                "revision",
                revision,
                f"the code in force is revision {self._revision}",
                "fetch the code in force, and send the revision that the states refer to",
            )
        if groups is not self._groups:
            self._changed(t_rx, t, groups, offset, begun)
            self._groups = groups
        if not self._ids or any(self._alignment):
            self._aligned(t_rx, begun)
        for number, ends in self._disorders:
            self._disordered(begun, t_rx, number, ends)
        if t + offset > self._first_end + TOLERANCE:
            self._overdue(t_rx, t + offset, groups, begun)
        for clash in self._clashes:
            self._note(
                begun,
                t_rx,
                "conflict",
                clash.group,
                f"group {clash.group}, group {clash.other}",
                f"{clash.state.name} and {clash.other_state.name}",
                "their movements cross or merge, and the second has no permissive movement that gives way to the first",
                "check the controller's conflict monitor and the channels bound to the groups, or list the pair in the code's signal_exceptions",
                clash.other,
            )
        self._t, self._t_rx = t, t_rx
        return begun

    def late(self, t_rx: int, age: int, begun: list[SignalFault] | None = None) -> list[SignalFault]:
        """Take note of a message whose states are too old, or in the future, by its age in ns."""
        begun = [] if begun is None else begun
        self._note(
            begun,
            t_rx,
            "age",
            0,
            "t",
            f"{age / MS:.0f} ms old",
            f"must be within {EARLIEST // MS} .. {OLDEST // MS} ms",
            "send at once; set the controller's and the gateway's clocks (NTP or PTP)",
        )
        return begun

    def disordered(self, t_rx: int, group: int, value: str) -> list[SignalFault]:
        """Take note of a message that was refused because the end times of a group are out of order."""
        begun: list[SignalFault] = []
        self._disordered(begun, t_rx, group, value)
        return begun

    def faults(self, t: int) -> list[SignalFault]:
        """Return what is active at `t` ns."""
        if not self._active:
            return []
        self._active = {key: found for key, found in self._active.items() if found[0] > t}
        return [fault for _, fault in self._active.values()]

    def trouble(self, t: int) -> str | None:
        """Return why all advice that rests on signals is withheld at `t` ns, None where it is not; single groups: `doubted`."""
        return _words(
            [
                fault
                for fault in self.faults(t)
                if CHECKS[fault.check] == ALL and (fault.check != "age" or not self._in_time)
            ]
        )

    def doubted(self, t: int) -> dict[int, str]:
        """Return what is in doubt at `t` ns of single groups, by group: STATE (the times with it) or TIMES."""
        doubts: dict[int, str] = {}
        for fault in self.faults(t):
            doubt = CHECKS[fault.check]
            if doubt not in (STATE, TIMES):
                continue
            for group in (fault.group, fault.other):
                if group and doubts.get(group) != STATE:
                    doubts[group] = doubt
        return doubts

    def doubt_reason(self, t: int) -> str | None:
        """Return why single groups are in doubt at `t` ns, in words; None where none is."""
        return _words([fault for fault in self.faults(t) if CHECKS[fault.check] in (STATE, TIMES)])

    def _note(
        self,
        begun: list[SignalFault],
        t: int,
        check: str,
        group: int,
        field: str,
        value: object,
        rule: str,
        remedy: str,
        other: int = 0,
    ) -> None:
        self.counts[check] += 1
        key = (check, field)
        known = self._active.get(key)
        if known is None or known[0] <= t:
            fault = SignalFault(self._id, check, t, group, field, str(value), rule, remedy, other)
            begun.append(fault)
        else:
            fault = known[1]
        self._active[key] = (t + (WINDOW if check == "rate" else HOLD), fault)

    def _rate(self, t_rx: int, begun: list[SignalFault]) -> None:
        first, rate = self._window == 0, (self._heard - 1) * 1000 * MS / (t_rx - self._window)
        self._window, self._heard = t_rx, 1
        if not first and not SLOWEST <= rate <= FASTEST:
            self._note(
                begun,
                t_rx,
                "rate",
                0,
                "rate",
                f"{rate:.2f} /s",
                f"must be {SLOWEST:.0f} .. {FASTEST:.0f} messages a second",
                "send the states at 10 Hz, and check the link to the gateway",
            )

    def _changed(self, t_rx: int, t: int, groups: Sequence[Group], offset: int, begun: list[SignalFault]) -> None:
        seen = bool(self._t) and t - self._t <= UNSEEN
        ids = tuple([group.group for group in groups])
        if ids != self._ids:
            self._ids, self._alignment = ids, align(self._kinds, ids)

        used = groups
        if self._alignment.unknown or self._alignment.twice:
            left_out = (*self._alignment.unknown, *self._alignment.twice)
            used = [group for group in groups if group.group not in left_out]

        self._disorders = []
        for group in used:
            before = self._last.get(group.group)
            self._last[group.group] = group
            low, likely, high = group.min_end, group.likely_end, group.max_end
            ends = [end for end in (low, likely, high) if end is not None]
            if ends != sorted(ends):
                self._disorders.append((group.group, f"{low}, {likely}, {high}"))
            if before is None or not seen:
                continue
            if group.state != before.state:
                self._ordered(t_rx, before, group, begun)
            elif ends == sorted(ends):
                self._counted(t_rx, t + offset, before, group, begun)
        self._clashes = clashes(self._foes, used)
        self._first_end = min((end for group in used if (end := promised_end(group)) is not None), default=NEVER)

    def _aligned(self, t_rx: int, begun: list[SignalFault]) -> None:
        """Take note of groups that the message has and the code has not, that are missing from it, or that it has more than once."""
        found = self._alignment
        if not self._ids:
            self._note(
                begun,
                t_rx,
                "alignment",
                0,
                "g",
                "no groups",
                "a message gives the state of every group of the code",
                "check the controller's output to the gateway",
            )
            return
        if found.unknown:
            self._note(
                begun,
                t_rx,
                "alignment",
                0,
                "g[].g",
                _listed(found.unknown),
                "the code in force has no such group",
                "compare the groups of the controller, the MAP and the code; send the code's numbers",
            )
        if found.missing:
            self._note(
                begun,
                t_rx,
                "alignment",
                0,
                "g[]",
                f"without group {_listed(found.missing)}",
                "a message gives the state of every group of the code",
                "send it, with state 0 where it is not known, or take the group out of the code",
            )
        for group in found.twice:
            self._note(
                begun,
                t_rx,
                "duplicate",
                group,
                f"group {group}",
                "more than once",
                "a message gives one state of a group; none of them is used",
                "check the channels bound to the group",
            )

    def _overdue(self, t_rx: int, t: int, groups: Sequence[Group], begun: list[SignalFault]) -> None:
        for group in groups:
            end = promised_end(group)
            if end is not None and t > end + TOLERANCE and group.group in self._kinds:
                self._note(
                    begun,
                    t_rx,
                    "overdue",
                    group.group,
                    f"group {group.group}",
                    f"{group.state.name}, {(t - end) / 1e9:.1f} s after its end",
                    "a state ends at its max_end at the latest (red without one: at next_green)",
                    "check the controller's plan and clock; give no max_end where traffic decides",
                )

    def _disordered(self, begun: list[SignalFault], t_rx: int, group: int, value: str) -> None:
        known = group if group in self._kinds else 0
        self._note(
            begun,
            t_rx,
            "end_order",
            known,
            f"group {group}",
            value,
            "min_end <= likely_end <= max_end must hold",
            "check the end times that the controller gives",
        )

    def _ordered(self, t_rx: int, before: Group, now: Group, begun: list[SignalFault]) -> None:
        a, b = before.state, now.state
        if a in ANY or b in ANY or b in FOLLOWS.get(a, ()) or (now.group, COLOUR[a], COLOUR[b]) in self._planned:
            return
        if a in GREEN and b in RED and self._kinds.get(now.group) not in DRIVEN:
            return
        self._note(
            begun,
            t_rx,
            "phase_order",
            now.group,
            f"group {now.group}: state",
            f"{a.name} then {b.name}",
            "red, green, yellow, red is the order; only a plan of the code may leave one out",
            "check the controller's phases, and that no message is lost",
        )

    def _counted(self, t_rx: int, t: int, before: Group, now: Group, begun: list[SignalFault]) -> None:
        old, new = _end(before), _end(now)
        if old is None or new is None or new - old <= EXTENSION or old < t:
            return
        self._note(
            begun,
            t_rx,
            "countdown",
            now.group,
            f"group {now.group}",
            f"end put off by {(new - old) / 1e9:.1f} s",
            f"the time left of a state grows by {EXTENSION // (1000 * MS)} s at most from one message to the next",
            "check the controller's clock and plan; give min_end and max_end apart while traffic decides",
        )


def promised_end(group: Group) -> int | None:
    """Return by when a state will have ended, as its controller promises: its greatest end; of red without one, the likely beginning of green."""
    return group.next_green if group.max_end is None and group.state in REDS else group.max_end


def _listed(groups: Sequence[int]) -> str:
    return ", ".join(map(str, groups[:SHOWN_IDS])) + (", ..." if len(groups) > SHOWN_IDS else "")


def _words(faults: list[SignalFault]) -> str | None:
    return "; ".join(f"{f.check}: {f.field} = {f.value}: {f.rule}" for f in faults[:3]) or None


def _end(group: Group) -> int | None:
    """Return when a state is promised to end: the likely end, or the end where its bounds leave no choice; None where they leave the choice to traffic."""
    if group.min_end is not None and group.max_end is not None and group.max_end - group.min_end > EXTENSION:
        return None
    if group.likely_end is not None:
        return group.likely_end
    return group.min_end if group.min_end == group.max_end else None


def _planned(code: IntersectionCode) -> set[tuple[int, str, str]]:
    """Return the changes of colour that the code's own plans make: they are in order whatever the rule."""
    out = set()
    for plan in code.plans:
        for k, phase in enumerate(plan.phases):
            after = plan.phases[(k + 1) % len(plan.phases)]
            for place, group in enumerate(code.signal_groups):
                a, b = SHOWN.get(phase.shows[place]), SHOWN.get(after.shows[place])
                if a is not None and b is not None and a != b:
                    out.add((group.id, a, b))
    return out
