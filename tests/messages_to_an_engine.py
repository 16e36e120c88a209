"""Messages as gateways send them, for tests that feed an engine by hand."""

import msgpack

from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.schema import RawMessage, Reject

T = 1_767_225_600 * SECOND
OTHER = "rsu-of-another"


def perception(code: CompiledCode, t: int = T, **changes: object) -> bytes:
    body = {
        "v": 1,
        "r": "r0",
        "s": "cam",
        "q": 0,
        "t": t,
        "lat": code.origin.lat,
        "lon": code.origin.lon,
        "o": [{"x": 1.0, "y": 2.0}],
        "frame": "ENU",
    }
    return msgpack.packb({**body, **changes})


def signal(code: CompiledCode, **changes: object) -> bytes:
    body = {
        "v": 1,
        "r": "r0",
        "i": code.code.id,
        "rev": 1,
        "q": 0,
        "t": T,
        "g": [{"g": 1, "s": 2, "mn": T + 5, "lk": T + 6, "mx": T + 7}],
    }
    return msgpack.packb({**body, **changes})


def feed(engine: Engine, kind: str, body: bytes, sender: str = "g", t: int = T) -> list[Reject]:
    return [body for _, what, body in engine.step(t, [RawMessage(kind, sender, body)]).replies if what == "reject"]
