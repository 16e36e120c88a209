"""TLS and the per-vehicle ACL: a vehicle is who its certificate says, and may speak and hear only under its own name."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

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


async def heard(vehicle: Vehicle, seconds: float) -> list[str]:
    """Return ids of the advisories that come within `seconds`."""
    got: list[str] = []

    async def collect() -> None:
        async for advisory in vehicle.advisories():
            got.append(advisory.id)

    task = asyncio.create_task(collect())
    await asyncio.sleep(seconds)
    task.cancel()
    return got


@pytest.mark.parametrize("who", ["car-1", "car-2"])
def test_a_vehicle_hears_and_speaks_only_under_its_own_name(tmp_path: Path, who: str) -> None:
    """`who` connects with its own certificate as car-1: heard when it is, and cut off from everything when it is not."""
    certificates = Certificates(tmp_path)
    running = broker.start(tmp_path, tls=broker.Tls(certificates.ca, *certificates.broker))
    node = certificates.named("node")
    section = BrokerSection(
        "127.0.0.1", running.port, tls_ca=str(certificates.ca), tls_cert=str(node[0]), tls_key=str(node[1])
    )
    states: list[str] = []
    refused: list[str] = []

    async def scene() -> list[str]:
        egress = Egress(section, WallClock(), Metrics(), lambda kind, name, body: states.append(name))
        egress.start()
        await asyncio.wait_for(egress.connected.wait(), 15)
        car = Vehicle(
            "car-1",
            "127.0.0.1",
            running.port,
            tls=certificates.context(who),
            on_reject=lambda reject: refused.append(reject.value),
        )
        async with car as vehicle:
            await asyncio.wait_for(vehicle.connected.wait(), 15)
            await vehicle.report(VehicleState(WallClock().now(), 39.8, 116.5, 1.0, 0.0))
            task = asyncio.create_task(heard(vehicle, 1.0))
            await asyncio.sleep(0.2)
            for item in (advice("car-1", "mine"), advice("car-2", "yours")):
                egress.advise(item, encode(item))
            for name in ("car-1", "car-2"):
                egress.reject(name, Reject(1, "state", None, "heading", name, "must be radians", "send radians"))
            got = await task
        await egress.stop()
        return got

    try:
        got = asyncio.run(scene())
    finally:
        running.stop()
    assert (got, states) == ((["mine"], ["car-1"]) if who == "car-1" else ([], []))
    assert refused == (["car-1"] if who == "car-1" else [])


def test_without_a_certificate_there_is_no_connection(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    running = broker.start(tmp_path, tls=broker.Tls(certificates.ca, *certificates.broker))

    async def scene() -> bool:
        stranger = ssl.create_default_context(cafile=certificates.ca)
        async with Vehicle("car-1", "127.0.0.1", running.port, tls=stranger) as vehicle:
            await asyncio.sleep(1.0)
            return vehicle.connected.is_set()

    try:
        assert not asyncio.run(scene())
    finally:
        running.stop()
