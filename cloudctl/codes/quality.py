"""Signal quality while running: what is wrong with the states an intersection is sent, said at once and with the reason.

Seven checks: rate, age, phase_order, end_order (min <= likely <= max), countdown, revision, conflict. A fault is an event when it
begins; it is active until HOLD after it was last seen, and as long as one is, lane-level advice is withheld. The age of states is
the exception: they are trusted again with the first message that is in time.
Bounds: T/CSAE 159-2020 (SPAT within 500 ms of one another), ISO/TS 19091 (states, order of end times).
"""

from collections.abc import Sequence

from msgspec import Struct

from cloudctl.schema import Group, SignalState

from .model import IntersectionCode

CHECKS = ("rate", "age", "phase_order", "end_order", "countdown", "revision", "conflict")
MS = 1_000_000
HOLD = 2_000 * MS  # ns
WINDOW = 10_000 * MS  # ns over which the rate is taken
MAX_GAP = WINDOW // 2  # ns; after a longer silence (a link that was cut) the rate is taken anew: what was old meanwhile is seen by its age
SLOWEST, FASTEST = 2.0, 40.0  # messages a second, of all roadside units of the intersection together
OLDEST, EARLIEST = 500 * MS, -100 * MS  # ns
UNSEEN = 1_500 * MS  # ns between two messages beyond which a state may have come and gone unseen
EXTENSION = 3_000 * MS  # ns by which traffic may put off an end at once: the longest usual extension of a green

S = SignalState
RED, GREEN, YELLOW = (S.RED,), (S.GREEN_PERMISSIVE, S.GREEN_PROTECTED, S.GREEN_FLASH), (S.YELLOW_PERMISSIVE, S.YELLOW_PROTECTED)
DRIVEN = ("vehicle", "bus", "tram")  # kinds of groups that show yellow after green
ANY = (S.UNKNOWN, S.DARK, S.RED_FLASH, S.YELLOW_FLASH)  # of a controller that begins, ends or fails: may follow and precede all
FOLLOWS = {S.RED: (S.PRE_MOVEMENT, *GREEN), S.PRE_MOVEMENT: GREEN, **dict.fromkeys(GREEN, (*GREEN, *YELLOW)), **dict.fromkeys(YELLOW, (*RED, *YELLOW))}
COLOUR = {S.RED: "R", S.PRE_MOVEMENT: "P", **dict.fromkeys(GREEN, "G"), **dict.fromkeys(YELLOW, "Y")}
SHOWN = {"R": "R", "G": "G", "g": "G", "y": "G", "Y": "Y", "P": "P"}  # the colour of a plan's letter


class SignalFault(Struct, frozen=True):
    """One fault of the signal states of one intersection, as an event; `group` is 0 where it is of no one group."""

    intersection: str
    check: str
    t: int  # ns; when it was seen
    group: int
    field: str
    value: str
    rule: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.intersection}: signal {self.check}: {self.field} = {self.value}: {self.rule}. {self.remedy}"


