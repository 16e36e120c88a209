"""`cloudctl init`: what it writes belongs together, is closed, and closes the loop."""

import shutil
import signal
import stat
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue

import pytest
from deadlines import PATIENCE, until
from namespaces import needs_namespaces, without_ipv4
from started_folder import StartedFolder

from cloudctl import codes, maps
from cloudctl.client.credentials import read_gateway_folder, read_vehicle_folder
from cloudctl.errors import CloudctlError
from cloudctl.io import broker
from cloudctl.io.private_files import PrivateFileError
from cloudctl.node.config import load
from cloudctl.node.example_scripts import example_scripts
from cloudctl.node.init_city import CityPorts, init_city
from cloudctl.node.init_folder import Ports, add_gateway, add_vehicle, init_folder

needs_mosquitto = pytest.mark.skipif(broker.mosquitto() is None, reason="a closed broker needs mosquitto on PATH")


class Lines:
    """What a process prints, line by line, as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.seen: list[str] = []
        self._queue: Queue[str] = Queue()
        threading.Thread(target=lambda: [self._queue.put(line) for line in process.stdout], daemon=True).start()

    def has(self, text: str) -> bool:
        while True:
            try:
                self.seen.append(self._queue.get_nowait())
            except Empty:
                return any(text in line for line in self.seen)

    def refusals(self) -> list[str]:
        """Return the lines about refused messages, but for those that came late: some do where the machine stood still
        for a while."""
        self.has("")
        return [line for line in self.seen if ": refused " in line and " s old" not in line]


@pytest.mark.timeout(300)  # the first start on a machine compiles
@needs_mosquitto
def test_a_second_gateway_and_vehicle_are_let_in_by_the_printed_lines_and_end_by_ctrl_c(tmp_path: Path) -> None:
    with StartedFolder(tmp_path) as node:
        made = node.run("keys", "gateway", "gateway-2")
        assert made.returncode == 0, made.stderr
        assert "gateways/gateway-2" in made.stdout
        assert "cloudctl reload node.toml" in made.stdout
        section = made.stdout[made.stdout.index("[[gateway]]") : made.stdout.index("2. ")]
        config = node.folder / "node.toml"
        config.write_text(f"{config.read_text()}\n{section}")
        assert node.run("reload").returncode == 0
        vehicle = node.run("keys", "vehicle", "car-2")
        assert "python vehicle.py vehicles/car-2" in vehicle.stdout

        scripts = [node.script("gateway.py", "gateways/gateway-2"), node.script("vehicle.py", "vehicles/car-2")]
        lines = [Lines(script) for script in scripts]
        try:
            until(lambda: lines[0].has("gateway-2: accepted by the node:"), what="what was accepted")
            until(lambda: lines[1].has("queue: standing queue"), what="an advisory with its reason")
            for script in scripts:
                script.send_signal(signal.SIGINT)
            assert [script.wait(PATIENCE) for script in scripts] == [0, 0]
        finally:
            for script in scripts:
                script.kill()
                script.wait()
        assert not any(seen.has("Traceback") for seen in lines)
        assert [seen.refusals() for seen in lines] == [[], []]
        assert "gateway gateway-2 is connected" in node.log


def test_the_folder_of_a_gateway_belongs_to_the_node_and_a_wrong_one_is_never_made(tmp_path: Path) -> None:
    init_folder(tmp_path, maps.path("corridor.net.xml.gz"), "node.example", Ports(7000, 8000))
    places = sorted(load(tmp_path / "node.toml").gateway[0].rsus.values())
    made = add_gateway(tmp_path, "west", {"rsu-77": places[0]})
    file = read_gateway_folder(made.folder)
    assert (file.name, file.address, file.rsus) == ("west", "tcp://node.example:7000", ("rsu-77",))
    assert (made.folder / "node.pub").read_bytes() == (tmp_path / "keys/node.pub").read_bytes()

    node_file = tmp_path / "node.toml"
    node_file.write_text(f"{node_file.read_text()}\n{made.section}")
    public = tomllib.loads((made.folder / "gateway.pub").read_text())["public"]
    assert load(node_file).allowed()[public] == "west"
    by_path = node_file.read_text().replace(f'"{public}"', '"gateways/west/gateway.pub"')
    node_file.write_text(by_path)
    assert load(node_file).allowed()[public] == "west", "the path of the .pub file is the key in it"

    before = sorted(tmp_path.rglob("*"))
    for name, rsus, reason in (
        ("west", {"rsu-78": places[0]}, "already"),
        ("a/b", {"rsu-78": places[0]}, "name = "),
        ("..", {"rsu-78": places[0]}, "name = "),
        ("east", {}, "--rsu NAME=INTERSECTION"),
        ("east", {"rsu-78": "nowhere"}, "no such intersection"),
        ("east", {"rsu-77": places[1]}, "already"),
        ("east", {"rsu-77": places[0]}, "already"),
    ):
        with pytest.raises(CloudctlError, match=reason):
            add_gateway(tmp_path, name, rsus)
    assert sorted(tmp_path.rglob("*")) == before

    (made.folder / "gateway.pub").unlink()
    with pytest.raises(CloudctlError, match="text after public ="):
        load(node_file)
    for gone in ("gateway.key", "gateway.toml"):
        (made.folder / gone).unlink()
        with pytest.raises(CloudctlError, match="cloudctl keys gateway NAME"):
            read_gateway_folder(made.folder)


def test_nothing_of_the_folder_is_ever_added_to_a_repository(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not on PATH")
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    summary = init_folder(tmp_path / "n", None, "127.0.0.1", Ports())
    assert any(".gitignore" in line for line in summary)
    command = ["git", "-C", str(tmp_path), "status", "--porcelain"]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b""


@pytest.mark.timeout(300)  # the first start on a machine compiles
@needs_mosquitto
def test_three_shells_close_the_loop_and_each_says_so(tmp_path: Path) -> None:
    with StartedFolder(tmp_path) as node:
        scripts = [node.script("gateway.py"), node.script("vehicle.py")]
        gateway, vehicle = map(Lines, scripts)
        try:
            until(lambda: gateway.has(f"connected to tcp://127.0.0.1:{node.ports.gateways}"), what="the gateway's line")
            until(lambda: vehicle.has(f"connected to 127.0.0.1:{node.ports.broker}"), what="the vehicle's line")
            until(lambda: gateway.has("accepted by the node:"), what="what was accepted")
            until(lambda: vehicle.has("queue: standing queue"), what="an advisory with its reason")
            until(lambda: vehicle.has("group 9 shows red") or vehicle.has("is red when you arrive"), what="a red light")
            until(lambda: node.count("ack.applied") > 0, what="the acknowledgement")
        finally:
            for script in scripts:
                script.kill()
                script.wait()
        assert [gateway.refusals(), vehicle.refusals()] == [[], []]
        assert "signal phase_order" not in node.log
    for line in (
        "digital codes: 1: UST1.",
        "gateways: gateway-1; they connect to tcp://127.0.0.1:",
        "MQTT broker: mosquitto, embedded, 127.0.0.1:",
        "gateway gateway-1 is connected",
        "vehicle car-1 is connected",
    ):
        assert line in node.log
    assert "OPEN" not in node.log
    assert "Traceback" not in node.log


@pytest.mark.timeout(300)  # the first start on a machine compiles
@needs_mosquitto
@needs_namespaces
@pytest.mark.parametrize("host", ["::1", "2001:db8::1"])
def test_on_a_machine_without_ipv4_everything_works_as_written(tmp_path: Path, host: str) -> None:
    with without_ipv4() as network, StartedFolder(tmp_path, host=host, inside=network.inside) as node:
        scripts = [node.script("gateway.py"), node.script("vehicle.py")]
        gateway, vehicle = map(Lines, scripts)
        try:
            until(lambda: gateway.has(f"connected to tcp://[{host}]:"), what="the gateway's line")
            until(lambda: vehicle.has("connected to "), what="the vehicle's line")
            until(lambda: node.count("ack.applied") > 0, what="an advisory that is acknowledged")
        finally:
            for script in scripts:
                script.kill()
                script.wait()

        until(lambda: node.run("health", "--ready").returncode == 0, what="readiness")
        doctor = node.run("doctor")
        assert "ok    the node: runs, and is ready" in doctor.stdout
        assert "ok    broker, what a vehicle publishes: as itself only" in doctor.stdout
        assert doctor.returncode == 0, doctor.stdout
        assert node.run("deploy", "out").returncode == 0
        assert f'targets: ["[::1]:{node.ports.http}"]' in (node.folder / "out" / "prometheus.yml").read_text()
    assert "Traceback" not in node.log


@pytest.mark.parametrize(
    ("host", "bound", "page", "reached"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1", "127.0.0.1", "localhost"),
        ("127.0.0.2", "127.0.0.2", "127.0.0.1", "127.0.0.2"),
        ("192.0.2.7", "0.0.0.0", "127.0.0.1", "192.0.2.7"),
        ("node.example", "0.0.0.0", "127.0.0.1", "node.example"),
        ("::1", "[::1]", "[::1]", "[::1]"),
        ("[::1]", "[::1]", "[::1]", "[::1]"),
        ("2001:db8::7", "[::]", "[::1]", "[2001:db8::7]"),
    ],
)
@pytest.mark.parametrize("make", [init_folder, lambda *args: init_city(*args[:3], CityPorts(args[3]))])
def test_a_node_is_bound_where_it_is_reached(
    tmp_path: Path, host: str, bound: str, page: str, reached: str, make: Callable[..., object]
) -> None:
    make(tmp_path, None, host, Ports())
    config = load(tmp_path / "node.toml")
    assert (config.node.bind, config.http.bind) == (f"tcp://{bound}:7788", f"{page}:8080")
    assert read_vehicle_folder(tmp_path / "vehicles" / "car-1").host == reached.strip("[]")
    address = read_gateway_folder(tmp_path / "gateways" / "gateway-1").address
    assert f"tcp://{reached}:7788" == (address if isinstance(address, str) else address[0])
    listener = (tmp_path / "broker" / "mosquitto.conf").read_text().splitlines()[0]
    assert listener == f"listener 8883 {bound.strip('[]')}"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "*", "", "fe80::1"])
def test_a_host_that_nobody_can_reach_is_refused_before_anything_is_written(tmp_path: Path, host: str) -> None:
    with pytest.raises(CloudctlError, match=r"^--host .* Give the address or the name"):
        init_folder(tmp_path / "n", None, host, Ports())
    assert not (tmp_path / "n").exists()


def test_everything_secret_is_private_and_nothing_else_needs_to_be(tmp_path: Path) -> None:
    init_folder(tmp_path / "n", None, "127.0.0.1", Ports())
    secrets = [*tmp_path.rglob("*.key"), tmp_path / "n/broker/acl"]
    assert len(secrets) == 8
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets} == {0o600}
    for file in tmp_path.rglob("*"):
        if file.is_file() and file not in secrets:
            assert b"PRIVATE KEY" not in file.read_bytes()
            assert b"secret =" not in file.read_bytes()


def test_what_belongs_together_names_each_other(tmp_path: Path) -> None:
    init_folder(tmp_path / "n", None, "node.example", Ports(7000, 8000))
    config = load(tmp_path / "n/node.toml")
    gateway = read_gateway_folder(tmp_path / "n/gateways/gateway-1")
    vehicle = read_vehicle_folder(tmp_path / "n/vehicles/car-1")
    assert (gateway.address, vehicle.host, vehicle.port) == ("tcp://node.example:7000", "node.example", 8000)
    public = tomllib.loads((tmp_path / "n/gateways/gateway-1/gateway.pub").read_text())["public"]
    assert config.allowed() == {public: "gateway-1"}
    assert set(config.gateway[0].rsus) == set(gateway.rsus)
    assert config.node.bind == "tcp://0.0.0.0:7000"


@pytest.mark.parametrize("name", [name for name in maps.names() if name.endswith(("json", "gz"))])
def test_every_shipped_map_gives_a_folder_whose_scripts_are_python(tmp_path: Path, name: str) -> None:
    init_folder(tmp_path / "n", maps.path(name), "127.0.0.1", Ports())
    loaded = codes.load_all(sorted((tmp_path / "n/codes").glob("*.json")))
    assert loaded
    for script in ("gateway.py", "vehicle.py"):
        compile((tmp_path / "n" / script).read_text(), script, "exec")
    config = load(tmp_path / "n/node.toml")
    assert set(config.gateway[0].rsus.values()) == {code.id for code in loaded}


def test_a_code_without_a_signal_gives_no_scripts_and_says_so(tmp_path: Path) -> None:
    import msgspec

    code = codes.load(maps.path("intersection.json"))
    bare = msgspec.structs.replace(
        code,
        connections=tuple(msgspec.structs.replace(c, group=0) for c in code.connections),
    )
    assert example_scripts(bare) == {}


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    init_folder(tmp_path, None, "127.0.0.1", Ports())
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(CloudctlError, match="nothing of it is overwritten"):
        init_folder(tmp_path, None, "127.0.0.1", Ports())
    with pytest.raises(PrivateFileError, match="never overwritten"):
        add_vehicle(tmp_path, "car-1")
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize(
    "name", ["", "node", "broker", ".", "..", "a/b", "../../etc/x", "+", "#", "$SYS", "x" * 65, "a\nb"]
)
def test_a_name_that_is_no_vehicles_gets_no_certificate(tmp_path: Path, name: str) -> None:
    init_folder(tmp_path / "n", None, "127.0.0.1", Ports())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CloudctlError, match="name = "):
        add_vehicle(tmp_path / "n", name)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_command_says_what_comes_next(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cloudctl", "init", str(tmp_path / "n")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cloudctl serve; python gateway.py; python vehicle.py" in done.stdout
