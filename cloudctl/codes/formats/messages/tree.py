"""MAP messages in one shape, whichever way they were written: values of ASN.1, JSON of any exchange, XML of XER.

    lists        bare, under their type's or their own name, or their only element by itself -> a list
    choices      (name, value), an object of one key, an object of all keys of which one is not null -> an object of one key
    bit strings  in any form that `bit_strings` reads -> an object of the flags that are set
    enumerations text, an object of one key -> text
    names        with or without hyphens, in any case -> those of the standard

Nothing is judged or left out here: what is not known keeps its name and value, for the reader to account for.
"""

import json
import xml.etree.ElementTree as ET
from typing import Any, NamedTuple

from ...findings import refuse
from .bit_strings import OTHER_FLAGS, read_flags, squeezed

VEHICLE = (
    "isVehicleRevocableLane",
    "isVehicleFlyOverLane",
    "hovLaneUseOnly",
    "restrictedToBusUse",
    "restrictedToTaxiUse",
    "restrictedFromPublicUse",
    "hasIRbeaconCoverage",
    "permissionOnRequest",
)
CROSSWALK = (
    "crosswalkRevocableLane",
    "bicyleUseAllowed",
    "isXwalkFlyOverLane",
    "fixedCycleTime",
    "biDirectionalCycleTimes",
    "hasPushToWalkButton",
    "audioSupport",
    "rfSignalRequestPresent",
    "unsignalizedSegmentsPresent",
)
BIKE = (
    "bikeRevocableLane",
    "pedestrianUseAllowed",
    "isBikeFlyOverLane",
    "fixedCycleTime",
    "biDirectionalCycleTimes",
    "isolatedByBarrier",
    "unsignalizedSegmentsPresent",
)
SIDEWALK = ("sidewalk-RevocableLane", "bicyleUseAllowed", "isSidewalkFlyOverLane", "walkBikes")
BARRIER = (
    "median-RevocableLane",
    "median",
    "whiteLineHashing",
    "stripedLines",
    "doubleStripedLines",
    "trafficCones",
    "constructionBarrier",
    "trafficChannels",
    "lowCurbs",
    "highCurbs",
)
STRIPING = (
    "stripeToConnectingLanesRevocableLane",
    "stripeDrawOnLeft",
    "stripeDrawOnRight",
    "stripeToConnectingLanesLeft",
    "stripeToConnectingLanesRight",
    "stripeToConnectingLanesAhead",
)
TRACK = (
    "spec-RevocableLane",
    "spec-commuterRailRoadTrack",
    "spec-lightRailRoadTrack",
    "spec-heavyRailRoadTrack",
    "spec-otherRailType",
)
PARKING = (
    "parkingRevocableLane",
    "parallelParkingInUse",
    "headInParkingInUse",
    "doNotParkZone",
    "parkingForBusUse",
    "parkingForTaxiUse",
    "noPublicParkingUse",
)
SHARING = (
    "overlappingLaneDescriptionProvided",
    "multipleLanesTreatedAsOneLane",
    "otherNonMotorizedTrafficTypes",
    "individualMotorizedVehicleTraffic",
    "busVehicleTraffic",
    "taxiVehicleTraffic",
    "pedestriansTraffic",
    "cyclistVehicleTraffic",
    "trackedVehicleTraffic",
    "pedestrianTraffic",
)
MANEUVERS = (
    "maneuverStraightAllowed",
    "maneuverLeftAllowed",
    "maneuverRightAllowed",
    "maneuverUTurnAllowed",
    "maneuverLeftTurnOnRedAllowed",
    "maneuverRightTurnOnRedAllowed",
    "maneuverLaneChangeAllowed",
    "maneuverNoStoppingAllowed",
    "yieldAllwaysRequired",
    "goWithHalt",
    "caution",
    "reserved1",
)
DIRECTIONS = ("ingressPath", "egressPath")
LANE_TYPES = {
    "vehicle": (VEHICLE, 8),
    "crosswalk": (CROSSWALK, 16),
    "bikeLane": (BIKE, 16),
    "sidewalk": (SIDEWALK, 16),
    "median": (BARRIER, 16),
    "striping": (STRIPING, 16),
    "trackedVehicle": (TRACK, 16),
    "parking": (PARKING, 16),
}
BITS = {
    "directionalUse": (DIRECTIONS, 2),
    "sharedWith": (SHARING, 10),
    "maneuvers": (MANEUVERS, 12),
    "maneuver": (MANEUVERS, 12),
}
CHOICES = ("laneType", "nodeList", "delta", "offsetXaxis", "offsetYaxis", "offsetLL", "offsetV", "regExtValue")
ITEM_CHOICES = ("data", "users")  # lists of choices
LISTS = {
    "intersections": "IntersectionGeometry",
    "laneSet": "GenericLane",
    "connectsTo": "Connection",
    "speedLimits": "RegulatorySpeedLimit",
    "restrictionList": "RestrictionClassAssignment",
    "users": "RestrictionUserType",
    "localNode": "NodeAttributeXY",
    "disabled": "SegmentAttributeXY",
    "enabled": "SegmentAttributeXY",
    "data": "LaneDataAttribute",
    "overlays": "LaneID",
    "inLinks": "Link",
    "lanes": "Lane",
    "points": "RoadPoint",
    "movements": "Movement",
    "regional": "RegionalExtension",
    "roadSegments": "RoadSegment",
    "preemptPriorityData": "SignalControlZone",
}
WORDS = ("type", "basicType")
WORD_LISTS = ("localNode", "disabled", "enabled")
OFFSETS = (
    "position-LL1",
    "position-LL2",
    "position-LL3",
    "position-LL4",
    "position-LL5",
    "position-LL6",
    "position-LatLon",
)
DELTAS = ("node-XY1", "node-XY2", "node-XY3", "node-XY4", "node-XY5", "node-XY6", "node-LatLon")
OTHER_NAMES = {
    "sharewith": "sharedWith",
    "latitude": "lat",
    "longitude": "long",
    "lon": "long",
    "laneid": "laneID",
    "connectionid": "connectionID",
    "referencelaneid": "referenceLaneId",
} | OTHER_FLAGS
FIELDS = (
    "id",
    "region",
    "name",
    "revision",
    "refPoint",
    "refPos",
    "elevation",
    "laneWidth",
    "linkWidth",
    "ingressApproach",
    "egressApproach",
    "laneAttributes",
    "nodes",
    "computed",
    "small",
    "large",
    "rotateXY",
    "scaleXaxis",
    "scaleYaxis",
    "attributes",
    "dWidth",
    "dElevation",
    "connectingLane",
    "lane",
    "remoteIntersection",
    "signalGroup",
    "userClass",
    "speed",
    "x",
    "y",
    "lat",
    "long",
    "upstreamNodeId",
    "posOffset",
    "phaseId",
    "timeStamp",
    "msgCnt",
    "msgIssueRevision",
    "layerType",
    "layerID",
    "dataParameters",
    "pathEndPointAngle",
    "laneCrownPointCenter",
    "laneCrownPointLeft",
    "laneCrownPointRight",
    "laneAngle",
    "regionId",
    "ConnectionTrajectory-addGrpC",
)
ENVELOPES = (
    "payload",
    "data",
    "value",
    "messageframe",
    "mapdata",
    "map",
    "mapem",
    "mapframe",
    "odemapdata",
    "odeasn1data",
)  # keys that a MAP may stand under
CARRIED = {  # what may stand beside a MAP in its envelope, and why it is passed over
    "metadata": "how the message was carried",
    "header": "how the message was carried",
    "@messageId": "the kind of message",
    "@messageType": "the kind of message",
    "@dataType": "the kind of message",
    "@schemaVersion": "of the exchange, not of the map",
}
NO_TRAFFIC = CARRIED | {  # of a MAP of either standard: what carries nothing about traffic, and why
    "@timeStamp": "when the message was made",
    "@elevation": "height above the sea",
    "@hasIRbeaconCoverage": "equipment beside the road",
    "crosswalk@hasPushToWalkButton": "equipment beside the road",
    "crosswalk@audioSupport": "equipment beside the road",
    "@rfSignalRequestPresent": "equipment beside the road",
}
MALFORMED = (
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
    IndexError,
    AttributeError,
    StopIteration,
)  # what a tree of another shape raises
MAX_NAME = 63  # characters of a DescriptiveName
MAX_DEPTH = 100  # of a message, far beyond any map
Tree = dict[str, Any]


