"""The hostile senders of the fuzz bench: a gateway that may speak for another intersection only, and vehicles that are
anywhere but at the first.

`HostileTraffic.message` draws one message of any kind, hostile in one of the ways of `mutations`. What would be a valid
message about the first intersection (a vehicle there, a request for it) is drawn again: those may change what is
advised there, and are no attack on it.
"""

from typing import Any, NamedTuple

import msgspec
import numpy as np

from bench.crossing import Crossing
from bench.mutations import JSON, MSGPACK, Mutator
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.schema import RawMessage
from cloudctl.topics import KIND_OF_CODE, TOPICS, gateway_kind

HOSTILE = "F"  # the hostile gateway
RSUS = ("f0", "f1")  # its roadside units
GATEWAY_SHARE = 0.6  # of all messages; the rest come from vehicles
NEAR = 0.01  # degrees around the first intersection that hostile vehicles keep away from
POOL = 500  # vehicles that send again and again; half of all vehicle messages come from new ids
ODD_IDS = (
    *(
        "G",
        "F",
        "operator",
        "node",
        "",
        " ",
        "car ",
        "Car",
        "é",
        "\U0001f697",
        "a" * 300,
        "x'; DROP TABLE",
        "..",
        "$SYS",
        "%u",
        "{0}",
        "null",
        "0",
    ),
    *("vehicle:car", "intersection:", "cloudctl-node", "\u202ecar", "car\u200b", "\xa0"),
)
ODD_KINDS = (
    b"?",
    b"",
    b"\0",
    b"\xff",
    b"PP",
    b"P ",
    b"p",
    b"state",
    b"requests",
    b"advisories",
    b"perception",
    b"code",
    b"config",
    b"operator",
    b"x" * 300,
)
LEAVES = ("state", "requests", "acks")
WEIGHTS = {
    "perception": 30,
    "signal": 20,
    "hazard": 8,
    "health": 8,
    "hello": 6,
    "sync": 6,
    "reject": 1,
    "broadcast": 1,
    "priority": 1,
    "unknown": 4,
    "frames": 3,
}


class Hostile(NamedTuple):
    """One hostile message. `frames`: as a gateway sends it; none: a vehicle's, under `leaf`."""

    row: str  # of the table of kinds
    frames: tuple[bytes, ...]
    vehicle: str
    leaf: str
    body: bytes

    def datum(self) -> RawMessage:
        """Return what a node makes of it before any decoding."""
        if not self.frames:
            return RawMessage(self.leaf, self.vehicle, self.body)
        kind, body = (self.frames[0], self.frames[1]) if len(self.frames) == 2 else (b"", b"")
        return RawMessage(gateway_kind(kind), HOSTILE, body)


