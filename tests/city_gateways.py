"""Gateways of several intersections, and the folder of a node that serves them, for tests of several nodes."""

import contextlib
import logging
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from deadlines import PATIENCE

from bench.node_counters import counters_by_source
from bench.scene import corridor
from cloudctl import codes
from cloudctl.client import Gateway
from cloudctl.clock import MS, SECOND, WallClock, sleep_until, stopwatch
from cloudctl.codes import CompiledCode
from cloudctl.io.ports import free_port
from cloudctl.io.zeromq import KeyPair, new_keys, write_keys
from cloudctl.schema import Reject

INTERSECTIONS = corridor()
NAMES = [code.code.id for code in INTERSECTIONS]
# by gateway, the intersection of each roadside unit: one gateway has two
BINDINGS = {"both": {"r0": NAMES[0], "r1": NAMES[1]}} | {
    f"g{number}": {f"r{number}": name} for number, name in enumerate(NAMES) if number > 1
}
MAX_WORKERS = 2
TOKEN = "token-of-this-test"
PERIOD = 50 * MS  # of each gateway's frames


class Fleet:
    """A gateway of two intersections, and one of each of the others, that send frames and note what is refused."""

    def __init__(self) -> None:
        self.bindings = {name: dict(bound) for name, bound in BINDINGS.items()}
        self.keys: dict[str, KeyPair] = {name: new_keys() for name in self.bindings}
        self.rejects: list[Reject] = []
        self.frames: Counter[str] = Counter()  # by gateway: those that it was given
        self.sent: dict[str, int] = dict.fromkeys(self.rsus, 0)
        self.gateways: dict[str, Gateway] = {}

    @property
    def rsus(self) -> dict[str, str]:
        """The intersection of each roadside unit."""
        return {rsu: place for bound in self.bindings.values() for rsu, place in bound.items()}

    @property
    def dropped(self) -> int:
        """Messages that were dropped for want of a node that takes them."""
        return sum(gateway.dropped for gateway in self.gateways.values())

    def sections(self) -> str:
        """Return the [[gateway]] sections of a node's file."""
        text = ""
        for name, bound in self.bindings.items():
            rsus = ", ".join(f'"{rsu}" = "{place}"' for rsu, place in bound.items())
            text += f'[[gateway]]\nname = "{name}"\nkey = "{self.keys[name].public}"\nrsus = {{ {rsus} }}\n'
        return text

    def connect(self, addresses: str | Iterable[str], node_key: str) -> None:
        """Connect every gateway."""
        for name, bound in self.bindings.items():
            self.gateways[name] = Gateway(
                addresses if isinstance(addresses, str) else list(addresses),
                list(bound),
                name=name,
                key=self.keys[name],
                node_key=node_key,
                on_reject=self.rejects.append,
            )

    def drive(self, seconds: float) -> None:
        """Send frames of every unit for some time."""
        begin = stopwatch()
        while stopwatch() - begin < seconds * SECOND:
            self.frame()
            sleep_until(WallClock().now() + PERIOD)

    def frame(self) -> None:
        """Send one frame of every unit, and take in what the nodes answer."""
        code_of = {code.code.id: code for code in INTERSECTIONS}
        for name, gateway in self.gateways.items():
            for rsu, place in self.bindings[name].items():
                self.frames[name] += 1
                self.sent[rsu] += gateway.perception(rsu, "camera", *origin(code_of[place]), [{"x": 1.0, "y": 2.0}])
            gateway.poll()

    def poll(self) -> None:
        for gateway in self.gateways.values():
            gateway.poll()

    def close(self) -> None:
        for gateway in self.gateways.values():
            gateway.close()


def with_cut_links(records: Iterable[logging.LogRecord]) -> set[str]:
    """Return the gateways that have lost a connection, by what they logged: what is on its way then is lost with it. It
    happens also where a node stands still for seconds."""
    return {str(record.args[0]) for record in records if record.args and "is gone; trying again" in record.msg}


@contextlib.contextmanager
def serving(config: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `cloudctl serve` of a node's file."""
    command = [sys.executable, "-m", "cloudctl", "serve", str(config)]
    with (config.parent / "err").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        assert "serving" in process.stdout.readline(), (config.parent / "err").read_text()
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def origin(code: CompiledCode) -> tuple[float, float]:
    return code.origin.lat, code.origin.lon


def write_node_folder(folder: Path, port: int, mqtt: int, fleet: Fleet, extra: str = "") -> Path:
    """Write the file of a node that serves the fleet's intersections, recording in its folder; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_keys(folder / "node")
    (folder / "codes").mkdir()
    for number, code in enumerate(INTERSECTIONS):
        (folder / "codes" / f"{number}.json").write_bytes(codes.dump(code.code))
    config = folder / "node.toml"
    config.write_text(
        f'[node]\nbind = "tcp://127.0.0.1:{port}"\nkey = "node.key"\ncodes = ["codes/*.json"]\n'
        f'status = "status.json"\n[broker]\nopen = true\nport = {mqtt}\n[record]\npath = "run.mcap"\n'
        f'[http]\nbind = "127.0.0.1:{free_port(count=MAX_WORKERS)}"\ntoken = "{TOKEN}"\nview = false\n'
        f"{extra}{fleet.sections()}"
    )
    config.chmod(0o600)  # it holds a secret
    return config


def taken_frames(config: Path, worker: int = 1) -> Counter[str]:
    """Return the frames that a node, or one of its workers, has taken in, by gateway: accepted ones and those that it
    refused, or dropped for newer ones, as it does after it stood still. It counts every frame once."""
    counters = _counters(config, worker)
    gateway_of = {rsu: name for name, bound in BINDINGS.items() for rsu in bound}
    taken = Counter(counters.get("reject.perception", {}))
    for rsu, count in counters.get("accept.perception", {}).items():
        taken[gateway_of[rsu]] += count
    for stream, count in counters.get("drop.queue", {}).items():
        taken[gateway_of[stream.partition("/")[0]]] += count
    return taken


def accepted_frames(config: Path, worker: int = 1) -> Counter[str]:
    """Return the frames that a node, or one of its workers, has accepted, by roadside unit; none where it does not
    answer."""
    return Counter(_counters(config, worker).get("accept.perception", {}))


def _counters(config: Path, worker: int) -> dict[str, dict[str, int]]:
    port = int(tomllib.loads(config.read_text())["http"]["bind"].rpartition(":")[2])
    return counters_by_source(port + worker - 1, TOKEN)
