"""Two intersections in one engine, for tests of faults that must stay in one of them."""

import msgspec

from bench.scene import Scene, corridor
from cloudctl.engine import Engine, Output
from cloudctl.schema import RawMessage
from cloudctl.settings import EngineConfig


def two_places() -> tuple[Scene, Scene, Engine]:
    """Two intersections in one engine: gateway g speaks for the first, h for the second."""
    first, second = corridor()[:2]
    config = EngineConfig(
        {"g": {f"r{k}": first.code.id for k in range(3)}, "h": {f"s{k}": second.code.id for k in range(3)}}
    )
    return Scene(first, 20), Scene(second, 20, seed=2), Engine([first.code, second.code], config)


def elsewhere(datum: RawMessage) -> RawMessage:
    if datum.kind == "state":
        return datum._replace(sender="van")
    body = msgspec.msgpack.decode(datum.body)
    body["r"] = body["r"].replace("r", "s")
    return RawMessage(datum.kind, "h", msgspec.msgpack.encode(body))


def advised(outs: list[Output], intersection: str) -> set[str]:
    return {a.kind for out in outs for a in out.advisories if a.intersection == intersection}
