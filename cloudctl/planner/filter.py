"""Which proposals become advisories: ranked, steady, sent when they change or are about to expire, explained.

A target has at most one advisory of a kind (of priority: one per request). It is sent again when its behaviour,
severity or speed changes, or when less than REFRESH of its validity is left. A warning is first sent when its proposal
has persisted for its kind's `persistence`; a change of what was sent is sent when it has persisted for the kind's
`hysteresis` (`catalogue.DELIVERY`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, nan
from typing import NamedTuple

from ..clock import MS, SECOND
from ..schema import Advisory, AdvisoryKind, Behaviour, Inputs, PriorityStatus, Severity
from ..world import Report, World
from .candidate import INFORMATION, SETTLED_PACKING, SPEED_STEP, UNSETTLED, Candidate, Withheld
from .catalogue import DELIVERY
from .kinds.glosa import BEHAVIOURS

MAX_URGENT_PERSISTENCE = 200 * MS  # of the most severe proposals
MAX_ABSENCE = 300 * MS  # a proposal that was absent no longer than that still persists
# ns of validity that speed advice to stop has left, below which advice to stop at the signal takes over
MAX_STOP_OVERLAP = 800 * MS
REFRESH = 0.4  # share of the validity: an advisory of which less is left is sent again
URGENT_REFRESH = 0.25  # share of REFRESH: below it an advisory is sent again although a change has not persisted yet
NEVER = 2**62  # ns
GLOSA, SIGNAL_STOP = AdvisoryKind.GLOSA, AdvisoryKind.SIGNAL_STOP  # by name: an enum's attribute costs 0.2 us
SPEED_ADVICE_VALIDITY = DELIVERY[GLOSA].validity
KEEPS_SPEED = (Behaviour.KEEP, Behaviour.SPEED_UP)
STOPS_VEHICLE = (Behaviour.STOP, Behaviour.GIVE_WAY)


# What there is one advisory of: its target, its kind, what it is about.
Key = tuple[str, AdvisoryKind, str]


@dataclass
class Persistence:
    """When a proposal was first made, without an absence of more than MAX_ABSENCE since, and when it was made last;
    ns.
    """

    since: int
    last: int


@dataclass(kw_only=True)
class Sent:
    """The advisory last sent of one key."""

    candidate: Candidate
    valid_until: int  # ns
    advisory: Advisory
    changed_since: int | None = None  # ns; when something else was first proposed, None where the same still is


class Stages(NamedTuple):
    """The proposals that are left after each stage of the filter."""

    persistent: list[Candidate]
    wanted: list[Candidate]
    chosen: list[Candidate]


class AdvisoryFilter:
    """The memory of what one intersection has advised. `refresh` = 0 sends every proposal of every plan (for
    benches)."""

    def __init__(self, refresh: float = REFRESH) -> None:
        self._sent: dict[Key, Sent] = {}
        self._settled: dict[str, bytes] = {}  # by target: speed advice that is not about to change, a row of SETTLED
        self._first_expiry = NEVER  # ns: no advisory in `_sent` is valid for less
        self._persistence: dict[Key, Persistence] = {}
        self._count = 0
        self._run = ""  # the part of every id that no other run of the node has
        self._adopted: list[Advisory] = []  # of the owner before this one, as long as no proposal was found for them
        self.refresh = refresh
        self.epoch = 0  # of every advisory that is sent

    def begin(self, t: int) -> None:
        """Name the run by the time of its first step, `t` ns, so that no id of an earlier run is given again.

        Replay repeats that time, and with it every id. Two runs share ids only where both began in the same millisecond
        of UTC.
        """
        self._run = _base36(t // MS)

    def adopt(self, advisories: Iterable[Advisory]) -> None:
        """Take what the owner before this one has sent, in place of what this filter has: it is repeated when it
        changes or is about to expire, not at once."""
        self._sent.clear()
        self._settled.clear()
        self._adopted = sorted(advisories, key=lambda advisory: advisory.valid_until, reverse=True)

    def forget(self) -> None:
        """Forget what was advised: it rests on a digital code that is no longer in force."""
        self._adopted = []
        self._sent.clear()
        self._settled.clear()
        self._persistence.clear()

    def valid(self, t: int) -> list[Advisory]:
        """Return the advisories that are valid at `t` ns: the newest of each target and kind."""
        return [sent.advisory for sent in self._sent.values() if sent.valid_until > t]

    def choose(
        self, world: World, candidates: list[Candidate], withheld: list[Withheld] | None = None
    ) -> list[Advisory]:
        """Return the advisories to send now, most severe first. `withheld`, where given, collects what is not sent,
        with the reason."""
        if not candidates and not self._persistence and world.t <= self._first_expiry:
            return []
        persistent = self._persistent(world.t, candidates)
        wanted = [candidate for candidate in persistent if self._is_wanted(world.t, candidate)]
        chosen = without_contradictions(wanted)
        if withheld is not None:
            self._note_withheld(world.t, candidates, Stages(persistent, wanted, chosen), withheld)

        if self._adopted:
            self._match_adopted(world.t, chosen)
        advisories = []
        if len(chosen) > 1:
            chosen = sorted(chosen, key=_rank)
        for candidate in chosen:
            key = _key(candidate)
            last = self._sent.get(key)
            if last is None or self._is_due(world.t, last, candidate):
                valid_until = world.t + DELIVERY[candidate.kind].validity
                advisory = self._advisory(world, candidate, valid_until)
                self._remember(key, Sent(candidate=candidate, valid_until=valid_until, advisory=advisory))
                advisories.append(advisory)
        self._forget_expired(world.t)
        return advisories

    def _remember(self, key: Key, sent: Sent) -> None:
        self._sent[key] = sent
        self._first_expiry = min(self._first_expiry, sent.valid_until)
        self._note_settled(sent)

    def _note_settled(self, sent: Sent) -> None:
        """Note that speed advice is as it was sent last, and not about to change."""
        if sent.candidate.kind is GLOSA:
            self._settled[sent.candidate.target] = _settled(sent.candidate, sent.valid_until)

    def _forget_expired(self, t: int) -> None:
        if t <= self._first_expiry:
            return
        for key in [key for key, sent in self._sent.items() if sent.valid_until < t]:
            del self._sent[key]
            if key[1] is GLOSA:
                self._settled.pop(key[0], None)
        self._first_expiry = min((sent.valid_until for sent in self._sent.values()), default=NEVER)

    def settled(self, vehicles: Sequence[Report]) -> list[bytes]:
        """Return the speed advice that each of some vehicles has, as rows of SETTLED. To propose the same again would
        send nothing while `settled_time_left` of it is left and nothing that asks to brake is proposed beside it."""
        return [self._settled.get(vehicle.target, UNSETTLED) for vehicle in vehicles]

    @property
    def settled_time_left(self) -> int:
        """Return how much (ns) of its validity speed advice must have left that is not repeated; NEVER where it is
        repeated always."""
        return NEVER if self._adopted or self.refresh <= 0 else ceil(self.refresh * SPEED_ADVICE_VALIDITY)

    def _match_adopted(self, t: int, chosen: list[Candidate]) -> None:
        """Take an adopted advisory as the one last sent of the proposal that it was made from: of the same target and
        kind, and, where a target may have several of a kind, in the same words."""
        self._adopted = [advisory for advisory in self._adopted if advisory.valid_until > t]
        for candidate in chosen:
            for advisory in self._adopted:
                is_same = (advisory.target, advisory.kind) == (candidate.target, candidate.kind)
                if is_same and (not candidate.about or advisory.reason == _words(candidate)):
                    self._adopted.remove(advisory)
                    if _key(candidate) not in self._sent:
                        self._remember(_key(candidate), _sent_as(advisory, candidate.about))
                    break

    def _note_withheld(self, t: int, candidates: list[Candidate], stages: Stages, withheld: list[Withheld]) -> None:
        """Note each proposal that is left out, with the reason. What was sent already and holds unchanged is not
        withheld."""
        # These sets are asked, never iterated: their order may differ from run to run.
        persistent, wanted, chosen = ({id(candidate) for candidate in stage} for stage in stages)
        for candidate in candidates:
            last = self._sent.get(_key(candidate))
            if last is not None and last.valid_until > t:
                continue
            if id(candidate) not in persistent:
                reason = self._persistence_reason(t, candidate)
            elif id(candidate) not in wanted and candidate.renewal:
                reason = "it would only renew what is no longer valid"
            elif id(candidate) not in wanted:
                reason = "the speed advice that the vehicle has makes it stop already"
            elif id(candidate) not in chosen:
                reason = "the vehicle is advised to brake or stop at the same time"
            else:
                continue
            withheld.append(Withheld(candidate, reason))

    def _persistence_reason(self, t: int, candidate: Candidate) -> str:
        """Return why a proposal is too new to be sent."""
        age = t - self._persistence[_key(candidate)].since
        kind = candidate.kind.value.replace("_", " ")
        min_age = _min_persistence(candidate)
        return (
            f"it has persisted for {age / SECOND:.1f} s; "
            f"{kind} is sent once a proposal has persisted for {min_age / SECOND:.1f} s"
        )

    def _persistent(self, t: int, candidates: list[Candidate]) -> list[Candidate]:
        """Return the proposals that have persisted long enough to be sent."""
        if len(self._persistence) > 2 * len(candidates):
            self._persistence = {
                key: entry for key, entry in self._persistence.items() if t - entry.last <= MAX_ABSENCE
            }
        persistent = []
        for candidate in candidates:
            if not DELIVERY[candidate.kind].persistence:
                persistent.append(candidate)
                continue
            key = (candidate.target, candidate.kind, candidate.about)
            entry = self._persistence.get(key)
            if entry is None:
                entry = self._persistence[key] = Persistence(since=t, last=t)
            elif t - entry.last > MAX_ABSENCE:
                entry.since = t
            entry.last = t
            if t - entry.since >= _min_persistence(candidate):
                persistent.append(candidate)
        return persistent

    def _is_wanted(self, t: int, candidate: Candidate) -> bool:
        """Return whether a proposal would tell its target more than it knows.

        Advice to stop at the signal would not while speed advice to stop has long to go. Close to the end of that it
        takes
        over, even as a renewal. Any other renewal is wanted while what it renews is valid.
        """
        stop_advised = self._stop_advised(t, candidate)
        if stop_advised > 0:
            return stop_advised <= MAX_STOP_OVERLAP
        return not candidate.renewal or self._is_valid(t, candidate)

    def _stop_advised(self, t: int, candidate: Candidate) -> int:
        """Return how long (ns) speed advice to stop, which makes advice to stop at the signal needless, is still
        valid."""
        if candidate.kind is not SIGNAL_STOP:
            return 0
        speed_advice = self._sent.get((candidate.target, GLOSA, ""))
        if speed_advice is None or speed_advice.candidate.behaviour != Behaviour.STOP:
            return 0
        return max(speed_advice.valid_until - t, 0)

    def _is_valid(self, t: int, candidate: Candidate) -> bool:
        """Return whether the advisory last sent of a proposal's key is still valid."""
        last = self._sent.get(_key(candidate))
        return last is not None and last.valid_until > t

    def _is_due(self, t: int, last: Sent, candidate: Candidate) -> bool:
        """Return whether a proposal is sent although its target has an advisory of the kind: it differs, or that is
        about to expire."""
        if self.refresh <= 0:
            return True
        delivery = DELIVERY[candidate.kind]
        time_left = last.valid_until - t
        min_time_left = self.refresh * delivery.validity
        if not _differs(last.candidate, candidate):
            if last.changed_since is not None:
                last.changed_since = None
                self._note_settled(last)
            return time_left < min_time_left

        if last.changed_since is None:
            last.changed_since = t
            if candidate.kind is GLOSA:
                self._settled.pop(candidate.target, None)
        return t - last.changed_since >= delivery.hysteresis or time_left < min_time_left * URGENT_REFRESH

    def _advisory(self, world: World, candidate: Candidate, valid_until: int) -> Advisory:
        self._count += 1
        return Advisory(
            id=f"{world.code.code.id}-{self._run}-{self._count}",
            kind=candidate.kind,
            intersection=world.code.code.id,
            target=candidate.target,
            severity=candidate.severity,
            confidence=round(candidate.confidence, 3),
            reason=_words(candidate),
            t=world.t,
            valid_until=valid_until,
            inputs=Inputs(
                revision=world.code.code.revision,
                signal_seq=world.signals.seq if world.signals.t else None,
                tracks=candidate.tracks,
                t_sensor=world.t_sensor,
                t_rx=world.t_rx,
            ),
            speed=None if candidate.speed is None else round(candidate.speed, 2),
            distance=None if candidate.distance is None else round(candidate.distance, 1),
            behaviour=candidate.behaviour,
            status=candidate.status,
            epoch=self.epoch,
        )


