"""Nodes of a city as processes: three that share the corridor's intersections by leases in a real etcd cluster, one
broker, gateways with CURVE; and the judgement by what each node has recorded."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from city_gateways import INTERSECTIONS, Fleet, accepted_frames, write_node_folder
from deadlines import PATIENCE, until
from etcd_cluster import Cluster

from cloudctl.city.rendezvous import first_in_line
from cloudctl.clock import SECOND
from cloudctl.io.ports import free_port
from cloudctl.io.recording.reader import Recording
from cloudctl.io.zeromq import read_keys
from cloudctl.ownership_messages import AddIntersection, DropIntersection

T = TypeVar("T")
NODES = ("north", "south", "west")
NAMES = [code.code.id for code in INTERSECTIONS]


class Span(NamedTuple):
    """A time in which a node served an intersection as its owner, ns, by the one clock of this machine: from the first
    to the last message of it that its engine was given."""

    intersection: str
    node: str
    first: int
    last: int
    epoch: int


class CityNode:
    """One node of the city."""

    def __init__(self, name: str, folder: Path, cluster: Cluster, mqtt: int, fleet: Fleet, extra: str = "") -> None:
        self.name, self.folder, self.port = name, folder, free_port()
        servers = ", ".join(f'"{address}"' for address in cluster.addresses)
        city = f'[city]\nnode = "{name}"\naddress = "tcp://127.0.0.1:{self.port}"\netcd = [{servers}]\n{extra}'
        self.config = write_node_folder(folder, self.port, mqtt, fleet, city)
        self.group: int | None = None  # of the process; None: as this one's
        self.process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return read_keys(self.folder / "node.pub").public

    def launch(self) -> None:
        """Begin to start it."""
        command = [sys.executable, "-m", "cloudctl", "serve", str(self.config)]
        with (self.folder / "err").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, group=self.group)

    def await_ready(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        assert "serving" in self.process.stdout.readline(), self.log

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(PATIENCE)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        return (self.folder / "err").read_text(errors="replace")

    def accepted(self) -> Counter[str]:
        """Return the frames that it has accepted, by roadside unit."""
        return accepted_frames(self.config)

    def spans(self, rsus: dict[str, str]) -> list[Span]:
        """Return the times in which it served intersections as their owner, by its recordings."""
        spans: list[Span] = []
        for path in sorted(self.folder.glob("*.mcap")):
            spans += _spans_of(self.name, path, rsus)
        return spans


class City:
    """The nodes, their broker and their gateways. Every gateway knows the addresses of all nodes."""

    def __init__(self, folder: Path, cluster: Cluster, mqtt: int, nodes: tuple[str, ...] = NODES) -> None:
        self.folder, self.cluster, self.fleet = folder, cluster, Fleet()
        self.nodes = {name: CityNode(name, folder / name, cluster, mqtt, self.fleet) for name in nodes}

    def __enter__(self) -> "City":
        for node in self.nodes.values():
            # all share one key pair, as the gateways' list of addresses needs
            first = next(iter(self.nodes.values()))
            if node is not first:
                for suffix in (".key", ".pub"):
                    (node.folder / f"node{suffix}").write_bytes((first.folder / f"node{suffix}").read_bytes())
            node.launch()
        for node in self.nodes.values():
            node.await_ready()
        addresses = [node.address for node in self.nodes.values()]
        self.fleet.connect(addresses, next(iter(self.nodes.values())).key)
        return self

    def __exit__(self, *_: object) -> None:
        self.fleet.close()
        for node in self.nodes.values():
            node.stop()

    def owner_of(self, intersection: str) -> str | None:
        """Return the node that has accepted the most frames of an intersection since its last look."""
        return self.owners().get(intersection)

    def owners(self) -> dict[str, str]:
        """Return the owner of each intersection, as `cloudctl city status` says."""
        return {row["intersection"]: row["node"] for row in self.status()["intersections"] if row["node"]}

    def status(self) -> dict[str, list[dict[str, str]]]:
        done = self.command("status", "--json")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `cloudctl city` with the first node's file."""
        config = next(iter(self.nodes.values())).config
        command = [sys.executable, "-m", "cloudctl", "city", *words, "--config", str(config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def is_served(self) -> bool:
        """Send a frame of every unit; return whether every intersection has an owner that accepts it."""
        self.fleet.frame()
        return set(self.accepted()) == set(self.fleet.rsus)

    def settle(self) -> dict[str, str]:
        """Send frames until every intersection is served by the node that the hash puts it at; return its owner. A
        node that starts first has taken them all."""
        wanted = {name: first_in_line(name, self.nodes) for name in NAMES}
        until(self.is_served, what="service at every intersection")
        until(lambda: self.while_driving(self.owners) == wanted, what="that each has its own intersections")
        return {name: str(node) for name, node in wanted.items()}

    def while_driving(self, ask: Callable[[], T]) -> T:
        """Return what is asked, frames going on meanwhile: a pause of the gateways is none of the nodes'."""
        answers: list[T] = []
        asking = threading.Thread(target=lambda: answers.append(ask()))
        asking.start()
        while asking.is_alive():
            self.fleet.drive(0.1)
        return answers[0]

    def accepted(self) -> Counter[str]:
        return sum((node.accepted() for node in self.nodes.values()), Counter())

    def spans(self) -> list[Span]:
        """Return the times in which each node served each intersection, once the nodes have stopped."""
        spans = [span for node in self.nodes.values() for span in node.spans(self.fleet.rsus)]
        return sorted(spans, key=lambda span: (span.intersection, span.first))


def missing(city: "City") -> dict[str, set[int]]:
    """Return the frames of each roadside unit, by sequence number, that no node's engine was given, between the first
    and the last that one was; once the nodes have stopped."""
    given: dict[str, set[int]] = {rsu: set() for rsu in city.fleet.rsus}
    for node in city.nodes.values():
        for path in sorted(node.folder.glob("*.mcap")):
            for step in Recording(path).steps():
                for raw in step.batch:
                    if raw.kind == "perception":
                        body = msgspec.msgpack.decode(raw.body)
                        given[body["r"]].add(body["q"])
    return {rsu: set(range(min(numbers), max(numbers))) - numbers for rsu, numbers in given.items() if numbers}


def overlaps(spans: list[Span]) -> list[tuple[Span, Span]]:
    """Return the pairs of spans in which two nodes served one intersection at once."""
    return [
        (one, other)
        for one in spans
        for other in spans
        if one.intersection == other.intersection and one.node < other.node
        if one.first <= other.last and other.first <= one.last
    ]


def gaps(spans: list[Span], of: str | None = None) -> dict[str, float]:
    """Return the longest time between two owners of each intersection, s; `of`: after this node."""
    longest: dict[str, float] = {}
    for before, after in itertools.pairwise(spans):
        if before.intersection == after.intersection and of in (None, before.node):
            gap = (after.first - before.last) / SECOND
            longest[before.intersection] = max(gap, longest.get(before.intersection, 0.0))
    return longest


def _spans_of(node: str, path: Path, rsus: dict[str, str]) -> list[Span]:
    spans: dict[str, Span] = {}
    epochs: dict[str, int | None] = {}
    finished = []
    for step in Recording(path).steps():
        for raw in step.batch:
            if raw.kind == "add":
                addition = msgspec.json.decode(raw.body, type=AddIntersection)
                epochs[addition.intersection] = None if addition.guest else addition.epoch
            elif raw.kind == "drop":
                name = msgspec.json.decode(raw.body, type=DropIntersection).intersection
                epochs.pop(name, None)
                if name in spans:
                    finished.append(spans.pop(name))
            elif raw.kind == "perception":
                name = rsus[msgspec.msgpack.decode(raw.body)["r"]]
                epoch = epochs.get(name)
                if epoch is None:
                    continue  # as a guest
                first = spans[name].first if name in spans else step.t
                spans[name] = Span(name, node, first, step.t, epoch)
    return [*finished, *spans.values()]
