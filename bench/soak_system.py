"""The running system of the soak: node, broker, two gateways and their intersections, twenty vehicles; and the faults
that are injected into it."""

import multiprocessing
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bench.crossing import Crossing
from bench.fuzz import HOSTILE, RSUS, HostileTraffic
from bench.fuzz_node import HostileSockets
from bench.node_under_test import Mosquitto, NodeUnderTest, wait_for
from bench.scene import corridor
from bench.soak_parts import Control, Delivery, Signals, run_gateway, run_vehicles
from cloudctl import codes
from cloudctl.clock import SECOND, WallClock, sleep_until

HOUR = 3600 * SECOND
VEHICLES = 10  # of each intersection
BURST, BURST_RATE = 3_000, 1_500  # hostile messages, and how many a second
AHEAD = 8 * SECOND  # between the announcement of a revision and its beginning
SIGNAL_FAULT = 6.0  # s
TWIN = 8.0  # s that two vehicles have one id
HANGS = (3.0, 12.0, 60.0)  # s that the broker is stopped


class Cause(NamedTuple):
    """One fault as it was injected: from when to when it lasted (ns), and which intersections it concerns (none:
    all)."""

    name: str
    begin: int
    end: int
    where: tuple[str, ...]


class System:
    """Starts all processes in `folder`; `inject(name)` does one harm, waits until it has passed, and returns what was
    done."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.folder = folder
        self.clock = WallClock()
        self._spawn = multiprocessing.get_context("spawn")
        codes_made = corridor()
        self.crossings = {
            "G": Crossing(code=codes_made[0], rsu="g0", n=20, connected=VEHICLES),
            "H": Crossing(code=codes_made[-1], rsu="h0", n=20, connected=VEHICLES, seed=2),
        }
        home = Crossing(code=codes_made[2], rsu=RSUS[0], n=12, seed=3)
        self.mosquitto = Mosquitto(folder / "broker")
        gateways = {name: {crossing.rsu: crossing.id} for name, crossing in self.crossings.items()} | {
            HOSTILE: dict.fromkeys(RSUS, home.id)
        }

        self.node = NodeUnderTest(
            folder=folder,
            intersections=[*(crossing_.code for crossing_ in self.crossings.values()), home.code],
            gateways=gateways,
            mqtt=self.mosquitto.port,
        )

        self.hostile = HostileTraffic(victim=self.crossings["G"].code, home=home, victim_rsus=("g0", "h0"), seed=seed)
        self.controls = {name: self._spawn.Array("q", len(Control), lock=False) for name in self.crossings}
        self.gateways: dict[str, Any] = {}
        # recordings of nodes that have ended, or of folders that were removed, are in kept-<number>
        self.kept = 0
        self._revision = {name: crossing.code.code.revision for name, crossing in self.crossings.items()}
        self._pipe, child_end = self._spawn.Pipe()
        # When each intersection's vehicles last got speed advice
        self._newest = self._spawn.Array("q", len(self.crossings), lock=False)
        self._vehicle_control = self._spawn.Array("q", len(Control), lock=False)

        arguments = (
            child_end,
            list(self.crossings.values()),
            self.mosquitto.port,
            self._vehicle_control,
            self._newest,
            str(folder / "vehicles.err"),
        )

        self.vehicles = self._spawn.Process(target=run_vehicles, args=arguments, daemon=True)
        self.causes: dict[str, Callable[[], tuple[int, Iterable[str]]]] = {
            "broker kill -9": self._kill_broker,
            "broker stopped for a while": self._hang_broker,
            "gateway kill -9": self._kill_gateway,
            "gateway clock steps by 1 h": self._step_clock,
            "hostile messages": self._burst,
            "two vehicles with one id": self._twin,
            "revision announced": self._announce,
            "SIGHUP": self._hangup,
            "recording folder removed": self._remove_recordings,
            "late signals": lambda: self._bad_signals(Signals.LATE),
            "conflicting signals": lambda: self._bad_signals(Signals.CONFLICTING),
            "overdue signals": lambda: self._bad_signals(Signals.OVERDUE),
        }

    def start(self) -> None:
        """Start all parts, and wait until service begins."""
        self.node.start()
        for name in self.crossings:
            self.controls[name][Control.REVISION] = self._revision[name]
            self._start_gateway(name)
        self.vehicles.start()

    def inject(self, name: str) -> Cause:
        """Do one harm and wait until it has passed."""
        begin = self.clock.now()
        end, affected = self.causes[name]()
        return Cause(name=name, begin=begin, end=end, where=tuple(affected))

    def sleep(self, seconds: float) -> None:
        """Wait by the clock of the machine."""
        sleep_until(self.clock.now() + int(seconds * SECOND))

    def served(self, seconds: float) -> bool:
        """Wait until all intersections' vehicles get speed advice, at the most `seconds`; return whether they do."""
        return bool(wait_for(lambda: self.clock.now() - min(self._newest[:]) < SECOND, seconds))

    def deliveries(self) -> tuple[list[Delivery], int]:
        """End the vehicles; return what they were given, and how many connections would not close."""
        self._pipe.send("stop")
        deliveries, unclosed = self._pipe.recv() if self._pipe.poll(30) else ([], -1)
        return list(deliveries), int(unclosed)

    def repair(self) -> None:
        """Put right by hand what did not come back by itself: all clocks, all gateways started again."""
        for name, gateway in self.gateways.items():
            gateway.kill()
            gateway.join()
            self.controls[name][Control.CLOCK] = 0
            self._start_gateway(name)

    def stop(self) -> int:
        """Stop everything; return the node's exit status at SIGTERM."""
        status = self.node.stop() if self.node.alive() else self.node.process.returncode  # type: ignore[union-attr]
        for process in (*self.gateways.values(), self.vehicles):
            if process.pid is not None:
                process.kill()

        self.mosquitto.stop()
        self.keep_recordings()
        return int(status)

    def restart_node(self) -> list[str]:
        """Start the node again after it has died; its recordings are linked elsewhere first. Return which of them it
        wrote over."""
        self.keep_recordings()
        sizes = {file: file.stat().st_size for file in (self.folder / f"kept-{self.kept}").iterdir()}
        self.kept += 1
        self.node.start()

        return [f"{file.parent.name}/{file.name}" for file, size in sizes.items() if file.stat().st_size < size]

    def keep_recordings(self) -> None:
        """Link what is recorded into `kept-<number>`: what is still written goes there too."""
        folder = self.folder / f"kept-{self.kept}"
        folder.mkdir(exist_ok=True)
        for file in sorted(self.node.recordings.glob("*.mcap")):
            with suppress(FileExistsError):
                os.link(file, folder / file.name)

    # --- harm ---

    def _start_gateway(self, name: str) -> None:
        arguments = (
            name,
            self.crossings[name],
            self.node.address,
            self.node.keys[name],
            self.node.node.public,
            self.controls[name],
        )

        self.gateways[name] = self._spawn.Process(target=run_gateway, args=arguments, daemon=True)
        self.gateways[name].start()

    def _some_gateway(self) -> str:
        return self.rng.choice(list(self.crossings))

    def _kill_broker(self) -> tuple[int, Iterable[str]]:
        self.mosquitto.kill()
        self.sleep(self.rng.uniform(2.0, 8.0))
        self.mosquitto.start()
        return self.clock.now(), ()

    def _hang_broker(self) -> tuple[int, Iterable[str]]:
        self.mosquitto.process.send_signal(signal.SIGSTOP)
        self.sleep(self.rng.choice(HANGS))
        self.mosquitto.process.send_signal(signal.SIGCONT)
        return self.clock.now(), ()

    def _kill_gateway(self) -> tuple[int, Iterable[str]]:
        name = self._some_gateway()
        self.gateways[name].kill()
        self.gateways[name].join()
        self.sleep(self.rng.uniform(1.0, 4.0))
        self._start_gateway(name)
        # Until its interpreter has started: that is not the node's time
        self.sleep(1.5)

        return self.clock.now(), [self.crossings[name].id]

    def _step_clock(self) -> tuple[int, Iterable[str]]:
        name, control = self._some_gateway(), Control.CLOCK
        back = self.controls[name][control] != 0
        self.controls[name][control] = 0 if back else self.rng.choice((HOUR, -HOUR))
        return self.clock.now(), [self.crossings[name].id]

    def _burst(self) -> tuple[int, Iterable[str]]:
        sockets = HostileSockets(self.node, self.mosquitto.port)
        for index in range(BURST):
            sockets.send(self.hostile.message(self.clock.now()))
            if index % 50 == 0:
                sockets.drain()
                self.sleep(50 / BURST_RATE)

        sockets.close()
        return self.clock.now(), ()

    def _twin(self) -> tuple[int, Iterable[str]]:
        self._vehicle_control[Control.TWIN] = 1
        self.sleep(TWIN)
        self._vehicle_control[Control.TWIN] = 0
        return self.clock.now(), [next(iter(self.crossings.values())).id]

    def _announce(self) -> tuple[int, Iterable[str]]:
        name = self._some_gateway()
        self._revision[name] += 1
        begin = self.clock.now() + AHEAD
        code = msgspec.structs.replace(self.crossings[name].code.code, revision=self._revision[name], valid_from=begin)
        partial = self.node.codes / "next.part"
        partial.write_bytes(codes.dump(code))
        partial.rename(self.node.codes / f"{name}-{code.revision}.json")
        sleep_until(begin)
        self.controls[name][Control.REVISION] = code.revision

        return self.clock.now(), [code.id]

    def _hangup(self) -> tuple[int, Iterable[str]]:
        os.kill(self.node.pid, signal.SIGHUP)
        return self.clock.now(), ()

    def _remove_recordings(self) -> tuple[int, Iterable[str]]:
        self.keep_recordings()
        shutil.rmtree(self.node.recordings, ignore_errors=True)
        return self.clock.now(), ()

    def _bad_signals(self, how: Signals) -> tuple[int, Iterable[str]]:
        name = self._some_gateway()
        self.controls[name][Control.SIGNALS] = how
        self.sleep(SIGNAL_FAULT)
        self.controls[name][Control.SIGNALS] = Signals.GOOD
        return self.clock.now(), [self.crossings[name].id]
