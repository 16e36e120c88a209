"""What `cloudctl init --city` writes runs as it says, and is closed: etcd lets in nodes only, by their certificates."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from deadlines import PATIENCE, until
from etcd_cluster import needs_etcd
from msgspec.structs import replace

from cloudctl import codes
from cloudctl.city.control import ends_leases_early
from cloudctl.city.etcd import Etcd, EtcdError
from cloudctl.codes.citycode import make, parse_code
from cloudctl.io import broker
from cloudctl.io.ports import free_port
from cloudctl.node.config import load
from cloudctl.settings import CitySection

pytestmark = [
    needs_etcd,
    pytest.mark.timeout(240),
    pytest.mark.skipif(broker.mosquitto() is None, reason="a closed broker needs mosquitto: apt-get install mosquitto"),
]


class Trial:
    """The folder, and its `start.sh` while it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        first = free_port(count=20)
        ports = ["--port", str(first), "--http-port", str(first + 3), "--mqtt-port", str(first + 6)]
        self.run("init", str(folder), "--city", *ports, "--etcd-port", str(first + 8))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with (folder / "start.log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(folder / "start.sh")],
                env=os.environ | {"PATH": path},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cloudctl", *words]
        folder = self.folder if self.folder.exists() else None
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def script(self, name: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, name], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(PATIENCE)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    trial = Trial(tmp_path_factory.mktemp("trial") / "city")
    yield trial
    trial.stop()


def test_the_trial_runs_and_a_vehicle_is_advised(trial: Trial) -> None:
    def owners() -> int:
        return trial.run("city", "status").stdout.count("epoch")

    until(lambda: owners() == 5, what="an owner of every intersection")
    gateway, vehicle = trial.script("gateway.py"), trial.script("vehicle.py")
    try:
        assert vehicle.stdout is not None
        lines: list[str] = []
        until(lambda: lines.append(vehicle.stdout.readline()) or "glosa" in lines[-1], what="an advisory")  # type: ignore[union-attr,func-returns-value]
    finally:
        for process in (gateway, vehicle):
            process.kill()
            process.wait()
    for number in ("", "-2", "-3"):
        assert "Traceback" not in (trial.folder / "logs" / f"node{number}.log").read_text()


def test_commands_beside_a_node_do_not_take_its_place_at_the_broker(trial: Trial, tmp_path: Path) -> None:
    until(lambda: trial.run("city", "status").stdout.count("epoch") >= 5, what="an owner of every intersection")
    code = codes.load(trial.folder / "codes" / "0.json")
    parts = parse_code(code.id)
    name = make(parts.adm, parts.kind, parts.grid, 99)
    (tmp_path / "late.json").write_bytes(codes.dump(msgspec.structs.replace(code, id=name)))
    done = trial.run("city", "add", str(tmp_path / "late.json"))
    assert done.returncode == 0, done.stderr
    until(lambda: f"{name}  node" in trial.run("city", "status").stdout, what="an owner of what was added")
    assert trial.run("city", "remove", name).returncode == 0
    assert "already connected" not in (trial.folder / "logs" / "broker.log").read_text()


@pytest.mark.parametrize("credentials", ["none", "of a vehicle"])
def test_etcd_lets_in_nodes_only(trial: Trial, credentials: str) -> None:
    section = load(trial.folder / "node.toml").city
    vehicle = trial.folder / "vehicles" / "car-1"
    if credentials == "none":
        stranger = replace(section, etcd_cert=None, etcd_key=None)
    else:
        stranger = replace(section, etcd_cert=str(vehicle / "vehicle.pem"), etcd_key=str(vehicle / "vehicle.key"))
    until(lambda: trial.run("city", "status").returncode == 0, what="etcd")

    async def attempt(who: CitySection) -> int:
        etcd = Etcd(who)
        try:
            return await etcd.put("d/node", b"")
        finally:
            await etcd.close()

    with pytest.raises(EtcdError):
        asyncio.run(attempt(stranger))
    with pytest.raises(EtcdError, match="permission"):
        asyncio.run(attempt(replace(section, prefix="elsewhere")))


@pytest.mark.parametrize(
    ("version", "is_affected"),
    [
        ("3.4.23", True),
        ("3.4.31", True),
        ("3.4.32", False),
        ("3.5.13", True),
        ("3.5.14", False),
        ("3.6.0", False),
        ("4.0.0", False),
        ("3.5.0-rc.1", True),
        ("unknown", False),
    ],
)
def test_versions_of_etcd_that_end_leases_early_are_known(version: str, is_affected: bool) -> None:
    assert ends_leases_early(version) is is_affected
