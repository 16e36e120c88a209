"""The folders that a node's operator hands out: `gateway.toml` or `vehicle.toml`, with the keys and certificates they
name.
"""

import ssl
import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from ..errors import CloudctlError
from ..io.private_files import check_private

GATEWAY_FILE, VEHICLE_FILE = "gateway.toml", "vehicle.toml"
MAKE_GATEWAY = "cloudctl keys gateway NAME --folder FOLDER"
MAKE_VEHICLE = "cloudctl keys vehicle NAME --folder FOLDER"
File = TypeVar("File", bound=Struct)


class CredentialFolderError(CloudctlError, RuntimeError):
    """A folder of credentials that cannot be used; the text gives the remedy."""


class GatewayFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a gateway connects with: files are in the same folder."""

    name: str
    address: str | tuple[str, ...]  # of a node, or of several, the first one to be asked first
    rsus: tuple[str, ...]
    key: str | None = None
    node_key: str | None = None


class VehicleFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a vehicle connects with: files are in the same folder."""

    id: str
    host: str
    port: int
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    username: str | None = None
    password: str | None = None
    # Whether states go by the tile of their position: where several nodes share intersections
    tiles: bool = False
    # Ed25519, base64: then only advisories that it signed are taken
    node_signature_key: str | None = None


def read_gateway_folder(folder: Path) -> GatewayFile:
    """Return a gateway's file; paths in it are those of its folder. Raises CredentialFolderError."""
    file = _read(folder / GATEWAY_FILE, GatewayFile)
    for name in (file.key, file.node_key):
        if name is not None and not (folder / name).is_file():
            raise CredentialFolderError(
                f"{folder / GATEWAY_FILE} names {name}, and {folder / name} does not exist. Have the node's operator "
                f"make the folder anew: {MAKE_GATEWAY}"
            )

    return msgspec.structs.replace(
        file,
        key=str(folder / file.key) if file.key else None,
        node_key=str(folder / file.node_key) if file.node_key else None,
    )


def read_vehicle_folder(folder: Path) -> VehicleFile:
    """Return a vehicle's file; paths in it are those of its folder. Raises CredentialFolderError, PrivateFileError."""
    file = _read(folder / VEHICLE_FILE, VehicleFile)
    if (file.cert is None) != (file.key is None) or (file.cert is not None and file.ca is None):
        raise CredentialFolderError(
            f"{folder / VEHICLE_FILE}: ca, cert and key belong together. Name all three, or have the node's "
            "operator make the folder anew"
        )

    if file.password is not None:
        check_private(folder / VEHICLE_FILE)
    if file.key is not None:
        check_private(folder / file.key)
    return msgspec.structs.replace(
        file,
        ca=str(folder / file.ca) if file.ca else None,
        cert=str(folder / file.cert) if file.cert else None,
        key=str(folder / file.key) if file.key else None,
    )


def tls_context(file: VehicleFile) -> ssl.SSLContext | None:
    """Return the TLS settings of a vehicle's file, None where it names no authority: the connection is then in
    clear.
    """
    if file.ca is None:
        return None

    context = ssl.create_default_context(cafile=file.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if file.cert and file.key:
        context.load_cert_chain(file.cert, file.key)
    return context


def _read(path: Path, form: type[File]) -> File:
    command = MAKE_GATEWAY if path.name == GATEWAY_FILE else MAKE_VEHICLE
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8-sig")), form)
    except OSError as error:
        raise CredentialFolderError(
            f"{path} cannot be read: {error.strerror}. The node's operator makes it: {command}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise CredentialFolderError(
            f"{path} cannot be used: {error}. Have the node's operator make it anew: {command}"
        ) from None
