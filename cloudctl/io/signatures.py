"""Signed advisories: Ed25519 (RFC 8032) over topic and payload, as the payload's last field. Whoever passes them on
cannot change or invent one.

    {"id": ..., ..., "signature": "<base64 of 64 bytes>"}

What is signed is CONTEXT, the topic, a zero byte, and the payload as it is without that field: no canonical form of
JSON is needed.
"""

import base64
import binascii
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..errors import CloudctlError
from .private_files import check_private, write_private

CONTEXT = b"cloudctl advisory 1\0"  # so that the key's signatures are worth nothing elsewhere
FIELD = b',"signature":"'
END = b'"}'
SIGNATURE_LENGTH = 88  # characters of base64
SUFFIX_LENGTH = len(FIELD) + SIGNATURE_LENGTH + len(END)
KEY_BYTES = 32


class SignatureError(CloudctlError, RuntimeError):
    """A key that cannot be used for signatures; the text says what to do."""


class Signer:
    """Signs with the key of a file of `cloudctl keys signature`. Raises SignatureError, and PrivateFileError for one
    that others can read.
    """

    def __init__(self, file: Path) -> None:
        check_private(file)
        try:
            key = serialization.load_pem_private_key(file.read_bytes(), None)
        except ValueError as error:
            raise SignatureError(
                f"{file} holds no key ({error}). Make one with: cloudctl keys signature NAME"
            ) from None

        if not isinstance(key, Ed25519PrivateKey):
            raise SignatureError(f"{file} must hold an Ed25519 key. Make one with: cloudctl keys signature NAME")

        self._key = key
        self.public_key = _encoded(key)

    def sign(self, topic: str, payload: bytes) -> bytes:
        """Return a payload (a JSON object that is not empty) with its signature."""
        signature = self._key.sign(_signed(topic, payload))
        return payload[:-1] + FIELD + base64.b64encode(signature) + END


class Verifier:
    """Verifies by a node's public key, base64. Raises SignatureError for what is no key."""

    def __init__(self, public_key: str) -> None:
        try:
            data = base64.b64decode(public_key, validate=True)
        except (binascii.Error, ValueError):
            data = b""

        if len(data) != KEY_BYTES:
            raise SignatureError(
                f"node_signature_key = {public_key!r} must be base64 of {KEY_BYTES} bytes. Take it from the "
                "node's operator"
            )

        self._key = Ed25519PublicKey.from_public_bytes(data)

    def verify(self, topic: str, payload: bytes) -> bool:
        """Return whether the node has signed this payload for this topic."""
        if payload[-SUFFIX_LENGTH : -SUFFIX_LENGTH + len(FIELD)] != FIELD or payload[-len(END) :] != END:
            return False

        try:
            signature = base64.b64decode(payload[-SIGNATURE_LENGTH - len(END) : -len(END)], validate=True)
            self._key.verify(signature, _signed(topic, payload[:-SUFFIX_LENGTH] + b"}"))
        except (InvalidSignature, binascii.Error, ValueError):
            return False

        return True


def new_signature_key(file: Path) -> str:
    """Make a key pair, write the secret half (mode 0600), and return the public one, base64. Raises PrivateFileError
    where the file exists.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(file, pem)
    return _encoded(key)


def _encoded(key: Ed25519PrivateKey) -> str:
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def _signed(topic: str, payload: bytes) -> bytes:
    return CONTEXT + topic.encode() + b"\0" + payload
