"""The API over HTTP: what it shows is what the engine knows, encoded once a plan and only when asked; what it refuses,
it refuses in words.
"""

import json
from typing import Any

import numpy as np
import pytest
from served_node import BEARER, ServedNode, serve

from bench.scene import Scene
from cloudctl.codes import CompiledCode
from cloudctl.fusion import TRACK
from cloudctl.schema import ObjectClass, SignalState

VIEWS = ("", "/tracks", "/signals", "/traffic", "/advisories", "/sensors")


@pytest.fixture
def node(code: CompiledCode) -> ServedNode:
    served = ServedNode(code)
    served.step(60)
    return served


async def asked(client: Any, path: str, status: int = 200, **headers: str) -> Any:
    async with client.get(path, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


def test_tracks_are_those_of_the_newest_plan_column_by_column(node: ServedNode, code: CompiledCode) -> None:
    async def act(client: Any) -> None:
        place = node.engine.intersections[code.code.id]
        found = await asked(client, f"/intersections/{code.code.id}/tracks")
        world = place.latest
        assert world is not None
        assert (found["t"], found["revision"], len(found["tracks"])) == (world.t, code.code.revision, len(world.tracks))
        assert len(found["tracks"]) >= 25

        for name in ("id", "x", "y", "vx", "vy", "heading", "length", "width", "height", "existence", "var_x"):
            values = [row[name] if row[name] is not None else np.nan for row in found["tracks"]]
            assert np.allclose(values, world.tracks[name], atol=1e-3, equal_nan=True), name
        for row, track in zip(found["tracks"], world.tracks, strict=True):
            assert row["kind"] == ObjectClass(track["class"]).name.lower()
            assert row["last_seen"] == track["last"]
            assert row["sensors"]
            east, north = code.origin.to_local(row["lat"], row["lon"])
            assert (east, north) == pytest.approx((row["x"], row["y"]), abs=0.01)
        on_lanes = [row for row in found["tracks"] if row["lane"]]
        assert on_lanes
        assert {row["lane"] for row in on_lanes} <= {*code.lane_ids, *code.conn_ids}
        assert all(row["s"] is not None for row in on_lanes)

    serve(node, act)


def test_signals_show_states_and_ends_of_every_group(node: ServedNode, code: CompiledCode) -> None:
    async def act(client: Any) -> None:
        found = await asked(client, f"/intersections/{code.code.id}/signals")
        place = node.engine.intersections[code.code.id]
        assert [row["group"] for row in found["groups"]] == code.group_ids.tolist()
        assert [row["state"] for row in found["groups"]] == [
            SignalState(state).name.lower() for state in place.signals.state.tolist()
        ]
        known = [row for row in found["groups"] if row["max_end"] is not None]
        assert known
        assert all(row["max_end"] > found["t"] - 10**10 for row in known)
        assert found["revision"] == code.code.revision

    serve(node, act)


def test_advisories_are_the_ones_given_that_are_still_valid(code: CompiledCode) -> None:
    served = ServedNode(code)
    scene = Scene(code, 30)
    given: dict[tuple[str, str], Any] = {}
    for t, batch in scene.run(20.0):
        served.clock.advance(t)
        for advisory in served.engine.step(t, batch).advisories:
            given[advisory.target, advisory.kind] = advisory
    place = served.engine.intersections[code.code.id]
    assert place.latest is not None
    valid = {advisory.id for advisory in given.values() if advisory.valid_until > place.latest.t}

    async def act(client: Any) -> None:
        found = await asked(client, f"/intersections/{code.code.id}/advisories")
        assert {row["id"] for row in found["advisories"]} == valid
        severities = [row["severity"] for row in found["advisories"]]
        assert severities == sorted(severities)
        assert all(row["reason"] for row in found["advisories"])

    serve(served, act)


def test_advisories_end_without_a_further_plan(node: ServedNode, code: CompiledCode) -> None:
    place = node.engine.intersections[code.code.id]

    async def ids(client: Any) -> set[str]:
        found = await asked(client, f"/intersections/{code.code.id}/advisories")
        return {row["id"] for row in found["advisories"]}

    async def act(client: Any) -> None:
        while not place.advisory_filter.valid(node.clock.now()):
            node.step()
        ends = {row.id: row.valid_until for row in place.advisory_filter.valid(node.clock.now())}
        assert await ids(client) == ends.keys()
        for end in sorted(ends.values()):
            node.clock.advance(end)
            assert await ids(client) == {name for name, until in ends.items() if until > end}

    serve(node, act)


def test_traffic_sensors_and_gateways_are_what_the_node_knows_of_them(node: ServedNode, code: CompiledCode) -> None:
    async def act(client: Any) -> None:
        place = f"/intersections/{code.code.id}"
        assert (await asked(client, f"{place}/traffic"))["report"] is None
        node.step(300)
        report = (await asked(client, f"{place}/traffic"))["report"]
        assert report["intersection"] == code.code.id
        assert report["lanes"]

        sensors = (await asked(client, f"{place}/sensors"))["sensors"]
        assert {row["name"].partition("/")[0] for row in sensors} == {"r0", "r1", "r2"}
        assert all(row["hz"] > 5 for row in sensors)

        (gateway,) = (await asked(client, "/gateways"))["gateways"]
        assert (gateway["name"], gateway["connected"]) == ("g", True)
        assert gateway["rsus"] == {"r0": code.code.id, "r1": code.code.id, "r2": code.code.id}
        node.clock.advance(node.clock.now() + 11 * 10**9)
        (gateway,) = (await asked(client, "/gateways"))["gateways"]
        assert gateway["connected"] is False

    serve(node, act)


def test_before_the_first_plan_everything_is_empty_and_nothing_is_missing(code: CompiledCode) -> None:
    async def act(client: Any) -> None:
        for view in VIEWS:
            found = await asked(client, f"/intersections/{code.code.id}{view}")
            assert found.get("t") is None
        listed = await asked(client, "/intersections")
        assert (listed["total"], listed["intersections"][0]["planned"]) == (1, None)

    serve(ServedNode(code), act)


def test_nobody_asking_costs_nothing_and_a_plan_is_encoded_once_however_many_ask(
    node: ServedNode, code: CompiledCode
) -> None:
    async def act(client: Any) -> None:
        assert node.http.api.encoded == 0
        path = f"/intersections/{code.code.id}/tracks"
        answers = [await client.get(path) for _ in range(5)]
        assert len({answer.headers["ETag"] for answer in answers}) == 1
        assert node.http.api.encoded == 1

        node.step(5)
        assert node.http.api.encoded == 1
        assert (await client.get(path)).headers["ETag"] != answers[0].headers["ETag"]
        assert node.http.api.encoded == 2

    serve(node, act)


@pytest.mark.parametrize("view", VIEWS)
def test_an_answer_that_is_unchanged_is_not_sent_again(node: ServedNode, code: CompiledCode, view: str) -> None:
    async def act(client: Any) -> None:
        path = f"/intersections/{code.code.id}{view}"
        answer = await client.get(path)
        tag = answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "private, no-cache"
        for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
            again = await client.get(path, headers={"If-None-Match": known})
            assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)
        assert (await client.get(path, headers={"If-None-Match": '"other"'})).status == 200
        head = await client.head(path)
        assert (head.status, head.headers["ETag"], await head.read()) == (200, tag, b"")
        assert int(head.headers["Content-Length"]) == int(answer.headers["Content-Length"])

    serve(node, act)


