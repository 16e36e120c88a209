"""SPAT of a controller, as a gateway passes it on: what is good is sent, what is not is reported."""

import json

import msgspec
from spat_messages import S, T, move, row, tree

from cloudctl.client import Gateway
from cloudctl.io.zeromq import Server
from cloudctl.schema import Group, Reject, Signal
from cloudctl.signals.spat_time import SECOND
from cloudctl.signals.ydt_spat import write_ydt_spat


def test_a_gateway_sends_what_is_good_and_reports_what_is_not_once() -> None:
    now = [T]
    rejects: list[Reject] = []
    server = Server("tcp://127.0.0.1:*", None, {})
    gateway = Gateway(server.address, ["r"], now=lambda: now[0], on_reject=rejects.append)
    try:
        bad = json.dumps(tree(row(300, states=[move(1), move(2, "purple"), move(3)]), row(301, revision=400))).encode()
        places_meant = {"10/300": ("UST1.A", 5), "10/301": ("UST1.B", 5), "10/19": ("UST1.C", 7)}
        assert [gateway.spat("r", places_meant, bad) for _ in range(5)] == [1] * 5
        assert [(r.kind, r.field, r.value) for r in rejects] == [
            ("signal", "10/300 group 2: eventState", "purple"),
            ("signal", "10/301: revision", "400"),
        ]
        now[0] += 60 * SECOND
        assert gateway.spat("r", places_meant, bad) == 1
        assert len(rejects) == 4, "gone for a while, and back: a new report"
        assert (
            gateway.spat(
                "r", places_meant, write_ydt_spat(19, T, (Group(1, S.RED), Group(2, S.GREEN_PROTECTED)), region=10)
            )
            == 1
        )
        found: list[Signal] = []
        for _ in range(300):
            found += [msgspec.msgpack.decode(m.body, type=Signal) for m in server.drain(16) if m.kind == b"S"]
            if len(found) == 7:
                break
            gateway.poll(10)
        assert [(g.group, g.state) for g in found[0].groups] == [(1, S.RED), (2, S.UNKNOWN), (3, S.RED)]
        assert (found[-1].intersection, found[-1].revision, len(found[-1].groups)) == (
            "UST1.C",
            7,
            2,
        ), "YD/T 3709 gives no revision: that of the code stands in"
    finally:
        gateway.close()
        server.close()
