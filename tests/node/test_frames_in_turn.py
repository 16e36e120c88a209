"""Frames that go on from the one before are accepted by compiled code: nothing shows which way a frame was taken."""

import dataclasses
from itertools import pairwise
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_to_an_engine import OTHER, T, perception

from bench.scene import corridor
from cloudctl import _core
from cloudctl.clock import MS, SECOND
from cloudctl.ingest import frames
from cloudctl.ingest import messages as messages_of_ingest
from cloudctl.ingest.backlog import MAX_FRAMES
from cloudctl.ingest.batch import Batch
from cloudctl.ingest.messages import Ingest
from cloudctl.metrics import Metrics
from cloudctl.schema import VERSION, Hello, RawMessage, Sync

CODE = corridor()[0]
NAME = CODE.code.id
UNITS = {"g": {"r0": NAME}, "h": {"r1": NAME}}
BLOCK = bytes(57 * 2)
NUMBERS = [0, 1, 127, 128, 2**31, 2**63 - 2, 2**63 - 1, 2**63, 2**64 - 1, -1, -(2**63)]

odd_values = st.sampled_from(
    [
        {"v": 2},
        {"v": 1.0},
        {"r": "r1"},
        {"r": OTHER},
        {"s": "lidar"},
        {"s": "x" * 40},
        {"s": "x" * 65},
        {"t": T - 2 * SECOND},
        {"t": T + SECOND},
        {"t": 2**63 - 1},
        {"t": -(2**63)},
        {"lat": 91.0},
        {"lat": CODE.origin.lat + 1e-5},
        {"lat": float("nan")},
        {"lat": 30},
        {"o": b"\x00" * 58},
        {"o": b""},
        {"o": [{"x": 1.0, "y": 2.0}]},
        {"o": [{"x": 1.0, "y": float("nan")}]},
        {"o": None},
        {"frame": "NED"},
        {"more": 1},
    ]
)


@st.composite
def frame_bodies(draw: st.DrawFn) -> bytes:
    """Return a frame: most are good, some differ in a value, in their order, or in any byte."""
    changes: dict[str, Any] = {"o": BLOCK, "q": draw(st.one_of(st.integers(0, 5), st.sampled_from(NUMBERS)))}
    changes["t"] = T - draw(st.integers(0, 50)) * MS
    kind = draw(st.integers(0, 9))
    if kind == 0:
        changes |= draw(odd_values)
    body = perception(CODE, **changes)
    if kind == 1:
        fields = list(msgpack.unpackb(body, strict_map_key=False).items())
        return msgpack.packb(dict(draw(st.permutations(fields))))
    if kind == 2:
        at = draw(st.integers(0, len(body) - 1))
        return body[:at] + bytes([draw(st.integers(0, 255))]) + body[at + 1 :]
    if kind == 3:
        return body[: draw(st.integers(0, len(body)))] + draw(st.binary(max_size=3))
    if kind == 4:
        left_out = draw(st.sampled_from(["v", "r", "s", "q", "t", "lat", "lon", "o", "frame"]))
        fields_left = msgpack.unpackb(body)
        del fields_left[left_out]
        return msgpack.packb(fields_left)
    return body


@st.composite
def messages(draw: st.DrawFn) -> RawMessage:
    kind = draw(st.integers(0, 11))
    sender = draw(st.sampled_from(["g", "g", "g", "h", "stranger"])) if kind > 9 else "g"
    if kind == 0:
        return RawMessage("hello", "g", msgspec.msgpack.encode(Hello(VERSION, "g", ("r0",))))
    if kind == 1:
        ahead = draw(st.sampled_from([0, 5 * MS, 3 * SECOND]))
        exchange = Sync(VERSION, "g", T + ahead, T, T, T + ahead)
        return RawMessage("sync", "g", msgspec.msgpack.encode(exchange))
    return RawMessage("perception", sender, draw(frame_bodies()))


def in_turn(numbers: list[int]) -> list[RawMessage]:
    return [RawMessage("perception", "g", perception(CODE, q=number, o=BLOCK)) for number in numbers]


