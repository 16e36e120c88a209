"""The page as a person uses it, in Chromium: a running node, a recording, keys, phone, both themes; axe-core finds
nothing wrong.
"""

import importlib.util
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deadlines import until
from node_process import NodeProcess
from page_runs import SNAPSHOT

from bench.browser import Browser, PageFailed
from cloudctl.clock import SECOND, WallClock
from cloudctl.codes import CompiledCode
from cloudctl.io.ports import free_port
from cloudctl.schema import Group, SignalState

MAX_FRAMES = 150  # until the car is at the end of its lane, and begins anew
PHONE = (390, 844)


def node_page(tmp_path: Path, code: CompiledCode) -> NodeProcess:
    return NodeProcess(tmp_path, code, '[http]\nbind = "127.0.0.1:0"\n')


def address_of(node: NodeProcess) -> str:
    assert node.process is not None
    assert node.process.stdout is not None
    line = node.process.stdout.readline().decode()
    assert line.startswith("live page: http://127.0.0.1:"), line
    return line.split(": ", 1)[1].strip()


def send_frame(gateway: Any, code: CompiledCode, n: int) -> None:
    """Send a car that drives along the first ingress lane, and signals."""
    lane = int((code.lane_role == 0).argmax())
    (x0, y0), (x1, y1) = code.path_xy[code.path_start[lane]].tolist(), code.path_xy[code.path_start[lane] + 1].tolist()
    share = 0.3 + 0.004 * n
    gateway.perception(
        "rsu-1",
        "camera-1",
        code.origin.lat,
        code.origin.lon,
        [{"x": x0 + share * (x1 - x0), "y": y0 + share * (y1 - y0), "class": "car"}],
    )
    t = WallClock().now()
    groups = [Group(int(g), SignalState.RED, min_end=t + 12 * SECOND, max_end=t + 18 * SECOND) for g in code.group_ids]
    gateway.signal("rsu-1", code.code.id, code.code.revision, groups)
    gateway.poll(50)


def test_a_running_node_is_watched_a_track_moves_a_refusal_appears(
    browser: Browser, code: CompiledCode, tmp_path: Path
) -> None:
    with node_page(tmp_path, code) as node, node.gateway() as gateway:
        for _ in loaded_live(browser, node, gateway, code):
            first = browser.run(f"[{SNAPSHOT}.tracks.x[0], {SNAPSHOT}.tracks.y[0]]")
            moved = f"Math.hypot({SNAPSHOT}.tracks.x[0] - {first[0]}, {SNAPSHOT}.tracks.y[0] - {first[1]}) > 1"
            shown_while_driven(browser, gateway, code, moved)
            # a band, from min to max
            band = "document.querySelector('#signals .count')?.textContent.includes('–')"
            shown_while_driven(browser, gateway, code, band)
            gateway.perception("rsu-1", "camera-1", 91.0, 0.0, [{"x": 0.0, "y": 0.0}])
            gateway.poll(200)
            browser.until("document.querySelector('#rejects .refused')")
            text = browser.run("document.querySelector('#rejects .refused').textContent")
            assert "lat, lon = 91.0, 0.0" in text
            assert "origin is not on the globe" in text
            assert "send degrees" in text
            assert browser.run("document.getElementById('state-words').textContent") == "live"


def shown_while_driven(browser: Browser, gateway: Any, code: CompiledCode, script: str) -> None:
    """Send frames of the car until an expression is true in the page: what is not seen any more is soon gone."""
    numbers = itertools.count()

    def is_shown() -> Any:
        send_frame(gateway, code, next(numbers) % MAX_FRAMES)
        return browser.run(f"(() => {{ try {{ return Boolean({script}) }} catch {{ return false }} }})()")

    until(is_shown, what=script)


def loaded_live(browser: Browser, node: NodeProcess, gateway: Any, code: CompiledCode) -> Iterator[None]:
    address = address_of(node)
    browser.size(1440, 900)
    browser.open("about:blank")
    browser.errors.clear()
    browser.open(address)
    shown_while_driven(browser, gateway, code, f"cloudctl.store.intersections.length && {SNAPSHOT}?.tracks.rows > 0")
    yield
    assert browser.errors == []


