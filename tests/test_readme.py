"""The README's snippets, run as they stand against a running node; its commands, which must exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from deadlines import PATIENCE, until
from paths import ROOT

from cloudctl import codes, maps
from cloudctl.__main__ import build_parser
from cloudctl.io import broker
from cloudctl.io.ports import free_port
from cloudctl.node.init_folder import Ports, init_folder

README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `cloudctl init` writes, by file name."""
    folder = tmp_path_factory.mktemp("init") / "here"
    init_folder(folder, None, "127.0.0.1", Ports())
    return {name: (folder / name).read_text() for name in ("gateway.py", "vehicle.py")}


def test_its_snippets_are_the_scripts_that_init_writes(scripts: dict[str, str]) -> None:
    """They run in tests/node/test_node_init.py."""
    assert list(scripts.values()) == SNIPPETS


def test_each_is_about_a_page(scripts: dict[str, str]) -> None:
    for script in scripts.values():
        assert sum(bool(line.strip()) for line in script.splitlines()) <= 30


def test_five_commands_lead_from_the_clone_to_a_running_node() -> None:
    section = README.partition("## First five minutes")[2].partition("\n## ")[0]
    commands = [line.split("#")[0].strip() for line in section.splitlines() if line.startswith("    ")]
    assert commands[:6] == [
        "make install",
        ". .venv/bin/activate",
        "cloudctl init here && cd here",
        "cloudctl serve",
        "python gateway.py",
        "python vehicle.py",
    ]
    assert "install: $(STAMP)" in (ROOT / "Makefile").read_text()


@pytest.mark.timeout(300)  # the first start on a machine compiles
@pytest.mark.skipif(broker.mosquitto() is None, reason="a closed broker needs mosquitto on PATH")
def test_its_commands_lead_to_an_advisory_with_its_reason(tmp_path: Path) -> None:
    """The printed commands, in three shells; only the ports are others, for tests run side by side."""
    shell = f'PATH="{Path(sys.executable).parent}:$PATH"; cd {tmp_path}; '
    gateways, mqtt, http = (free_port() for _ in range(3))
    init = f"cloudctl init here --port {gateways} --mqtt-port {mqtt} --http-port {http} && cd here"
    subprocess.run(["bash", "-c", shell + init], check=True, stdout=subprocess.DEVNULL)

    processes = []
    try:
        for command in ("cloudctl serve", "python -u gateway.py", "python -u vehicle.py"):
            log = (tmp_path / f"{command.split()[-1]}.log").open("w")
            line = f"{shell} cd here; exec {command}"
            processes.append(subprocess.Popen(["bash", "-c", line], stdout=log, stderr=log))
        vehicle = tmp_path / "vehicle.py.log"
        until(lambda: "queue: standing queue" in vehicle.read_text(), 240, "an advisory")
        assert "accepted by the node" in (tmp_path / "gateway.py.log").read_text()
        assert "live page: http://127.0.0.1:" in (tmp_path / "serve.log").read_text()
        assert "vehicle car-1 is connected" in (tmp_path / "serve.log").read_text()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(PATIENCE)


def test_every_command_it_names_exists() -> None:
    helped = build_parser().format_help()
    named = set(re.findall(r"`cloudctl ([a-z]+)", README))
    assert named
    assert all(f"    {name} " in helped for name in named)


def test_the_shipped_codes_are_sound() -> None:
    for name in maps.names():
        if name.endswith(".json"):
            assert codes.loads(maps.path(name).read_bytes()).id.startswith("UST1.")
