"""Which proposals become advisories: ranked, steady, sent when they change or are about to expire, explained.

A target has at most one advisory of a kind (of priority: one a request). It is sent again when its behaviour, severity or speed changes, or when less than
REFRESH of its validity is left. A warning is first sent when its proposal has stood for PERSIST. Advice changes when the change has stood for STEADY.
"""

from dataclasses import dataclass

from ..clock import MS, SECOND
from ..schema import Advisory, AdvisoryKind, Inputs
from ..world import World
from .candidate import Candidate, Withheld

VALID = {
    AdvisoryKind.GLOSA: 2000 * MS,
    AdvisoryKind.SIGNAL_STOP: 3000 * MS,
    AdvisoryKind.QUEUE: 1000 * MS,
    AdvisoryKind.HAZARD: 2000 * MS,
    AdvisoryKind.RULE: 5000 * MS,
    AdvisoryKind.EMERGENCY: 2000 * MS,
    AdvisoryKind.DEGRADED: 2000 * MS,
    AdvisoryKind.STOPPED_VEHICLE: 5000 * MS,
    AdvisoryKind.KEEP_CLEAR: 2000 * MS,
    AdvisoryKind.PASSING_ORDER: 2000 * MS,
    AdvisoryKind.PRIORITY: 5000 * MS,
    AdvisoryKind.TOLL: 10_000 * MS,
    AdvisoryKind.DYNAMIC_LANE: 10_000 * MS,
}
SAFETY = 1000 * MS  # validity of every other kind
PERSIST = {  # a proposal must stand so long before it is sent: tracks show a brake that late
    AdvisoryKind.RED_LIGHT: 500 * MS,
    AdvisoryKind.RED_LIGHT_CROSSING: 200 * MS,
    AdvisoryKind.COLLISION: 100 * MS,
    AdvisoryKind.PEDESTRIAN: 100 * MS,
    AdvisoryKind.QUEUE: 300 * MS,
    AdvisoryKind.WRONG_WAY: 500 * MS,
    AdvisoryKind.FORWARD_COLLISION: 300 * MS,
    AdvisoryKind.BLIND_SPOT: 300 * MS,
    AdvisoryKind.KEEP_CLEAR: 1000 * MS,
    AdvisoryKind.PASSING_ORDER: 500 * MS,
}
URGENT = 200 * MS  # the same of the most severe
RENEW = 800 * MS  # of validity left of speed advice to stop, below which advice to stop at the signal takes over
GAP = 300 * MS  # a proposal that was away no longer than that still stands
STEADY = {
    AdvisoryKind.GLOSA: 400 * MS,
    AdvisoryKind.PASSING_ORDER: 1000 * MS,
}  # a change of what was sent must stand so long before it is sent: nobody drives by a flicker
REFRESH = 0.4  # of the validity left
SPEED_STEP = 0.5  # m/s; a smaller change of the advised speed is not worth a message
STOPS = (
    AdvisoryKind.SIGNAL_STOP,
    AdvisoryKind.RED_LIGHT,
    AdvisoryKind.COLLISION,
    AdvisoryKind.PEDESTRIAN,
    AdvisoryKind.QUEUE,
    AdvisoryKind.EMERGENCY,
    AdvisoryKind.WRONG_WAY,
    AdvisoryKind.FORWARD_COLLISION,
    AdvisoryKind.BLIND_SPOT,
    AdvisoryKind.KEEP_CLEAR,
    AdvisoryKind.PASSING_ORDER,
)

Key = tuple[str, AdvisoryKind, str]  # target, kind, what it is about


@dataclass
class Sent:
    """What was last sent to one target of one kind, and since when something else is proposed (None: it is not)."""

    candidate: Candidate
    valid_until: int
    changed: int | None = None


