"""MAP of SAE J2735 / ISO 19091 (MAPEM) -> digital codes: UPER frames, or JSON as the USDOT data exchange writes it."""

import json
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from typing import Any

import numpy as np

from cloudctl.geo import Origin

from .build import NO_ADM, RawCode, RawLane, RawMove, build
from .findings import CodeError, refuse
from .lines import F8
from .model import Alias
from .report import Imported, Loss
from .uper import decode, is_pdu, read_pdu, unframe

USES = {"vehicle": "vehicle", "bikeLane": "bike", "sidewalk": "pedestrian", "trackedVehicle": "vehicle"}
REVOCABLE, BUS = 0x80, 0x10  # of the eight vehicle attributes, first bit highest
TURNS = ("straight", "left", "right", "u")  # first four bits of a maneuver
SPEED = 0.02  # m/s
DEFAULT_WIDTH = 330  # cm
SLOW = 4.0  # m/s; a limit below is worth a look


def import_map(data: bytes | dict[str, Any], *, adm: str = NO_ADM) -> Imported:
    """Return the codes of a MAP: a frame or MapData in UPER (bytes or hex text), or JSON. Raises CodeError."""
    tree = data if isinstance(data, dict) else _read(data)
    found = tree.get("payload", {}).get("data", tree)
    rows = found.get("intersections") or ()
    rows = rows.get("intersectionGeometry", ()) if isinstance(rows, dict) else rows
    if not rows:
        raise refuse("MAP", "MAP", "intersections", "none", "holds no intersection", "give a MAP with intersection geometry")
    losses: set[Loss] = set()
    codes = []
    for k, row in enumerate(rows):
        try:
            raw = _intersection(_plain(row))
            codes.append(build(raw, adm))
        except CodeError:
            raise
        except (KeyError, OverflowError, TypeError, ValueError, IndexError, AttributeError, StopIteration) as error:
            raise refuse("MAP", f"intersection {k}", "fields", f"{error!r}", "an intersection has id, refPoint and laneSet, each as the standard says", "correct the sender") from None
        losses |= raw.losses
    return Imported(codes, "MAP", losses)


