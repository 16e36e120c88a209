"""Where an OpenDRIVE map lies: from its x, y to degrees, by the projection that its header names."""

import re
from collections.abc import Callable

import numpy as np
import pyproj

from cloudctl.geo import Origin

from ...findings import CodeError, Loss, LossKind, refuse
from ...model import Point
from ...polylines import F8
from ..importing.accounting import XmlRecord
from ..sumo.reader import E_TOWN

ToGlobe = Callable[[F8], F8]
# Of a PROJ text: heights alone
VERTICAL_TERMS = re.compile(r"\+(?:geoidgrids|geoid_crs|vunits|vto_meter)(?:=\S*)?")
DATUM_GRID = re.compile(r"\+nadgrids=(?!@null)\S")
REMEDY = (
    "correct <geoReference> (a PROJ text or WKT of a horizontal system), or say where x, y = 0, 0 lies with "
    "--at LAT,LON"
)


def to_globe_of(root: XmlRecord, origin: Point | None, losses: set[Loss]) -> ToGlobe:
    """Return what makes degrees (lat, lon) of the map's x, y; `origin` is where its 0, 0 lies, and goes before its own
    word. Raises CodeError."""
    text = root.findtext("header/geoReference")
    shift, rotation = _offset(root.find("header/offset"))

    if text and origin is None:
        projection = _projection(text, losses)

        def on_globe(xy: F8) -> F8:
            lon, lat = projection.transform(*(xy @ rotation.T + shift).T)
            degrees = np.stack([lat, lon], axis=1)
            if not np.isfinite(degrees).all():
                raise refuse(
                    where="OpenDRIVE",
                    entity="header",
                    field="geoReference",
                    value=text,
                    rule="puts points of the map nowhere on the globe",
                    remedy=REMEDY,
                )

            return degrees

        return on_globe

    if origin is None:
        losses.add(
            Loss(
                what=LossKind.GUESSED,
                entity="map",
                detail=f"has no geoReference: laid at {E_TOWN.lat}, {E_TOWN.lon}; say where it is with --at",
            )
        )
    elif text:
        losses.add(
            Loss(what=LossKind.DROPPED, entity="map", detail="its geoReference is not used: --at says where it lies")
        )

    map_origin = E_TOWN if origin is None else Origin(origin[0] / 1e7, origin[1] / 1e7)

    def about_origin(xy: F8) -> F8:
        east, north = (xy @ rotation.T).T
        return np.stack(map_origin.to_geodetic(east, north), axis=1)

    return about_origin


def _offset(element: XmlRecord | None) -> tuple[F8, F8]:
    """Return the shift (m) and the rotation that lead from the map to its projection: first turned, then shifted (1.8,
    8.5)."""
    if element is None:
        return np.zeros(2), np.eye(2)
    x, y, hdg = (element.number(name, 0.0) for name in ("x", "y", "hdg"))
    return np.array([x, y]), np.array([[np.cos(hdg), -np.sin(hdg)], [np.sin(hdg), np.cos(hdg)]])


def _projection(text: str, losses: set[Loss]) -> pyproj.Transformer:
    """Return the way from a horizontal system to degrees; what concerns heights is left out, so that no grid of a
    geoid is needed."""
    horizontal_text = " ".join(VERTICAL_TERMS.sub(" ", text).split()) if text.startswith("+") else text
    if horizontal_text != " ".join(text.split()):
        losses.add(
            Loss(
                what=LossKind.DROPPED,
                entity="map",
                detail="what its geoReference says of heights (geoid) is left out: a code has none",
            )
        )

    try:
        system = _horizontal(pyproj.CRS(horizontal_text))
        if system.is_geographic:
            raise refuse(
                where="OpenDRIVE",
                entity="header",
                field="geoReference",
                value=text,
                rule="counts in degrees, and the x, y of a map are metres",
                remedy=REMEDY,
            )

        if DATUM_GRID.search(horizontal_text):
            losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity="map",
                    detail=(
                        "its geoReference names a grid of its datum (nadgrids), which may not be here: places may be "
                        "off by metres"
                    ),
                )
            )

        return pyproj.Transformer.from_crs(system, "EPSG:4326", always_xy=True)
    except CodeError:
        raise
    except (pyproj.exceptions.ProjError, ValueError, IndexError) as error:  # CRSError is a ProjError
        raise refuse(
            where="OpenDRIVE",
            entity="header",
            field="geoReference",
            value=text,
            rule=f"is no projection that can be used ({error})",
            remedy=REMEDY,
        ) from None


def _horizontal(system: pyproj.CRS) -> pyproj.CRS:
    """Return the horizontal part of a system."""
    if system.is_compound:
        return _horizontal(system.sub_crs_list[0])
    if len(system.axis_info) == 3:
        return system.to_2d()
    return system
