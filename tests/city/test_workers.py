"""Several workers of one machine, as processes with real sockets: each serves its part, any of them names the owner."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from city_gateways import INTERSECTIONS, Fleet, accepted_frames, with_cut_links, write_node_folder
from city_workers import Workers
from deadlines import PATIENCE, until
from hypothesis import given
from hypothesis import strategies as st
from late_messages import unless_late
from paths import ROOT

from cloudctl.city.fixed import FixedHash, Worker
from cloudctl.city.rendezvous import first_in_line, ranking
from cloudctl.io import broker
from cloudctl.io.recording.reader import Recording
from cloudctl.node.config import ConfigError, load
from cloudctl.node.workers import parse_worker
from cloudctl.replay import replay


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory, mqtt: broker.Broker) -> Iterator[Workers]:
    with Workers(tmp_path_factory.mktemp("workers"), mqtt.port) as started:
        yield started


def test_every_frame_comes_to_the_worker_that_owns_its_intersection_and_none_is_lost(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = workers.fleet
    until(lambda: fleet.frame() or all(gateway.state == "connected" for gateway in fleet.gateways.values()))
    fleet.drive(2.0)
    until(
        lambda: fleet.poll() or set(workers.missing()) <= with_cut_links(caplog.records),
        what="that every frame is accepted, or counted as late",
    )
    assert unless_late(fleet.rejects) == []
    assert sum(gateway.moved for gateway in fleet.gateways.values()) > 0

    owner = {code.code.id: int(first_in_line(code.code.id, ["1", "2"]) or 0) for code in INTERSECTIONS}
    assert set(owner.values()) == {1, 2}
    for number in (1, 2):
        units = set(accepted_frames(workers.config, number))
        assert units == {rsu for rsu, place in fleet.rsus.items() if owner[place] == number}


def test_a_worker_that_dies_is_started_again_and_its_gateways_come_back(workers: Workers) -> None:
    before = workers.process_of(2)
    os.kill(before, signal.SIGKILL)
    until(lambda: workers.fleet.frame() or "worker 2 ended with status -9" in workers.log, what="the line of its end")
    sent = Counter(workers.fleet.sent)

    def served() -> bool:
        workers.fleet.frame()
        accepted = accepted_frames(workers.config, 2)
        return workers.process_of(2) != before and bool(accepted) and min(accepted.values()) > 5

    until(served, what="frames at the new process of the worker")
    assert sum(sent.values()) < sum(workers.fleet.sent.values())
    assert "Traceback" not in workers.log


def test_a_reload_reaches_every_worker_and_takes_in_a_new_gateway(workers: Workers) -> None:
    text = workers.config.read_text()
    name = INTERSECTIONS[0].code.id
    workers.config.write_text(f'{text}[[gateway]]\nname = "late"\nkey = "{"0" * 40}"\nrsus = {{ "late" = "{name}" }}\n')
    command = [sys.executable, "-m", "cloudctl", "reload", str(workers.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    until(lambda: workers.log.count("was read again; gateways: both") == 2, what="that both have read it")
    workers.config.write_text(text + "[node]\n")
    refused = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert refused.returncode == 2
    assert "not TOML" in refused.stderr
    workers.config.write_text(text)


def test_the_recording_of_each_worker_replays_byte_identical(tmp_path: Path, mqtt: broker.Broker) -> None:
    with Workers(tmp_path, mqtt.port) as workers:
        until(lambda: workers.fleet.frame() or len(workers.accepted()) == len(workers.fleet.rsus))
        workers.fleet.drive(1.0)
    for number in (1, 2):
        result = replay(tmp_path / f"run-{number}.mcap")
        assert result.messages > 10
        assert (result.difference, result.fault, dict(result.faults)) == (None, None, {})
        assert Recording(tmp_path / f"run-{number}.mcap").parts


def test_workers_need_a_written_port(tmp_path: Path) -> None:
    config = write_node_folder(tmp_path, 7788, 1883, Fleet())
    config.write_text(config.read_text().replace("127.0.0.1:7788", "127.0.0.1:*"))
    for options in (["--workers", "2"], ["--worker", "3/2"], ["--workers", "0"]):
        command = [sys.executable, "-m", "cloudctl", "serve", str(config), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 2
        assert "cloudctl: " in done.stderr
        assert "such as" in done.stderr or "about one for each core" in done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on PATH")
def test_the_unit_of_a_worker_is_one_that_systemd_takes(tmp_path: Path) -> None:
    text = (ROOT / "cloudctl" / "node" / "deploy" / "cloudctl@.service").read_text()
    unit = tmp_path / "cloudctl@2.service"
    unit.write_text(text.replace("@CLOUDCTL@", "/bin/true").replace("@FOLDER@", str(tmp_path)))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert str(unit.name) not in done.stderr, done.stderr


def test_a_worker_of_a_unit_takes_the_number_of_workers_from_the_file(tmp_path: Path) -> None:
    file = write_node_folder(tmp_path, 7788, 1883, Fleet())
    file.write_text(file.read_text().replace("[node]", "[node]\nworkers = 3"))
    assert parse_worker("2", load(file)) == Worker(2, 3, 7788)
    for wrong in ("0", "4", "2/1", "x", "-1", ""):
        with pytest.raises(ConfigError, match="--worker"):
            parse_worker(wrong, load(file))


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=8, unique=True), st.text(max_size=30))
def test_a_node_that_leaves_changes_nothing_between_the_others(nodes: list[str], intersection: str) -> None:
    order = ranking(intersection, nodes)
    assert sorted(order) == sorted(nodes)
    assert order[0] == first_in_line(intersection, nodes)
    for gone in nodes:
        assert ranking(intersection, [node for node in nodes if node != gone]) == [n for n in order if n != gone]


@given(st.lists(st.uuids().map(str), min_size=50, max_size=80, unique=True), st.integers(1, 6))
def test_every_intersection_belongs_to_exactly_one_worker_and_every_worker_agrees(names: list[str], count: int) -> None:
    workers = [FixedHash(Worker(number, count, 7788)) for number in range(1, count + 1)]
    for worker in workers:
        for name in names:
            worker.know(name)
    owned = [set(worker.owned()) for worker in workers]
    assert sum(map(len, owned)) == len(names)
    for name in names:
        owners = {worker.owner(name) for worker in workers}
        assert len(owners) == 1
        owner = owners.pop()
        assert owner is not None
        assert name in owned[int(owner.node) - 1]
        assert owner.address == f"tcp://*:{7787 + int(owner.node)}"
