"""Signal quality while running: what is wrong with the states an intersection is sent, reported once, with the reason.

Each check puts something in doubt (`faults.CHECKS`): every group of the intersection, the state of the groups
concerned, their end times only, or nothing. A fault is an event when it begins. It is active until HOLD after it was
last noticed; as long as it is, advice that rests on what it doubts is withheld. The age of states is the exception:
they are trusted again with the first message that is in time.

Bounds: T/CSAE 159-2020 (SPAT within 500 ms of one another), ISO/TS 19091 (states, order of end times). Alignment and
conflict are those of `conflicts`, the order of states is that of `phase_order`.
"""

from collections.abc import Sequence

from ..clock import MS, SECOND
from ..codes.model import IntersectionCode
from ..schema import Group
from .conflicts import Alignment, Clash, align, clashes, foes_of
from .ends import MAX_AHEAD, MAX_EXTENSION, MAX_UNSEEN, TOLERANCE, countdown_end, known_ends, promised_end
from .faults import CHECKS, MAX_LISTED, OF_SINGLE_GROUPS, Check, Scope, SignalFault, listed, reason_of
from .phase_order import PhaseOrder

HOLD = 2_000 * MS  # ns that a fault is active after it was last noticed
RATE_WINDOW = 10_000 * MS  # ns over which the rate is taken
# ns; after a longer silence (a link that was cut) the rate is taken anew: late states are noticed by their age
MAX_GAP = RATE_WINDOW // 2
# Messages per second, of all roadside units of the intersection together
MIN_RATE, MAX_RATE = 2.0, 40.0
MAX_AGE, MIN_AGE = 500 * MS, -MAX_AHEAD  # ns
NEVER = 2**62  # ns


