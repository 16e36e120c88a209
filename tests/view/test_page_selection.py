"""What a click on the page selects, and what stays selected when a recording jumps, in Chromium."""

import json

import numpy as np
import pytest
from page_runs import SNAPSHOT, go_to

from bench.browser import Browser

# Where a road user is that nothing lies over: [x, y, its number]; null where there is none.
CLICKABLE = """(() => {
  const map = document.getElementById("map");
  const { left, top } = map.getBoundingClientRect();
  const clear = ({ px, py }) => document.elementFromPoint(left + px, top + py) === map;
  const found = cloudctl.picture.layer.shown.find(clear);
  return found ? [left + found.px, top + found.py, found.id] : null;
})()"""


def test_a_click_selects_what_is_under_it(page: Browser) -> None:
    page.run("cloudctl.connection.ask({play: false})")
    page.until("cloudctl.store.player.playing === false && cloudctl.picture.layer.shown.length > 5 && !cloudctl.dirty")
    spot = page.until(CLICKABLE)
    page.click(spot[0], spot[1])
    page.until(f"cloudctl.selected?.[1] === {spot[2]}")
    page.key("Escape")


HIT = """(async () => {
  const { TrackLayer } = await import("./tracks.js");
  const layer = new TrackLayer();
  layer.shown = ROWS;
  return layer.shown.map(({ px, py }) => layer.hit(px, py)?.id ?? null);
})()"""


def test_a_click_on_the_middle_of_a_road_user_selects_it_however_many_and_large_ones_are_around(page: Browser) -> None:
    random = np.random.default_rng(19)
    for _ in range(20):
        count = 40
        rows = [
            {"id": k, "index": 0, "px": x, "py": y, "heading": heading, "halfLength": length, "halfWidth": width}
            for k, (x, y, heading, length, width) in enumerate(
                zip(
                    random.uniform(0, 120, count).tolist(),
                    random.uniform(0, 120, count).tolist(),
                    random.uniform(-4, 4, count).tolist(),
                    random.choice([3.5, 9.0, 11.5, 57.0], count).tolist(),
                    random.uniform(1.5, 12.5, count).tolist(),
                    strict=True,
                )
            )
        ]
        assert page.run(HIT.replace("ROWS", json.dumps(rows))) == list(range(count))


@pytest.mark.parametrize(
    ("at", "hit"),
    [
        ((50, 50), 1),
        ((50, 57), 1),
        ((50, 38.6), 2),
        ((50, 12), 2),
        ((64, 12), 2),
        ((50, 0), 2),
        ((50, -16), None),
        ((79, 50), None),
    ],
)
def test_a_click_beside_a_road_user_is_for_the_nearest_edge_and_far_away_for_nobody(
    page: Browser, at: tuple[float, float], hit: int | None
) -> None:
    """A pedestrian at (50, 50), and a bus above it that points upwards, 40 px long and 12 px wide."""
    rows = [
        {"id": 1, "px": 50, "py": 50, "heading": 0.3, "halfLength": 4, "halfWidth": 4},
        {"id": 2, "px": 50, "py": 20, "heading": np.pi / 2, "halfLength": 20, "halfWidth": 6},
    ]
    script = HIT.replace("ROWS", json.dumps(rows)).replace(
        "px, py }) => layer.hit(px, py)", f"}}) => layer.hit({at[0]}, {at[1]})"
    )
    assert page.run(script)[0] == hit


def test_a_click_is_for_what_was_under_it_when_it_was_pressed(page: Browser) -> None:
    page.run("cloudctl.connection.ask({play: false})")
    page.until("cloudctl.store.player.playing === false && !cloudctl.dirty")
    spot = page.until(CLICKABLE)
    mouse = {"x": spot[0], "y": spot[1], "button": "left", "clickCount": 1}
    page.call("Input.dispatchMouseEvent", type="mousePressed", **mouse)
    page.run("cloudctl.camera.move(cloudctl.camera.x + 60, cloudctl.camera.y + 45); cloudctl.dirty = true")
    page.until("!cloudctl.dirty")  # the picture is another one
    page.call("Input.dispatchMouseEvent", type="mouseReleased", **mouse)
    page.until(f"cloudctl.selected?.[1] === {spot[2]}")
    page.key("Escape")


def test_after_a_jump_a_selected_vehicle_is_found_by_its_name_and_no_other_selection_is_kept(page: Browser) -> None:
    page.run("cloudctl.connection.ask({play: false})")
    page.until(f"cloudctl.store.player.playing === false && {SNAPSHOT}.names.includes('car')")
    page.run("cloudctl.selectVehicle('car')")
    page.until("cloudctl.store.detail?.vehicle === 'car'")
    go_to(page, 9000)
    page.until("cloudctl.store.detail?.vehicle === 'car' && cloudctl.followed === 'car'")

    row = page.run(f"{SNAPSHOT}.tracks.connected.indexOf(0)")
    page.run(f"cloudctl.select([0, {SNAPSHOT}.tracks.id[{row}]])")
    page.until("cloudctl.store.detail && !cloudctl.store.detail.vehicle")
    go_to(page, 5000)
    assert page.run("cloudctl.selected") is None
    page.until("document.getElementById('detail').hidden")
