"""TLS and the per-vehicle ACL: a vehicle is who its certificate says, and may speak and hear only under its own
name.
"""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme
from deadlines import PATIENCE, when

from cloudctl.client import Vehicle
from cloudctl.clock import SECOND, WallClock
from cloudctl.engine import encode
from cloudctl.io import broker
from cloudctl.io.egress import Egress
from cloudctl.metrics import Metrics
from cloudctl.node.config import BrokerSection
from cloudctl.schema import Advisory, AdvisoryKind, Inputs, Reject, VehicleState

pytestmark = pytest.mark.skipif(broker.mosquitto() is None, reason="TLS needs mosquitto on PATH")


class Certificates:
    """An authority, the broker's certificate, and one certificate a name, as PEM files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.authority = folder, trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.broker = self._write(self.authority.issue_cert("127.0.0.1", common_name="broker"), "broker")

    def named(self, name: str) -> tuple[Path, Path]:
        return self._write(self.authority.issue_cert(f"{name}.example", common_name=name), name)

    def context(self, name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(*self.named(name))
        return context

    def _write(self, cert: trustme.LeafCert, name: str) -> tuple[Path, Path]:
        chain, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert.cert_chain_pems[0].write_to_path(chain)
        cert.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        return chain, key


def advice(vehicle: str, name: str) -> Advisory:
    t = WallClock().now()
    return Advisory(name, AdvisoryKind.GLOSA, "X", f"vehicle:{vehicle}", 2, 1.0, "why", t, t + 30 * SECOND, Inputs(1))


async def collect(vehicle: Vehicle, ids: list[str]) -> None:
    async for advisory in vehicle.advisories():
        ids.append(advisory.id)


@pytest.mark.parametrize("certificate", ["car-1", "car-3"])
def test_a_vehicle_hears_and_speaks_only_under_its_own_name(tmp_path: Path, certificate: str) -> None:
    """A vehicle calls itself car-1: served with the certificate of car-1, and cut off from everything with another's.

    The right car-2 is the witness: what it is sent, and sends, comes after what car-1 is, so that nothing has to be
    waited for in vain.
    """
    certificates = Certificates(tmp_path)
    running = broker.start(tmp_path, tls=broker.Tls(certificates.ca, *certificates.broker))
    node = certificates.named("node")
    section = BrokerSection(
        "127.0.0.1", running.port, tls_ca=str(certificates.ca), tls_cert=str(node[0]), tls_key=str(node[1])
    )
    states: set[str] = set()
    received: dict[str, list[str]] = {"car": [], "witness": []}
    refused: dict[str, list[str]] = {"car": [], "witness": []}

    def vehicle(name: str, id: str, certificate: str) -> Vehicle:
        return Vehicle(
            id,
            "127.0.0.1",
            running.port,
            tls=certificates.context(certificate),
            on_reject=lambda reject: refused[name].append(reject.value),
        )

    async def scene() -> None:
        egress = Egress(section, WallClock(), Metrics(), lambda kind, name, body: states.add(name))
        egress.start()
        async with vehicle("car", "car-1", certificate) as car, vehicle("witness", "car-2", "car-2") as witness:
            tasks = [
                asyncio.create_task(collect(who, received[name])) for name, who in (("car", car), ("witness", witness))
            ]
            await when(lambda: all(each.connected.is_set() for each in (egress, car, witness)))
            async with asyncio.timeout(PATIENCE):
                while "car-2" not in states:
                    for each in (car, witness):
                        await each.report(VehicleState(WallClock().now(), 39.8, 116.5, 1.0, 0.0))

            def sent() -> bool:
                for item in (advice("car-1", "mine"), advice("car-2", "yours")):
                    egress.advise(item, encode(item))
                for name in ("car-1", "car-2"):
                    egress.reject(name, Reject(1, "state", None, "heading", name, "must be radians", "send radians"))
                return bool(received["witness"] and refused["witness"])

            await when(sent)
            if certificate == "car-1":
                await when(lambda: received["car"] and refused["car"])
            for task in tasks:
                task.cancel()
        await egress.stop()

    try:
        asyncio.run(scene())
    finally:
        running.stop()
    served = certificate == "car-1"
    assert states == ({"car-1", "car-2"} if served else {"car-2"})
    assert received == {"car": ["mine"] if served else [], "witness": ["yours"]}
    assert set(refused["car"]) == ({"car-1"} if served else set())
    assert set(refused["witness"]) == {"car-2"}


def test_without_a_certificate_there_is_no_connection(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    running = broker.start(tmp_path, tls=broker.Tls(certificates.ca, *certificates.broker))

    async def scene() -> None:
        stranger, troubles = ssl.create_default_context(cafile=certificates.ca), list[str]()
        async with Vehicle("car-1", "127.0.0.1", running.port, tls=stranger, on_trouble=troubles.append) as vehicle:
            await when(lambda: troubles or vehicle.connected.is_set())
            assert troubles
            assert not vehicle.connected.is_set()

    try:
        asyncio.run(scene())
    finally:
        running.stop()