class AdvisoryFilter:
    """The memory of what one intersection has said. `refresh` = 0 sends every proposal of every tick (for benches)."""

    def __init__(self, refresh: float = REFRESH) -> None:
        self._sent: dict[Key, Sent] = {}
        self._stands: dict[Key, tuple[int, int]] = {}  # since when each proposal stands, and when it was last made
        self._count = 0
        self._run = ""  # the part of every id that no other run of the node has
        self.refresh = refresh

    def begin(self, t: int) -> None:
        """Name the run by the time of its first step, `t` ns, so that no id of an earlier run is given again.

        Replay repeats that time, and with it every id. Two runs share ids only where both began in the same millisecond of UTC.
        """
        self._run = _base36(t // MS)

    def forget(self) -> None:
        """Forget what was said: it rests on a digital code that is no longer in force."""
        self._sent.clear()
        self._stands.clear()

    def choose(
        self, world: World, candidates: list[Candidate], withheld: list[Withheld] | None = None
    ) -> list[Advisory]:
        """Return the advisories to send now, most severe first. `withheld`, where given, collects what is not sent, with the reason."""
        out = []
        lasting = self._lasting(world.t, candidates)
        wanted = [c for c in lasting if self._is_wanted(world.t, c)]
        chosen = consistent(wanted)
        if withheld is not None:
            self._note_withheld(world.t, candidates, lasting, wanted, chosen, withheld)

        for candidate in sorted(chosen, key=lambda c: (c.severity, c.kind, c.target, c.about)):
            key = _key(candidate)
            last = self._sent.get(key)
            if last is None or self._worth(world.t, last, candidate):
                valid_until = world.t + VALID.get(candidate.kind, SAFETY)
                self._sent[key] = Sent(candidate, valid_until)
                out.append(self._advisory(world, candidate, valid_until))
        for key in [key for key, sent in self._sent.items() if sent.valid_until < world.t]:
            del self._sent[key]
        return out

    def _note_withheld(
        self,
        t: int,
        candidates: list[Candidate],
        lasting: list[Candidate],
        wanted: list[Candidate],
        chosen: list[Candidate],
        withheld: list[Withheld],
    ) -> None:
        """Note each proposal that fell out on its way to being sent, with the reason. What was sent already and holds unchanged is not withheld."""
        stages = [{id(c) for c in stage} for stage in (lasting, wanted, chosen)]  # asked, never walked
        for c in candidates:
            last = self._sent.get(_key(c))
            if last is not None and last.valid_until > t:
                continue
            if id(c) not in stages[0]:
                stood = (t - self._stands[_key(c)][0]) / SECOND
                reason = f"it has stood for {stood:.1f} s; {c.kind.value.replace('_', ' ')} is sent once a proposal has stood for {_persistence(c) / SECOND:.1f} s"
            elif id(c) not in stages[1]:
                reason = (
                    "it would only renew what is no longer valid"
                    if c.renewal
                    else "the speed advice that the vehicle has makes it stop already"
                )
            elif id(c) not in stages[2]:
                reason = "the vehicle is advised to brake or stop at the same time"
            else:
                continue
            withheld.append(Withheld(c, reason))

    def _is_wanted(self, t: int, candidate: Candidate) -> bool:
        """Return whether a proposal is more than a renewal of what is no longer valid, and not advised by speed advice to stop already."""
        last, stopping = self._sent.get(_key(candidate)), 0
        if candidate.kind is AdvisoryKind.SIGNAL_STOP:
            advised = self._sent.get((candidate.target, AdvisoryKind.GLOSA, ""))
            stopping = advised.valid_until - t if advised is not None and advised.candidate.behaviour == "stop" else 0
        if candidate.renewal and stopping <= 0 and (last is None or last.valid_until <= t):
            return False
        return stopping <= RENEW

    def _lasting(self, t: int, candidates: list[Candidate]) -> list[Candidate]:
        stands = {key: (since, last) for key, (since, last) in self._stands.items() if t - last <= GAP}
        for c in candidates:
            since, _ = stands.get(_key(c), (t, t))
            stands[_key(c)] = (since, t)
        self._stands = stands
        return [c for c in candidates if t - stands[_key(c)][0] >= _persistence(c)]

    def _worth(self, t: int, last: Sent, new: Candidate) -> bool:
        if self.refresh <= 0:
            return True
        left, share = last.valid_until - t, self.refresh * VALID.get(new.kind, SAFETY)
        if not _differs(last.candidate, new):
            last.changed = None
            return left < share
        last.changed = t if last.changed is None else last.changed
        return t - last.changed >= STEADY.get(new.kind, 0) or left < share / 4

    def _advisory(self, world: World, c: Candidate, valid_until: int) -> Advisory:
        self._count += 1
        inputs = Inputs(
            world.code.code.revision,
            world.signals.seq if world.signals.t else None,
            c.tracks,
            world.t_sensor,
            world.t_rx,
        )
        return Advisory(
            f"{world.code.code.id}-{self._run}-{self._count}",
            c.kind,
            world.code.code.id,
            c.target,
            c.severity,
            round(c.confidence, 3),
            c.reason.format(**c.facts),
            world.t,
            valid_until,
            inputs,
            None if c.speed is None else round(c.speed, 2),
            None if c.distance is None else round(c.distance, 1),
            c.behaviour,
            c.status,
        )


def _key(c: Candidate) -> Key:
    return c.target, c.kind, c.about


def _base36(number: int) -> str:
    """Return a count in base 36: a time in ms takes 8 characters."""
    digits = ""
    while number > 0:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"


def _persistence(c: Candidate) -> int:
    least = PERSIST.get(c.kind, 0)
    return min(least, URGENT) if c.severity == 0 else least


def _differs(old: Candidate, new: Candidate) -> bool:
    """Return whether a proposal asks for something else than what was sent."""
    if (new.behaviour, new.severity, new.status) != (old.behaviour, old.severity, old.status):
        return True
    return new.speed is not None and old.speed is not None and abs(new.speed - old.speed) >= SPEED_STEP


def brakes(c: Candidate | Advisory) -> bool:
    """Return whether something says stop, or to brake for what is not merely told."""
    return c.kind in STOPS and c.behaviour is not None and (c.severity < 2 or c.behaviour in ("stop", "give_way"))


def consistent(candidates: list[Candidate]) -> list[Candidate]:
    """Drop advice to keep or gain speed for whoever is told to stop or brake at the same time."""
    braking = {c.target for c in candidates if brakes(c)}
    return [
        c
        for c in candidates
        if c.kind is not AdvisoryKind.GLOSA or c.target not in braking or c.behaviour not in ("keep", "speed_up")
    ]
