"""A node changes without a restart: `cloudctl reload` takes over keys, gateways, credentials, revocations and
intersections that are gone.
"""

import asyncio
import json
import re
import shutil
from pathlib import Path
from urllib.request import urlopen

import pytest
from deadlines import PATIENCE, until
from mqtt_client import MqttClient
from started_folder import StartedFolder

from cloudctl import codes
from cloudctl.client import Gateway, Vehicle
from cloudctl.clock import SECOND, stopwatch
from cloudctl.io import broker
from cloudctl.io.zeromq import read_keys, write_keys
from cloudctl.topics import MqttTopics

pytestmark = [
    pytest.mark.skipif(broker.mosquitto() is None, reason="a closed broker needs mosquitto on PATH"),
    pytest.mark.timeout(300),  # the first start on a machine compiles
]


def test_reload_takes_over_what_the_operator_changes(tmp_path: Path) -> None:
    with StartedFolder(tmp_path) as node:
        _a_revoked_vehicle_is_gone_and_a_new_one_is_let_in(node)
        _another_key_of_the_node_takes_effect(node)
        _other_credentials_of_the_node_are_used(node)
        _a_file_that_cannot_be_used_changes_nothing(node)
        assert "Traceback" not in node.log
        assert node.run("reload").returncode == 0
        second = node.run("serve")
        assert second.returncode == 2
        assert "runs from node.toml already" in second.stderr
    stopped = node.run("reload")
    assert stopped.returncode == 2
    assert "no node runs from" in stopped.stderr


def reload(node: StartedFolder) -> None:
    """Reload, and wait until the node says so."""
    before = node.log.count("was read again")
    done = node.run("reload")
    assert done.returncode == 0, done.stderr
    until(lambda: node.log.count("was read again") > before, what=f"the reload: {node.log[-500:]}")


def _a_revoked_vehicle_is_gone_and_a_new_one_is_let_in(node: StartedFolder) -> None:
    assert node.run("keys", "vehicle", "car-2").returncode == 0
    assert node.run("keys", "revoke", "car-1").returncode == 0
    reload(node)

    def connects(name: str) -> bool:
        with MqttClient(node.ports.broker, credentials=node.folder / "vehicles" / name) as client:
            return client.connected

    until(lambda: not connects("car-1"), what="the revocation")
    assert connects("car-2")
    assert "vehicles newly revoked: car-1" in node.log
    reload(node)
    assert node.log.count("vehicles newly revoked: car-1") == 1
    _a_revoked_vehicle_says_so_once(node)


def _a_revoked_vehicle_says_so_once(node: StartedFolder) -> None:
    vehicle = node.script("vehicle.py")
    assert vehicle.stdout is not None
    try:
        line = vehicle.stdout.readline()
        begin = stopwatch()
        until(lambda: stopwatch() - begin > 6 * SECOND, what="further attempts")
    finally:
        vehicle.kill()
    assert "refuses the certificate of this vehicle (certificate revoked)" in line
    assert "Ask the node's operator" in line
    assert vehicle.stdout.read() == "", "one line, however often it tries"


def _another_key_of_the_node_takes_effect(node: StartedFolder) -> None:
    write_keys(node.folder / "keys" / "second")
    config = node.folder / "node.toml"
    config.write_text(config.read_text().replace("keys/node.key", "keys/second.key"))
    reload(node)
    with Gateway.from_folder(node.folder / "gateways" / "gateway-1") as old:
        until(lambda: old.poll(20) or old.state == "refused", what="the refusal of the old key")
    shutil.copy(node.folder / "keys" / "second.pub", node.folder / "gateways" / "gateway-1" / "node.pub")
    with Gateway.from_folder(node.folder / "gateways" / "gateway-1") as gateway:
        until(lambda: gateway.poll(20) or gateway.state == "connected", what="the connection by the new key")
    assert read_keys(node.folder / "keys" / "node.pub") != read_keys(node.folder / "keys" / "second.pub")


def _other_credentials_of_the_node_are_used(node: StartedFolder) -> None:
    from cloudctl.node.credentials import Authority

    Authority(node.folder / "tls").issue_client("node", node.folder / "tls" / "second.pem")
    config = node.folder / "node.toml"
    config.write_text(
        config.read_text().replace("tls/node.pem", "tls/second.pem").replace("tls/node.key", "tls/second.key")
    )
    before = node.log.count("connected to the MQTT broker")
    reload(node)
    until(lambda: node.log.count("connected to the MQTT broker") > before, what="the new connection")


