"""The words of SUMO networks: what each value stands for, and what of a network carries nothing about traffic, with the
reason."""

TURN_OF_DIR = {"s": "straight", "l": "left", "L": "left", "r": "right", "R": "right", "t": "u", "T": "u"}
EDGE_FUNCTIONS = {name: name for name in ("normal", "internal", "crossing", "walkingarea", "connector")}
# Letters of a phase's state
LETTER_OF_STATE = {
    "r": "R",
    "y": "Y",
    "Y": "Y",
    "G": "G",
    "g": "g",
    "s": "F",
    "u": "P",
    "o": "O",
    "O": "D",
}
IS_ACTUATED_TYPE = {  # tlLogic type -> whether traffic decides how long its phases last
    "static": False,
    "actuated": True,
    "delay_based": True,
    "NEMA": True,
    "rail_signal": True,
    "rail_crossing": True,
    "off": False,
}
CONTROL_OF_JUNCTION = {  # junction type -> the right of way at it
    "traffic_light": "signal",
    "traffic_light_unregulated": "signal",
    "traffic_light_right_on_red": "signal",
    "priority": "priority",
    "priority_stop": "stop",
    "allway_stop": "stop",
    "right_before_left": "uncontrolled",
    "left_before_right": "uncontrolled",
    "zipper": "priority",
    "unregulated": "uncontrolled",
    "rail_signal": "signal",
    "rail_crossing": "signal",
    "dead_end": "end",
    "dead_end_deprecated": "end",
    "DEAD_END": "end",
    "district": "end",
    "internal": "inner",
    "unknown": "uncontrolled",
}
RING_KEYS = ("ring1", "ring2", "barrierPhases", "barrier2Phases", "coordinatePhases")
CONTROLLER_KEYS = {  # parameters of tlLogic about how SUMO runs it, not what it shows
    "detector-gap",
    "passing-time",
    "max-gap",
    "inactive-threshold",
    "linkMaxDur",
    "vTypes",
    "freq",
    "file",
    "show-detectors",
    "build-all-detectors",
    "jam-threshold",
    "crossing-demand",
    "hide-conflicts",
    "detectRange",
    "minTimeLoss",
    "extendMaxDur",
    "whetherOutputState",
    "controllerType",
    "cabinetType",
    "detector-length",
    "detector-length-leftTurnLane",
    "total-cycle-length",
    "coordinate-mode",
    "minRecall",
    "maxRecall",
    "fixForceOff",
    "ignore-errors",
    "latchingDetectors",
    "priorityPhases",
    "shortenRoadTypes",
    "cycleTime",
}

DRAWING_ONLY = "an outline on the screen: lanes and paths are the geometry"
NETCONVERT_ONLY = "how netconvert made the network; what came of it is read"
DRIVER_MODEL = "of SUMO's driver model, not of the road"
SIGNAL_CONTROLLER = "how the controller prolongs a green: its bounds are read"
IGNORED = {
    "net@version": "of the file format",
    **dict.fromkeys(
        (
            *(
                "net@junctionCornerDetail",
                "net@junctionLinkDetail",
                "net@limitTurnSpeed",
                "net@rectangularLaneCut",
                "net@walkingareas",
            ),
            *(
                "net@avoidOverlap",
                "net@junctionHigherSpeed",
                "net@internalJunctionsVehicleWidth",
                "net@checkLaneFoesAll",
                "net@checkLaneFoesRoundabout",
            ),
            *("net@tlsIgnoreInternalJunctionJam", "net@spreadType", "net@geometry.max-grade"),
        ),
        NETCONVERT_ONLY,
    ),
    "location@origBoundary": "the extent of the file that the network was made of",
    "type@id": "the name of a road type, found by it",
    **dict.fromkeys(
        (
            f"type@{name}"
            for name in (
                "priority",
                "numLanes",
                "speed",
                "allow",
                "disallow",
                "oneway",
                "width",
                "discard",
                "spreadType",
            )
        ),
        "a default for roads of the type: each lane has its own value",
    ),
    **dict.fromkeys(
        (f"type@{name}" for name in ("sidewalkWidth", "bikeLaneWidth", "maxWidth", "minWidth", "widthResolution")),
        "a default for roads of the type: each lane has its own value",
    ),
    "edge@priority": "decides the right of way, which is read from the junctions' requests",
    "edge@spreadType": NETCONVERT_ONLY,
    "edge@shape": "the line that the lanes were made of: each lane has its own",
    "edge@length": "the lanes' lines are measured",
    "edge@distance": "kilometrage of a railway or road, no part of a code",
    "edge@crossingEdges": "found by where the crosswalk lies",
    "lane@index": "the lanes' order in the file is that of their numbers",
    "lane@length": "the lane's line is measured",
    "lane@endOffset": "the lane's line ends there already",
    "lane@customShape": NETCONVERT_ONLY,
    "lane@outlineShape": DRAWING_ONLY,
    "phase@vehext": SIGNAL_CONTROLLER,
    "lane@acceleration": "an acceleration lane is seen from its connections",
    "lane@type": "a name for the lane: its permissions are read",
    **dict.fromkeys(("junction@shape", "junction@customShape", "junction@radius"), DRAWING_ONLY),
    "junction@intLanes": "found from the connections",
    "junction@fringe": "whether the network ends there: seen from its roads",
    "junction@rightOfWay": "how the requests were made, which are read",
    "junction@z": "heights are reported once, for all",
    "connection@state": "the right of way, which is read from the junctions' requests",
    "connection@uncontrolled": "a connection without a signal: it has none in the file",
    "connection@visibility": DRIVER_MODEL,
    "connection@contPos": "where to wait inside: the inner lanes are cut there",
    "connection@length": "the path is measured",
    "connection@shape": "the inner lanes have it",
    "phase@name": "a label of the phase",
    "tlLogic@name": "a label of the programme",
    "roundabout": "its right of way is read from the junctions' requests",
}
