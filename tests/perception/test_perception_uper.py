"""UPER of the three standards with ASN.1 modules that the user brings. Those here are small ones of our own that have
the standards' names and only some of their fields."""

from pathlib import Path
from typing import Any

import asn1tools
import pytest
from standard_objects import T, detected, its_ms, participant, rsm, sdsm

from cloudctl.client import PerceptionModules
from cloudctl.codes.findings import CodeError
from cloudctl.perception.reading import Standard, read_perception

CPM_MODULE = """
Cpm DEFINITIONS AUTOMATIC TAGS ::= BEGIN
CollectivePerceptionMessage ::= SEQUENCE { header Header, payload CpmPayload }
Header ::= SEQUENCE { protocolVersion INTEGER (0..255), messageId INTEGER (0..255), stationId INTEGER (0..4294967295) }
CpmPayload ::= SEQUENCE { managementContainer ManagementContainer, cpmContainers WrappedCpmContainers, ... }
ManagementContainer ::= SEQUENCE { referenceTime INTEGER (0..4398046511103), referencePosition ReferencePosition, ... }
ReferencePosition ::= SEQUENCE { latitude INTEGER (-900000000..900000001), longitude INTEGER (-1800000000..1800000001) }
CPM-CONTAINER ::= CLASS { &id INTEGER (1..16) UNIQUE, &Type } WITH SYNTAX { &Type IDENTIFIED BY &id }
rsuContainer CPM-CONTAINER ::= { OriginatingRsuContainer IDENTIFIED BY 2 }
objectContainer CPM-CONTAINER ::= { PerceivedObjectContainer IDENTIFIED BY 5 }
CpmContainers CPM-CONTAINER ::= { rsuContainer | objectContainer, ... }
WrappedCpmContainers ::= SEQUENCE SIZE(1..8,...) OF WrappedCpmContainer
WrappedCpmContainer ::= SEQUENCE {
  containerId CPM-CONTAINER.&id ({CpmContainers}),
  containerData CPM-CONTAINER.&Type ({CpmContainers}{@containerId})
}
OriginatingRsuContainer ::= SEQUENCE { ... }
PerceivedObjectContainer ::= SEQUENCE {
  numberOfPerceivedObjects INTEGER (0..255), perceivedObjects SEQUENCE SIZE(0..255, ...) OF PerceivedObject, ...
}
PerceivedObject ::= SEQUENCE {
  objectId INTEGER (0..65535) OPTIONAL,
  measurementDeltaTime INTEGER (-2048..2047),
  position Position,
  velocity CHOICE { polarVelocity PolarVelocity, cartesianVelocity CartesianVelocity } OPTIONAL,
  lowerTriangularCorrelationMatrices SEQUENCE SIZE(1..4) OF Matrix OPTIONAL,
  classification SEQUENCE SIZE(1..8) OF ObjectClassWithConfidence OPTIONAL,
  ...
}
Position ::= SEQUENCE { xCoordinate Coordinate, yCoordinate Coordinate }
Coordinate ::= SEQUENCE { value INTEGER (-131072..131071), confidence INTEGER (1..4096) }
PolarVelocity ::= SEQUENCE { velocityMagnitude Speed, velocityDirection Angle }
Speed ::= SEQUENCE { speedValue INTEGER (0..16383), speedConfidence INTEGER (1..127) }
Angle ::= SEQUENCE { value INTEGER (0..3601), confidence INTEGER (1..127) }
CartesianVelocity ::= SEQUENCE { xVelocity Component, yVelocity Component }
Component ::= SEQUENCE { value INTEGER (-16383..16383), confidence INTEGER (1..127) }
Matrix ::= SEQUENCE { componentsIncludedIntheMatrix BIT STRING (SIZE(13)), matrix SEQUENCE SIZE(1..13) OF Column }
Column ::= SEQUENCE SIZE(1..13) OF INTEGER (-100..101)
ObjectClassWithConfidence ::= SEQUENCE { objectClass ObjectClass, confidence INTEGER (1..101) }
TrafficParticipantType ::= INTEGER {
  unknown(0), cyclist(2), passengerCar(5), bus(6), tram(11), agricultural(14), roadSideUnit(15)
} (0..255)
ObjectClass ::= CHOICE {
  vehicleSubClass TrafficParticipantType (unknown|passengerCar..tram|agricultural), vruSubClass INTEGER (0..255), ...
}
END
"""
J2735_FIELDS = """
PositionConfidenceSet ::= SEQUENCE { pos PositionConfidence }
PositionConfidence ::= ENUMERATED { unavailable, a500m, a200m, a100m, a50m, a20m, a10m, a5m, a2m, a1m, a50cm, a20cm }
Position3D ::= SEQUENCE { lat INTEGER (-900000000..900000001), long INTEGER (-1799999999..1800000001) }
VehicleSize ::= SEQUENCE { width INTEGER (0..1023), length INTEGER (0..4095) }
"""
RSM_MODULE = f"""
Rsm DEFINITIONS AUTOMATIC TAGS ::= BEGIN
MessageFrame ::= CHOICE {{ bsmFrame NULL, rsmFrame RoadsideSafetyMessage, ... }}
RoadsideSafetyMessage ::= SEQUENCE {{
  msgCnt INTEGER (0..127), id OCTET STRING (SIZE(8)), refPos Position3D,
  participants SEQUENCE (SIZE(1..16)) OF Participant, ...
}}
Participant ::= SEQUENCE {{
  ptcType ENUMERATED {{ unknown (0), motor (1), non-motor (2), pedestrian (3), rsu (4), ... }},
  ptcId INTEGER (0..65535),
  source ENUMERATED {{
    unknown(0), selfinfo(1), v2x(2), video(3), microwaveRadar(4), loop(5), lidar(6), integrated(7), ...
  }},
  secMark INTEGER (0..65535),
  pos SEQUENCE {{ offsetLL CHOICE {{ position-LL1 Near, position-LL4 Far }} }},
  posConfidence PositionConfidenceSet, speed INTEGER (0..8191), heading INTEGER (0..28800), size VehicleSize, ...
}}
Near ::= SEQUENCE {{ lon INTEGER (-2048..2047), lat INTEGER (-2048..2047) }}
Far ::= SEQUENCE {{ lon INTEGER (-131072..131071), lat INTEGER (-131072..131071) }}
{J2735_FIELDS}
END
"""
SDSM_MODULE = f"""
Sdsm DEFINITIONS AUTOMATIC TAGS ::= BEGIN
SensorDataSharingMessage ::= SEQUENCE {{
  msgCnt INTEGER (0..127), sourceID OCTET STRING (SIZE(4)), equipmentType ENUMERATED {{ unknown, rsu, obu, vru, ... }},
  sDSMTimeStamp DDateTime, refPos Position3D, refPosXYConf Accuracy,
  objects SEQUENCE (SIZE(1..256)) OF DetectedObjectData, ...
}}
Accuracy ::= SEQUENCE {{ semiMajor INTEGER (0..255), semiMinor INTEGER (0..255), orientation INTEGER (0..65535) }}
DDateTime ::= SEQUENCE {{
  year INTEGER (0..4095) OPTIONAL, month INTEGER (0..12) OPTIONAL, day INTEGER (0..31) OPTIONAL,
  hour INTEGER (0..31) OPTIONAL, minute INTEGER (0..60) OPTIONAL, second INTEGER (0..65535) OPTIONAL
}}
DetectedObjectData ::= SEQUENCE {{
  detObjCommon Common, detObjOptData CHOICE {{ detVeh Vehicle, detVRU NULL }} OPTIONAL
}}
Vehicle ::= SEQUENCE {{
  size VehicleSize OPTIONAL, height INTEGER (0..127) OPTIONAL, vehicleClass INTEGER (0..255) OPTIONAL, ...
}}
Common ::= SEQUENCE {{
  objType ENUMERATED {{ unknown, vehicle, vru, animal, ... }}, objTypeCfd INTEGER (0..101), objectID INTEGER (0..65535),
  measurementTime INTEGER (-1500..1500), timeConfidence ENUMERATED {{ unavailable, time-100-000 }},
  pos SEQUENCE {{ offsetX INTEGER (-32767..32767), offsetY INTEGER (-32767..32767) }},
  posConfidence PositionConfidenceSet, speed INTEGER (0..8191), speedConfidence ENUMERATED {{ unavailable, prec100ms }},
  heading INTEGER (0..28800), headingConf ENUMERATED {{ unavailable, prec10deg }}, ...
}}
{J2735_FIELDS}
END
"""