def _a_file_that_cannot_be_used_changes_nothing(node: StartedFolder) -> None:
    config = node.folder / "node.toml"
    good = config.read_text()
    config.write_text(good.replace("server_key", "servr_key"))
    refused = node.run("reload")
    assert refused.returncode == 2
    assert "server_key" in refused.stderr
    (node.folder / "tls" / "second.key").chmod(0o644)
    config.write_text(good)
    assert "chmod 600" in node.run("reload").stderr
    (node.folder / "tls" / "second.key").chmod(0o600)
    reload(node)


def test_an_intersection_that_is_removed_leaves_nothing_retained_and_may_come_back(tmp_path: Path) -> None:
    node = StartedFolder(tmp_path, map_name="corridor.net.xml.gz")
    files = sorted((tmp_path / "codes").glob("*.json"))
    names = [codes.load(file).id for file in files]
    with node:
        assert set(retained(node, names)) == set(names)

        kept_back = files[0].read_bytes()
        _no_refused_file_lets_the_code_of_a_bound_intersection_go(node, files, names)

        config = tmp_path / "node.toml"
        text = config.read_text()
        config.write_text(text.replace(f'"rsu-1" = "{names[0]}", ', ""))
        reload(node)
        until(lambda: set(retained(node, names)) == set(names[1:]), what="that nothing is retained of it")
        assert over_http(node) == set(names[1:])

        files[0].write_bytes(kept_back)
        config.write_text(text)
        until(lambda: set(retained(node, names)) == set(names), what="that it is back")
        assert f"{files[0]}: {names[0]} is served from now on" in node.log
        reload(node)


def _no_refused_file_lets_the_code_of_a_bound_intersection_go(
    node: StartedFolder, files: list[Path], names: list[str]
) -> None:
    """Files that are refused, and second files of the same intersection, are in the folder: none stands for it."""
    faulty = [node.folder / "codes" / f"faulty-{number}.json" for number in range(len(files))]
    for file in faulty:
        file.write_text("{}")
    copy = node.folder / "codes" / "copy.json"
    copy.write_bytes(files[1].read_bytes())
    code = files[0].read_bytes()
    files[0].unlink()
    until(lambda: f"{files[0]} is gone: the code of {names[0]} stays in force" in node.log, what="the missing file")

    refused = node.run("reload")
    assert refused.returncode == 2, "the command answers as the node does"
    assert "whose digital code is gone" in refused.stderr
    until(lambda: node.log.count("whose digital code is gone") == 1, what="the refusal while a unit is bound to it")
    assert set(retained(node, names)) == set(names)

    files[0].write_bytes(code)
    until(lambda: f"{files[0]} is back, with the code of {names[0]}" in node.log, what="that the file is back")
    reload(node)

    renamed = files[0].with_name("renamed.json")
    files[0].rename(renamed)
    reload(node)
    renamed.rename(files[0])
    reload(node)
    for file in (*faulty, copy):
        file.unlink()
    files[0].unlink()


def over_http(node: StartedFolder) -> set[str]:
    """Return the intersections that the node lists by HTTP."""
    with urlopen(f"http://127.0.0.1:{node.ports.http}/codes", timeout=PATIENCE) as answer:
        return {row["id"] for row in json.loads(answer.read())}


def retained(node: StartedFolder, names: list[str]) -> list[str]:
    """Return the intersections whose codes the broker retains."""

    async def look() -> list[str]:
        async with Vehicle.from_folder(
            tmp := node.folder / "vehicles" / "car-1", intersections=tuple(names)
        ) as vehicle:
            assert tmp.exists()
            await asyncio.wait_for(vehicle.connected.wait(), PATIENCE)
            for _ in range(10):  # retained messages follow the connection at once
                await asyncio.sleep(0.05)
            return [name for name, code in vehicle.codes.items() if code]

    return asyncio.run(look())


def test_topics_that_are_cleared_are_all_that_are_retained_of_an_intersection() -> None:
    sources = [path.read_text() for path in (Path(__file__).resolve().parents[2] / "cloudctl/node").glob("*.py")]
    retained = {name for text in sources for name in re.findall(r"retain\(MqttTopics\.(\w+)\(", text)}
    of_an_intersection = retained - {"node_status"}
    assert of_an_intersection == {"codes", "next_code", "calendar", "traffic"}
    assert set(MqttTopics.retained("X")) == {getattr(MqttTopics, name)("X") for name in of_an_intersection}


def test_status_counts_reloads(tmp_path: Path) -> None:
    with StartedFolder(tmp_path) as node:
        reload(node)
        until(lambda: node.count("reload.done") == 1, what="the count")
        assert json.loads((tmp_path / "status.json").read_text())
