"""A headless Chromium that is driven over its own debugging protocol, for tests and measurements of the page. No driver
has to be installed.
"""

import asyncio
import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp  # noqa: TID251

from cloudctl.clock import MS, SECOND, stopwatch

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--mute-audio", "--no-first-run", "--disable-extensions", "--disable-background-networking",  # noqa: E501
         "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-component-update", "--disable-dev-shm-usage", "--remote-debugging-port=0")  # fmt: skip
START = 60.0  # s until it answers
PATIENCE = 60.0  # s that is waited for anything else: a guard against waiting for ever
MAX_MESSAGE = 64 * 1024 * 1024  # bytes: a screenshot is one message


class PageFailed(AssertionError):
    """The page threw an exception, or what was waited for did not come; the text names it."""


def find_browser() -> str | None:
    """Return the path of a Chromium on this machine, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page in one browser; use it in a `with`. What the page writes to its console as an error is in `errors`."""

    def __init__(self, width: int = 1440, height: int = 900, flags: Sequence[str] = ()) -> None:
        path = find_browser()
        if path is None:
            raise RuntimeError("no Chromium here: apt-get install chromium")

        self.errors: list[str] = []
        self._folder = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)

        self._process = subprocess.Popen(
            [
                path,
                *FLAGS,
                f"--user-data-dir={self._folder.name}",
                f"--window-size={width},{height}",
                *flags,
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

        self._loop = asyncio.new_event_loop()
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

        try:
            self._run(self._connect(self._address()), START)
            self.call("Page.enable")
            self.call("Runtime.enable")
            self.call("Log.enable")
            self.size(width, height)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

        if getattr(self, "_session", None) is not None:
            self._reader.cancel()
            self._loop.run_until_complete(self._session.close())

        self._loop.close()
        self._folder.cleanup()

    # --- what a test does ---

    def open(self, address: str) -> None:
        """Load a page."""
        self.call("Page.navigate", url=address)

    def size(self, width: int, height: int, mobile: bool = False, scale: float = 1.0) -> None:
        """Set the size of the page, px."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    def prefer(self, scheme: str) -> None:
        """Set the colour scheme that the system prefers: light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def run(self, script: str, timeout: float = PATIENCE) -> Any:
        """Return the value of an expression in the page; a promise is waited for. Raises PageFailed."""
        answer = self.call(
            "Runtime.evaluate", timeout=timeout, expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise PageFailed(details.get("exception", {}).get("description") or details["text"])

        return answer["result"].get("value")

    def until(self, script: str, seconds: float = PATIENCE) -> Any:
        """Return the value of an expression once it is true. Raises PageFailed when `seconds` go by first."""
        deadline = stopwatch() + int(seconds * SECOND)
        while True:
            result = self.run(
                f"(() => {{ try {{ const found = {script}; return found instanceof Node ? true : found }} catch {{"
                " return null } })()"
            )
            if result:
                return result
            if stopwatch() > deadline:
                raise PageFailed(f"within {seconds:g} s this did not become true: {script}. Errors: {self.errors[-3:]}")

            self._run(asyncio.sleep(0.03))

    def key(self, key: str) -> None:
        """Press and release a key, by its `KeyboardEvent.key`."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        for character in text:
            self.key(character)

    def click(self, x: float, y: float) -> None:
        """Press and release the left button at (x, y) px."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        """Write what the page shows as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def call(self, method: str, timeout: float = PATIENCE, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        return self._run(self._call(method, parameters), timeout)

    # --- the protocol ---

    def _run(self, work: Any, timeout: float = PATIENCE) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(work, timeout))

    def _address(self) -> str:
        assert self._process.stderr is not None
        deadline = stopwatch() + int(START * 1000) * MS
        while stopwatch() < deadline:
            line = self._process.stderr.readline().decode(errors="replace")
            match = re.search(r"DevTools listening on ws://([^/]+)/", line)
            if match:
                return match.group(1)
            if not line:
                break

        raise RuntimeError("the browser did not start")

    async def _connect(self, host: str) -> None:
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://{host}/json/list") as answer:
            pages = [row for row in json.loads(await answer.text()) if row["type"] == "page"]
        self._socket = await self._session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=MAX_MESSAGE)
        self._reader = self._loop.create_task(self._read())

    async def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        future = self._answers[self._number] = self._loop.create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        return await future

    async def _read(self) -> None:
        async for message in self._socket:
            row = json.loads(message.data)
            if "id" in row:
                future = self._answers.pop(row["id"], None)
                if future is not None and not future.done():
                    if "error" in row:
                        future.set_exception(PageFailed(str(row["error"])))
                    else:
                        future.set_result(row["result"])
            elif row["method"] == "Runtime.exceptionThrown":
                details = row["params"]["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description") or details["text"])
            elif row["method"] == "Log.entryAdded" and row["params"]["entry"]["level"] == "error":
                self.errors.append(row["params"]["entry"]["text"] + " " + row["params"]["entry"].get("url", ""))
