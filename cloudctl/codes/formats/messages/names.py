"""Names of MAP messages: fields, flags, choices and lists of J2735 and YD/T 3709, and how other writers spell them."""

from .bit_strings import OTHER_FLAGS, squeezed

VEHICLE_FLAGS = (
    "isVehicleRevocableLane",
    "isVehicleFlyOverLane",
    "hovLaneUseOnly",
    "restrictedToBusUse",
    "restrictedToTaxiUse",
    "restrictedFromPublicUse",
    "hasIRbeaconCoverage",
    "permissionOnRequest",
)
CROSSWALK_FLAGS = (
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
BIKE_LANE_FLAGS = (
    "bikeRevocableLane",
    "pedestrianUseAllowed",
    "isBikeFlyOverLane",
    "fixedCycleTime",
    "biDirectionalCycleTimes",
    "isolatedByBarrier",
    "unsignalizedSegmentsPresent",
)
SIDEWALK_FLAGS = ("sidewalk-RevocableLane", "bicyleUseAllowed", "isSidewalkFlyOverLane", "walkBikes")
MEDIAN_FLAGS = (
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
STRIPING_FLAGS = (
    "stripeToConnectingLanesRevocableLane",
    "stripeDrawOnLeft",
    "stripeDrawOnRight",
    "stripeToConnectingLanesLeft",
    "stripeToConnectingLanesRight",
    "stripeToConnectingLanesAhead",
)
TRACKED_VEHICLE_FLAGS = (
    "spec-RevocableLane",
    "spec-commuterRailRoadTrack",
    "spec-lightRailRoadTrack",
    "spec-heavyRailRoadTrack",
    "spec-otherRailType",
)
PARKING_FLAGS = (
    "parkingRevocableLane",
    "parallelParkingInUse",
    "headInParkingInUse",
    "doNotParkZone",
    "parkingForBusUse",
    "parkingForTaxiUse",
    "noPublicParkingUse",
)
SHARING_FLAGS = (
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
MANEUVER_FLAGS = (
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
DIRECTION_FLAGS = ("ingressPath", "egressPath")
LANE_TYPES = {
    "vehicle": (VEHICLE_FLAGS, 8),
    "crosswalk": (CROSSWALK_FLAGS, 16),
    "bikeLane": (BIKE_LANE_FLAGS, 16),
    "sidewalk": (SIDEWALK_FLAGS, 16),
    "median": (MEDIAN_FLAGS, 16),
    "striping": (STRIPING_FLAGS, 16),
    "trackedVehicle": (TRACKED_VEHICLE_FLAGS, 16),
    "parking": (PARKING_FLAGS, 16),
}
BIT_STRING_FIELDS = {
    "directionalUse": (DIRECTION_FLAGS, 2),
    "sharedWith": (SHARING_FLAGS, 10),
    "maneuvers": (MANEUVER_FLAGS, 12),
    "maneuver": (MANEUVER_FLAGS, 12),
}
CHOICE_FIELDS = ("laneType", "nodeList", "delta", "offsetXaxis", "offsetYaxis", "offsetLL", "offsetV", "regExtValue")
LISTS_OF_CHOICES = ("data", "users")  # lists of choices
LIST_FIELDS = {
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
ENUMERATED_FIELDS = ("type", "basicType")
LISTS_OF_WORDS = ("localNode", "disabled", "enabled")
OFFSET_CHOICES = (
    "position-LL1",
    "position-LL2",
    "position-LL3",
    "position-LL4",
    "position-LL5",
    "position-LL6",
    "position-LatLon",
)
DELTA_CHOICES = ("node-XY1", "node-XY2", "node-XY3", "node-XY4", "node-XY5", "node-XY6", "node-LatLon")
OTHER_NAMES = {
    "sharewith": "sharedWith",
    "latitude": "lat",
    "longitude": "long",
    "lon": "long",
    "laneid": "laneID",
    "connectionid": "connectionID",
    "referencelaneid": "referenceLaneId",
} | OTHER_FLAGS
FIELD_NAMES = (
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
# Keys that a MAP may stand under
ENVELOPE_KEYS = (
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
)
ENVELOPE_FIELDS = {  # what may stand beside a MAP in its envelope, and why it is passed over
    "metadata": "how the message was carried",
    "header": "how the message was carried",
    "@messageId": "the kind of message",
    "@messageType": "the kind of message",
    "@dataType": "the kind of message",
    "@schemaVersion": "of the exchange, not of the map",
}
# Of a MAP of either standard: what carries nothing about traffic, and why
NO_TRAFFIC = ENVELOPE_FIELDS | {
    "@timeStamp": "when the message was made",
    "@elevation": "height above the sea",
    "@hasIRbeaconCoverage": "equipment beside the road",
    "crosswalk@hasPushToWalkButton": "equipment beside the road",
    "crosswalk@audioSupport": "equipment beside the road",
    "@rfSignalRequestPresent": "equipment beside the road",
}


STANDARD_NAMES = {
    squeezed(name): name
    for name in (
        *FIELD_NAMES,
        *LIST_FIELDS,
        *BIT_STRING_FIELDS,
        *CHOICE_FIELDS,
        *ENUMERATED_FIELDS,
        *OFFSET_CHOICES,
        *DELTA_CHOICES,
        *LANE_TYPES,
    )
} | OTHER_NAMES
