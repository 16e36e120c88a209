"""One MAP message, written in every way: the same code."""

import json
from typing import Any
from xml.sax.saxutils import escape

import pytest
from made_maps import (
    j2735,
    rich_j2735,
    rich_ydt,
)

from cloudctl import codes
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.formats.j2735.importer import import_map
from cloudctl.codes.formats.messages.tree import plain_map
from cloudctl.codes.report import Imported


def canonical(tree: dict[str, Any]) -> dict[str, Any]:
    """Return a MAP in the standard's own names, lists bare, choices of one key: what the others are made of."""
    return plain_map(json.loads(json.dumps(tree)))


LIST_ITEMS = {
    "intersections": "IntersectionGeometry",
    "laneSet": "GenericLane",
    "connectsTo": "Connection",
    "speedLimits": "RegulatorySpeedLimit",
    "nodes": "NodeXY",
    "restrictionList": "RestrictionClassAssignment",
    "inLinks": "Link",
    "lanes": "Lane",
    "points": "RoadPoint",
    "movements": "Movement",
}


def xer(name: str, value: Any) -> str:
    """Return XML as XER writes it: lists under their types' names, words and flags as empty elements."""
    if isinstance(value, list):
        item = "Node" if name == "nodes" and "inLinks" in str(value) else LIST_ITEMS.get(name)
        inner = "".join(
            (
                f"<{one}/>"
                if isinstance(one, str)
                else xer(item, one)
                if item
                else "".join(xer(k, v) for k, v in one.items())
            )
            for one in value
        )
        return f"<{name}>{inner}</{name}>"
    if isinstance(value, dict):
        return f"<{name}>{''.join(xer(key, item) for key, item in value.items())}</{name}>"
    if value is True:
        return f"<{name}/>"
    if name in ("type", "basicType"):
        return f"<{name}><{value}/></{name}>"
    return f"<{name}>{escape(str(value))}</{name}>"


def without_losses(found: Imported) -> list[bytes]:
    return [codes.dump(code) for code in found]


@pytest.mark.parametrize("rich", [rich_j2735, rich_ydt], ids=["J2735", "YD/T 3709"])
def test_a_message_is_the_same_in_every_way_of_writing(rich: Any) -> None:
    tree = rich()
    plain = without_losses(read_any(json.dumps(tree).encode(), "map.json"))
    whole = canonical(tree)
    for name, data in {
        "the standard's names": json.dumps(whole),
        "messageId and value": json.dumps({"messageId": 18, "value": {"MapData": whole}}),
        "value alone": json.dumps({"messageId": 18, "value": whole}),
        "payload and data": json.dumps(
            {"metadata": {"a": 1}, "payload": {"dataType": "x", "data": {"messageId": 18, "value": {"MapData": whole}}}}
        ),
        "XER": xer("MapData", whole),
        "XER in a frame": (
            "<?xml"
            f" version='1.0'?><MessageFrame><messageId>18</messageId><value>{xer('MapData', whole)}</value></MessageFrame>"  # noqa: E501
        ),
    }.items():
        assert without_losses(read_any(data.encode(), name)) == plain, name


def test_nodes_of_every_size_and_spelling_are_read() -> None:
    plain = without_losses(import_map(json.dumps(j2735()).encode()))
    for number in range(1, 7):
        for spelling in ("node-XY{}", "nodeXY{}", "node_XY{}", "Node-xy{}"):
            data = json.dumps(j2735()).replace("nodeXY6", spelling.format(number)).encode()
            assert without_losses(import_map(data)) == plain
    tree = j2735()
    for row in tree["intersections"]["intersectionGeometry"][0]["laneSet"]["GenericLane"]:
        row["nodeList"] = {"nodes": {"NodeXY": row["nodeList"]["nodes"]}}
    assert without_losses(import_map(json.dumps(tree).encode())) == plain
