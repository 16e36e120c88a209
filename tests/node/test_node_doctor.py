"""`cloudctl doctor` on a node's folder: each trouble is made for real, and found with its value, rule and remedy."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deadlines import PATIENCE, until
from hypothesis import given
from hypothesis import strategies as st
from started_folder import StartedFolder

from cloudctl.io import broker
from cloudctl.io.ports import free_port
from cloudctl.node import credentials
from cloudctl.node.broker_files import broker_tls
from cloudctl.node.config import load
from cloudctl.node.credentials import Authority
from cloudctl.node.doctor import Finding, Status, examine
from cloudctl.node.doctor.clocks import clock_findings
from cloudctl.node.doctor.files import ports_of
from cloudctl.node.init_folder import Ports, init_folder

needs_mosquitto = pytest.mark.skipif(broker.mosquitto() is None, reason="a closed broker needs mosquitto on PATH")


@pytest.fixture
def node_file(tmp_path: Path) -> Path:
    init_folder(tmp_path / "n", None, "127.0.0.1", Ports(*(free_port() for _ in range(3))))
    return tmp_path / "n" / "node.toml"


def found(node_file: Path, name: str, vehicle: Path | None = None) -> list[Finding]:
    """Return what the doctor finds under names that begin so."""
    return [row for row in examine(node_file, vehicle) if row.name.startswith(name)]


def change(node_file: Path, before: str, after: str) -> None:
    text = node_file.read_text()
    assert before in text
    node_file.write_text(text.replace(before, after))


def doctor(folder: Path, *words: str, shell: str = "") -> subprocess.CompletedProcess[str]:
    command = f"{shell} exec {sys.executable} -m cloudctl doctor {' '.join(words)}"
    return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=120, check=False)


# --- the whole ---


@needs_mosquitto
def test_a_folder_of_init_is_found_fit_and_json_says_the_same(node_file: Path) -> None:
    done = doctor(node_file.parent, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["failed"]) == (0, False), done.stdout
    rows = {row["name"]: row for row in report["findings"]}
    assert set(rows[next(iter(rows))]) == {"name", "status", "value", "rule", "remedy"}
    assert {row["status"] for row in rows.values()} <= {"ok", "warn"}
    for name in (
        *("digital codes", "file handles", "certificate of node", "certificate of vehicle car-1", "port of gateways"),
        *("port of HTTP", "port of the broker", "broker", "broker, the node's rights", "broker, what a vehicle reads"),
        *("broker, what a vehicle publishes",),
    ):
        assert rows[name]["status"] == "ok", name
    assert all(row["remedy"] for row in rows.values() if row["status"] != "ok")
    assert all(row["rule"] for row in rows.values())


@needs_mosquitto
def test_beside_a_node_that_runs_it_takes_nobodys_place(tmp_path: Path) -> None:
    with StartedFolder(tmp_path / "n") as started:
        done = started.run("doctor")
        assert "ok    the node: runs, and is ready" in done.stdout, done.stdout + done.stderr
        assert "port of" not in done.stdout
        assert "ok    broker, what a vehicle reads: its own only" in done.stdout
        assert started.count("egress.lost") == 0
        assert done.returncode == 0


def test_a_file_that_cannot_be_used_fails_with_the_reason(node_file: Path) -> None:
    change(node_file, "period_ms" if "period_ms" in node_file.read_text() else "[node]", "[nodes]")
    done = doctor(node_file.parent, "--json")
    (row,) = [row for row in json.loads(done.stdout)["findings"] if row["status"] == "fail"]
    assert done.returncode == 1
    assert "nodes" in row["value"]


# --- the broker ---


@contextlib.contextmanager
def external_broker(node_file: Path, acl: str) -> Iterator[None]:
    """Have the node use a mosquitto that runs elsewhere, with the certificates of its folder and an ACL."""
    config = load(node_file)
    folder = node_file.parent / "elsewhere"
    written = broker.write_mosquitto_files(folder, "127.0.0.1", config.broker.port, broker_tls(config))
    (folder / "acl").write_text(acl)
    text = node_file.read_text().replace("embedded = true", "embedded = false")
    node_file.write_text("\n".join(line for line in text.splitlines() if not line.startswith("server_")) + "\n")
    process = subprocess.Popen([str(broker.mosquitto()), "-c", str(written)], stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(config.broker.port), what="mosquitto")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


GOOD = broker.access_list()
EVERYTHING = "user node\ntopic readwrite cloudctl/#\npattern readwrite cloudctl/#\n"
NODE_READS = GOOD.replace("topic readwrite cloudctl/#", "topic read cloudctl/#")


@needs_mosquitto
@pytest.mark.parametrize(
    ("acl", "troubles"),
    [
        (GOOD, {}),
        (EVERYTHING, {"reads": "another", "publishes": "another"}),
        (GOOD + "pattern read cloudctl/v1/vehicles/+/advisories\n", {"reads": "another's advisories"}),
        (GOOD + "pattern write cloudctl/v1/vehicles/+/state\n", {"publishes": "as another"}),
        (NODE_READS, {"node's": "came back"}),
        (GOOD.replace("pattern read cloudctl/v1/codes/#\n", ""), {"reads": "nothing of"}),
        (GOOD.replace("pattern write cloudctl/v1/vehicles/%u/hello\n", ""), {"publishes": "nothing on"}),
    ],
)
def test_rights_that_are_too_many_or_too_few_are_found_by_trying(
    node_file: Path, monkeypatch: pytest.MonkeyPatch, acl: str, troubles: dict[str, str]
) -> None:
    monkeypatch.setattr("cloudctl.node.doctor.broker_probe.ROUND_TRIP", 2.0)
    with external_broker(node_file, acl):
        rows = found(node_file, "broker", node_file.parent / "vehicles" / "car-1")
    failed = {row.name: row.value for row in rows if row.status is Status.FAIL}
    for word, value in troubles.items():
        assert any(word in name and value in failed[name] for name in failed), failed
    assert bool(failed) == bool(troubles), failed


@needs_mosquitto
def test_an_external_broker_is_tried_with_a_vehicle_only_where_one_is_named(node_file: Path) -> None:
    with external_broker(node_file, broker.access_list()):
        rows = found(node_file, "broker")
    assert [row.status for row in rows] == [Status.OK, Status.OK, Status.WARN]
    assert "--vehicle" in rows[-1].remedy


def test_a_broker_that_is_not_there_fails_with_its_address(node_file: Path) -> None:
    change(node_file, "embedded = true", "embedded = false")
    text = node_file.read_text()
    node_file.write_text("\n".join(line for line in text.splitlines() if not line.startswith("server_")) + "\n")
    (row,) = found(node_file, "broker")
    assert row.status is Status.FAIL
    assert f":{load(node_file).broker.port}" in row.value


# --- certificates, ports, limits, disk ---


@pytest.mark.parametrize(("days", "status"), [(-1, Status.FAIL), (30, Status.WARN), (61, Status.OK)])
def test_the_end_of_each_certificate_is_looked_at(
    node_file: Path, monkeypatch: pytest.MonkeyPatch, days: int, status: Status
) -> None:
    monkeypatch.setattr(credentials, "CERTIFICATE_DAYS", days)
    monkeypatch.setattr(credentials, "CLOCK_ALLOWANCE", credentials.timedelta(days=2))
    authority, folder = Authority(node_file.parent / "tls"), node_file.parent / "tls"
    for file in (folder / "node.pem", folder / "node.key"):
        file.unlink()
    authority.issue_client("node", folder / "node.pem")
    (row,) = found(node_file, "certificate of node")
    assert row.status is status
    assert row.value.startswith("ends 20")
    assert bool(row.remedy) == (status is not Status.OK)


def test_a_certificate_that_is_none_fails(node_file: Path) -> None:
    (node_file.parent / "vehicles" / "car-1" / "vehicle.pem").write_text("no certificate")
    (row,) = found(node_file, "certificate of vehicle")
    assert row.status is Status.FAIL


@needs_mosquitto
@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("keys/node.key", "key of the node"),
        ("tls/crl.pem", "broker"),
        ("tls/ca.pem", "broker"),
        ("tls/node.key", "broker"),
        ("tls/broker.key", "broker"),
    ],
)
def test_a_file_that_holds_something_else_fails_by_itself_and_hides_no_other_finding(
    node_file: Path, file: str, name: str
) -> None:
    whole = {row.name for row in examine(node_file)}
    (node_file.parent / file).write_text("garbage\n")
    rows = list(examine(node_file))
    failed = {row.name: row for row in rows if row.status is Status.FAIL}
    assert name in failed
    assert failed[name].remedy
    assert {row for row in whole if not row.startswith("broker")} <= {row.name for row in rows}


def test_a_list_of_revoked_certificates_that_is_none_is_refused_by_its_name(node_file: Path) -> None:
    file = node_file.parent / "tls" / "crl.pem"
    file.write_text("garbage\n")
    with pytest.raises(credentials.CredentialError, match=r"crl\.pem is no list of revoked certificates"):
        Authority(file.parent).revoked()


def test_a_public_key_that_is_of_another_key_fails(node_file: Path) -> None:
    assert [row.status for row in found(node_file, "key of the node")] == [Status.OK]
    shutil.copy(node_file.parent / "gateways/gateway-1/gateway.pub", node_file.parent / "keys/node.pub")
    (row,) = found(node_file, "public key of the node")
    assert (row.status, "node.pub" in row.value) == (Status.FAIL, True)


def test_a_port_that_is_taken_fails_with_its_number(node_file: Path) -> None:
    ports = {port.name: port.number for port in ports_of(load(node_file))}
    assert set(ports) == {"gateways", "HTTP", "the broker"}
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports["HTTP"]))
        other.listen()
        rows = {row.name: row for row in found(node_file, "port of")}
    assert rows["port of HTTP"].status is Status.FAIL
    assert f"{ports['HTTP']} in use" in rows["port of HTTP"].value
    assert rows["port of gateways"].status is Status.OK


def test_too_few_file_handles_are_a_warning_with_the_number_that_is_needed(node_file: Path) -> None:
    done = doctor(node_file.parent, "--json", shell="ulimit -n 300;")
    rows = {row["name"]: row for row in json.loads(done.stdout)["findings"]}
    row = rows["file handles"]
    assert row["status"] == "warn"
    assert row["value"].startswith("300")
    assert "1641" in row["rule"]  # 128 of its own, a gateway, 512 of HTTP, 1,000 vehicles


@pytest.mark.parametrize(
    ("record", "status"),
    [
        ('path = "runs/today.mcap"\nkeep_mb = 20000', Status.OK),
        ('path = "runs/today.mcap"\nkeep_mb = 900000000', Status.FAIL),
        ('path = "runs/today.mcap"\npart_mb = 1048576', Status.FAIL),
    ],
)
def test_there_must_be_room_for_what_is_to_be_kept(node_file: Path, record: str, status: Status) -> None:
    node_file.write_text(node_file.read_text() + f"\n[record]\n{record}\n")
    if status is Status.OK and shutil.disk_usage(node_file.parent).free < 21e9:
        pytest.skip("this disk has less than 21 GB free itself")
    (row,) = found(node_file, "disk for recordings")
    assert row.status is status
    assert bool(found(node_file, "limit of recordings")) == ("keep" not in record)


def test_a_disk_that_is_full_fails(node_file: Path, small_disk: Path) -> None:
    node_file.write_text(node_file.read_text() + f'\n[record]\npath = "{small_disk}/runs/today.mcap"\nkeep_mb = 3000\n')
    (row,) = found(node_file, "disk for recordings")
    assert (row.status, row.value) == (Status.FAIL, "0.0 GB free")


# --- clocks ---


def with_program(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str, status: int = 0) -> None:
    """Put a program on PATH, before any other of its name."""
    folder.mkdir(exist_ok=True)
    (folder / "says").write_text(says)
    (folder / name).write_text(f"#!/bin/sh\ncat {folder}/says\nexit {status}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


TRACKING = "C0A80101,192.168.1.1,2,1764190000.1,{offset},0.1,0.2,-1.2,0.01,0.05,0.001,0.0005,64.2,{leap}\n"


@pytest.mark.parametrize(
    ("offset", "leap", "status"),
    [
        ("0.000012", "Normal", Status.OK),
        ("-0.099", "Normal", Status.OK),
        ("-3.2", "Normal", Status.FAIL),
        ("0.2", "Normal", Status.FAIL),
        ("0.0", "Not synchronised", Status.FAIL),
    ],
)
def test_a_clock_that_chrony_finds_wrong_fails_with_its_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: str, leap: str, status: Status
) -> None:
    with_program(tmp_path / "bin", monkeypatch, "chronyc", TRACKING.format(offset=offset, leap=leap))
    (row,) = [row for row in clock_findings() if row.name == "clock, by chrony"]
    assert row.status is status
    assert f"{float(offset):+.6f} s" in row.value


@given(st.text(max_size=60))
def test_whatever_a_program_says_the_doctor_goes_on(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        clean = text.encode("utf-8", "replace").decode()
        with_program(Path(folder) / "bin", patch, "chronyc", clean)
        assert all(row.status in Status for row in clock_findings())


def test_the_kernel_is_asked_whether_anything_keeps_the_clock() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("adjtimex is of Linux")
    (row,) = [row for row in clock_findings() if row.name == "clock"]
    assert row.status in (Status.OK, Status.WARN)
    assert row.value