def test_the_page_says_when_the_node_is_gone_and_goes_on_when_it_is_back(
    browser: Browser, code: CompiledCode, tmp_path: Path
) -> None:

    port, token = free_port(), "token-of-this-test-0123"
    node = NodeProcess(tmp_path, code, f'[http]\nbind = "127.0.0.1:{port}"\ntoken = "{token}"\n')
    node.config.chmod(0o600)  # it holds a secret
    with node:
        assert "YOUR-TOKEN" in address_of(node)  # a token of the node's file is not printed
        browser.open("about:blank")
        browser.open(f"http://127.0.0.1:{port}/view/#token={token}")
        browser.until("cloudctl.store.intersections.length === 1")
        assert "token" not in browser.run("location.href")
    browser.until("document.getElementById('state').className !== 'live'")
    with node, node.gateway() as gateway:
        until(
            lambda: send_frame(gateway, code, 5) or browser.run("document.getElementById('state').className") == "live",
            what="the connection",
        )
    browser.open("about:blank")


def test_a_wrong_token_is_said_in_words(browser: Browser, shown_run: Any) -> None:
    browser.open("about:blank")
    browser.open(shown_run.address.partition("#")[0] + "#token=wrong")
    browser.until("document.getElementById('state-words').textContent.includes('the token is missing or wrong')")
    browser.run("sessionStorage.clear()")


def test_a_recording_is_sought_paused_and_stepped(page: Browser) -> None:
    page.run("cloudctl.player.toggle()")
    page.until("cloudctl.store.player.playing === false")
    page.run("cloudctl.player.goTo(cloudctl.store.player.begin + 12000)")
    page.until(f"Math.abs({SNAPSHOT}.t - cloudctl.store.player.begin - 12000) < 200")
    t = page.run(f"{SNAPSHOT}.t")
    page.key(".")
    page.until(f"{SNAPSHOT}.t > {t} && {SNAPSHOT}.t <= {t} + 130")
    assert page.run("document.getElementById('position').textContent").endswith("/ 0:19")
    page.run("cloudctl.player.toggle()")
    page.until(f"{SNAPSHOT}.t > {t} + 400")


def test_a_recording_is_repeated_to_the_byte(page: Browser) -> None:
    page.run("document.getElementById('exact').click(); cloudctl.player.goTo(cloudctl.store.player.begin + 6000)")
    page.until("document.getElementById('proof').textContent.startsWith('byte-identical so far')", 60)
    page.run("document.getElementById('exact').click()")
    page.until("cloudctl.store.player.exact === false")


def test_everything_can_be_done_with_keys(page: Browser) -> None:
    page.until(f"{SNAPSHOT}.tracks.rows > 10")
    page.run("document.getElementById('map').focus()")
    scale = page.run("cloudctl.camera.scale")
    page.key("+")
    assert page.run("cloudctl.camera.scale") > scale
    x = page.run("cloudctl.camera.x")
    page.key("ArrowRight")
    assert page.run("cloudctl.camera.x") > x
    page.key("0")
    assert page.run("cloudctl.camera.scale") == pytest.approx(scale)
    page.key("j")
    page.until("cloudctl.store.detail && !document.getElementById('detail').hidden")
    assert page.run("document.querySelectorAll('#detail dt').length") >= 7
    page.key("Escape")
    page.until("document.getElementById('detail').hidden")
    theme = page.run("document.documentElement.dataset.theme")
    page.key("d")
    assert page.run("document.documentElement.dataset.theme") != theme
    page.key("d")
    page.key("?")
    page.until("document.getElementById('help').open")
    page.key("Escape")


def test_search_finds_vehicles_lanes_and_intersections(page: Browser) -> None:
    page.until(f"{SNAPSHOT}.names.includes('car')")
    page.key("/")
    page.type("car")
    page.until("document.querySelector('#results li')?.textContent.startsWith('car')")
    page.key("Enter")
    page.until("document.getElementById('detail-head').textContent === 'Vehicle car'")
    page.key("/")
    page.type("no such thing")
    assert page.run("document.getElementById('results').hidden")
    page.key("Escape")
    page.key("Escape")


