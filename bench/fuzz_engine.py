"""Two engines side by side, one with the hostile messages and one without: what concerns the victim must be the same
bytes from both.

`Twins` holds the pair. The bench feeds it made-up time in which messages come as fast as they can be drawn; the socket
bench feeds it what a node recorded.
"""

import re
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec

from bench.crossing import Crossing
from bench.fuzz import HOSTILE, LEAVES, RSUS, HostileTraffic
from bench.scene import corridor
from cloudctl.clock import MS, SECOND, stopwatch
from cloudctl.engine import Engine, Output
from cloudctl.planner.warm import warm
from cloudctl.schema import RawMessage, Reject
from cloudctl.settings import EngineConfig
from cloudctl.topics import TOPICS

VALID, VALID_RSU, VALID_VEHICLE = "G", "r0", "car"
BEGIN = 1_767_225_600 * SECOND
STEP = 10 * MS
BATCH = 60  # hostile messages a step: 6,000/s
SAMPLES = 200  # of memory
# ms; a step that takes longer keeps all messages waiting until they are too old
MAX_STEP = 1000.0
SETTLED = 100  # steps after which the longest is looked for
# messages of a run before that is not looked at: what is compiled on first use is compiled then
WARM_UP = 3_000
MEMORY_JUDGED = 50_000  # messages; the memory of a shorter run is no evidence
MAX_GROWTH = 0.05  # of memory, from a tenth of the messages to all
# Counted besides the message they belong to
NOT_INPUTS = (
    "reject.frames",
    "reject.unknown_key",
    "reject.row",
)
PART = "_part"  # of the counters of what is refused of a message that is used without it
INPUT_DROPS = ("drop.queue", "drop.inbox")
_pack = msgspec.msgpack.Encoder().encode