@pytest.mark.parametrize(
    ("method", "path", "status", "field"),
    [
        ("GET", "/intersections/nowhere/tracks", 404, "id"),
        ("GET", "/intersections/nowhere", 404, "id"),
        ("GET", "/intersections/%00%ff/tracks", 404, "id"),
        ("GET", "/intersections/ID/nothing", 404, "path"),
        ("GET", "/", 404, "path"),
        ("GET", "/intersections?limit=0", 400, "limit"),
        ("GET", "/intersections?limit=501", 400, "limit"),
        ("GET", "/intersections?offset=-1", 400, "offset"),
        ("GET", "/intersections?offset=1e3", 400, "offset"),
        ("GET", "/intersections?offset=\u0663", 400, "offset"),  # a digit, but not one of ASCII
        ("GET", "/intersections?offset=", 400, "offset"),
        ("GET", "/intersections?offset=1&offset=2", 400, "offset"),
        ("GET", "/intersections?page=1", 400, "page"),
        ("GET", "/intersections/ID/tracks?x=1", 400, "x"),
        ("GET", "/metrics?by=vehicle", 400, "by"),
        ("GET", "/metrics?by=total&by=source", 400, "by"),
        ("GET", "/metrics?source=1", 400, "source"),
        ("POST", "/intersections", 405, "method"),
        ("DELETE", "/intersections/ID/tracks", 405, "method"),
        ("PUT", "/metrics", 405, "method"),
        ("TRACE", "/health", 405, "method"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_field_value_rule_and_remedy(
    node: ServedNode, code: CompiledCode, method: str, path: str, status: int, field: str
) -> None:
    async def act(client: Any) -> None:
        async with client.request(method, path.replace("ID", code.code.id)) as answer:
            assert answer.status == status
            assert answer.content_type == "application/problem+json"
            row = json.loads(await answer.read())
            assert (row["status"], row["field"]) == (status, field)
            assert row["title"]
            assert row["rule"]
            assert row["remedy"]
            if status == 405:
                assert "GET" in answer.headers["Allow"]
        assert (await client.get("/health")).status == 200

    serve(node, act)


@pytest.mark.parametrize(
    "path", ["/intersections", "/gateways", "/metrics", "/openapi.json", "/intersections/x/tracks"]
)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
def test_everything_live_needs_the_token(node: ServedNode, path: str, headers: dict[str, str]) -> None:
    async def act(client: Any) -> None:
        async with client.get(path) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert (await answer.json())["field"] == "token"
        async with client.get(path, headers=BEARER) as answer:
            assert answer.status in (200, 404)

    serve(node, act, headers)


def test_lists_are_given_in_parts_that_are_the_whole_together(code: CompiledCode) -> None:
    from cloudctl.settings import EngineConfig

    gateways = {f"g{k}": {f"r{k}": code.code.id} for k in range(25)}

    async def act(client: Any) -> None:
        names = []
        for offset in range(0, 30, 10):
            part = await asked(client, f"/gateways?offset={offset}&limit=10")
            assert (part["total"], part["offset"], part["limit"]) == (25, offset, 10)
            names += [row["name"] for row in part["gateways"]]
        assert names == list(gateways)

    serve(ServedNode(code, EngineConfig(gateways)), act)


def test_every_column_of_a_track_is_shown_or_left_out_on_purpose() -> None:
    from cloudctl.api.schema import Track

    left_out = {"t", "yaw_rate", "var_vx", "var_vy", "cov_vxvy", "status"}  # of use to the tracker and the planner
    renamed = {"class": "kind", "class_p": "kind_p", "sources": "sensors", "last": "last_seen", "vehicle": "vehicle"}
    assert TRACK.names is not None
    shown = {renamed.get(name, name) for name in TRACK.names if name not in left_out}
    assert shown <= set(Track.__struct_fields__)