NAMES = {
    squeezed(name): name for name in (*FIELDS, *LISTS, *BITS, *CHOICES, *WORDS, *OFFSETS, *DELTAS, *LANE_TYPES)
} | OTHER_NAMES


def is_plain_name(text: str) -> bool:
    """Return whether a message can carry a name as it is: 1 to 63 printable ASCII characters."""
    return 1 <= len(text) <= MAX_NAME and text.isascii() and text.isprintable()


class Opened(NamedTuple):
    """A MAP taken out of its envelopes, what stood beside it in each of them, and its standard: J2735, YD/T 3709, or "" for none of these."""

    tree: Tree
    beside: list[Tree]
    standard: str


def opened(tree: Any) -> Opened | None:
    """Return the MAP (an object with `intersections` or `nodes`) within the envelopes that carriers put about it; None without one."""
    beside: list[Tree] = []
    for _ in range(MAX_DEPTH):
        if not isinstance(tree, dict):
            return None
        names = {squeezed(str(key)): key for key in tree}
        if "nodes" in names:
            return Opened(tree, beside, "YD/T 3709")
        if "intersections" in names:
            return Opened(tree, beside, "J2735" if _has_lanes(tree[names["intersections"]]) else "")
        inner = next((names[name] for name in ENVELOPES if name in names and isinstance(tree[names[name]], dict)), None)
        if inner is None:
            return None
        beside.append({str(key): value for key, value in tree.items() if key != inner})
        tree = tree[inner]
    return None


