"""Perception messages of three standards, written by their own facts: what a test believes an object to be, and the
fields that say so. Nothing here uses the readers.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

MS = 1_000_000
MINUTE_MS = 60_000
REFERENCE = {"lat": 39.7955, "lon": 116.508}
T = 1_790_000_000_123 * MS  # ns; 2026-09-21T13:33:20.123Z
TAI_AHEAD = 5  # leap seconds between 2004 and T


def its_ms(t: int) -> int:
    """Return the TimestampIts of `t` ns: TAI ms since 2004."""
    return (t // MS) - int(datetime(2004, 1, 1, tzinfo=UTC).timestamp()) * 1000 + TAI_AHEAD * 1000


def position(
    names: tuple[str, str] = ("lat", "long"), lat: int = 397_955_000, lon: int = 1_165_080_000
) -> dict[str, int]:
    return {names[0]: lat, names[1]: lon}


# --- CPM ---


def cpm(t: int, objects: list[dict[str, Any]], **management: Any) -> dict[str, Any]:
    return {
        "header": {"protocolVersion": 2, "messageId": 14, "stationId": 12},
        "payload": {
            "managementContainer": {
                "referenceTime": its_ms(t),
                "referencePosition": {**position(("latitude", "longitude")), "altitude": {"altitudeValue": 800_001}},
            }
            | management,
            "cpmContainers": [
                {"containerId": 2, "containerData": {}},
                {
                    "containerId": 5,
                    "containerData": {"numberOfPerceivedObjects": len(objects), "perceivedObjects": objects},
                },
            ],
        },
    }


def cpm_object(number: int = 1, x: int = 1000, y: int = -2000, delta: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "objectId": number,
        "measurementDeltaTime": delta,
        "position": {
            "xCoordinate": {"value": x, "confidence": 4096},
            "yCoordinate": {"value": y, "confidence": 4096},
        },
    } | more


# --- RSM ---


def rsm(participants: list[dict[str, Any]]) -> dict[str, Any]:
    return {"msgCnt": 3, "id": "0102030405060708", "refPos": position(), "participants": participants}


def participant(
    number: int = 1, sec_mark: int = 20_123, lon: int = 1000, lat: int = -2000, **more: Any
) -> dict[str, Any]:
    return {
        "ptcType": "motor",
        "ptcId": number,
        "source": "integrated",
        "secMark": sec_mark,
        "pos": {"offsetLL": {"position-LL4": {"lon": lon, "lat": lat}}},
        "posConfidence": {"pos": "unavailable"},
        "speed": 8191,
        "heading": 28_800,
        "size": {"width": 180, "length": 450},
    } | more


# --- SDSM ---


def sdsm(t: int, objects: list[dict[str, Any]], **stamp: Any) -> dict[str, Any]:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=t // MS)
    date = {
        "year": at.year,
        "month": at.month,
        "day": at.day,
        "hour": at.hour,
        "minute": at.minute,
        "second": at.second * 1000 + at.microsecond // 1000,
    }
    date = {name: value for name, value in (date | stamp).items() if value is not None}
    return {
        "msgCnt": 1,
        "sourceID": "01020304",
        "equipmentType": "rsu",
        "sDSMTimeStamp": date,
        "refPos": position(),
        "refPosXYConf": {"semiMajor": 255, "semiMinor": 255, "orientation": 65_535},
        "objects": objects,
    }


def detected(number: int = 1, first: int = 100, second: int = -200, offset: int = 0, **more: Any) -> dict[str, Any]:
    details = more.pop("detObjOptData", None)
    common = {
        "objType": "vehicle",
        "objTypeCfd": 90,
        "objectID": number,
        "measurementTime": offset,
        "timeConfidence": "unavailable",
        "pos": {"offsetX": first, "offsetY": second},
        "posConfidence": {"pos": "unavailable", "elevation": "unavailable"},
        "speed": 8191,
        "speedConfidence": "unavailable",
        "heading": 28_800,
        "headingConf": "unavailable",
    } | more
    return {"detObjCommon": common} | ({} if details is None else {"detObjOptData": details})


# Times of reception: any moment of many years, with the edges of minutes and of 65,536 ms among them.
times = st.one_of(
    st.integers(1_500_000_000_000, 2_200_000_000_000),
    st.integers(25_000_000, 36_000_000).flatmap(
        lambda minute: st.integers(-3, 3).map(lambda ms: minute * MINUTE_MS + ms)
    ),
    st.integers(10_000_000, 20_000_000).flatmap(
        lambda turn: st.integers(-3, 3).map(lambda ms: turn * 65_536 - 5000 + 1_072_915_200_000 + ms)
    ),
).filter(lambda ms: 1_500_000_000_000 <= ms <= 2_200_000_000_000)
