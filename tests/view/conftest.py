"""What the tests of the live page share: a browser, and the page of a recording in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from page_runs import SNAPSHOT, ShownRun, go_to, write_run

from bench.browser import Browser, find_browser
from cloudctl.codes import CompiledCode

NO_BROWSER = "there is no Chromium here: apt-get install chromium"


@pytest.fixture(scope="session")
def run_file(code: CompiledCode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run of SECONDS."""
    return write_run(tmp_path_factory.mktemp("run") / "run.mcap", code)


@pytest.fixture(scope="session")
def shown_run(run_file: Path) -> Iterator[ShownRun]:
    """The recorded run on its page."""
    shown = ShownRun(run_file)
    yield shown
    assert shown.close() == 0


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests of the page."""
    if find_browser() is None:
        pytest.skip(NO_BROWSER)
    with Browser() as started:
        yield started


@pytest.fixture
def page_browser(browser: Browser, shown_run: ShownRun) -> Browser:
    """The browser with the page's own files at hand, for tests of its modules."""
    if not str(browser.run("location.href")).startswith(shown_run.address.partition("#")[0]):
        browser.open(shown_run.address)
        browser.until("document.readyState === 'complete' && location.pathname === '/view/'")
    return browser


@pytest.fixture
def page(browser: Browser, shown_run: ShownRun) -> Iterator[Browser]:
    """The recorded run on a fresh page."""
    browser.size(1440, 900)
    browser.prefer("light")
    browser.open("about:blank")
    browser.errors.clear()
    browser.open(shown_run.address)
    browser.until("cloudctl.stats.firstPicture !== null")
    browser.run("cloudctl.connection.ask({exact: false, speed: 1})")
    go_to(browser, 3000)
    browser.run("cloudctl.connection.ask({play: true})")
    browser.until("cloudctl.store.player.playing")
    browser.until(f"{SNAPSHOT}.tracks.rows > 10 && cloudctl.picture.layer.shown.length > 5")
    yield browser
    assert browser.errors == []