def rss(pid: int | str = "self") -> float:
    """Return the resident memory of a process, MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def growth(samples: Sequence[float]) -> float:
    """Return by what share memory grew from a tenth of the run to its end (medians of a twentieth of the run each)."""
    width = max(len(samples) // 20, 1)
    early, late = sorted(samples[len(samples) // 10 :][:width]), sorted(samples[-width:])
    return late[len(late) // 2] / early[len(early) // 2] - 1.0


def config_of(crossing: Crossing, home: Crossing) -> EngineConfig:
    """Return the configuration of a node that hears the valid gateway and the hostile one."""
    return EngineConfig({VALID: {VALID_RSU: crossing.id}, HOSTILE: dict.fromkeys(RSUS, home.id)})


def scenes() -> tuple[Crossing, Crossing]:
    """Return the victim and the intersection of the hostile senders, 1.6 km apart."""
    codes_made = corridor()
    return Crossing(code=codes_made[0], rsu=VALID_RSU, n=20), Crossing(code=codes_made[-1], rsu=RSUS[0], n=12, seed=2)


def is_valid_sender(datum: RawMessage) -> bool:
    """Return whether a datum is not of the hostile senders."""
    if datum.kind in TOPICS and TOPICS[datum.kind].code:
        return datum.sender == VALID
    return datum.kind in LEAVES and datum.sender == VALID_VEHICLE


@dataclass
class Twins:
    """An engine that gets everything and one that gets only what the valid senders sent."""

    make: Callable[[], Engine]
    victim: str
    compared: int = 0
    advisories: int = 0
    # steps, by the kind of output that differed first
    differences: Counter[str] = field(default_factory=Counter)
    first_difference: dict[str, str] = field(default_factory=dict)
    crashes: Counter[str] = field(default_factory=Counter)
    first_crash: dict[str, str] = field(default_factory=dict)
    rules: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    slowest: tuple[float, str] = (0.0, "")  # ms of the longest step, and its longest message

    def __post_init__(self) -> None:
        self.full, self.quiet = self.make(), self.make()

    def step(self, time_ns: int, batch: Sequence[RawMessage]) -> Output:
        """Step both at `time_ns` and compare what concerns the victim; return what the one with everything gave out."""
        output = self._step(time_ns, batch)
        alone = self.quiet.step(time_ns, [datum for datum in batch if is_valid_sender(datum)])

        for gateway, kind, body in output.replies:
            if kind == "reject" and isinstance(body, Reject) and gateway != VALID:
                self.rules[f"{body.kind}: {generic(body.field)}: {generic(body.rule)}"[:90]] += 1

        mine, theirs = list(self._of_victim(output)), list(self._of_victim(alone))
        self.compared += len(theirs)
        self.advisories += sum(line[0] == "advisory" for line in theirs)

        if mine != theirs:
            kind, text = _difference(time_ns, mine, theirs)
            self.differences[kind] += 1
            self.first_difference.setdefault(kind, text)

        return output

    def _step(self, time_ns: int, batch: Sequence[RawMessage]) -> Output:
        begin = stopwatch()
        try:
            output = self.full.step(time_ns, batch)
        except Exception as error:
            self._crashed(cause_of(error), traceback.format_exc())
            return Output()

        duration = (stopwatch() - begin) / MS
        self.steps += 1
        if self.steps > SETTLED and duration > self.slowest[0]:
            longest = max(batch, key=lambda datum: len(datum.body), default=RawMessage("", "", b""))
            self.slowest = (
                duration,
                f"of {len(batch)} messages, the longest a {longest.kind} of {len(longest.body)} bytes",
            )

        for fault in output.errors:
            self._crashed(f"guarded, in {fault.place}: {fault.cause}", fault.text)
        return output

    def _crashed(self, cause: str, text: str) -> None:
        self.crashes[cause] += 1
        self.first_crash.setdefault(cause, text)

    def _of_victim(self, output: Output) -> Iterable[tuple[str, bytes]]:
        """Yield the output for the victim: its advisories, signals, traffic, faults, and every reply to its gateway."""
        published = (("advisory", output.advisories), ("signals", output.signals), ("traffic", output.traffic))
        for name, items in published:
            for part in items:
                if part.intersection == self.victim:
                    yield name, msgspec.json.encode(part)

        for fault in output.faults:
            if fault.intersection == self.victim:
                yield "fault", str(fault).encode()

        for gateway, kind, body in output.replies:
            if gateway == VALID:
                yield f"reply {kind}", _pack(body)


def _difference(time_ns: int, mine: list[tuple[str, bytes]], theirs: list[tuple[str, bytes]]) -> tuple[str, str]:
    """Return the kind of output that differs first, and a sentence on it."""
    for with_all, without in zip_longest(mine, theirs):
        if with_all != without:
            kind = (with_all or without or ("",))[0]
            return kind, f"t = {time_ns}: with the hostile senders {with_all}, without {without}"[:600]
    return "", ""


def generic(text: str) -> str:
    """Return a field or rule without the numbers and names in it, to count by."""
    text = re.sub(r"speaks for .*", "speaks for others only", text)
    return re.sub(r"\d+(\.\d+)?", "N", re.sub(r"`[^`]*`", "`..`", text))[:70]


def cause_of(error: BaseException) -> str:
    """Return the type of an exception and the line of the project that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    inner = next((frame for frame in reversed(frames) if "/cloudctl/" in frame.filename), frames[-1])
    return f"{type(error).__name__} at {Path(inner.filename).name}:{inner.lineno}"


def accounted(counters: Mapping[str, Mapping[str, int]]) -> tuple[dict[str, int], dict[str, int], int]:
    """Return how many messages of each kind were accepted, how many refused, and how many were dropped before that."""
    taken, refused, dropped = Counter[str](), Counter[str](), 0
    for name, sources in counters.items():
        prefix, _, kind = name.partition(".")
        if prefix == "accept":
            taken[kind] += sum(sources.values())
        elif prefix == "reject" and name not in NOT_INPUTS and not name.endswith(PART):
            refused[kind] += sum(sources.values())
        elif name in INPUT_DROPS:
            dropped += sum(sources.values())

    return dict(taken), dict(refused), dropped


