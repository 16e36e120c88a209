"""A node as its operator runs it: one TOML file, `cloudctl serve`, a broker, gateways with keys of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from deadlines import PATIENCE

from bench.node_counters import counters_by_source
from cloudctl import codes
from cloudctl.client import Gateway
from cloudctl.codes import CompiledCode
from cloudctl.io.ports import free_port
from cloudctl.io.zeromq import Dealer, KeyPair, new_keys, write_keys
from cloudctl.schema import Reject

TOKEN = "token-of-this-test"


class NodeProcess:
    """`cloudctl serve` on the shipped intersection, for gateway "g" with rsu-1 and rsu-2, and "other" with rsu-9."""

    def __init__(
        self,
        folder: Path,
        code: CompiledCode,
        extra: str = "",
        record: str | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        self.folder, self.code, self.options = folder, code, options
        self.node = write_keys(folder / "node")
        self.keys = {"g": write_keys(folder / "g"), "other": new_keys()}
        self.port, self.mqtt = free_port(), free_port()
        (folder / "code.json").write_bytes(codes.dump(code.code))
        place = code.code.id
        self.http_port = 0 if "[http]" in extra else free_port()
        own_http = f'[http]\nbind = "127.0.0.1:{self.http_port}"\ntoken = "{TOKEN}"\nview = false\n'
        http = "" if "[http]" in extra else own_http
        recording = f'[record]\npath = "{record}"\n' if record else ""
        self.config = folder / "node.toml"
        self.config.write_text(
            f'[node]\nbind = "tcp://127.0.0.1:{self.port}"\nkey = "node.key"\ncodes = ["code.json"]\n'
            f'status = "status.json"\n[broker]\nopen = true\nport = {self.mqtt}\n{extra}{http}{recording}'
            f'[[gateway]]\nname = "g"\nkey = "{self.keys["g"].public}"\n'
            f'rsus = {{ "rsu-1" = "{place}", "rsu-2" = "{place}" }}\n'
            f'[[gateway]]\nname = "other"\nkey = "{self.keys["other"].public}"\nrsus = {{ "rsu-9" = "{place}" }}\n'
        )
        self.config.chmod(0o600)  # it holds a secret
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "NodeProcess":
        with (self.folder / "node.err").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cloudctl", "serve", str(self.config), *self.options],
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert b"serving 1 intersection" in line, self.said
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE)

    @property
    def said(self) -> str:
        """What the node said on standard error."""
        return (self.folder / "node.err").read_text()

    def gateway(self, name: str = "g", keys: KeyPair | None = None, **more: Any) -> Gateway:
        """Return a gateway's connection; its rejects are in `rejects`."""
        rsus = {"g": ["rsu-1", "rsu-2"], "other": ["rsu-9"]}.get(name, ["rsu-7" if name == "more" else "rsu-1"])
        gateway = Gateway(
            f"tcp://127.0.0.1:{self.port}",
            rsus,
            name=name,
            key=keys or self.keys[name],
            node_key=self.node.public,
            **{"on_reject": lambda reject: self.rejects.append(reject), **more},
        )
        self.rejects: list[Reject] = []
        return gateway

    def dealer(self, name: str) -> Dealer:
        """Return a bare connection with a gateway's key, for what a Gateway does not send."""
        return Dealer(f"tcp://127.0.0.1:{self.port}", self.keys[name], self.node.public)

    def count(self, name: str, source: str | None = None) -> int:
        """Return a counter: over all sources by status.json, of one by /metrics, which is up to a second old."""
        if source is not None:
            return counters_by_source(self.http_port, TOKEN).get(name, {}).get(source, 0)
        try:
            return int(json.loads((self.folder / "status.json").read_text())["counters"].get(name, 0))
        except FileNotFoundError:
            return 0