def _has_lanes(value: Any) -> bool:
    """Return whether the first of a list of intersections has lanes, however the list is written."""
    for _ in range(4):
        if isinstance(value, list):
            value = value[0] if value else None
        if not isinstance(value, dict):
            return False
        if any(squeezed(str(key)) == "laneset" for key in value):
            return True
        value = next(iter(value.values()), None)
    return False


def plain_map(tree: Tree) -> Tree:
    """Return a MAP in one shape."""
    return _object(tree, 0, top=True)


def _name(key: object) -> str:
    return NAMES.get(squeezed(str(key)), str(key))


def _object(value: Tree, depth: int, *, top: bool = False) -> Tree:
    out: Tree = {}
    for key, item in value.items():
        if item is None:
            continue
        name = _name(key)
        if name in out:  # written twice, in two ways
            name = str(key)
        kind = (
            LISTS.get(name, "") if name != "nodes" else "Node" if top else "NodeXY"
        )  # of a YD/T 3709 MAP, or of a lane of J2735
        if kind:
            out[name], beside = _rows(name, item, kind, depth + 1)
            out |= {
                f"{name} {other}": what for other, what in beside.items()
            }  # what stands in a list's own object beside its items
        else:
            out[name] = _value(name, item, depth + 1)
    return _in_e7(out) if "lat" in out and "long" in out else out


def _value(field: str, value: Any, depth: int) -> Any:
    """Return the value of a field that is no list in one shape."""
    if depth > MAX_DEPTH:
        raise refuse(
            "MAP", "MAP", field, f"{depth} levels", f"is nested deeper than {MAX_DEPTH} levels", "correct the sender"
        )
    if field in BITS:
        return read_flags(value, *BITS[field])
    if field in WORDS:
        return _word(value)
    if field in CHOICES:
        return _choice(field, value, depth)
    if isinstance(value, dict):
        return _object(value, depth)
    return [_value("", item, depth + 1) for item in value] if isinstance(value, list | tuple) else value


def _in_e7(place: Tree) -> Tree:
    """Return a place in 1e-7 degree; numbers that can only be degrees are taken as such (1e-7 degree of them lie in the sea off Africa)."""
    lat, long = place["lat"], place["long"]
    try:
        north, east = float(lat), float(long)
    except (TypeError, ValueError):
        return place
    if abs(north) <= 90 and abs(east) <= 180 and any("." in str(v) for v in (lat, long)):
        return place | {"lat": round(north * 1e7), "long": round(east * 1e7)}
    return place