@pytest.fixture
def modules(tmp_path: Path) -> PerceptionModules:
    files = []
    for name, text in (("cpm", CPM_MODULE), ("rsm", RSM_MODULE)):
        (tmp_path / f"{name}.asn").write_text(text)
        files.append(tmp_path / f"{name}.asn")
    return PerceptionModules(files)


def test_a_class_of_several_values_has_the_four_bits_of_their_range(tmp_path: Path) -> None:
    # asn1tools alone takes the first value of such a constraint for all there is, and writes no bits
    (tmp_path / "cpm.asn").write_text(CPM_MODULE)
    text = CPM_MODULE.replace("(unknown|passengerCar..tram|agricultural)", "(0..14)")
    compiled = asn1tools.compile_string(text, "uper")
    for number, expected in ((0, 0), (5, 1), (6, 3), (14, 2)):
        seen = {
            "measurementDeltaTime": 0,
            "position": {name: {"value": 1, "confidence": 1} for name in ("xCoordinate", "yCoordinate")},
            "classification": [{"objectClass": ("vehicleSubClass", number), "confidence": 80}],
        }
        container = {"numberOfPerceivedObjects": 1, "perceivedObjects": [seen]}
        objects = compiled.encode("PerceivedObjectContainer", container)
        message = cpm_around(objects)
        data = bytes(compiled.encode("CollectivePerceptionMessage", message))
        frame = read_perception(Standard.CPM, [data], T, PerceptionModules([tmp_path / "cpm.asn"]))
        assert frame.columns["class"].tolist() == [expected]


