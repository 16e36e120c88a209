"""What a soak showed: service after each cause, memory, faults, and whether the recordings replay to the same bytes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

import matplotlib
import msgspec
from cloudctl.sim.common.terminal import table

from bench.crossing import GREEN, RED, YELLOW
from bench.node_under_test import tracebacks
from bench.soak_parts import SERVICE, Delivery
from bench.soak_system import Cause, System
from cloudctl.clock import SECOND
from cloudctl.io.recording.reader import Recording, RecordingError
from cloudctl.replay import replay

matplotlib.use("agg")
from matplotlib import pyplot as plt

MAX_GROWTH = 0.10  # of memory: median of the second half against that of the first quarter
MAX_RECOVERY = 2.0  # s from the end of a cause until there is service
MAX_CLOCK_RECOVERY = 10.0  # the same after a step of a clock
MAX_LATE_SIGNAL_RECOVERY = 4.0  # the same after late signals: they are withheld for 2 s more
# the same after ends that failed: none is believed before the state changes, and times are withheld for 2 s more
MAX_FAILED_END_RECOVERY = max(RED, GREEN, YELLOW) / SECOND + 4.0
LIMITS = {
    "gateway clock steps by 1 h": MAX_CLOCK_RECOVERY,
    "late signals": MAX_LATE_SIGNAL_RECOVERY,
    **dict.fromkeys(("conflicting signals", "overdue signals"), MAX_FAILED_END_RECOVERY),
}
# Without advice for any vehicle of an intersection; with nothing wrong, ten of them are never without for so long
INTERRUPTION = 2 * SECOND
NO_SERVICE = "degraded"  # the kind of advisory that gives the reason why there is no other


class Sample(NamedTuple):
    """The node at one time: resident memory (MB), file descriptors, threads."""

    t: int
    memory: float
    descriptors: int
    threads: int


@dataclass
class Soak:
    """All that was observed in one run."""

    minutes: float
    seed: int
    begin: int = 0
    # When the node that ran last was started again, 0 where it ran from the beginning
    restarted: int = 0
    status: int = 0
    causes: list[Cause] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    outages: list[str] = field(default_factory=list)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    stderr: str = ""


class Service(NamedTuple):
    """Service from one cause to the next: s without speed advice, at the longest, where it struck and elsewhere; s from
    the cause's end to that of the last interruption; how often vehicles were advised that there is none."""

    gap: float
    elsewhere: float | None
    back: float
    degraded: int


def gaps(times: Sequence[int], begin: int, end: int) -> list[tuple[int, int]]:
    """Return the intervals without a delivery within [begin, end]."""
    inside = [begin, *(time for time in times if begin < time < end), end]
    return list(pairwise(inside))


def service_after(soak: Soak, cause_index: int, places: Sequence[str]) -> Service:
    """Return the service from cause `cause_index` to the next."""
    cause = soak.causes[cause_index]
    if cause_index + 1 < len(soak.causes):
        until = soak.causes[cause_index + 1].begin
    else:
        until = max((delivery.t for delivery in soak.deliveries), default=cause.end)

    times = {
        place: sorted(
            delivery.t for delivery in soak.deliveries if delivery.intersection == place and delivery.kind == SERVICE
        )
        for place in places
    }

    # A cause that names no place strikes all of them
    struck = cause.where or tuple(places)
    intervals = [interval for place in struck for interval in gaps(times[place], cause.begin, until)]
    other_intervals = [
        interval for place in places if place not in struck for interval in gaps(times[place], cause.begin, until)
    ]
    interrupted = [second - cause.end for first, second in intervals if second - first > INTERRUPTION]

    return Service(
        gap=max(second - first for first, second in intervals) / SECOND,
        elsewhere=max((second - first for first, second in other_intervals), default=0) / SECOND
        if other_intervals
        else None,
        back=max(interrupted, default=0) / SECOND,
        degraded=sum(cause.begin < delivery.t < until and delivery.kind == NO_SERVICE for delivery in soak.deliveries),
    )


def report(soak: Soak, system: System, out: Path) -> str:
    """Return tables and verdict; write the plot and what was observed."""
    places = [crossing.id for crossing in system.crossings.values()]
    (out / "node.err").write_text(soak.stderr)
    (out / "soak.json").write_bytes(msgspec.json.encode(soak))
    plot(soak, places, out / "soak.png")
    failures = [f"the node: {death}" for death in soak.deaths]
    failures += [f"exit status {soak.status} at SIGTERM"] * (soak.status != 0)
    failures += soak.outages
    rows, late = _services(soak, places)
    failures += late
    text = table(
        ["cause", "n", "its duration s", "longest gap s", "gap elsewhere s", "back after s", "advised so"], rows
    )
    text += (
        "\n(gap: time in which no vehicle of an intersection got speed advice, the longest of all n; back: from "
        "the end of the cause to the end of the last gap of over 2 s)"
    )
    text += f"\n\n{len(soak.deliveries)} advisories delivered, {_per_vehicle(soak)}"
    memory, grown = _memory(soak)
    text += f"\n{memory}"
    failures += grown
    loose, guarded = tracebacks(soak.stderr)
    failures += [f"{loose} tracebacks on standard error that nothing guarded"] * bool(loose)
    text += f"\nfaults of the node that were guarded: {len(guarded)} causes" + "".join(
        f"\n  {line[:200]}" for line in guarded
    )
    lines, replay_faults = _replays(system)
    failures += replay_faults
    text += "\n" + "\n".join(lines) + "\n\nstandard error, by line:\n" + _stderr(soak.stderr)
    verdict = "passed" if not failures else "FAILED:" + "".join(f"\n  {line}" for line in failures)

    return f"{soak.minutes:g} minutes, seed {soak.seed}\n{text}\n\nplot: {out / 'soak.png'}\n{verdict}"