class SignalQuality:
    """Watches the signal states of one intersection. Every call returns the faults that begin with it, and counts all it sees."""

    def __init__(self, code: IntersectionCode) -> None:
        self.counts = dict.fromkeys(CHECKS, 0)
        self._id, self._revision = code.id, code.revision
        self._kinds = {group.id: group.kind for group in code.signal_groups}
        self._foes = _foes(code)
        self._planned = _planned(code)
        self._active: dict[tuple[str, int], tuple[int, SignalFault]] = {}
        self._groups: Sequence[Group] = ()
        self._last: dict[int, Group] = {}
        self._t = self._t_rx = self._window = 0
        self._heard = 0
        self._in_time = True
        self._clash: list[tuple[int, int]] = []

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
            self._note(begun, t_rx, "revision", 0, "revision", revision, f"the code in force is revision {self._revision}",
                       "fetch the code in force, and send the revision that the states refer to")
        if groups is not self._groups:
            self._changed(t_rx, t, groups, offset, begun)
            self._groups = groups
        for a, b in self._clash:
            self._note(begun, t_rx, "conflict", a, f"g[{a}], g[{b}]", "both protected green", "their movements cross or merge",
                       "check the controller's conflict monitor and the channels bound to the groups")
        self._t, self._t_rx = t, t_rx
        return begun

    def late(self, t_rx: int, age: int, begun: list[SignalFault] | None = None) -> list[SignalFault]:
        """Take note of a message whose states are too old, or in the future, by its age in ns."""
        begun = [] if begun is None else begun
        self._note(begun, t_rx, "age", 0, "t", f"{age / MS:.0f} ms old", f"must be within {EARLIEST // MS} .. {OLDEST // MS} ms",
                   "send at once; set the controller's and the gateway's clocks (NTP or PTP)")
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
        """Return why lane-level advice is withheld at `t` ns, None where it is not."""
        found = [fault for fault in self.faults(t) if fault.check != "age" or not self._in_time]
        return "; ".join(f"{f.check}: {f.field} = {f.value}: {f.rule}" for f in found[:3]) or None

    def _note(self, begun: list[SignalFault], t: int, check: str, group: int, field: str, value: object, rule: str, remedy: str) -> None:
        self.counts[check] += 1
        key = (check, group)
        known = self._active.get(key)
        if known is None or known[0] <= t:
            fault = SignalFault(self._id, check, t, group, field, str(value), rule, remedy)
            begun.append(fault)
        else:
            fault = known[1]
        self._active[key] = (t + (WINDOW if check == "rate" else HOLD), fault)

    def _rate(self, t_rx: int, begun: list[SignalFault]) -> None:
        first, rate = self._window == 0, (self._heard - 1) * 1000 * MS / (t_rx - self._window)
        self._window, self._heard = t_rx, 1
        if not first and not SLOWEST <= rate <= FASTEST:
            self._note(begun, t_rx, "rate", 0, "rate", f"{rate:.2f} /s", f"must be {SLOWEST:.0f} .. {FASTEST:.0f} messages a second",
                       "send the states at 10 Hz, and check the link to the gateway")

    def _changed(self, t_rx: int, t: int, groups: Sequence[Group], offset: int, begun: list[SignalFault]) -> None:
        seen = bool(self._t) and t - self._t <= UNSEEN
        for group in groups:
            low, likely, high = group.min_end, group.likely_end, group.max_end
            known = [end for end in (low, likely, high) if end is not None]
            if known != sorted(known):
                self._disordered(begun, t_rx, group.group, f"{low}, {likely}, {high}")
                continue
            before = self._last.get(group.group)
            self._last[group.group] = group
            if before is None or not seen:
                continue
            if group.state != before.state:
                self._ordered(t_rx, before, group, begun)
            else:
                self._counted(t_rx, t + offset, before, group, begun)
        self._clash = self._clashes([g.group for g in groups if g.state == S.GREEN_PROTECTED])

    def _disordered(self, begun: list[SignalFault], t_rx: int, group: int, value: str) -> None:
        self._note(begun, t_rx, "end_order", group, f"g[{group}]", value, "min_end <= likely_end <= max_end must hold", "check the end times that the controller gives")

    def _ordered(self, t_rx: int, before: Group, now: Group, begun: list[SignalFault]) -> None:
        a, b = before.state, now.state
        if a in ANY or b in ANY or b in FOLLOWS.get(a, ()) or (now.group, COLOUR[a], COLOUR[b]) in self._planned:
            return
        if a in GREEN and b in RED and self._kinds.get(now.group) not in DRIVEN:
            return
        self._note(begun, t_rx, "phase_order", now.group, f"g[{now.group}].s", f"{a.name} then {b.name}",
                   "red, green, yellow, red is the order; only a plan of the code may leave one out", "check the controller's phases, and that no message is lost")

    def _counted(self, t_rx: int, t: int, before: Group, now: Group, begun: list[SignalFault]) -> None:
        old, new = _end(before), _end(now)
        if old is None or new is None or new - old <= EXTENSION or old < t:
            return
        self._note(begun, t_rx, "countdown", now.group, f"g[{now.group}]", f"end put off by {(new - old) / 1e9:.1f} s",
                   f"the time left of a state grows by {EXTENSION // (1000 * MS)} s at most from one message to the next", "check the controller's clock and plan; give min_end and max_end apart while traffic decides")

    def _clashes(self, green: list[int]) -> list[tuple[int, int]]:
        return [(a, b) for k, a in enumerate(green) for b in green[k + 1:] if b in self._foes.get(a, ())]


def _end(group: Group) -> int | None:
    """Return when a state is said to end: the likely end, or the end where its bounds leave no choice."""
    if group.likely_end is not None:
        return group.likely_end
    return group.min_end if group.min_end == group.max_end else None


def _foes(code: IntersectionCode) -> dict[int, set[int]]:
    of = {c.id: c.group for c in code.connections}
    out: dict[int, set[int]] = {}
    for c in code.conflicts:
        a, b = of[c.a], of[c.b]
        if a and b and a != b and c.kind != "diverge":
            out.setdefault(a, set()).add(b)
            out.setdefault(b, set()).add(a)
    return out


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