def cpm_around(objects: bytes) -> dict[str, Any]:
    """Return a CPM with a container of encoded objects."""
    place = {"latitude": 397_955_000, "longitude": 1_165_080_000}
    return {
        "header": {"protocolVersion": 2, "messageId": 14, "stationId": 1},
        "payload": {
            "managementContainer": {"referenceTime": its_ms(T), "referencePosition": place},
            "cpmContainers": [{"containerId": 5, "containerData": objects}],
        },
    }


def test_a_cpm_in_uper_is_read_with_its_open_types(modules: PerceptionModules) -> None:
    compiled = asn1tools.compile_string(
        CPM_MODULE.replace("(unknown|passengerCar..tram|agricultural)", "(0..14)"), "uper"
    )
    seen = {
        "objectId": 9,
        "measurementDeltaTime": -30,
        "position": {
            "xCoordinate": {"value": 1234, "confidence": 98},
            "yCoordinate": {"value": -77, "confidence": 98},
        },
        "velocity": (
            "polarVelocity",
            {
                "velocityMagnitude": {"speedValue": 1000, "speedConfidence": 10},
                "velocityDirection": {"value": 900, "confidence": 10},
            },
        ),
        "lowerTriangularCorrelationMatrices": [{"componentsIncludedIntheMatrix": (b"\xc0\x00", 13), "matrix": [[50]]}],
        "classification": [{"objectClass": ("vehicleSubClass", 6), "confidence": 80}],
    }
    objects = compiled.encode("PerceivedObjectContainer", {"numberOfPerceivedObjects": 1, "perceivedObjects": [seen]})
    message = cpm_around(bytes(objects))
    rsu = {"containerId": 2, "containerData": compiled.encode("OriginatingRsuContainer", {})}
    message["payload"]["cpmContainers"].insert(0, rsu)
    data = compiled.encode("CollectivePerceptionMessage", message)
    frame = read_perception(Standard.CPM, [bytes(data)], T, modules)
    assert frame.t == T - 30_000_000
    row = {name: values[0] for name, values in frame.columns.items()}
    assert (row["id"], row["x"], row["y"], row["class"]) == (9, pytest.approx(12.34), pytest.approx(-0.77), 3)
    assert (row["vx"], row["vy"]) == pytest.approx((0.0, 10.0))
    assert row["cov_xy"] == pytest.approx(0.5 * (0.98 / 1.96) ** 2)


@pytest.mark.parametrize("framed", [False, True])
def test_an_rsm_in_uper_is_read_framed_and_bare(modules: PerceptionModules, framed: bool) -> None:
    compiled = asn1tools.compile_string(RSM_MODULE, "uper")
    message = rsm([participant(5, speed=500, heading=7200)]) | {"id": bytes(8)}
    for each in message["participants"]:
        each["pos"] = {"offsetLL": ("position-LL4", each["pos"]["offsetLL"]["position-LL4"])}
    data = (
        compiled.encode("MessageFrame", ("rsmFrame", message))
        if framed
        else compiled.encode("RoadsideSafetyMessage", message)
    )
    frame = read_perception(Standard.RSM, [bytes(data)], T, modules)
    assert frame.columns["id"].tolist() == [5]
    assert frame.columns["vx"].tolist() == pytest.approx([10.0])


@pytest.mark.parametrize("framed", [False, True])
def test_an_sdsm_in_uper_is_read_framed_and_bare(tmp_path: Path, framed: bool) -> None:
    (tmp_path / "sdsm.asn").write_text(SDSM_MODULE)
    compiled = asn1tools.compile_string(SDSM_MODULE, "uper")
    message = sdsm(T, [detected(5, detObjOptData=("detVeh", {"size": {"width": 180, "length": 450}}))])
    data = bytes(compiled.encode("SensorDataSharingMessage", message | {"sourceID": bytes(4)}))
    data = b"\x00\x29" + bytes([len(data)]) + data if framed else data
    frame = read_perception(Standard.SDSM, [data], T, PerceptionModules([tmp_path / "sdsm.asn"]))
    assert frame.columns["length"].tolist() == pytest.approx([4.5])


def test_bytes_that_are_no_message_and_modules_that_do_not_fit_are_errors_that_say_why(
    tmp_path: Path, modules: PerceptionModules
) -> None:
    for standard, data, word in (
        (Standard.RSM, b"\xff\xff\xff", "RoadsideSafetyMessage"),
        (Standard.CPM, b"", "CollectivePerceptionMessage"),
        (Standard.SDSM, b"\x00\x29\x02ab", "J3224"),
    ):
        with pytest.raises(CodeError, match=word):
            read_perception(standard, [data], T, modules)

    (tmp_path / "broken.asn").write_text("Broken DEFINITIONS ::= BEGIN A ::= ")
    (tmp_path / "other.asn").write_text("Other DEFINITIONS ::= BEGIN A ::= INTEGER END")
    for name, word in (
        ("broken.asn", "does not compile"),
        ("other.asn", "must define"),
        ("absent.asn", "cannot be read"),
    ):
        with pytest.raises(CodeError, match=word):
            PerceptionModules([tmp_path / name])