class HostileTraffic:
    """Draws messages; `victim` is the intersection that must not notice, `home` the one that the senders may speak
    of."""

    def __init__(self, victim: CompiledCode, home: Crossing, victim_rsus: tuple[str, ...], seed: int) -> None:
        self.mutator = Mutator(seed)
        self._rng = self.mutator.rng
        self._victim, self._home = victim, home
        # One in four or so names a unit of the victim's
        self._rsus = (*RSUS, *RSUS, *RSUS, *victim_rsus)
        self._seqs: dict[tuple[str, str], int] = {}
        self._fresh = 0
        self._gateway_rows = [row for row, weight in WEIGHTS.items() for _ in range(weight)]
        self._positions = [home.scene.at(index * SECOND // 2) for index in range(40)]

    def message(self, time_ns: int) -> Hostile:
        """Return one hostile message of the time `time_ns`."""
        while True:
            drawn = self._gateway(time_ns) if self._rng.random() < GATEWAY_SHARE else self._vehicle(time_ns)
            if not self._about_victim(drawn):
                return drawn

    # --- gateways ---

    def _gateway(self, time_ns: int) -> Hostile:
        rng, row = self._rng, self.mutator.pick(self._gateway_rows)
        if row == "frames":
            kind = rng.choice((b"P", b"S", b"H", b"?", b""))
            frames = rng.choice(
                ((kind,), (kind, b"\x80", b"\x80"), (kind, b"", b"", b"", b""), (b"",), (rng.randbytes(40),))
            )
            return Hostile(row=row, frames=frames, vehicle="", leaf="", body=b"")

        if row == "unknown":
            kind = rng.choice((*ODD_KINDS, rng.randbytes(1)))
            body = self.mutator.hostile(self._tree(rng.choice(("perception", "signal", "hello")), time_ns), MSGPACK)
            return Hostile(row=KIND_OF_CODE.get(kind, row), frames=(kind, body), vehicle="", leaf="", body=body)

        body = self.mutator.hostile(self._tree(row, time_ns), MSGPACK)
        return Hostile(row=row, frames=(TOPICS[row].code, body), vehicle="", leaf="", body=body)

    def _tree(self, kind: str, time_ns: int) -> dict[str, Any]:
        """Return a valid body of a gateway's kind, as a tree with the keys of the wire."""
        rsu = self._rng.choice(self._rsus)
        lane = self._home.code.lane_ids[int(self._rng.randrange(self._home.code.n_lanes))]
        if kind == "hello":
            return self._hello(rsu)
        if kind == "signal":
            return self._signal(time_ns, rsu)
        if kind == "hazard":
            return self._hazard(time_ns, rsu, lane)

        if kind == "health":
            sensor = {"id": "c1", "alive": True, "hz": 10.0, "temperature": 40.0, "clock_offset": 1000}
            return {"v": 1, "r": rsu, "t": time_ns, "s": [sensor]}

        if kind == "sync":
            question = {"v": 1, "g": HOSTILE, "t1": time_ns}
            if self._rng.random() < 0.5:
                return {**question, "t2": time_ns + 10, "t3": time_ns + 20, "t4": time_ns + 30}
            return question

        if kind == "perception":
            return self._perception(time_ns, rsu)

        # a kind that only the node sends
        reject = {"v": 1, "kind": kind, "seq": 1, "t": time_ns, "field": "x", "value": "1", "rule": "r", "remedy": "m"}
        return {**reject, "i": self._home.id, "a": []}

    def _hello(self, rsu: str) -> dict[str, Any]:
        scene = self._home.scene
        pose = {"lat": scene.lat, "lon": scene.lon, "heading": 0.0, "fov": 6.28, "range": 150.0, "hz": 10.0}
        sensors = [{"id": name, "type": "camera", **pose} for name in ("c1", "c2")]
        return {"v": 1, "g": HOSTILE, "r": [rsu], "s": sensors, "sw": "x"}

    def _signal(self, time_ns: int, rsu: str) -> dict[str, Any]:
        home = self._home
        end = time_ns + self._rng.randrange(1, 40) * SECOND
        groups = [
            {"g": int(group), "s": 2, "mn": end, "mx": end, "lk": end, "c": 1.0, "ng": end, "nd": SECOND}
            for group in home.code.group_ids
        ]

        return {
            "v": 1,
            "r": rsu,
            "i": home.id,
            "rev": home.code.code.revision,
            "q": self._seq(rsu, "signal"),
            "t": time_ns,
            "g": groups,
            "ln": [],
        }

    def _hazard(self, time_ns: int, rsu: str, lane: str) -> dict[str, Any]:
        lat, lon = self._home.scene.lat, self._home.scene.lon
        return {
            "v": 1,
            "r": rsu,
            "id": f"h{self._rng.randrange(2_000)}",
            "kind": "works",
            "t": time_ns,
            "start": time_ns,
            "end": time_ns + 60 * SECOND,
            "lane": lane,
            "s": [10.0, 30.0],
            "polygon": [[lat, lon], [lat, lon + 0.001], [lat + 0.001, lon]],
            "p": 1,
            "text": "works",
        }

    def _perception(self, time_ns: int, rsu: str) -> dict[str, Any]:
        rng, home = self._rng, self._home
        sensor = rng.choice(("c1", "c2", "c3"))
        rows = rng.choice(self._positions)

        if rng.random() < 0.5:
            block = np.full((14, len(rows)), np.nan, "<f4")
            block[0] = 1.0
            block[1:3], block[4:6] = rows[:, :2].T, rows[:, 2:].T
            objects: Any = (
                np.arange(len(rows), dtype="<u4").tobytes() + block[:13].tobytes() + np.ones(len(rows), "u1").tobytes()
            )
        else:
            objects = [
                {"x": float(x), "y": float(y), "vx": float(vx), "vy": float(vy), "class": "car", "length": 4.5}
                for x, y, vx, vy in rows[:4]
            ]

        return {
            "v": 1,
            "r": rsu,
            "s": sensor,
            "q": self._seq(rsu, sensor),
            "t": time_ns,
            "lat": home.scene.lat,
            "lon": home.scene.lon,
            "o": objects,
            "frame": "ENU",
        }

    def _seq(self, rsu: str, stream: str) -> int:
        self._seqs[rsu, stream] = self._seqs.get((rsu, stream), -1) + 1
        return self._seqs[rsu, stream]

    # --- vehicles ---

    def _vehicle(self, time_ns: int) -> Hostile:
        rng = self._rng
        leaf = rng.choice(("state", "state", "state", "requests", "acks"))

        choice = rng.random()
        if choice < 0.5:
            self._fresh += 1
            vehicle = f"v{self._fresh:x}"
        elif choice < 0.9:
            vehicle = f"w{rng.randrange(POOL)}"
        else:
            vehicle = rng.choice(ODD_IDS)

        return Hostile(
            row=leaf,
            frames=(),
            vehicle=vehicle,
            leaf=leaf,
            body=self.mutator.hostile(self._report(leaf, vehicle, time_ns), JSON),
        )

    def _report(self, leaf: str, vehicle: str, time_ns: int) -> dict[str, Any]:
        """Return a valid body of a vehicle's kind, as a tree."""
        rng, home = self._rng, self._home
        if leaf == "requests":
            return {
                "t": time_ns,
                "id": f"p{rng.randrange(100)}",
                "intersection": home.id,
                "movement": home.scene.movement,
                "eta": time_ns + 10 * SECOND,
                "action": "request",
                "version": 1,
            }

        if leaf == "acks":
            of = rng.choice((self._victim.code.id, home.id, vehicle))
            return {
                "t": time_ns,
                "advisory": f"{of}-{rng.randrange(3_000)}",
                "outcome": rng.choice(("applied", "declined", "expired")),
                "version": 1,
            }

        x, y, vx, vy = (float(value) for value in rng.choice(rng.choice(self._positions)))
        lat, lon = (float(value) for value in home.code.origin.to_geodetic(x, y))
        if rng.random() < 0.1:  # anywhere else
            lat, lon = rng.uniform(-90, 90), rng.uniform(-180, 180)
        kind = rng.choice(("car", "bus", "emergency", "taxi", "truck"))
        return {
            "t": time_ns,
            "lat": lat,
            "lon": lon,
            "speed": float(np.hypot(vx, vy)),
            "heading": float(np.arctan2(vy, vx)),
            "kind": kind,
            "length": 4.8,
            "width": 1.8,
            "accuracy": 1.0,
            "movements": [home.scene.movement],
            "automated": False,
            "version": 1,
        }

    def _about_victim(self, drawn: Hostile) -> bool:
        """Return whether it is a message that may rightly change the output for the victim."""
        # A gateway is held to its units
        if drawn.frames and drawn.frames[0] not in (b"state", b"requests"):
            return False
        if b"requests" in (drawn.leaf.encode(), *drawn.frames[:1]):
            return self._victim.code.id.encode() in drawn.body

        try:
            body = msgspec.json.decode(drawn.body) if not drawn.frames else msgspec.msgpack.decode(drawn.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False

        lat, lon = (body.get("lat"), body.get("lon")) if isinstance(body, dict) else (None, None)
        if not isinstance(lat, int | float) or not isinstance(lon, int | float):
            return False

        origin = self._victim.origin
        return origin.lat - NEAR < lat < origin.lat + NEAR and origin.lon - NEAR < lon < origin.lon + NEAR
