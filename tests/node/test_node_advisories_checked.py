"""What a vehicle hands on: only what is meant for it, possible, of the present run of the node, and, where it knows the
node's key, signed.
"""

import asyncio
import base64
from pathlib import Path

import msgspec
import pytest
from deadlines import PATIENCE
from hypothesis import given
from hypothesis import strategies as st
from mqtt_client import MqttClient

from cloudctl.client import Vehicle
from cloudctl.client.advisory_check import MAX_VALIDITY, AdvisoryCheck
from cloudctl.client.reconnecting import ClockWatch
from cloudctl.clock import MS, SECOND, WallClock
from cloudctl.engine import encode
from cloudctl.io import broker
from cloudctl.io.egress import Egress
from cloudctl.io.signatures import SUFFIX_LENGTH, SignatureError, Signer, Verifier, new_signature_key
from cloudctl.metrics import Metrics
from cloudctl.schema import Advisory, AdvisoryKind, Inputs
from cloudctl.settings import BrokerSection
from cloudctl.topics import MqttTopics

T = 1_800_000_000 * SECOND
OWN = MqttTopics.vehicle("car-1", "advisories")
GENUINE = Advisory(
    id="X-abc-1",
    kind=AdvisoryKind.GLOSA,
    intersection="X",
    target="vehicle:car-1",
    severity=2,
    confidence=1.0,
    reason="why",
    t=T,
    valid_until=T + 2 * SECOND,
    inputs=Inputs(1),
)


def changed(**fields: object) -> Advisory:
    return msgspec.structs.replace(GENUINE, **fields)


def warmed(offset: int = 0) -> AdvisoryCheck:
    """A check of car-1 after eight messages that came `offset` ns after they were made."""
    watch = ClockWatch()
    for _ in range(8):
        watch.observe(T - SECOND, T - SECOND + offset)
    return AdvisoryCheck("car-1", watch)


@pytest.mark.parametrize(
    ("topic", "advisory"),
    [
        (OWN, GENUINE),
        (MqttTopics.intersection("X"), changed(target="intersection:X")),
        (MqttTopics.intersection("X"), changed(target="lane:L1")),
        (OWN, changed(valid_until=T + 10 * SECOND)),
        (OWN, changed(id="of another form")),
    ],
)
def test_what_the_node_means_for_it_is_handed_on(topic: str, advisory: Advisory) -> None:
    assert warmed().fault(topic, advisory, T) is None


@pytest.mark.parametrize(
    ("topic", "advisory", "named"),
    [
        (OWN, changed(target="vehicle:car-2"), "target"),
        (OWN, changed(target="intersection:X"), "target"),
        (MqttTopics.intersection("X"), changed(target="vehicle:car-2"), "target"),
        (MqttTopics.intersection("Y"), changed(target="intersection:X"), "intersection"),
        (OWN, changed(valid_until=T), "valid for"),
        (OWN, changed(valid_until=T - 1), "valid for"),
        (OWN, changed(valid_until=T + MAX_VALIDITY + 1), "valid for"),
        (OWN, changed(t=T + 3600 * SECOND, valid_until=T + 3602 * SECOND), "later than it came"),
    ],
)
def test_what_cannot_be_the_nodes_is_refused_with_the_reason(topic: str, advisory: Advisory, named: str) -> None:
    assert named in (warmed().fault(topic, advisory, T) or "")


@pytest.mark.parametrize("offset", [-3600 * SECOND, -5 * SECOND, 0, 5 * SECOND, 3600 * SECOND])
def test_a_vehicle_whose_own_clock_is_off_is_advised_all_the_same(offset: int) -> None:
    assert warmed(offset).fault(OWN, GENUINE, T + offset) is None


def test_one_forged_time_does_not_open_the_door_for_the_next() -> None:
    watch = ClockWatch()
    check = AdvisoryCheck("car-1", watch)
    for _ in range(8):
        watch.observe(T, T)
    forged = changed(t=T + 3600 * SECOND, valid_until=T + 3602 * SECOND)
    for _ in range(3):
        assert check.fault(OWN, forged, T) is not None
        watch.observe(forged.t, T)
    assert check.fault(OWN, GENUINE, T) is None


def test_after_a_step_of_its_own_clock_a_vehicle_compares_anew() -> None:
    watch = ClockWatch()
    check = AdvisoryCheck("car-1", watch)
    for number in range(8):
        watch.watch(T + number * SECOND, number * SECOND)
        watch.observe(T + number * SECOND, T + number * SECOND)
    stepped_back = T - 600 * SECOND
    watch.watch(stepped_back, 9 * SECOND)
    assert check.fault(OWN, GENUINE, stepped_back) is None


