"""A gateway whose list is [edge, region]: to the region while the link to the edge is cut, and back; real nodes."""

from pathlib import Path

import msgspec
import pytest
from city_gateways import PERIOD, Fleet, serving, taken_frames, with_cut_links, write_node_folder
from deadlines import until
from late_messages import unless_late
from tcp_link import Link

from cloudctl.clock import WallClock, sleep_until
from cloudctl.io import broker
from cloudctl.io.ports import free_port
from cloudctl.io.recording.reader import Recording
from cloudctl.io.zeromq import read_keys
from cloudctl.replay import replay

EDGE, REGION = "edge", "region"
FRAMES = 15  # of each unit, in each phase


def test_a_gateway_goes_from_the_edge_to_the_region_and_back_and_every_frame_comes_once(
    tmp_path: Path, mqtt: broker.Broker, caplog: pytest.LogCaptureFixture
) -> None:
    fleet, ports = Fleet(), {name: free_port() for name in (EDGE, REGION)}
    files = {name: write_node_folder(tmp_path / name, port, mqtt.port, fleet) for name, port in ports.items()}
    for suffix in (".key", ".pub"):  # one key pair, as a list of addresses needs
        (tmp_path / REGION / f"node{suffix}").write_bytes((tmp_path / EDGE / f"node{suffix}").read_bytes())
    link = Link(ports[EDGE])
    with serving(files[EDGE]), serving(files[REGION]):
        key = read_keys(tmp_path / EDGE / "node.pub").public
        fleet.connect([f"tcp://127.0.0.1:{link.port}", f"tcp://127.0.0.1:{ports[REGION]}"], key)
        gateways = list(fleet.gateways.values())
        until(lambda: fleet.poll() or all(gateway.state == "connected" for gateway in gateways), what="connections")

        drive(fleet)
        until(lambda: fleet.poll() or taken_frames(files[EDGE]).total() == sent(fleet), what="the edge")
        caplog.clear()
        link.cut()
        # what is on its way when a link is cut is lost with it: from when the gateway knows, nothing is
        until(lambda: fleet.poll() or with_cut_links(caplog.records) == set(fleet.gateways), what="that it is noticed")
        at_edge = sent(fleet)
        drive(fleet)
        until(
            lambda: fleet.poll() or taken_frames(files[REGION]).total() == sent(fleet) - at_edge,
            what="the region",
        )
        assert taken_frames(files[EDGE]).total() == at_edge

        link.mend()
        at_region = taken_frames(files[REGION]).total()
        until(lambda: fleet.frame() or taken_frames(files[EDGE]).total() > at_edge, what="the edge again")
        drive(fleet)
        wanted = sent(fleet)
        until(lambda: fleet.poll() or total(files) == wanted, what="every frame")
        drive(fleet)
        assert taken_frames(files[REGION]).total() >= at_region
        until(lambda: fleet.poll() or total(files) == sent(fleet), what="every frame, at the edge")
        assert unless_late(fleet.rejects) == []
        fleet.close()
    link.close()

    numbers = {rsu: given(tmp_path / EDGE, rsu) + given(tmp_path / REGION, rsu) for rsu in fleet.rsus}
    assert all(len(set(of_one)) == len(of_one) for of_one in numbers.values()), "each once"
    assert sum(len(of_one) for of_one in numbers.values()) == sent(fleet), "none lost"
    for name in (EDGE, REGION):
        result = replay(tmp_path / name / "run.mcap")
        assert (result.difference, result.fault, dict(result.faults)) == (None, None, {})


def drive(fleet: Fleet) -> None:
    for _ in range(FRAMES):
        fleet.frame()
        sleep_until(WallClock().now() + PERIOD)


def sent(fleet: Fleet) -> int:
    """Return how many frames were sent: all but those dropped for their age, as where the machine stands still before
    a connection is made."""
    return fleet.frames.total() - fleet.dropped


def total(files: dict[str, Path]) -> int:
    return sum(taken_frames(file).total() for file in files.values())


def given(folder: Path, rsu: str) -> list[int]:
    """Return the numbers of a unit's frames that a node's engine was given."""
    bodies = [
        msgspec.msgpack.decode(raw.body)
        for step in Recording(folder / "run.mcap").steps()
        for raw in step.batch
        if raw.kind == "perception"
    ]
    return [body["q"] for body in bodies if body["r"] == rsu]
