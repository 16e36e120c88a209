"""Digital codes <-> GeoJSON (RFC 7946): one feature an entity with a place, for any map viewer; positions are lon, lat
to 1e-7 degree.

A feature's id is the entity's city code; its properties are the entity's own fields. What has no place of its own
(links, signal groups, conflicts, plans, rules) stands whole under `code` of the collection, so that reading gives the
same code back."""

from typing import Any

import msgspec

from ..canon import LINE_FIELDS, tree_of
from ..citycode import sub_code
from ..findings import refuse
from ..model import FORMATS, IntersectionCode
from ..strict_json import convert

# Field of its shape
SHAPE_OF_TABLE = {
    "nodes": "",
    "lanes": "points",
    "connections": "points",
    "crosswalks": "axis",
    "zones": "polygon",
    "devices": "",
}
E7 = 1e7


def write_geojson(code: IntersectionCode) -> bytes:
    """Return a FeatureCollection."""
    tree = tree_of(code)
    features = [_feature(code.id, table, shape, row) for table, shape in SHAPE_OF_TABLE.items() for row in tree[table]]
    other_fields = {key: value for key, value in tree.items() if key not in SHAPE_OF_TABLE}
    return msgspec.json.encode(
        {"type": "FeatureCollection", "features": features, "code": other_fields}, order="sorted"
    )


def _feature(code_id: str, table: str, shape: str, row: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {
        key: [_to_position(point) for point in value] if key in LINE_FIELDS else value
        for key, value in row.items()
        if key != shape
    }
    if not shape:
        position = [properties.pop("lon_e7") / E7, properties.pop("lat_e7") / E7]
        geometry: dict[str, Any] = {"type": "Point", "coordinates": position}
    else:
        line = [_to_position(point) for point in row[shape]]
        ring = shape == "polygon"
        geometry = {"type": "Polygon" if ring else "LineString", "coordinates": [[*line, line[0]]] if ring else line}

    return {
        "type": "Feature",
        "id": sub_code(code_id, row["id"]),
        "geometry": geometry,
        "properties": {"entity": table, **properties},
    }


def _to_position(point: Any) -> list[float]:
    return [point[1] / E7, point[0] / E7]


def _from_position(position: list[float]) -> list[int]:
    return [round(position[1] * E7), round(position[0] * E7)]


def read_geojson(data: bytes) -> IntersectionCode:
    """Return the code of a collection that `write_geojson` made. Raises CodeError."""
    try:
        tree = msgspec.json.decode(data)
        code = dict(tree["code"])
        for table in SHAPE_OF_TABLE:
            code[table] = []

        for feature in tree["features"]:
            row = dict(feature["properties"])
            table = row.pop("entity")
            row = {
                key: [_from_position(position) for position in value] if key in LINE_FIELDS else value
                for key, value in row.items()
            }
            code[table].append(row | _shape_fields(SHAPE_OF_TABLE[table], feature["geometry"]["coordinates"]))
    except (msgspec.DecodeError, RecursionError, KeyError, OverflowError, TypeError, ValueError, IndexError) as error:
        raise refuse(
            where="GeoJSON",
            entity="collection",
            field="features",
            value=f"{error!r}",
            rule="must be a collection that cloudctl wrote",
            remedy="other GeoJSON has no lanes to read: import the source instead",
        ) from None

    return convert(code, IntersectionCode, "GeoJSON", FORMATS)


def _shape_fields(shape: str, coordinates: Any) -> dict[str, Any]:
    if not shape:
        lat, lon = _from_position(coordinates)
        return {"lat_e7": lat, "lon_e7": lon}
    return {
        shape: [_from_position(position) for position in (coordinates[0][:-1] if shape == "polygon" else coordinates)]
    }