def _services(soak: Soak, places: Sequence[str]) -> tuple[list[list[object]], list[str]]:
    services_of: dict[str, list[tuple[Cause, Service]]] = {}
    for index, cause in enumerate(soak.causes):
        services_of.setdefault(cause.name, []).append((cause, service_after(soak, index, places)))
    rows: list[list[object]] = []
    failures = []

    for name, pairs in services_of.items():
        durations = [(cause.end - cause.begin) / SECOND for cause, _ in pairs]
        elsewhere = [service.elsewhere for _, service in pairs if service.elsewhere is not None]
        worst_back = max(service.back for _, service in pairs)

        rows.append(
            [
                name,
                len(pairs),
                max(durations),
                max(s.gap for _, s in pairs),
                max(elsewhere) if elsewhere else "",
                worst_back,
                sum(s.degraded for _, s in pairs),
            ]
        )
        if worst_back > LIMITS.get(name, MAX_RECOVERY) and not name.startswith("none"):
            failures.append(f"service back {worst_back:.1f} s after: {name}")

    return rows, failures


def _per_vehicle(soak: Soak) -> str:
    count = Counter(delivery.vehicle for delivery in soak.deliveries)
    kinds = Counter(delivery.kind for delivery in soak.deliveries)
    fewest = min(count.values(), default=0)
    return f"the fewest to one vehicle {fewest} of {len(count)} vehicles; " + ", ".join(
        f"{kind} {number}" for kind, number in kinds.most_common()
    )


def _memory(soak: Soak) -> tuple[str, list[str]]:
    samples = [sample for sample in soak.samples if sample.t >= soak.restarted]
    if len(samples) < 8:
        return "too few samples of memory", ["too few samples of memory"]

    quarter, half = samples[: len(samples) // 4], samples[len(samples) // 2 :]
    first, second = median(s.memory for s in quarter), median(s.memory for s in half)
    change = second / first - 1.0
    ends = [(min(values), max(values)) for values in ([s.descriptors for s in samples], [s.threads for s in samples])]
    text = f"memory {first:.1f} MB in the first quarter, {second:.1f} MB in the second half: {100 * change:+.1f} %; "
    text += f"file descriptors {ends[0][0]}-{ends[0][1]}, threads {ends[1][0]}-{ends[1][1]}"
    text += " (since the node was started again)" if soak.restarted else ""

    return text, [f"memory grew by {100 * change:.1f} %"] * (change > MAX_GROWTH)


def _replays(system: System) -> tuple[list[str], list[str]]:
    """Replay every run that was recorded, once each."""
    lines, failures = [], []
    for folder in sorted(system.folder.glob("kept-*")):
        covered: set[Path] = set()
        files = sorted(folder.glob("*.mcap"))
        failures += [f"{folder.name}: no recording"] * (not files)

        for file in files:
            if file in covered:
                continue

            try:
                covered |= set(Recording(file).parts)
                result = replay(file)
            except RecordingError as error:
                failures.append(f"replay of {folder.name}/{file.name}: {error}")
                continue
            except Exception as error:
                failures.append(f"replay of {folder.name}/{file.name} died: {error!r}")
                continue

            name = f"{folder.name}/{file.name}"
            lines.append(
                f"replay of {name}: {result.span_s:.0f} s, {result.messages} messages, {result.advisories} "
                f"advisories, {result.speed:.0f} x real time"
            )
            lines += [f"  {note}" for note in (result.fault, *result.notes) if note]
            if not result.identical:
                failures.append(f"replay of {name} is not byte-identical: {str(result.difference)[:300]}")
            if result.fault:
                failures.append(f"recording {name}: {result.fault}")

    return lines, failures


def _stderr(text: str) -> str:
    count = Counter(line[:150] for line in text.splitlines() if line.strip() and not line.startswith(" "))
    return "\n".join(f"  {occurrences:>4} x {line}" for line, occurrences in count.most_common(25)) or "  nothing"


def plot(soak: Soak, places: Sequence[str], path: Path) -> None:
    """Draw memory and deliveries over time, every cause marked."""
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(15, 8), sharex=True, height_ratios=(3, 2))
    times = [(sample.t - soak.begin) / SECOND for sample in soak.samples]
    upper.plot(times, [sample.memory for sample in soak.samples], color="black", linewidth=1.2)
    upper.set_ylabel("resident memory of the node, MB")
    upper.set_ylim(0, 1.2 * max((sample.memory for sample in soak.samples), default=1.0))
    colours = {
        name: plt.get_cmap("tab20")(index % 20)
        for index, name in enumerate(dict.fromkeys(cause.name for cause in soak.causes))
    }

    for cause in soak.causes:
        begin, end = (cause.begin - soak.begin) / SECOND, (cause.end - soak.begin) / SECOND
        for axes in (upper, lower):
            axes.axvspan(begin, max(end, begin + 0.3), color=colours[cause.name], alpha=0.5, linewidth=0)

    for name, colour in colours.items():
        upper.fill_between([], [], color=colour, alpha=0.5, label=name)
    upper.legend(loc="lower right", fontsize=8, ncols=3)
    seconds = range(int(max(times, default=1.0)) + 1)

    for place in places:
        per_second = Counter(
            (delivery.t - soak.begin) // SECOND
            for delivery in soak.deliveries
            if delivery.intersection == place and delivery.kind == SERVICE
        )
        lower.plot(seconds, [per_second[index] for index in seconds], linewidth=0.8, label=place)

    lower.set_ylabel("speed advice delivered per second")
    lower.set_xlabel("s")
    lower.legend(loc="upper right", fontsize=8)
    figure.suptitle(f"soak, {soak.minutes:g} minutes, seed {soak.seed}")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
