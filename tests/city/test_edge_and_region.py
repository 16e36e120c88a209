"""A gateway whose list is [edge, region]: to the region while the link to the edge is cut, and back; real nodes."""

from pathlib import Path

import msgspec
from city_gateways import PERIOD, Fleet, accepted_frames, serving, write_node_folder
from deadlines import until
from tcp_link import Link

from cloudctl.clock import WallClock, sleep_until
from cloudctl.io import broker
from cloudctl.io.recording.reader import Recording
from cloudctl.io.zeromq import read_keys
from cloudctl.replay import replay

EDGE, REGION = "edge", "region"
FRAMES = 15  # of each unit, in each phase


def test_a_gateway_goes_from_the_edge_to_the_region_and_back_and_every_frame_comes_once(
    tmp_path: Path, mqtt: broker.Broker
) -> None:
    fleet, ports = Fleet(), {name: broker.free_port() for name in (EDGE, REGION)}
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
        until(lambda: fleet.poll() or accepted_frames(files[EDGE]).total() == sum(fleet.sent.values()), what="the edge")
        link.cut()
        # what is on its way when a link is cut is lost with it: from when the gateway knows, nothing is
        until(lambda: fleet.poll() or not any(g.state == "connected" for g in gateways), what="that it is noticed")
        at_edge = sum(fleet.sent.values())
        drive(fleet)
        until(
            lambda: fleet.poll() or accepted_frames(files[REGION]).total() == sum(fleet.sent.values()) - at_edge,
            what="the region",
        )
        assert accepted_frames(files[EDGE]).total() == at_edge

        link.mend()
        at_region = accepted_frames(files[REGION]).total()
        until(lambda: fleet.frame() or accepted_frames(files[EDGE]).total() > at_edge, what="the edge again")
        drive(fleet)
        wanted = sum(fleet.sent.values())
        until(lambda: fleet.poll() or total(files) == wanted, what="every frame")
        drive(fleet)
        assert accepted_frames(files[REGION]).total() >= at_region
        until(lambda: fleet.poll() or total(files) == sum(fleet.sent.values()), what="every frame, at the edge")
        assert fleet.dropped == 0
        assert fleet.rejects == []
        fleet.close()
    link.close()

    for rsu, count in fleet.sent.items():
        numbers = sorted(given(tmp_path / EDGE, rsu) + given(tmp_path / REGION, rsu))
        assert numbers == list(range(count)), "each once, none lost"
    for name in (EDGE, REGION):
        result = replay(tmp_path / name / "run.mcap")
        assert (result.difference, result.fault, dict(result.faults)) == (None, None, {})


def drive(fleet: Fleet) -> None:
    for _ in range(FRAMES):
        fleet.frame()
        sleep_until(WallClock().now() + PERIOD)


def total(files: dict[str, Path]) -> int:
    return sum(accepted_frames(file).total() for file in files.values())


def given(folder: Path, rsu: str) -> list[int]:
    """Return the numbers of a unit's frames that a node's engine was given."""
    bodies = [
        msgspec.msgpack.decode(raw.body)
        for step in Recording(folder / "run.mcap").steps()
        for raw in step.batch
        if raw.kind == "perception"
    ]
    return [body["q"] for body in bodies if body["r"] == rsu]
