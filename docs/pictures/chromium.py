"""A headless Chromium, driven by its DevTools protocol: just what taking pictures of pages needs."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
from websockets.sync.client import ClientConnection, connect

READY_WITHIN_S = 120.0
POLL_S = 0.1
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


LEFT = "Inspected target navigated or closed"
"""What the browser says of a script whose page is no longer there."""


class Page:
    """One page of a browser of its own, for the length of a `with` block.

    Args:
        width, height: of its window, in CSS pixels.

    Attributes:
        events: what the browser said unasked, of the domains that were enabled, as the protocol has it.
    """

    def __init__(self, width: int, height: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._size = (width, height)
        self._numbers = itertools.count(1)
        self._socket: ClientConnection
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start the browser.

        Raises:
            RuntimeError: there is none, or it does not get ready.
        """
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            raise RuntimeError("no chromium on PATH: install it, the pictures are taken with it")
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            width, height = self._size
            argv = [program, *FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"]
            browser = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(browser.wait)
            stack.callback(browser.terminate)
            port = _port(Path(folder))
            target = httpx.put(f"http://127.0.0.1:{port}/json/new?about:blank", timeout=READY_WITHIN_S).json()
            self._socket = stack.enter_context(
                connect(
                    target["webSocketDebuggerUrl"],
                    max_size=None,
                    open_timeout=READY_WITHIN_S,
                    ping_timeout=None,
                )
            )
            self.ask("Page.enable")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, method: str, **told: Any) -> Any:
        """Call a method of the protocol and return its result.

        Raises:
            RuntimeError: the browser refused; the words are its own.
        """
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": told}))
        while (answer := json.loads(self._socket.recv(timeout=READY_WITHIN_S))).get("id") != number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, url: str) -> None:
        """Go to an address."""
        self.ask("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Run JavaScript in the page and return its value.

        Raises:
            RuntimeError: the script failed.
        """
        done = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(f"{script}: {done['exceptionDetails']['exception']['description']}")
        return done["result"].get("value")

    def wait_for(self, script: str, within_s: float = READY_WITHIN_S) -> Any:
        """Wait until a script's value is true, and return it; a page that is left meanwhile has none.

        Raises:
            RuntimeError: it was not in time.
        """
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            try:
                if value := self.run(script):
                    return value
            except RuntimeError as error:
                if LEFT not in str(error):
                    raise
            time.sleep(POLL_S)
        raise RuntimeError(f"not within {within_s:g} s: {script}")

    def picture(self, file: Path, height: int | None = None) -> None:
        """Write what is seen, or the first `height` pixels of the page, to a PNG file."""
        told: dict[str, Any] = {}
        if height is not None:
            clip = {"x": 0, "y": 0, "width": self._size[0], "height": height, "scale": 1}
            told = {"clip": clip, "captureBeyondViewport": True}
        file.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png", **told)["data"]))


def _port(folder: Path) -> int:
    """Return the port that the browser chose, once it says so."""
    file = folder / "DevToolsActivePort"
    end_s = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < end_s:
        if file.exists() and (lines := file.read_text("utf-8").splitlines()):
            return int(lines[0])
        time.sleep(POLL_S)
    raise RuntimeError(f"chromium did not open its DevTools port within {READY_WITHIN_S:g} s")
