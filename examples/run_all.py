"""Starts a node with a broker of its own, runs gateway and vehicle against it, replays what it recorded, then runs the
other examples.

python examples/run_all.py OUT
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloudctl import codes, maps
from cloudctl.io import broker
from cloudctl.io.ports import free_port
from cloudctl.io.zeromq import read_keys

HERE = Path(__file__).resolve().parent
MAP = HERE.parent / "tests" / "data" / "crossing.osm"
GATEWAY_SECONDS = 25.0
DEADLINE = 300.0  # s for one example


def run(name: str, *words: str) -> None:
    """Run one example to its end; raises CalledProcessError where it fails."""
    print(f"\n== {name}", flush=True)
    subprocess.run([sys.executable, str(HERE / name), *words], check=True, timeout=DEADLINE)


@contextmanager
def node(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Run a node as an operator does: keys, one file, one command. Yields its address, and the broker's port and MQTT
    version.
    """
    port, mqtt = free_port(), free_port()
    version = 5 if broker.mosquitto() else 4  # the broker in Python speaks MQTT 3.1.1
    for name in ("node", "gateway-1"):
        subprocess.run([sys.executable, "-m", "cloudctl", "keys", "new", str(folder / name)], check=True)
    shutil.copy(maps.path("intersection.json"), folder / "intersection.json")

    intersection = codes.load(folder / "intersection.json").id
    public = read_keys(folder / "gateway-1.pub").public
    (folder / "node.toml").write_text(f"""\
[node]
bind = "tcp://127.0.0.1:{port}"
key = "node.key"
codes = ["intersection.json"]
status = "status.json"

[broker]
open = true  # for these examples on one machine; `cloudctl init` writes a closed one
port = {mqtt}
embedded = true
version = {version}

[record]
path = "run.mcap"

[[gateway]]
name = "gateway-1"
key = "{public}"
rsus = {{ "rsu-1" = "{intersection}" }}
""")
    process = subprocess.Popen(
        [sys.executable, "-m", "cloudctl", "serve", str(folder / "node.toml")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()  # printed once it serves
        assert line, "the node ended: it says why above"
        print(line.strip(), flush=True)
        yield f"tcp://127.0.0.1:{port}", mqtt, version
    finally:
        process.terminate()
        process.wait(20)


def main(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    folder = out / "node"
    folder.mkdir(parents=True)
    with node(folder) as (address, port, version):
        gateway = subprocess.Popen(
            [sys.executable, str(HERE / "gateway.py"), address, str(folder), str(GATEWAY_SECONDS)]
        )
        run("vehicle.py", "127.0.0.1", str(port), str(version))
        assert gateway.wait(DEADLINE) == 0, "gateway.py failed"

    run("compare_replay.py", str(folder))
    run("track_arrays.py")
    run("import_map.py", str(MAP), str(out / "map"))
    run("run_study.py", str(out / "study"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