def _words(candidate: Candidate) -> str:
    """Return the reason of a proposal."""
    return candidate.reason.format(**candidate.facts).rstrip()  # a rule or hazard may have no text


def _sent_as(advisory: Advisory, about: str) -> Sent:
    """Return the memory of an advisory that another filter has sent."""
    candidate = Candidate(
        kind=advisory.kind,
        target=advisory.target,
        severity=Severity(advisory.severity),
        confidence=advisory.confidence,
        reason=advisory.reason,
        facts={},
        speed=advisory.speed,
        distance=advisory.distance,
        behaviour=None if advisory.behaviour is None else Behaviour(advisory.behaviour),
        status=None if advisory.status is None else PriorityStatus(advisory.status),
        about=about,
    )
    return Sent(candidate=candidate, valid_until=advisory.valid_until, advisory=advisory)


def _settled(candidate: Candidate, valid_until: int) -> bytes:
    """Return the row of SETTLED of an advisory that is sent now."""
    is_plain = candidate.severity is INFORMATION and candidate.status is None
    if candidate.kind is not GLOSA or not is_plain or candidate.behaviour not in BEHAVIOURS:
        return UNSETTLED
    speed = nan if candidate.speed is None else candidate.speed
    return SETTLED_PACKING.pack(valid_until, BEHAVIOURS.index(candidate.behaviour), speed)


