"""Small MAP messages made here: four one-lane roads that cross, as J2735 in the data exchange's JSON and as YD/T
3709.
"""

from typing import Any

FLAGS = (
    "isVehicleRevocableLane",
    "isVehicleFlyOverLane",
    "permissionOnRequest",
    "hasIRbeaconCoverage",
    "restrictedToBusUse",
    "restrictedToTaxiUse",
    "restrictedFromPublicUse",
    "hovLaneUseOnly",
)
Tree = dict[str, Any]


def vehicle(*flags: str) -> Tree:
    """Return the lane type of vehicles with some flags set, written as the exchange writes it."""
    return {
        "vehicle": {name: name in flags for name in FLAGS},
        "crosswalk": None,
        "bikeLane": None,
        "sidewalk": None,
        "median": None,
        "striping": None,
        "trackedVehicle": None,
        "parking": None,
    }


def node(x: int, y: int, **attributes: Any) -> Tree:
    """Return a node, cm from the one before."""
    return {"delta": {"nodeXY1": None, "nodeXY6": {"x": x, "y": y}}} | (
        {"attributes": attributes} if attributes else {}
    )


def lane(number: int, way: str, nodes: list[Tree], *joins: Tree, kind: Tree | None = None, **more: Any) -> Tree:
    """Return a lane; `way` is in, out, both or none."""
    attributes = {
        "directionalUse": {"ingressPath": way in ("in", "both"), "egressPath": way in ("out", "both")},
        "shareWith": more.pop("shareWith", {}),
        "laneType": kind or vehicle(),
    }
    out: Tree = {"laneID": number, "laneAttributes": attributes, "nodeList": {"nodes": nodes}}
    if way in ("in", "both"):
        out["ingressApproach"] = number
    if way in ("out", "both"):
        out["egressApproach"] = number
    return out | ({"connectsTo": {"connectsTo": list(joins)}} if joins else {}) | more


def join(number: int, group: int, **more: Any) -> Tree:
    """Return a connection straight on."""
    return {
        "connectingLane": {"lane": number, "maneuver": {"maneuverStraightAllowed": True}},
        "signalGroup": group,
    } | more


def limit(kind: str, steps: int) -> Tree:
    """Return one limit, in steps of 0.02 m/s."""
    return {"type": kind, "speed": steps}


def j2735(*lanes: Tree, limits: tuple[Tree, ...] = (limit("vehicleMaxSpeed", 833),), **more: Any) -> Tree:
    """Return a MAP: lane 1 leads east to 2, lane 3 north to 4; lanes given take the place of those with their
    number.
    """
    whole = {
        1: lane(1, "in", [node(-1000, -175), node(-5000, 0)], join(2, 1)),
        2: lane(2, "out", [node(1000, -175), node(5000, 0)]),
        3: lane(3, "in", [node(175, -1000), node(0, -5000)], join(4, 2)),
        4: lane(4, "out", [node(175, 1000), node(0, 5000)]),
    }
    rows = list((whole | {row["laneID"]: row for row in lanes}).values())
    place = {
        "id": {"region": 10, "id": 1000},
        "revision": 0,
        "refPoint": {"latitude": 39.8, "longitude": 116.5},
        "laneWidth": 350,
        "speedLimits": {"speedLimits": list(limits)},
        "laneSet": {"GenericLane": rows},
    }
    return {
        "msgIssueRevision": 0,
        "layerType": "intersectionData",
        "intersections": {"intersectionGeometry": [place]},
    } | more


def rich_j2735() -> Tree:
    """Return a MAP with every element that the reader knows."""
    rich = [
        lane(
            1,
            "in",
            [
                node(
                    -1000,
                    -175,
                    localNode={"localNode": ["stopLine"]},
                    dWidth=10,
                    data={"data": [{"speedLimits": {"speedLimits": [limit("vehicleMaxSpeed", 417)]}}]},
                ),
                node(-2000, 0),
                node(-3000, 0),
            ],
            join(2, 1, userClass=3, connectionID=4),
            kind=vehicle("restrictedToTaxiUse"),
            maneuvers={"maneuverStraightAllowed": True},
            name="west",
            shareWith={"cyclistVehicleTraffic": True},
            regional=[
                {
                    "regionId": 3,
                    "regExtValue": {
                        "ConnectionTrajectory-addGrpC": {
                            "nodes": [
                                node(-1000, -175, data=[{"speedLimits": [limit("vehicleMaxSpeed", 300)]}]),
                                node(2000, 0),
                            ],
                            "connectionID": 4,
                        }
                    },
                }
            ],
        ),
        lane(
            3,
            "in",
            [node(175, -1000), node(0, -5000)],
            join(4, 2, remoteIntersection={"region": 10, "id": 1000}),
            kind={"trackedVehicle": {"spec-RevocableLane": True}},
            shareWith={"busVehicleTraffic": True},
        ),
        lane(
            5, "in", [node(-900, -500), node(-5000, 0)], join(2, 1), kind={"bikeLane": {"pedestrianUseAllowed": True}}
        ),
        lane(6, "out", [node(900, -500), node(5000, 0)], kind={"sidewalk": {"bicyleUseAllowed": True}}),
        lane(
            7,
            "both",
            [node(-800, -500), node(0, 1000)],
            {"connectingLane": {"lane": 7}, "signalGroup": 9},
            kind={"crosswalk": {"audioSupport": True}},
        ),
        lane(
            8,
            "out",
            [],
            nodeList={"computed": {"referenceLaneId": 2, "offsetXaxis": {"small": 0}, "offsetYaxis": {"large": -350}}},
        ),
        lane(9, "out", [{"delta": {"nodeLatLon": {"lat": 39.80012, "lon": 116.50002}}}, node(0, 5000)]),
    ]
    restrictions = {"restrictionList": [{"id": 3, "users": {"users": [{"basicType": "equippedTransit"}]}}]}
    limits = (limit("vehicleMaxSpeed", 833), limit("truckMaxSpeed", 555), limit("vehicleNightMaxSpeed", 417))
    return j2735(*rich, limits=limits, restrictionList=restrictions)