def test_an_earlier_run_of_the_node_is_not_mixed_with_the_present_one() -> None:
    check = warmed()
    assert check.fault(OWN, GENUINE, T) is None
    later = changed(id="X-abd-1", t=T + SECOND, valid_until=T + 3 * SECOND)
    assert check.fault(OWN, later, T + SECOND) is None
    assert "run 'abc'" in (check.fault(OWN, changed(id="X-abc-9"), T + SECOND) or "")
    assert check.fault(OWN, changed(id="X-abd-2", t=T, valid_until=T + SECOND), T + SECOND) is None, (
        "repeated by its own"
    )


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-2, 2)), min_size=2, max_size=20))
def test_no_advisory_of_an_owner_before_the_present_one_is_handed_on(messages: list[tuple[int, int]]) -> None:
    """Each owner's clock is off by some 100 ms from the others'; the messages come 200 ms apart."""
    check = warmed()
    highest = 0
    for number, (epoch, ahead) in enumerate(messages):
        now = T + number * 200 * MS
        t = now + ahead * 100 * MS
        advisory = changed(id=f"X-run{epoch}-{number}", epoch=epoch, t=t, valid_until=t + 3 * SECOND)
        fault = check.fault(OWN, advisory, now)
        if 0 < epoch < highest:
            assert fault is not None
            assert f"epoch {epoch}" in fault
            assert f"epoch {highest}" in fault
        elif epoch > highest > 0:
            assert fault is None, "a later owner is taken at once, also one whose clock is behind"
        if fault is None:
            highest = epoch


def test_after_a_long_silence_of_the_later_owner_another_cluster_may_begin_at_low_epochs() -> None:
    check = warmed()
    assert check.fault(OWN, changed(epoch=900), T) is None
    t = T + 61 * SECOND
    assert check.fault(OWN, changed(id="X-new-1", epoch=3, t=t, valid_until=t + SECOND), t) is None


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Signer, Verifier]:
    file = tmp_path_factory.mktemp("keys") / "signature.key"
    public_key = new_signature_key(file)
    return Signer(file), Verifier(public_key)


def test_a_signed_advisory_is_still_one_for_clients_that_know_no_signatures(keys: tuple[Signer, Verifier]) -> None:
    signed = keys[0].sign(OWN, encode(GENUINE))
    assert msgspec.json.decode(signed, type=Advisory) == GENUINE
    assert len(signed) == len(encode(GENUINE)) + SUFFIX_LENGTH - 1


@given(data=st.data())
def test_no_change_of_a_signed_advisory_passes(keys: tuple[Signer, Verifier], data: st.DataObject) -> None:
    """Any bytes put in place of any part, and any other topic."""
    signer, verifier = keys
    signed = signer.sign(OWN, encode(GENUINE))
    assert verifier.verify(OWN, signed)
    begin = data.draw(st.integers(0, len(signed)))
    end = data.draw(st.integers(begin, len(signed)))
    mutated = signed[:begin] + data.draw(st.binary(max_size=12)) + signed[end:]
    if mutated != signed and base64_of(mutated) != base64_of(signed):
        assert not verifier.verify(OWN, mutated)
    assert not verifier.verify(OWN + data.draw(st.text(min_size=1, max_size=3)), signed)


def base64_of(signed: bytes) -> tuple[bytes, bytes]:
    """Return payload and signature: base64 has spare bits in its last character, so that two texts may be one
    signature.
    """
    try:
        return signed[:-SUFFIX_LENGTH], base64.b64decode(signed[-90:-2], validate=True)
    except ValueError:
        return signed, b""


@pytest.mark.parametrize("key", ["", "short", "!" * 44, base64.b64encode(b"x" * 31).decode()])
def test_a_key_that_is_none_is_refused_with_the_remedy(key: str) -> None:
    with pytest.raises(SignatureError, match="node_signature_key"):
        Vehicle("car-1", node_signature_key=key)


def test_a_forged_advisory_is_not_handed_on_and_a_signed_one_is(tmp_path: Path) -> None:
    """Over a real broker that is open: the signature alone stands between a stranger and the vehicle."""
    running = broker.start(tmp_path / "broker")
    public_key = new_signature_key(tmp_path / "signature.key")
    section = BrokerSection(port=running.port, version=running.version)
    troubles: list[str] = []

    async def scene() -> tuple[list[str], int]:
        egress = Egress(section, WallClock(), Metrics(), lambda *_: None, Signer(tmp_path / "signature.key"))
        egress.start()
        await asyncio.wait_for(egress.connected.wait(), PATIENCE)
        car = Vehicle(
            "car-1",
            port=running.port,
            version=running.version,
            node_signature_key=public_key,
            on_trouble=troubles.append,
        )
        async with car as vehicle:
            await asyncio.wait_for(vehicle.connected.wait(), PATIENCE)
            with MqttClient(running.port) as stranger:
                t = WallClock().now()
                forged = msgspec.structs.replace(GENUINE, id="X-abc-0", t=t, valid_until=t + 60 * SECOND)
                stranger.publish(OWN, encode(forged))
                while not vehicle.refused_advisories:
                    await asyncio.sleep(0.02)
            t = WallClock().now()
            genuine = msgspec.structs.replace(GENUINE, t=t, valid_until=t + 60 * SECOND)
            egress.advise(genuine, encode(genuine))
            advisory = await asyncio.wait_for(anext(vehicle.advisories()), PATIENCE)
        await egress.stop()
        return [advisory.id], vehicle.refused_advisories

    try:
        handed_on, refused = asyncio.run(asyncio.wait_for(scene(), 4 * PATIENCE))
    finally:
        running.stop()
    assert (handed_on, refused) == (["X-abc-1"], 1)
    assert any("not signed by the node" in trouble for trouble in troubles)
