"""Mutated messages of every kind beside valid traffic: the valid output must be the same bytes as without them, and
every message accounted for.

First two engines in made-up time (FUZZ_MESSAGES, default 1,000,000), then a node process over real sockets
(FUZZ_SOCKET_MESSAGES, default 300,000, at most 4,000/s; 1,000,000 for the whole claim). FUZZ_SEED (default 1) makes
others of the same kinds; FUZZ=engine or FUZZ=node runs one.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from cloudctl.sim.common.terminal import table

from bench.fuzz_engine import Result, accounted, growth, run_engine
from bench.fuzz_node import run_node
from cloudctl.clock import SECOND, stopwatch
from cloudctl.topics import TOPICS

RULES = 10
MAX_LINES = 12  # of what was found wrong


class Progress:
    """A line on standard error every ten seconds."""

    def __init__(self, name: str, messages: int) -> None:
        self._name, self._messages, self._last = name, messages, stopwatch()

    def __call__(self, done: int) -> None:
        if stopwatch() - self._last > 10 * SECOND:
            self._last = stopwatch()
            print(f"fuzz {self._name}: {done:,} of {self._messages:,} messages", file=sys.stderr, flush=True)


def run() -> str:
    """Return the report of hostile traffic against the engine and against a node."""
    seed, wanted = int(os.environ.get("FUZZ_SEED", "1")), os.environ.get("FUZZ", "")
    jobs: dict[str, tuple[Callable[..., Result], int]] = {
        "engine": (run_engine, int(os.environ.get("FUZZ_MESSAGES", "1000000"))),
        "node": (run_node, int(os.environ.get("FUZZ_SOCKET_MESSAGES", "300000"))),
    }
    parts = []

    for name, (job, messages) in jobs.items():
        if wanted in ("", name):
            result = job(messages, seed, Progress(name, messages))
            parts.append(f"-- {name}, seed {seed}\n{report(result)}")

    return "\n\n".join(parts)


def report(result: Result) -> str:
    """Return the tables of one run and its verdict."""
    taken, refused, dropped = accounted(result.counters)
    rows: list[list[Any]] = []

    for kind in dict.fromkeys((*TOPICS, *taken, *refused)):
        if result.sent[kind] or taken.get(kind) or refused.get(kind):
            rows.append([kind, result.sent[kind], taken.get(kind, 0), refused.get(kind, 0)])

    frames = result.sent["frames"]
    rows.append(["wrong frames", frames, "", ""])
    rows.append(["all", result.sent.total(), sum(taken.values()), sum(refused.values())])
    rules = [[count, rule] for rule, count in result.twins.rules.most_common(RULES)]
    text = table(["kind", "hostile sent", "accepted, with valid", "refused"], rows)
    text += f"\n{result.valid} valid sent; {dropped} dropped and counted; not accounted for: {result.missing}"
    text += f"; {result.cut_off} too long for the socket" * bool(result.cut_off)
    text += (
        f"\n{result.sent.total() / max(result.seconds, 1e-9):.0f} messages/s in {result.seconds:.0f} s; the longest "
        f"step {result.twins.slowest[0]:.0f} ms"
    )
    text += f" ({result.twins.slowest[1]})"
    tenths = [result.memory[index * (len(result.memory) - 1) // 10] for index in range(1, 11)]
    text += f"\nmemory after each tenth, MB: {', '.join(f'{mb:.0f}' for mb in tenths)}; from the first to the last "
    text += f"{100 * growth(result.memory):+.1f} %"
    text += f"\n{result.twins.compared} outputs for the victim compared, {result.twins.advisories} of them advisories"
    text += "\n\nrefused by rule (of those that were answered)\n" + table(["n", "rule"], rules)
    failures = result.failures

    return (
        text
        + "\n\n"
        + ("passed" if not failures else "FAILED: " + "\n  ".join(["", *failures[:MAX_LINES]]) + _details(result))
    )


def _details(result: Result) -> str:
    lines = [
        *result.twins.first_difference.values(),
        *(text.rstrip()[-700:] for text in result.twins.first_crash.values()),
    ]
    return "\n\nthe first of each:\n" + "\n".join(lines[:MAX_LINES]) if lines else ""
