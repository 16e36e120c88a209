"""Two workers of one node as processes, for tests of what they share."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from city_gateways import Fleet, accepted_frames, taken_frames, write_node_folder
from deadlines import PATIENCE

from cloudctl.io.ports import free_port
from cloudctl.io.zeromq import read_keys

COUNT = 2


class Workers:
    """`cloudctl serve --workers 2` on the corridor, and its gateways."""

    def __init__(self, folder: Path, mqtt: int) -> None:
        self.folder, self.fleet = folder, Fleet()
        self.port = free_port(count=COUNT)
        self.config = write_node_folder(folder, self.port, mqtt, self.fleet)

    def __enter__(self) -> "Workers":
        command = [sys.executable, "-m", "cloudctl", "serve", str(self.config), "--workers", str(COUNT)]
        with (self.folder / "err").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        self.lines = [self.process.stdout.readline() for _ in range(COUNT + 1)]
        assert "serving with 2 workers" in self.lines[-1], self.log
        self.fleet.connect(f"tcp://127.0.0.1:{self.port}", read_keys(self.folder / "node.pub").public)
        return self

    def __exit__(self, *_: object) -> None:
        self.fleet.close()
        self.process.terminate()
        self.process.wait(PATIENCE)

    @property
    def log(self) -> str:
        return (self.folder / "err").read_text()

    def accepted(self) -> Counter[str]:
        """Return the frames that the workers have accepted, by roadside unit."""
        return sum((accepted_frames(self.config, number) for number in range(1, COUNT + 1)), Counter())

    def missing(self) -> Counter[str]:
        """Return the frames that gateways were given and that no worker has taken in, nor the gateway counts as
        dropped, by gateway."""
        given = self.fleet.frames.copy()
        for number in range(1, COUNT + 1):
            given.subtract(taken_frames(self.config, number))
        given.subtract({name: gateway.dropped for name, gateway in self.fleet.gateways.items()})
        return Counter({name: count for name, count in given.items() if count})

    def process_of(self, number: int) -> int:
        return int((self.folder / f"node-{number}.pid").read_text())