def road(
    node_from: int, *lanes: Tree, limits: tuple[Tree, ...] = (limit("vehicleMaxSpeed", 695),), **more: Any
) -> Tree:
    """Return a road of a YD/T 3709 MAP, from a node of region 10."""
    return {
        "name": f"from {node_from}",
        "upstreamNodeId": {"region": 10, "id": node_from},
        "speedLimits": list(limits),
        "linkWidth": 350,
        "lanes": list(lanes),
    } | more


def ydt_lane(number: int, points: list[tuple[int, int]], *joins: Tree, kind: Tree | None = None, **more: Any) -> Tree:
    """Return a lane; points are 1e-7 degree (lat, lon) of the node."""
    attributes = {"laneType": kind or {"vehicle": "00000000"}} | (
        {"shareWith": more.pop("shareWith")} if "shareWith" in more else {}
    )
    rows = [{"posOffset": {"offsetLL": {"position-LL3": {"lat": lat, "lon": lon}}}} for lat, lon in points]
    return (
        {"laneID": number, "laneWidth": 350, "laneAttributes": attributes, "points": rows}
        | ({"connectsTo": list(joins)} if joins else {})
        | more
    )


def ydt_join(node_to: int, phase: int | None, number: int = 1) -> Tree:
    """Return a connection straight on to a lane of the road to a node."""
    return {
        "remoteIntersection": {"region": 10, "id": node_to},
        "connectingLane": {"lane": number, "maneuver": "100000000000"},
    } | ({} if phase is None else {"phaseId": phase})


WEST, EAST, SOUTH, NORTH = (
    [(-180, -14000), (-180, -1400)],
    [(-180, 1400), (-180, 14000)],
    [(-10800, 230), (-1080, 230)],
    [(1080, 230), (10800, 230)],
)


def ydt(west: Tree | None = None, south: Tree | None = None) -> Tree:
    """Return a MAP of YD/T 3709: node 19, roads from 1 (west) to 2 (east) and from 3 (south) to 4 (north)."""
    west = west or road(1, ydt_lane(1, WEST, ydt_join(2, 1)))
    south = south or road(3, ydt_lane(1, SOUTH, ydt_join(4, 2)))
    ref = {"lat": 397955000, "long": 1165080000}
    nodes = [
        {"name": "Made", "id": {"region": 10, "id": 19}, "refPos": ref, "inLinks": [west, south]},
        {"id": {"region": 10, "id": 2}, "refPos": ref, "inLinks": [road(19, ydt_lane(1, EAST))]},
        {"id": {"region": 10, "id": 4}, "refPos": ref, "inLinks": [road(19, ydt_lane(1, NORTH))]},
    ]
    return {"msgCnt": 0, "nodes": nodes}


def rich_ydt() -> Tree:
    """Return a MAP of YD/T 3709 with every element that the reader knows."""
    west = road(
        1,
        ydt_lane(
            1,
            WEST,
            ydt_join(2, None),
            maneuvers="100000000000",
            shareWith="0000010000",
            kind={"vehicle": "00001000"},
            speedLimits=[limit("truckMaxSpeed", 400)],
        ),
        limits=(limit("vehicleMaxSpeed", 695), limit("vehicleMinSpeed", 100)),
        movements=[{"remoteIntersection": {"region": 10, "id": 2}, "phaseId": 5}],
        points=[
            {"posOffset": {"offsetLL": {"position-LatLon": {"lat": 397954820, "lon": 1165066000}}}},
            {"posOffset": {"offsetLL": {"position-LatLon": {"lat": 397954820, "lon": 1165078600}}}},
        ],
    )
    south = road(
        3,
        ydt_lane(1, SOUTH, ydt_join(4, 2)),
        ydt_lane(
            2,
            [(-200, -500), (-200, 500)],
            {"remoteIntersection": {"region": 10, "id": 19}, "phaseId": 7},
            kind={"crosswalk": "0000000000000000"},
        ),
    )
    return ydt(west, south)