def _key(candidate: Candidate) -> Key:
    return candidate.target, candidate.kind, candidate.about


def _rank(candidate: Candidate) -> tuple[Severity, AdvisoryKind, str, str]:
    """Return what orders the advisories of one plan, the first one first."""
    return candidate.severity, candidate.kind, candidate.target, candidate.about


def _base36(number: int) -> str:
    """Return a count in base 36: a time in ms takes 8 characters."""
    digits = ""
    while number > 0:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"


def _min_persistence(candidate: Candidate) -> int:
    """Return how long (ns) a proposal must persist before it is sent."""
    persistence = DELIVERY[candidate.kind].persistence
    is_urgent = persistence > MAX_URGENT_PERSISTENCE and candidate.severity == Severity.ACT_NOW
    return MAX_URGENT_PERSISTENCE if is_urgent else persistence


def _differs(old: Candidate, new: Candidate) -> bool:
    """Return whether a proposal asks for something else than what was sent."""
    if new.behaviour is not old.behaviour or new.severity is not old.severity or new.status is not old.status:
        return True
    return new.speed is not None and old.speed is not None and abs(new.speed - old.speed) >= SPEED_STEP


def asks_to_brake(candidate: Candidate | Advisory) -> bool:
    """Return whether an advisory asks to stop, or to brake for more than information."""
    if not DELIVERY[candidate.kind].may_brake or candidate.behaviour is None:
        return False
    return candidate.severity < Severity.INFORMATION or candidate.behaviour in STOPS_VEHICLE


def without_contradictions(candidates: list[Candidate]) -> list[Candidate]:
    """Drop advice to keep or gain speed for targets that are advised to stop or brake at the same time."""
    braking = {candidate.target for candidate in candidates if asks_to_brake(candidate)}
    if not braking:
        return candidates
    return [
        candidate
        for candidate in candidates
        if candidate.kind is not GLOSA or candidate.target not in braking or candidate.behaviour not in KEEPS_SPEED
    ]