@dataclass
class Result:
    """The result of a run with hostile messages."""

    sent: Counter[str]  # hostile, by row
    valid: int
    seconds: float
    counters: Mapping[str, Mapping[str, int]]
    memory: list[float]  # MB, as the messages went
    notes: list[str] = field(default_factory=list)  # further failures
    cut_off: int = 0  # messages too long for the socket, which closed the connection
    twins: Twins = field(init=False)

    @property
    def missing(self) -> int:
        """Return how many messages are not accounted for."""
        taken, refused, dropped = accounted(self.counters)
        return self.sent.total() + self.valid - sum(taken.values()) - sum(refused.values()) - dropped

    @property
    def failures(self) -> list[str]:
        """Return every way in which the run fell short."""
        failures = list(self.notes)
        failures += [
            f"{count} steps in which output for the victim differs, first in: {kind}"
            for kind, count in self.twins.differences.most_common()
        ]
        if self.twins.advisories == 0:
            failures.append("the victim got no advisory at all: nothing was compared")
        failures += [f"{count} times {cause}" for cause, count in self.twins.crashes.most_common()]
        if self.twins.slowest[0] > MAX_STEP:
            failures.append(f"a step took {self.twins.slowest[0]:.0f} ms ({self.twins.slowest[1]})")
        if self.missing:
            failures.append(f"{self.missing} messages are not accounted for")
        if self.sent.total() >= MEMORY_JUDGED and growth(self.memory) > MAX_GROWTH:
            failures.append(f"memory grew by {100 * growth(self.memory):.1f} % from a tenth of the messages to all")
        return failures


def run_engine(messages: int, seed: int = 1, progress: Callable[[int], Any] = lambda _: None) -> Result:
    """Send `messages` hostile messages in made-up time, valid traffic beside them at 10 Hz."""
    _run_engine(WARM_UP, seed, lambda _: None)
    return _run_engine(messages, seed, progress)


def _run_engine(messages: int, seed: int, progress: Callable[[int], Any]) -> Result:
    crossing, home = scenes()
    warm(crossing.code)  # as a node does before its first step
    twins = Twins(lambda: Engine([crossing.code.code, home.code.code], config_of(crossing, home)), crossing.id)
    hostile = HostileTraffic(victim=crossing.code, home=home, victim_rsus=(VALID_RSU,), seed=seed)
    sent: Counter[str] = Counter()
    valid, memory, begin = 0, [], stopwatch()
    every = max(messages // BATCH // SAMPLES, 1)

    for index in range(-(-messages // BATCH)):
        time_ns = BEGIN + index * STEP
        batch = valid_batch(crossing, index, time_ns) if index % 10 == 0 else []
        valid += len(batch)
        drawn = [hostile.message(time_ns - MS) for _ in range(min(BATCH, messages - sent.total()))]
        sent.update(message.row for message in drawn)
        half = len(drawn) // 2
        twins.step(
            time_ns,
            [*(message.datum() for message in drawn[:half]), *batch, *(message.datum() for message in drawn[half:])],
        )

        if index % every == 0:
            memory.append(rss())
            progress(sent.total())

    result = Result(
        sent=sent,
        valid=valid,
        seconds=(stopwatch() - begin) / SECOND,
        counters=twins.full.metrics.by_source(""),
        memory=memory,
    )

    result.twins = twins
    return result


def valid_batch(crossing: Crossing, number: int, time_ns: int) -> list[RawMessage]:
    """Return what the valid senders send at step `number`: perception, signals and a vehicle's state at 10 Hz; hello
    first."""
    stamp = time_ns - 5 * MS
    batch = [RawMessage("hello", VALID, crossing.hello(VALID))] if number == 0 else []
    batch.append(RawMessage("perception", VALID, crossing.perception(number, stamp)))
    batch.append(RawMessage("signal", VALID, crossing.signal(number, stamp)))

    return [*batch, RawMessage("state", VALID_VEHICLE, msgspec.json.encode(crossing.state(0, stamp)))]