def _rows(field: str, value: Any, kind: str, depth: int) -> tuple[list[Any], Tree]:
    """Return the items of a list however it is written, and what stands beside them in its object."""
    beside: Tree = {}
    if isinstance(value, dict):
        own = {squeezed(kind), squeezed(field), squeezed(kind) + "list"}
        inner = [key for key in value if squeezed(str(key)) in own]
        if len(inner) == 1 and not (field in ITEM_CHOICES and len(value) > 1 and not isinstance(value[inner[0]], list)):
            beside = {str(key): item for key, item in value.items() if key != inner[0] and item is not None}
            found = value[inner[0]]
            value = found if isinstance(found, list) else [] if found in (None, "") else [found]
        elif field in WORD_LISTS:  # XER: an empty element a word
            value = list(value)
        elif field in ITEM_CHOICES:  # XER: an element a choice
            value = [
                {key: one}
                for key, item in value.items()
                for one in (item if isinstance(item, list) and key in WORDS else [item])
            ]
        else:
            value = [value] if value else []
    elif not isinstance(value, list | tuple):
        value = [] if value in (None, "") else [value]
    if field in WORD_LISTS:
        return [_word(item) for item in value], beside
    if field in ITEM_CHOICES:
        return [_choice(field, item, depth + 1) for item in value], beside
    return [_object(item, depth + 1) if isinstance(item, dict) else item for item in value], beside


def _choice(field: str, value: Any, depth: int) -> Any:
    """Return a choice as an object of one key; more than one where the writer made more than one."""
    if isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str):
        value = {value[0]: value[1]}
    if field == "nodeList" and isinstance(value, list):  # of XER converters that drop the choice's name
        value = {"nodes": value}
    if not isinstance(value, dict):
        return value
    if field != "laneType":
        return _object(value, depth)
    return {
        _name(key): read_flags(item, *LANE_TYPES[_name(key)]) if _name(key) in LANE_TYPES else item
        for key, item in value.items()
        if item is not None
    }


def _word(value: Any) -> Any:
    """Return the word of an enumeration; XER writes it as an empty element."""
    return (
        next(iter(value), "")
        if isinstance(value, dict)
        else value[0]
        if isinstance(value, list | tuple) and value
        else value
    )


def xml_tree(data: bytes, where: str) -> Tree:
    """Return an XML document as JSON: elements as objects, repeated ones as lists, the rest as text. Raises CodeError."""
    try:
        if b"<!DOCTYPE" in data[:65536] or b"<!ENTITY" in data:
            raise ValueError("a message defines no document type and no entities")
        root = ET.fromstring(data)
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise refuse(
            where, "file", "XML", f"{len(data)} bytes", f"cannot be read ({error})", "send the message whole"
        ) from None
    return {_tag(root): _element(root, 0)}


def _tag(node: ET.Element) -> str:
    return str(node.tag).rpartition("}")[2]


def _element(node: ET.Element, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise refuse(
            "MAP", "file", "XML", f"{depth} levels", f"is nested deeper than {MAX_DEPTH} levels", "correct the sender"
        )
    out: Tree = {f"@{key.rpartition('}')[2]}": value for key, value in node.attrib.items()}
    for child in node:
        if not isinstance(child.tag, str):
            continue
        name, value = _tag(child), _element(child, depth + 1)
        if name in out:
            out[name] = [*(out[name] if isinstance(out[name], list) else [out[name]]), value]
        else:
            out[name] = value
    text = (node.text or "").strip()
    if not out:
        return text
    return out | {"text": text} if text else out


def load_tree(data: bytes, where: str) -> Tree:
    """Return the tree of a message in JSON or XML. Raises CodeError."""
    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if text[:1] == b"<":
        return xml_tree(text, where)
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refuse(
            where, "file", "JSON", f"{len(data)} bytes", f"cannot be read ({error})", "give whole JSON"
        ) from None
    if not isinstance(tree, dict):
        raise refuse(where, "file", "JSON", type(tree).__name__, "must be one object", "give one message")
    return tree