def _read(data: bytes) -> dict[str, Any]:
    text = data.strip()
    if text[:1] == b"{":
        try:
            tree: dict[str, Any] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise refuse("MAP", "MAP", "JSON", f"{len(data)} bytes", f"cannot be read ({error})", "give whole JSON") from None
        return tree
    with suppress(ValueError):  # what is not hex text is the bytes themselves
        data = bytes.fromhex(text.decode())
    if data[:2] == b"\x00\x12":
        return decode(*unframe(data))
    return read_pdu("MAPEM", data) if is_pdu("MAPEM", data) else decode("MapData", data)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return an intersection in one shape, whichever the source: the names of the standard, bit fields as numbers."""
    ref, lanes = row["refPoint"], row["laneSet"]
    if "latitude" in ref:
        ref = {"lat": round(ref["latitude"] * 1e7), "long": round(ref["longitude"] * 1e7)}
    limits = row.get("speedLimits") or ()
    limits = [{"type": limit["type"], "speed": limit["speed"]} for limit in (limits.get("speedLimits", ()) if isinstance(limits, dict) else limits)]
    return {**row, "refPoint": ref, "laneSet": [_plain_lane(lane) for lane in (lanes["GenericLane"] if isinstance(lanes, dict) else lanes)],
            "speedLimits": limits}


def _plain_lane(lane: dict[str, Any]) -> dict[str, Any]:
    attributes = lane["laneAttributes"]
    kind, nodes, connects = attributes["laneType"], lane["nodeList"], lane.get("connectsTo") or ()
    if isinstance(kind, dict):  # JSON: every choice named, one not null
        name = next((key for key, value in kind.items() if value is not None), "vehicle")
        flags = kind.get(name) or {}
        bits = (REVOCABLE if flags.get("isVehicleRevocableLane") else 0) | (BUS if flags.get("restrictedToBusUse") else 0)
        way = attributes["directionalUse"]
        ways = (2 if way.get("ingressPath") else 0) | (1 if way.get("egressPath") else 0)
        points = nodes.get("nodes")
        deltas = [next(value for value in node["delta"].values() if value) for node in points or ()]
        computed = nodes.get("computed")
        joins = connects.get("connectsTo", ()) if isinstance(connects, dict) else connects
    else:
        name, bits, ways = kind[0], kind[1][0], attributes["directionalUse"][0]
        points = nodes[1] if nodes[0] == "nodes" else None
        deltas = [node["delta"][1] for node in points or ()]
        computed = nodes[1] if nodes[0] == "computed" else None
        joins = connects
    wider = (((points or [{}])[0]).get("attributes") or {}).get("dWidth") or 0
    return {**lane, "kind": name, "bits": bits, "ways": ways, "deltas": deltas, "computed": computed, "wider": wider, "joins": [_plain_join(join) for join in joins]}


def _lines(row: dict[str, Any]) -> dict[int, F8]:
    """Return the nodes of each lane in m of the reference point, as the MAP lists them; lanes that cannot be read are left out."""
    ref = row["refPoint"]
    origin = Origin(ref["lat"] / 1e7, ref["long"] / 1e7)
    out: dict[int, F8] = {}
    for lane in row["laneSet"]:
        if lane["deltas"]:
            out[lane["laneID"]] = _walked(lane["deltas"], origin)
    for lane in row["laneSet"]:
        computed = lane["computed"]
        if computed and computed["referenceLaneId"] in out and not any(computed.get(key) for key in ("rotateXY", "scaleXaxis", "scaleYaxis")):
            out[lane["laneID"]] = out[computed["referenceLaneId"]] + [_offset(computed["offsetXaxis"]), _offset(computed["offsetYaxis"])]
    return out


def _walked(deltas: list[dict[str, int]], origin: Origin) -> F8:
    """Return nodes from their steps in cm, each from the one before; a node in degrees (1e-7) stands where it says."""
    here, out = np.zeros(2), []
    for delta in deltas:
        if "x" in delta:
            here = here + np.array([delta["x"], delta["y"]]) / 100
        else:
            here = np.array([float(v) for v in origin.to_local(delta["lat"] / 1e7, delta["lon"] / 1e7)])
        out.append(here)
    return np.array(out)


def _offset(choice: Any) -> float:
    """Return an offset of a computed lane, m: a choice of small or large, in cm."""
    value = next(v for v in choice.values() if v is not None) if isinstance(choice, dict) else choice[1]
    return float(value) / 100


def _plain_join(join: dict[str, Any]) -> dict[str, Any]:
    maneuver = join["connectingLane"].get("maneuver")
    if isinstance(maneuver, dict):
        named = ("maneuverStraightAllowed", "maneuverLeftAllowed", "maneuverRightAllowed", "maneuverUTurnAllowed")
        bits = sum(1 << (11 - k) for k, name in enumerate(named) if maneuver.get(name))
    else:
        bits = maneuver[0] if maneuver else 0
    turns = [turn for k, turn in enumerate(TURNS) if bits & 1 << (11 - k)]
    return {"lane": join["connectingLane"]["lane"], "turn": turns[0] if len(turns) == 1 else "", "group": join.get("signalGroup") or 0,
            "remote": join.get("remoteIntersection")}


def _intersection(row: dict[str, Any]) -> RawCode:
    number, ref = row["id"], (row["refPoint"]["lat"], row["refPoint"]["long"])
    alias = Alias("j2735", f"{number.get('region') or 0}/{number['id']}")
    raw = RawCode(str(row.get("name") or number["id"]), ref, revision=(row.get("revision") or 0) + 1, alias=(alias,))
    speed = next((limit["speed"] * SPEED for limit in row["speedLimits"] if limit["type"] == "vehicleMaxSpeed"), 13.89)
    if speed < SLOW:
        raw.losses.add(Loss("differs", raw.name, f"the speed limit is {speed:.1f} m/s: too slow to be true? It is kept"))
    if not row["speedLimits"]:
        raw.losses.add(Loss("guessed", raw.name, "no speed limit in the MAP: 50 km/h"))
    width = row.get("laneWidth") or DEFAULT_WIDTH
    lines = _lines(row)
    for lane in row["laneSet"]:
        _lane(raw, lane, lines.get(lane["laneID"]), width, round(speed, 2))
    known = {lane.key: lane for lane in raw.lanes}
    for lane in row["laneSet"]:
        raw.moves += _moves(raw, lane, known)
    led = {m.start for m in raw.moves} | {m.end for m in raw.moves}
    for approach in sorted({x.approach for x in raw.lanes if x.role == "ingress"}):
        if not any(x.key in led for x in raw.lanes if x.approach == approach and x.role == "ingress"):
            raw.losses.add(Loss("dropped", raw.name, f"approach {approach} leads nowhere: its lanes are left out"))
            raw.lanes = [x for x in raw.lanes if not (x.approach == approach and x.role == "ingress")]
    return raw


def _lane(raw: RawCode, lane: dict[str, Any], xy: F8 | None, width: int, speed: float) -> None:
    name = str(lane["laneID"])
    if xy is None:
        raw.losses.add(Loss("dropped", raw.name, f"lane {name}: is computed with turning or scaling, or from a lane that is not there"))
        return
    width += lane["wider"]
    if lane["kind"] == "crosswalk":
        group = next((join["group"] for join in lane["joins"] if join["group"]), 0)
        raw.walks.append((xy[[0, -1]], width, group, (Alias("j2735", name),)))
        return
    if lane["kind"] not in USES:
        raw.losses.add(Loss("dropped", raw.name, f"lane {name}: {lane['kind']} is no lane to travel on"))
        return
    ingress = lane["ways"] & 2 != 0
    if lane["ways"] == 3:
        raw.losses.add(Loss("dropped", raw.name, f"lane {name} runs both ways: taken as one that leads in"))
    use = "bus" if lane["kind"] == "vehicle" and lane["bits"] & BUS else USES[lane["kind"]]
    approach = lane.get("ingressApproach") if ingress else lane.get("egressApproach")
    raw.lanes.append(RawLane(name, _driving(xy, ingress), "ingress" if ingress else "egress", f"{approach if approach is not None else 'lane ' + name}", use,
                             width, speed, lane["kind"] == "vehicle" and lane["bits"] & REVOCABLE != 0, inf, alias=(Alias("j2735", name),)))


def _driving(xy: F8, ingress: bool) -> F8:
    """Return nodes in driving direction: MAP lists them from the intersection outwards."""
    return xy[::-1].copy() if ingress else xy


def _moves(raw: RawCode, lane: dict[str, Any], known: dict[str, RawLane]) -> Iterator[RawMove]:
    start = str(lane["laneID"])
    if start not in known or known[start].role != "ingress":
        return
    for join in lane["joins"]:
        end = str(join["lane"])
        if join["remote"] or end not in known or known[end].role != "egress":
            raw.losses.add(Loss("dropped", raw.name, f"lane {start} leads to lane {end}, which is no outgoing lane of this intersection"))
            continue
        yield RawMove(start, end, join["group"], join["turn"], alias=(Alias("j2735", f"{start}>{end}"),))
