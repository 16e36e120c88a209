"""MAP and SPAT as UPER bytes, through the ETSI/ISO modules that pycrate carries (LGPL; `pip install
cloudctl[messages]`).

A message of SAE J2735 stands in a frame (its id, then its bytes); MAPEM and SPATEM bodies are the same MapData and
SPAT."""

from contextlib import suppress
from importlib import import_module
from typing import Any

from ...findings import refuse

MESSAGES = {18: "MapData", 19: "SPAT", 29: "SignalRequestMessage", 30: "SignalStatusMessage"}
ID_OF_MESSAGE = {name: number for number, name in MESSAGES.items()}
MAX_PADDING = 8  # bytes that a recorder may leave behind a frame
FRAME_MESSAGES = {**MESSAGES, 18: "MAP", 20: "BSM", 26: "PDM", 27: "PVD", 28: "RTCM", 31: "TIM", 32: "PSM", 41: "SDSM"}


# Of ETSI TS 103 301: message id, and the field that holds the body
PDU_HEADERS = {
    "MAPEM": (5, "map"),
    "SPATEM": (4, "spat"),
}
PROTOCOL_VERSION = 2  # version in their header


def _message_type(name: str) -> Any:
    try:
        modules = import_module("pycrate_asn1dir.ITS_IS")
        return getattr(getattr(modules, f"{name}_PDU_Descriptions") if name in PDU_HEADERS else modules.DSRC, name)
    except ImportError:
        raise refuse(
            where="messages",
            entity="pycrate",
            field="module",
            value="missing",
            rule="UPER needs the pycrate package",
            remedy="pip install 'cloudctl[messages]'",
        ) from None


def decode(name: str, body: bytes, *, bounded: bool = True) -> dict[str, Any]:
    """Return the value tree of one message's UPER bytes (`MapData`, `SPAT`, ...). Raises CodeError.

    Without `bounded`, numbers beyond their range that the bits can hold are returned as they are, for the reader to
    refuse one by one."""
    message_type = _message_type(name)
    # Pycrate's switch; on for all that is encoded
    message_type._SAFE_BND = bounded

    try:
        message_type.from_uper(body)
        tree: dict[str, Any] = message_type.get_val()
    except Exception as error:  # pycrate raises many kinds, none of one family
        raise refuse(
            where=name,
            entity=name,
            field="bytes",
            value=f"{len(body)} bytes",
            rule=f"is not a valid {name} ({error})",
            remedy="correct the sender",
        ) from None
    finally:
        message_type._SAFE_BND = True

    return tree


def encode(name: str, tree: dict[str, Any]) -> bytes:
    """Return the UPER bytes of a value tree. Raises CodeError naming the field that does not fit."""
    message_type = _message_type(name)
    try:
        message_type.set_val(tree)
        encoded: bytes = message_type.to_uper()
    except Exception as error:  # as above
        raise refuse(
            where=name,
            entity=name,
            field="value",
            value="tree",
            rule=f"does not fit {name} ({error})",
            remedy="see the field named; nothing is cut to fit",
        ) from None

    return encoded


def is_pdu(name: str, data: bytes) -> bool:
    """Return whether bytes begin as a MAPEM or SPATEM does: protocol version 1 or 2, then its message id."""
    return len(data) > 6 and data[0] in (1, 2) and data[1] == PDU_HEADERS[name][0]


def read_pdu(name: str, data: bytes, *, bounded: bool = True) -> dict[str, Any]:
    """Return the value tree of the body of a MAPEM or SPATEM; `bounded` as in `decode`. Raises CodeError."""
    body: dict[str, Any] = decode(name, data, bounded=bounded)[PDU_HEADERS[name][1]]
    return body


def write_pdu(name: str, tree: dict[str, Any], station: int) -> bytes:
    """Return a MAPEM or SPATEM with its header. Raises CodeError."""
    number, field = PDU_HEADERS[name]
    return encode(
        name, {"header": {"protocolVersion": PROTOCOL_VERSION, "messageID": number, "stationID": station}, field: tree}
    )


def unframe(frame: bytes) -> tuple[str, bytes]:
    """Return (name, body) of a J2735 MessageFrame: 2 bytes of id, the length (1 or 2 bytes), the body. Raises
    CodeError."""
    number = int.from_bytes(frame[:2])
    if len(frame) < 4 or number not in MESSAGES:
        raise refuse(
            where="frame",
            entity="frame",
            field="messageId",
            value=number,
            rule=f"must be one of {', '.join(f'{key} ({value})' for key, value in MESSAGES.items())}",
            remedy="give MAP or SPAT frames",
        )

    length, start = (frame[2], 3) if frame[2] < 128 else ((frame[2] & 0x3F) << 8 | frame[3], 4)
    if len(frame) < start + length:
        raise refuse(
            where="frame",
            entity="frame",
            field="length",
            value=length,
            rule=f"only {len(frame) - start} bytes follow",
            remedy="the frame was cut off: send it whole",
        )

    return MESSAGES[number], frame[start : start + length]


def framed(name: str, body: bytes) -> bytes:
    """Return the J2735 MessageFrame of a message's bytes. Raises CodeError beyond 16,383 bytes."""
    if len(body) > 16_383:
        raise refuse(
            where=name,
            entity=name,
            field="length",
            value=len(body),
            rule="a frame holds 16383 bytes",
            remedy="split the intersection",
        )

    length = bytes([len(body)]) if len(body) < 128 else (0x8000 | len(body)).to_bytes(2)
    return ID_OF_MESSAGE[name].to_bytes(2) + length + body


def frame_id(data: bytes) -> int | None:
    """Return the message id when bytes, or hex text, are a J2735 MessageFrame of a known kind whose length about holds;
    else None."""
    # What is not hex text is the bytes themselves
    with suppress(ValueError, UnicodeDecodeError):
        data = bytes.fromhex(data.decode("ascii").strip())
    if len(data) < 4 or int.from_bytes(data[:2]) not in FRAME_MESSAGES:
        return None

    length, start = (data[2], 3) if data[2] < 128 else ((data[2] & 0x3F) << 8 | data[3], 4)
    return int.from_bytes(data[:2]) if 0 <= len(data) - start - length <= MAX_PADDING else None
