"""PUBLISH packets as the node writes and reads them, against the client library's and a real broker's."""

from itertools import pairwise

import pytest
from gmqtt.mqtt.package import PublishPacket  # noqa: TID251
from hypothesis import given
from hypothesis import strategies as st

from cloudctl.io.mqtt_packets import (
    PUBLISH,
    Packet,
    PacketError,
    PacketReader,
    message_of,
    publish_packet,
    read_variable_length,
    variable_length,
)

TOPICS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=40)
VERSIONS = st.sampled_from([4, 5])


class Protocol:
    def __init__(self, version: int) -> None:
        self.proto_ver = version


class Message:
    def __init__(self, topic: str, payload: bytes, retain: bool, expiry: int | None) -> None:
        self.topic, self.payload, self.payload_size = topic.encode(), payload, len(payload)
        self.qos, self.retain, self.dup = 0, retain, False
        self.properties = {} if expiry is None else {"message_expiry_interval": expiry}


@given(
    topic=TOPICS,
    payload=st.binary(max_size=300) | st.integers(0, 70_000).map(bytes),
    retain=st.booleans(),
    expiry=st.none() | st.integers(0, 2**32 - 1),
    version=VERSIONS,
)
def test_a_packet_is_the_bytes_that_the_client_library_writes(
    topic: str, payload: bytes, retain: bool, expiry: int | None, version: int
) -> None:
    _, expected = PublishPacket.build_package(Message(topic, payload, retain, expiry), Protocol(version))
    assert publish_packet(topic, payload, retain=retain, expiry=expiry, version=version) == bytes(expected)


@given(
    messages=st.lists(st.tuples(TOPICS, st.binary(max_size=200), st.none() | st.integers(0, 99)), max_size=8),
    cuts=st.lists(st.integers(0, 2000)),
    version=VERSIONS,
)
def test_however_a_stream_is_cut_every_message_is_read_once(
    messages: list[tuple[str, bytes, int | None]], cuts: list[int], version: int
) -> None:
    stream = b"".join(
        publish_packet(topic, payload, retain=False, expiry=expiry, version=version)
        for topic, payload, expiry in messages
    )
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    reader = PacketReader()
    packets = [packet for start, end in pairwise(edges) for packet in reader.read(stream[start:end])]
    assert [message_of(packet, version) for packet in packets] == [message[:2] for message in messages]


@given(data=st.binary(max_size=60), version=VERSIONS)
def test_no_bytes_break_the_reader(data: bytes, version: int) -> None:
    try:
        for packet in PacketReader().read(data):
            message_of(packet, version)
    except PacketError:
        pass


@given(body=st.binary(max_size=30), first_byte=st.integers(0, 255), version=VERSIONS)
def test_a_message_is_part_of_its_packet(body: bytes, first_byte: int, version: int) -> None:
    message = message_of(Packet(first_byte, body), version)
    if message is not None:
        topic, payload = message
        assert first_byte >> 4 == PUBLISH >> 4
        assert not first_byte & 0x06  # at QoS 0, which needs no answer
        assert topic
        assert topic.encode() in body
        assert body.endswith(payload)


@given(st.integers(0, 268_435_455))
def test_a_length_is_read_as_it_was_written(length: int) -> None:
    written = variable_length(length)
    assert read_variable_length(written, 0) == (length, len(written))
    assert read_variable_length(written[:-1], 0) is None


def test_a_length_of_five_bytes_is_no_mqtt() -> None:
    with pytest.raises(PacketError):
        list(PacketReader().read(b"\x30\xff\xff\xff\xff\x01"))
