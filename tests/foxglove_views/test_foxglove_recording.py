"""Recordings with Foxglove channels, read with the mcap package alone, as another person's viewer does."""

import json
import math
from pathlib import Path

import pytest
from deadlines import until
from foxglove_messages import check
from gateway_frames import accepted
from mcap.reader import SeekingReader
from node_process import NodeProcess
from paths import GOLDEN
from recorded_runs import of_run, official

from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.io.recording.chunks import IndexedRun
from cloudctl.io.recording.reader import Recording
from cloudctl.io.recording.setup import setup_of
from cloudctl.recordings.cut import CutRequest, cut
from cloudctl.recordings.foxglove import add_views
from cloudctl.replay import replay


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("views") / "run.mcap"
    add_views(GOLDEN, out)
    return out


def views(path: Path) -> list[tuple]:
    """Return (leaf of the topic, schema name, value, log time, publish time) of each Foxglove message, each checked
    against its schema."""
    found = []
    with path.open("rb") as file:
        reader = SeekingReader(file, validate_crcs=True)
        for schema, channel, message in reader.iter_messages():
            if channel.topic.startswith("foxglove/"):
                assert schema is not None
                assert (schema.encoding, channel.message_encoding) == ("jsonschema", "json")
                value = check(schema.name, schema.data, message.data)
                found.append(
                    (channel.topic.rpartition("/")[2], schema.name, value, message.log_time, message.publish_time)
                )
    return found


def test_every_channel_has_its_schema_and_fits_the_published_one(viewed: Path) -> None:
    assert {leaf: name for leaf, name, *_ in views(viewed)} == {
        "frame": "foxglove.FrameTransform",
        "location": "foxglove.LocationFix",
        "geojson": "foxglove.GeoJSON",
        "map": "foxglove.SceneUpdate",
        "tracks": "foxglove.SceneUpdate",
        "signals": "foxglove.SceneUpdate",
        "signal_states": "cloudctl.SignalStates",
        "advisories": "foxglove.Log",
    }


def test_tracks_are_boxes_where_the_engine_has_them_at_the_time_they_are_of(viewed: Path) -> None:
    recording = Recording(GOLDEN)
    config, codes = setup_of(recording)
    engine = Engine(codes, config)
    expected = {}
    for step in recording.steps():
        for intersection in engine.step(step.t, step.batch).planned:
            world = intersection.latest
            expected[world.t] = {f"track {row['id']}": row for row in world.tracks}
    scenes = [entry for entry in views(viewed) if entry[0] == "tracks"]
    assert len(scenes) == len(expected)
    for _, _, scene, log_time, published in scenes:
        tracks = expected[published]
        assert log_time == published
        assert {entity["id"] for entity in scene["entities"]} == set(tracks)
        for entity in scene["entities"]:
            track = tracks[entity["id"]]
            (box,) = entity["cubes"]
            assert entity["timestamp"]["sec"] * 10**9 + entity["timestamp"]["nsec"] == published
            position, turn = box["pose"]["position"], box["pose"]["orientation"]
            assert (position["x"], position["y"]) == pytest.approx((track["x"], track["y"]), abs=6e-4)
            assert 2 * math.atan2(turn["z"], turn["w"]) == pytest.approx(track["heading"], abs=3e-5)
            assert (box["size"]["x"], box["size"]["y"]) == pytest.approx((track["length"], track["width"]), abs=6e-4)


def test_the_map_has_every_lane_and_advisories_are_lines_of_a_log(viewed: Path) -> None:
    found = views(viewed)
    (scene,) = [value for leaf, _, value, *_ in found if leaf == "map"]
    code = setup_of(IndexedRun(GOLDEN))[1][0]
    names = {entity["id"] for entity in scene["entities"]}
    assert names >= {f"lane {lane.id}" for lane in code.lanes} | {f"connection {one.id}" for one in code.connections}
    (shapes,) = [json.loads(value["geojson"]) for leaf, _, value, *_ in found if leaf == "geojson"]
    assert shapes["type"] == "FeatureCollection"
    (place,) = [value for leaf, _, value, *_ in found if leaf == "location"]
    assert (place["latitude"], place["longitude"]) == (code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
    lines = [value for leaf, _, value, *_ in found if leaf == "advisories"]
    recorded = [json.loads(data) for topic, _, data in official(GOLDEN) if topic == "out/advisories"]
    assert [line["file"] for line in lines] == [advisory["id"] for advisory in recorded]
    assert all(advisory["reason"] in line["message"] for line, advisory in zip(lines, recorded, strict=True))


def test_signals_show_their_states(viewed: Path) -> None:
    states = [value for leaf, _, value, *_ in views(viewed) if leaf == "signal_states"]
    groups = [group for value in states for group in value["groups"]]
    assert {group["state"] for group in groups} == {"RED"}  # of which the scene says that it ends in 12 s
    assert all(11.5 <= group["likely_end"] <= 12.0 for group in groups)
    scenes = [value for leaf, _, value, *_ in views(viewed) if leaf == "signals"]
    colors = [line["color"] for value in scenes for entity in value["entities"] for line in entity["lines"]]
    assert colors
    assert all(color["r"] > 0.8 > 0.3 > color["g"] for color in colors)


def test_the_run_with_views_replays_to_the_same_bytes_and_is_the_run_without_them(viewed: Path) -> None:
    assert replay(viewed).identical
    own = [entry for entry in of_run(viewed) if not entry[0].startswith("foxglove/")]
    assert own == of_run(GOLDEN)


def test_cuts_keep_the_schemas(tmp_path: Path, viewed: Path) -> None:
    cut(viewed, tmp_path / "cut.mcap", CutRequest(topics=("foxglove/*",)))
    assert views(tmp_path / "cut.mcap") == views(viewed)
    written = cut(viewed, tmp_path / "without.mcap", CutRequest(topics=("in/*", "out/*")))
    assert written.is_prefix
    assert of_run(tmp_path / "without.mcap") == of_run(GOLDEN)


def test_a_node_records_them_where_its_file_asks_for_it(tmp_path: Path, code: CompiledCode) -> None:
    node = NodeProcess(tmp_path, code, record="run.mcap")
    node.config.write_text(
        node.config.read_text().replace("[record]\n", "[record]\nfoxglove = true\npart_mb = 0.0625\n")
    )
    with node, node.gateway() as gateway:
        accepted(node, gateway, 5)
        until(lambda: node.count("fault.recorder") == 0, what="no fault")
    files = sorted(tmp_path.glob("run*.mcap"))
    leaves = [{leaf for leaf, *_ in views(path)} for path in files]
    assert set.union(*leaves) >= {"map", "frame", "location", "geojson", "tracks", "signal_states"}
    assert "map" in leaves[0]
    assert replay(files[0]).identical
