"""Digests of all that the engine sends in closed loops and in a city: equal before and after a change that is to change
speed alone.

Each row is a run: its advisories, what gateways, vehicles and operators are sent, traffic, and the proposals that were
withheld with their reasons, hashed in order.
"""

import hashlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from cloudctl.sim.common.terminal import table
from cloudctl.sim.loop.run import Loop, Setup
from cloudctl.sim.scenario import scenario
from cloudctl.sim.scenario.scenario import Scenario

from bench.city_scene import City
from cloudctl.engine import Engine, Output
from cloudctl.schema import RawMessage
from cloudctl.settings import EngineConfig, PrioritySettings

SECONDS = 40.0  # simulated, of each loop


class DigestedEngine(Engine):
    """An engine that hashes what it returns. Every intersection's withheld proposals are asked for."""

    digest = hashlib.sha256()
    counts = (0, 0)

    def begin_digest(self) -> "DigestedEngine":
        """Begin the hash of what is given out."""
        self.digest, self.counts = hashlib.sha256(), (0, 0)
        for intersection in self.intersections.values():
            intersection.withheld = []
        return self

    def step(
        self, time_ns: int, batch: Sequence[RawMessage], on_stage: Callable[[str], None] = lambda _: None
    ) -> Output:
        """Step, and add what is given out to the hash."""
        output = super().step(time_ns, batch, on_stage)
        withheld = 0

        for intersection in output.planned:
            for proposal in intersection.withheld or ():
                self.digest.update(repr(proposal).encode())
                withheld += 1
            if intersection.withheld:
                intersection.withheld.clear()

        for part in (output.advisories, output.replies, output.rejects, output.traffic, output.signals, output.events):
            self.digest.update(msgspec.json.encode(part))
        assert not output.errors, output.errors
        self.counts = self.counts[0] + len(output.advisories), self.counts[1] + withheld
        return output


def closed_loop(made: Scenario, seed: int, penetration: float, priority: bool) -> DigestedEngine:
    """Run a scenario; return its engine."""
    loop = Loop(
        made, Setup(seed=seed, penetration=penetration, priority=priority, seconds=SECONDS, warm_up=60.0), scored=False
    )
    config = EngineConfig(made.gateways, priority=PrioritySettings(trust_declared=True))
    engine = DigestedEngine(
        codes=[junction.code.code for junction in made.junctions], config=config, metrics=loop.metrics, debug=True
    )
    loop.engine = engine.begin_digest()
    loop.run()

    return engine


def city() -> DigestedEngine:
    """Run a city of made-up traffic; return its engine."""
    city_ = City(size=20, seconds=6.0)
    engine = DigestedEngine(city_.codes, city_.config(), debug=True).begin_digest()
    for time_ns, batch in city_.run():
        engine.step(time_ns, batch)
    return engine


def run() -> str:
    """Return the table."""
    rows: list[list[object]] = []

    def add(name: str, engine: DigestedEngine) -> None:
        rows.append([name, *engine.counts, engine.digest.hexdigest()[:16]])
        print("   ", *rows[-1], file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        add("city of 20", city())
        for seed in (1, 2):
            add(
                f"corridor, seed {seed}",
                closed_loop(scenario.corridor(Path(folder)), seed, penetration=0.5, priority=True),
            )
            add(
                f"braunschweig, seed {seed}",
                closed_loop(scenario.braunschweig(), seed, penetration=0.7, priority=False),
            )

        add("drt, seed 1", closed_loop(scenario.drt(Path(folder) / "drt"), seed=1, penetration=0.4, priority=False))

    return table(["run", "advisories", "withheld", "sha256"], rows)


if __name__ == "__main__":
    print(run())