class Taken:
    """What an ingest made of messages."""

    def __init__(self, batches: list[list[RawMessage]]) -> None:
        self.metrics = Metrics()
        self.ingest = Ingest(UNITS, {NAME: CODE.origin}, self.metrics)
        received = [self.ingest.receive(T, batch) for batch in batches]

        self.frames = sorted(frame for batch in received for frame in self._frames(batch))
        self.replies = sorted(
            (gateway, kind, msgspec.msgpack.encode(body)) for batch in received for gateway, kind, body in batch.replies
        )
        self.counters = dict(self.metrics.counters)
        self.sources = {key: dataclasses.asdict(source) for key, source in self.ingest.sources.items()}
        self.all = (self.frames, self.replies, self.counters, repr(self.sources))

    @staticmethod
    def _frames(batch: Batch) -> list[tuple[str, int, int, bytes]]:
        frames = batch.frames
        if frames is None:
            return []
        ends = frames.offsets.tolist()
        return [
            (name, t, source, frames.rows[begin:end].tobytes())
            for name, t, source, begin, end in zip(
                frames.intersections, frames.t.tolist(), frames.sources.tolist(), ends[:-1], ends[1:], strict=True
            )
        ]


def taken_in_full(batches: list[list[RawMessage]]) -> Taken:
    """Return what becomes of messages whose every frame is decoded in full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_core, "next_frames", lambda _, begin, *__: begin)
        return Taken(batches)


@settings(max_examples=300)
@given(sent=st.lists(messages(), max_size=MAX_FRAMES), cuts=st.sets(st.integers(0, MAX_FRAMES)))
def test_a_frame_is_taken_alike_in_any_split_and_by_either_way(sent: list[RawMessage], cuts: set[int]) -> None:
    sent = in_turn([0, 1]) + sent
    bounds = [0, *sorted(cut + 1 for cut in cuts if cut < len(sent) - 1), len(sent)]
    split = [sent[begin:end] for begin, end in pairwise(bounds)]
    assert Taken(split).all == taken_in_full(split).all
    one_by_one = taken_in_full([[message] for message in sent])
    if len(sent) <= MAX_FRAMES:  # of more in one batch the oldest are dropped
        assert Taken(split).all == one_by_one.all


def test_frames_in_turn_are_read_by_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    in_full = []
    whole = Ingest.perception_in_full

    def noting(ingest: Ingest, t_rx: int, raw: RawMessage) -> Any:
        in_full.append(raw)
        return whole(ingest, t_rx, raw)

    monkeypatch.setattr(Ingest, "perception_in_full", noting)
    sent = in_turn(list(range(6)))
    assert len(Taken([[message] for message in sent]).frames) == len(sent)
    assert in_full == sent[:1]


def test_a_fault_with_one_frame_takes_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = frames.Pending

    def faulty(t: int, seq: int, *rest: Any) -> frames.Pending:
        if seq == 3:
            raise MemoryError
        return whole(t, seq, *rest)

    for module in (frames, messages_of_ingest):
        monkeypatch.setattr(module, "Pending", faulty)
    taken = Taken([in_turn(list(range(6)))])
    assert len(taken.frames) == 5
    assert taken.metrics.total("fault.ingest") == 1


def test_a_rebound_gateway_is_authorised_again() -> None:
    taken = Taken([in_turn([0, 1])])
    taken.ingest.rebind({"g": {"r9": NAME}, "h": {"r1": NAME}})
    batch = taken.ingest.receive(T, in_turn([2]))
    assert batch.frames is None
    assert "speaks for r9" in batch.replies[0][2].rule


def test_a_unit_named_in_another_way_adds_no_route() -> None:
    sent = []
    for number, length in enumerate([b"\xa2", b"\xd9\x02", b"\xda\x00\x02", b"\xdb\x00\x00\x00\x02"]):
        body = perception(CODE, q=number, o=BLOCK)
        sent.append(RawMessage("perception", "g", body.replace(b"\xa1r\xa2r0", b"\xa1r" + length + b"r0")))
    taken = Taken([sent])
    assert len(taken.frames) == len(sent)
    assert len(taken.ingest.routes) == 1
