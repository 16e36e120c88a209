"""Who is who at the broker: an authority of the node's own, a certificate for each name, and the list of those revoked.

Everything lies in the folder that `cloudctl init` made: `tls/` the authority and the node's certificates,
`vehicles/NAME/` what a vehicle is given.
Keys are P-256 (FIPS 186-5), certificates X.509 v3 (RFC 5280); the common name is the name at the broker.
"""

import ipaddress
import json
import re
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import CloudctlError
from ..io.addresses import bare
from ..io.broker import OPERATOR_NAME
from ..io.private_files import check_private, write_private
from ..topics import wrong_vehicle_id

AUTHORITY_DAYS = 7300  # 20 years: replacing the authority means new credentials for every vehicle
CERTIFICATE_DAYS = 1825  # 5 years; a certificate is withdrawn earlier by revoking it
CLOCK_ALLOWANCE = timedelta(days=1)  # a certificate is valid from so long ago: clocks of vehicles may be behind
NODE_NAME = "node"  # the name that may read and write everything at the broker
BROKER_NAME = "broker"
NODE_NAMES = re.compile(rf"{NODE_NAME}(-\d+)?")  # of a node, and of several
EDGE_NAMES = re.compile(r"edge-[A-Za-z0-9._-]{1,59}")  # of an edge whose broker passes on to this one
RESERVED_NAMES = re.compile(rf"{NODE_NAMES.pattern}|{EDGE_NAMES.pattern}|{BROKER_NAME}|{OPERATOR_NAME}|etcd|root|\.\.?")


class CredentialError(CloudctlError, RuntimeError):
    """Credentials that cannot be made, found or revoked; the text says what to do."""


class Issued(NamedTuple):
    """One certificate that the authority has signed."""

    name: str
    serial: int


