"""The HTTP side of a node in this process: an engine that tests step, and metrics and API as a node serves them."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bench.scene import Scene
from cloudctl.clock import EventClock
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.io.egress import Egress
from cloudctl.metrics import Metrics
from cloudctl.node.http_side import HttpSide, ServedParts
from cloudctl.node.inbox import Inbox
from cloudctl.settings import BrokerSection, EngineConfig, HttpSection
from cloudctl.telemetry.pulse import Pulse
from cloudctl.telemetry.readiness import Progress

TOKEN = "token-of-this-test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class ServedNode:
    """An engine of one intersection with thirty road users, and its HTTP side; nothing runs but what a test steps."""

    def __init__(self, code: CompiledCode, config: EngineConfig | None = None) -> None:
        self.metrics = Metrics()
        rsus = {f"r{k}": code.code.id for k in range(3)}
        self.engine = Engine([code.code], config or EngineConfig({"g": rsus}), self.metrics)
        self.clock = EventClock()
        self.inbox = Inbox(self.metrics)
        self.progress = Progress(is_listening=True, is_warm=True)
        self.pulse = Pulse(self.metrics, 0.5)
        self.egress = Egress(BrokerSection(), self.clock, self.metrics, lambda *_: None)
        self.peers = SimpleNamespace(contacts={})
        self.faults: list[Exception] = []
        self._steps = Scene(code, 30).run(60.0)
        parts = ServedParts(
            engine=self.engine,
            clock=self.clock,
            egress=self.egress,
            recorder=None,
            inbox=self.inbox,
            peers=self.peers,  # type: ignore[arg-type]
            pulse=self.pulse,
            progress=self.progress,
        )
        self.http = HttpSide(HttpSection("127.0.0.1:0", token=TOKEN), parts, self.faults.append, TOKEN)

    def step(self, count: int = 1) -> None:
        """Take the next steps of the scene."""
        for t, batch in self._steps[:count]:
            self.clock.advance(t)
            output = self.engine.step(t, batch)
            for report in output.traffic:
                self.metrics.put_newest("traffic", report.intersection, report)
            self.peers.contacts["g"] = t
            self.pulse.beat()
        del self._steps[:count]


def serve(node: ServedNode, act: Callable[[Any], Awaitable[None]], headers: dict[str, str] | None = None) -> None:
    """Run `act(client)` against a served node; the client sends the token where no `headers` are given."""
    aiohttp = pytest.importorskip("aiohttp")

    async def main() -> None:
        await node.http.web.start()
        try:
            sent = BEARER if headers is None else headers
            async with aiohttp.ClientSession(node.http.web.address, headers=sent) as client:
                await asyncio.wait_for(act(client), 100)
        finally:
            await node.http.web.stop()

    asyncio.run(main())
    assert node.faults == []