class SignalQuality:
    """Watches the signal states of one intersection. Every call returns the faults that begin with it, and counts all
    it notices."""

    def __init__(self, code: IntersectionCode) -> None:
        self.counts = dict.fromkeys(CHECKS, 0)
        self._intersection, self._revision = code.id, code.revision
        # In the order of the code
        self._group_ids = {group.id: None for group in code.signal_groups}
        self._lane_ids = {lane.id: None for lane in code.lanes}
        self._foes = foes_of(code)
        self._phase_order = PhaseOrder(code)

        # Faults that are active, by check and field, with the time (ns) until which; bounded by the code's groups.
        self._active: dict[tuple[Check, str], tuple[int, SignalFault]] = {}

        # The newest message.
        self._t = self._t_rx = 0
        self._in_time = True
        self._groups: Sequence[Group] | None = None
        self._ids: tuple[int, ...] | None = None  # of its groups
        self._newest: dict[int, Group] = {}  # the newest of each group
        self._alignment = Alignment((), (), ())
        self._clashes: list[Clash] = []
        # groups whose ends are out of order, and those ends
        self._disorders: list[tuple[int, str]] = []
        self._first_end = NEVER  # of the ends it promises

        # The rate: messages since the beginning of the window (ns).
        self._window_begin = self._received = 0

    def observe(self, t_rx: int, time_ns: int, revision: int, groups: Sequence[Group]) -> list[SignalFault]:
        """Take in a message received at `t_rx` whose states were true at `time_ns`; its end times, too, are by the
        node's clock."""
        begun: list[SignalFault] = []
        self._check_rate(t_rx, begun)
        self._in_time = MIN_AGE <= t_rx - time_ns <= MAX_AGE
        if not self._in_time:
            self.late(t_rx, t_rx - time_ns, begun)
        if revision != self._revision:
            self._note_revision(t_rx, revision, begun)

        # The groups of a message are compared once; a repetition has the same faults again.
        if groups is not self._groups:
            self._compare(t_rx, time_ns, groups, begun)
            self._groups = groups

        if not self._ids or any(self._alignment):
            self._note_alignment(t_rx, begun)
        for group, ends in self._disorders:
            self._note_disorder(t_rx, group, ends, begun)
        if time_ns > self._first_end + TOLERANCE:
            self._note_overdue(t_rx, time_ns, groups, begun)
        for clash in self._clashes:
            self._note_clash(t_rx, clash, begun)
        self._t, self._t_rx = max(time_ns, self._t), t_rx
        return begun

    def late(self, t_rx: int, age: int, begun: list[SignalFault] | None = None) -> list[SignalFault]:
        """Take note of a message whose states are too old, or in the future, by its age in ns."""
        begun = [] if begun is None else begun
        self._note(
            begun,
            t_rx,
            Check.AGE,
            field="t",
            value=f"{age / MS:.0f} ms old",
            rule=f"must be within {MIN_AGE // MS} .. {MAX_AGE // MS} ms",
            remedy="send at once; set the controller's and the gateway's clocks (NTP or PTP)",
        )
        return begun

    def disordered(self, t_rx: int, group: int, value: str) -> list[SignalFault]:
        """Take note of a message that was rejected because the end times of a group are out of order."""
        begun: list[SignalFault] = []
        self._note_disorder(t_rx, group, value, begun)
        return begun

    def unknown_lanes(self, t_rx: int, lanes: Sequence[str]) -> list[SignalFault] | None:
        """Take note of lanes in use that the code does not have; None where it has them all. Where a lane is misnamed,
        it is not known which of the others are in use, either."""
        unknown = [lane for lane in lanes if lane not in self._lane_ids]
        if not unknown:
            return None
        begun: list[SignalFault] = []
        self._note(
            begun,
            t_rx,
            Check.ALIGNMENT,
            field="ln[]",
            value=", ".join(unknown[:MAX_LISTED]),
            rule="the code in force has no such lane; which lanes are in use is taken as not known",
            remedy="send the ids of the code's lanes",
        )
        return begun

    def faults(self, time_ns: int) -> list[SignalFault]:
        """Return what is active at `time_ns`."""
        if not self._active:
            return []
        self._active = {key: (until, fault) for key, (until, fault) in self._active.items() if until > time_ns}
        return [fault for _, fault in self._active.values()]

    def trouble(self, time_ns: int) -> str | None:
        """Return why all advice that rests on signals is withheld at `time_ns`, None where it is not; of single groups:
        `doubted`."""
        if not self._active:
            return None
        return reason_of(
            [
                fault
                for fault in self.faults(time_ns)
                if fault.scope is Scope.ALL and (fault.check is not Check.AGE or not self._in_time)
            ]
        )

    def doubted(self, time_ns: int) -> dict[int, Scope]:
        """Return what is in doubt at `time_ns` of single groups, by group: STATE (the times with it) or TIMES."""
        if not self._active:
            return {}

        doubts: dict[int, Scope] = {}
        for fault in self.faults(time_ns):
            if fault.scope not in OF_SINGLE_GROUPS:
                continue
            for group in (fault.group, fault.other):
                if group and doubts.get(group) is not Scope.STATE:
                    doubts[group] = fault.scope

        return doubts

    def doubt_reason(self, time_ns: int) -> str | None:
        """Return why single groups are in doubt at `time_ns`, in words; None where none is."""
        if not self._active:
            return None
        return reason_of([fault for fault in self.faults(time_ns) if fault.scope in OF_SINGLE_GROUPS])

    # --- checks ---

    def _check_rate(self, t_rx: int, begun: list[SignalFault]) -> None:
        self._received += 1
        if t_rx - self._t_rx > MAX_GAP:
            self._window_begin, self._received = t_rx, 1
            return

        if t_rx - self._window_begin < RATE_WINDOW:
            return

        is_first_window = self._window_begin == 0
        rate = (self._received - 1) * SECOND / (t_rx - self._window_begin)
        self._window_begin, self._received = t_rx, 1
        if is_first_window or MIN_RATE <= rate <= MAX_RATE:
            return

        self._note(
            begun,
            t_rx,
            Check.RATE,
            field="rate",
            value=f"{rate:.2f} /s",
            rule=f"must be {MIN_RATE:.0f} .. {MAX_RATE:.0f} messages a second",
            remedy="send the states at 10 Hz, and check the link to the gateway",
        )

    def _compare(self, t_rx: int, time_ns: int, groups: Sequence[Group], begun: list[SignalFault]) -> None:
        """Compare the groups of a message with those of the code, of the message before, and with one another."""
        ids = tuple([group.group for group in groups])
        if ids != self._ids:
            self._ids, self._alignment = ids, align(self._group_ids, ids)
        left_out = (*self._alignment.unknown, *self._alignment.twice)
        used = [group for group in groups if group.group not in left_out] if left_out else groups

        is_continuous = bool(self._t) and time_ns - self._t <= MAX_UNSEEN
        self._disorders = []

        for group in used:
            before = self._newest.get(group.group)
            self._newest[group.group] = group
            ends = known_ends(group)
            in_order = ends == sorted(ends)
            if not in_order:
                self._disorders.append((group.group, f"{group.min_end}, {group.likely_end}, {group.max_end}"))

            if before is None or not is_continuous:
                continue

            if group.state != before.state:
                self._check_phase_order(t_rx, before, group, begun)
            elif in_order:
                self._check_countdown(t_rx, time_ns, before, group, begun)

        self._clashes = clashes(self._foes, used)
        self._first_end = min((end for group in used if (end := promised_end(group)) is not None), default=NEVER)

    def _check_phase_order(self, t_rx: int, before: Group, now: Group, begun: list[SignalFault]) -> None:
        if self._phase_order.allows(now.group, before.state, now.state):
            return

        self._note(
            begun,
            t_rx,
            Check.PHASE_ORDER,
            group=now.group,
            field=f"group {now.group}: state",
            value=f"{before.state.name} then {now.state.name}",
            rule="red, green, yellow, red is the order; only a plan of the code may leave one out",
            remedy="check the controller's phases, and that no message is lost",
        )

    def _check_countdown(self, t_rx: int, time_ns: int, before: Group, now: Group, begun: list[SignalFault]) -> None:
        old_end, new_end = countdown_end(before), countdown_end(now)
        if old_end is None or new_end is None or new_end - old_end <= MAX_EXTENSION or old_end < time_ns:
            return

        self._note(
            begun,
            t_rx,
            Check.COUNTDOWN,
            group=now.group,
            field=f"group {now.group}",
            value=f"end put off by {(new_end - old_end) / SECOND:.1f} s",
            rule=f"the time left of a state grows by {MAX_EXTENSION // SECOND} s at most from one message to the next",
            remedy="check the controller's clock and plan; give min_end and max_end apart while traffic decides",
        )

    # --- faults ---

    def _note_revision(self, t_rx: int, revision: int, begun: list[SignalFault]) -> None:
        self._note(
            begun,
            t_rx,
            Check.REVISION,
            field="revision",
            value=revision,
            rule=f"the code in force is revision {self._revision}",
            remedy="fetch the code in force, and send the revision that the states refer to",
        )

    def _note_alignment(self, t_rx: int, begun: list[SignalFault]) -> None:
        """Take note of groups that are not in the code, that are missing from the message, or that it has more than
        once."""
        if not self._ids:
            self._note(
                begun,
                t_rx,
                Check.ALIGNMENT,
                field="g",
                value="no groups",
                rule="a message gives the state of every group of the code",
                remedy="check the controller's output to the gateway",
            )

            return

        if self._alignment.unknown:
            self._note(
                begun,
                t_rx,
                Check.ALIGNMENT,
                field="g[].g",
                value=listed(self._alignment.unknown),
                rule="the code in force has no such group",
                remedy="compare the groups of the controller, the MAP and the code; send the code's numbers",
            )

        if self._alignment.missing:
            self._note(
                begun,
                t_rx,
                Check.ALIGNMENT,
                field="g[]",
                value=f"without group {listed(self._alignment.missing)}",
                rule="a message gives the state of every group of the code",
                remedy="send it, with state 0 where it is not known, or take the group out of the code",
            )

        for group in self._alignment.twice:
            self._note(
                begun,
                t_rx,
                Check.DUPLICATE,
                group=group,
                field=f"group {group}",
                value="more than once",
                rule="a message gives one state of a group; none of them is used",
                remedy="check the channels bound to the group",
            )

    def _note_disorder(self, t_rx: int, group: int, value: str, begun: list[SignalFault]) -> None:
        self._note(
            begun,
            t_rx,
            Check.END_ORDER,
            group=group if group in self._group_ids else 0,
            field=f"group {group}",
            value=value,
            rule="min_end <= likely_end <= max_end must hold",
            remedy="check the end times that the controller gives",
        )

    def _note_overdue(self, t_rx: int, time_ns: int, groups: Sequence[Group], begun: list[SignalFault]) -> None:
        for group in groups:
            end = promised_end(group)
            if end is None or time_ns <= end + TOLERANCE or group.group not in self._group_ids:
                continue

            self._note(
                begun,
                t_rx,
                Check.OVERDUE,
                group=group.group,
                field=f"group {group.group}",
                value=f"{group.state.name}, {(time_ns - end) / SECOND:.1f} s after its end",
                rule="a state ends at its max_end at the latest (red without one: at next_green)",
                remedy="check the controller's plan and clock; give no max_end where traffic decides",
            )

    def _note_clash(self, t_rx: int, clash: Clash, begun: list[SignalFault]) -> None:
        self._note(
            begun,
            t_rx,
            Check.CONFLICT,
            group=clash.group,
            other=clash.other,
            field=f"group {clash.group}, group {clash.other}",
            value=f"{clash.state.name} and {clash.other_state.name}",
            rule=(
                "their movements cross or merge, and the second has no permissive movement that gives way to the first"
            ),
            remedy=(
                "check the controller's conflict monitor and the channels bound to the groups, "
                "or list the pair in the code's signal_exceptions"
            ),
        )

    def _note(
        self,
        begun: list[SignalFault],
        time_ns: int,
        check: Check,
        *,
        field: str,
        value: object,
        rule: str,
        remedy: str,
        group: int = 0,
        other: int = 0,
    ) -> None:
        """Count a fault and keep it active; add it to `begun` where it was not."""
        self.counts[check] += 1
        key = (check, field)

        until, fault = self._active.get(key, (0, None))
        if fault is None or until <= time_ns:
            fault = SignalFault(
                intersection=self._intersection,
                check=check,
                t=time_ns,
                group=group,
                field=field,
                value=str(value),
                rule=rule,
                remedy=remedy,
                other=other,
            )

            begun.append(fault)

        self._active[key] = (time_ns + (RATE_WINDOW if check is Check.RATE else HOLD), fault)