class Authority:
    """The authority of one node, in the folder `tls/`. `ca.key` signs: whoever has it can make any vehicle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate_file = folder / "ca.pem"
        self.key_file = folder / "ca.key"
        self.revocations_file = folder / "crl.pem"
        self._issued_file = folder / "issued.jsonl"

    def create(self) -> None:
        """Make the authority's key and certificate, and an empty list of revoked certificates. Raises
        PrivateFileError where there is one.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = _common_name("cloudctl authority")

        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            _builder(name, name, key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )

        write_private(self.key_file, _pem(key))
        self.certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._write_revocations(())

    def issue_server(self, name: str, hosts: Iterable[str]) -> tuple[Path, Path]:
        """Make the certificate of a server that clients reach under `hosts`; return its certificate and key, in the
        authority's folder.
        """
        names = [_subject_name(host) for host in dict.fromkeys(hosts)]
        extension = x509.SubjectAlternativeName(names)
        return self._issue(name, [ExtendedKeyUsageOID.SERVER_AUTH], extension, self.folder / f"{name}.pem")

    def issue_peer(self, name: str, hosts: Iterable[str]) -> tuple[Path, Path]:
        """Make the certificate of a server that is also a client of its like, as those of an etcd cluster are."""
        names = [_subject_name(host) for host in dict.fromkeys(hosts)]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._issue(name, usages, x509.SubjectAlternativeName(names), self.folder / f"{name}.pem")

    def issue_client(self, name: str, file: Path) -> tuple[Path, Path]:
        """Make the certificate of a client that the broker is to know as `name`; return its certificate, `file`, and
        its key beside it.
        """
        extension = x509.SubjectAlternativeName([x509.DNSName("client.cloudctl.invalid")])
        return self._issue(name, [ExtendedKeyUsageOID.CLIENT_AUTH], extension, file)

    def revoke(self, name: str) -> int:
        """Revoke every certificate of a name; return how many. Raises CredentialError where there is none that was
        not revoked.
        """
        revoked = set(self.revoked())
        withdrawn = [issued for issued in self.issued() if issued.name == name and issued.serial not in revoked]
        if not withdrawn:
            names = sorted({issued.name for issued in self.issued() if issued.serial not in revoked})
            raise CredentialError(
                f"name = {name!r}: no certificate of that name is in use. In use: {', '.join(names) or 'none'}"
            )

        self._write_revocations((*self.revoked(), *(issued.serial for issued in withdrawn)))
        return len(withdrawn)

    def issued(self) -> list[Issued]:
        """Return every certificate that was issued, oldest first."""
        if not self._issued_file.exists():
            return []
        rows = (json.loads(line) for line in self._issued_file.read_text().splitlines())
        return [Issued(row["name"], int(row["serial"], 16)) for row in rows]

    def revoked(self) -> list[int]:
        """Return the serial numbers of the revoked certificates. Raises CredentialError for a list that is none."""
        if not self.revocations_file.exists():
            return []

        try:
            revocations = x509.load_pem_x509_crl(self.revocations_file.read_bytes())
        except ValueError:
            raise CredentialError(
                f"{self.revocations_file} is no list of revoked certificates (PEM). Take it from a backup: without it, "
                "revoked vehicles would be let in again"
            ) from None

        return [entry.serial_number for entry in revocations]

    def revoked_names(self) -> list[str]:
        """Return the names that have revoked certificates and none in use, sorted."""
        revoked = set(self.revoked())
        in_use = {issued.name for issued in self.issued() if issued.serial not in revoked}
        return sorted({issued.name for issued in self.issued()} - in_use)

    def _issue(
        self, name: str, usages: list[x509.ObjectIdentifier], extension: x509.ExtensionType, file: Path
    ) -> tuple[Path, Path]:
        key_file = file.with_suffix(".key")
        authority_key = self._key()
        authority = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())

        key = ec.generate_private_key(ec.SECP256R1())

        certificate = (
            _builder(_common_name(name), authority.subject, key.public_key(), CERTIFICATE_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(extension, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
            .sign(authority_key, hashes.SHA256())
        )

        write_private(key_file, _pem(key))
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

        with self._issued_file.open("a") as issued:
            issued.write(json.dumps({"name": name, "serial": f"{certificate.serial_number:x}"}) + "\n")

        return file, key_file

    def _key(self) -> ec.EllipticCurvePrivateKey:
        check_private(self.key_file)
        key = serialization.load_pem_private_key(self.key_file.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CredentialError(
                f"{self.key_file} must hold a P-256 key. Make the folder anew with: cloudctl init FOLDER"
            )
        return key

    def _write_revocations(self, serials: Iterable[int]) -> None:
        now = datetime.now(UTC)
        authority = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())

        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.subject)
            .last_update(now - CLOCK_ALLOWANCE)
            .next_update(now + timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        )
        for serial in dict.fromkeys(serials):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)

        revocations = builder.sign(self._key(), hashes.SHA256())
        self.revocations_file.write_bytes(revocations.public_bytes(serialization.Encoding.PEM))


def check_vehicle_name(name: str) -> None:
    """Raise CredentialError for a name that no vehicle may have."""
    if rule := wrong_vehicle_id(name):
        raise CredentialError(
            f"name = {name!r} {rule}. Choose up to 64 letters, digits, '-', '_', '.' or ':' that no other vehicle has"
        )
    if RESERVED_NAMES.fullmatch(name):
        raise CredentialError(f"name = {name!r} is not for a vehicle: the broker gives it other rights. Choose another")


def node_name(worker: int) -> str:
    """Return the name of a worker at the broker."""
    return NODE_NAME if worker == 1 else f"{NODE_NAME}-{worker}"


def own_hosts(host: str) -> list[str]:
    """Return the names under which clients may reach this machine: the loopback's, its own, and `host`."""
    return ["127.0.0.1", "::1", "localhost", socket.gethostname(), host]


def expires(certificate_file: Path) -> datetime:
    """Return when a certificate ends (UTC)."""
    return x509.load_pem_x509_certificate(certificate_file.read_bytes()).not_valid_after_utc


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _subject_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(bare(host)))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_ALLOWANCE)
        .not_valid_after(now + timedelta(days=days))
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