def test_what_strangers_write_is_only_ever_text(page: Browser) -> None:
    evil = json.dumps("<img src=x onerror=window.hacked=1><script>window.hacked=1</script>")
    row = (
        f'{{type: "reject", t: 1, sender: {evil}, kind: {evil}, seq: null, field: {evil}, value: {evil}, rule: {evil},'
        f" remedy: {evil}}}"
    )
    page.run(
        f"cloudctl.store.events([{row}, {{type: 'notice', t: 2, of: 'notice', text: {evil}}}]); cloudctl.showPanels()"
    )
    assert "<img" in page.run("document.querySelector('#rejects').textContent")
    assert page.run("document.querySelector('#rejects img, #rejects script')") is None
    assert page.run("window.hacked === undefined")


def test_names_of_vehicles_are_drawn_as_they_are_and_open_the_vehicle(page: Browser) -> None:
    page.run("cloudctl.selectVehicle('car')")
    page.until("cloudctl.store.detail?.vehicle === 'car'")
    page.until(
        "document.getElementById('detail').textContent.includes('Advised') &&"
        " document.getElementById('detail').textContent.includes('its reports to node')"
    )
    page.key("Escape")


# --- phone, themes, accessibility ---


def axe(browser: Browser) -> list[str]:
    """Return what axe-core finds wrong with the page as it is, a line each."""
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("axe-core is not installed: make test installs it")
    browser.run((Path(spec.submodule_search_locations[0]) / "axe.min.js").read_text() + "; true")
    found = json.loads(
        browser.run("axe.run(document, {resultTypes: ['violations']}).then((r) => JSON.stringify(r.violations))", 60)
    )
    return [
        f"{row['id']}: {row['help']}: {node['html'][:120]}: {node['failureSummary'][:200]}"
        for row in found
        for node in row["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["intersection", "track", "zone", "help", "phone", "refused"])
def test_axe_core_finds_nothing_wrong(page: Browser, scheme: str, view: str) -> None:
    page.prefer(scheme)
    page.until(f"document.documentElement.dataset.theme === '{scheme}'")
    page.until("document.querySelector('#sensors table')")
    if view == "track":
        page.key("j")
        page.until("!document.getElementById('detail').hidden")
    elif view == "zone":
        page.run("cloudctl.camera.move(0, 0, 0.1)")
        page.until("document.querySelector('#overview table')")
    elif view == "help":
        page.key("?")
    elif view == "phone":
        page.size(*PHONE, mobile=True)
    elif view == "refused":
        page.run("cloudctl.store.events([{type: 'reject', t: 1, sender: 's', kind: 'k', seq: 1, field: 'f', value: 'v', rule: 'r', remedy: 'm'}, "  # noqa: E501
                 "{type: 'notice', t: 1, of: 'fault', text: 'f'}, {type: 'advisory', t: 1, index: 0, id: 'a', kind: 'red_light', target: 'vehicle:x', severity: 0, "  # noqa: E501
                 "reason: 'r', valid_until: 1e15, speed: null, distance: 3, behaviour: 'stop', tracks: []}]); cloudctl.showPanels()")  # fmt: skip  # noqa: E501
    assert axe(page) == []
    if view == "help":
        page.key("Escape")


def test_on_a_phone_nothing_is_wider_than_the_screen_and_the_map_comes_first(page: Browser) -> None:
    page.size(*PHONE, mobile=True, scale=2.0)
    page.until("innerWidth === 390 && document.getElementById('map').clientWidth === 390")
    assert page.run("document.documentElement.scrollWidth") <= 390
    assert page.run("document.getElementById('map').getBoundingClientRect().bottom") < 844
    assert page.run("getComputedStyle(document.getElementById('legend')).display") == "none"
    small = page.run(
        "[...document.querySelectorAll('header button, header select, footer button, footer select')].filter((e) =>"
        " e.offsetHeight && e.offsetHeight < 36).length"
    )
    assert small == 0


def test_the_browser_reports_what_goes_wrong_in_the_page(browser: Browser, shown_run: Any) -> None:
    browser.open(shown_run.address)
    browser.until("window.cloudctl !== undefined")
    with pytest.raises(PageFailed, match="nothing_of_the_kind"):
        browser.run("nothing_of_the_kind")
    browser.run("setTimeout(() => { throw new Error('meant to be seen') }); 1")
    until(lambda: browser.run("1") and any("meant to be seen" in text for text in browser.errors), what="the error")
    browser.errors.clear()
