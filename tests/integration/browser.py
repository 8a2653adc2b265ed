"""Chromium without a window, driven through its debugging pipe: what a page shows, and what it asks for."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)
END = b"\0"


def find_chromium() -> str:
    """Its path, or nothing."""
    return next(filter(None, map(shutil.which, NAMES)), "")


@dataclass
class Browser:
    """One tab."""

    orders: IO[bytes]
    answers: IO[bytes]
    session: str = ""
    number: int = 0
    requests: list[str] = field(default_factory=list)
    """The address of everything that was asked for since the page was opened."""
    complaints: list[str] = field(default_factory=list)
    """What the browser wrote into its console."""

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self.number += 1
        order = {"id": self.number, "method": method, "params": parameters}
        self.orders.write(json.dumps({**order, **({"sessionId": self.session} if self.session else {})}).encode() + END)
        self.orders.flush()
        while True:
            answer = self._hear()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _hear(self) -> dict[str, Any]:
        heard = bytearray()
        while (byte := self.answers.read(1)) != END:
            assert byte, f"the browser has ended: {heard.decode()}"
            heard += byte
        answer = dict(json.loads(heard))
        parameters = answer.get("params", {})
        if answer.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        if answer.get("method") == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])
        if answer.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters))
        return answer

    def open(self, file: Path) -> None:
        """Show a file; returns when all of it is there."""
        self.requests.clear()
        self.complaints.clear()
        self.call("Page.navigate", url=file.as_uri())
        while self._hear().get("method") != "Page.loadEventFired":
            pass

    def look(self, *, width: int, dark: bool, paper: bool = False) -> None:
        """On a screen of this width, or as it would be printed."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media="print" if paper else "screen", features=features)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)

    def value(self, expression: str) -> object:
        """Of JavaScript that the test runs, with rights that the page itself does not have."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def picture(self) -> bytes:
        """All of the page as PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(str(answer["data"]))


@contextmanager
def browsing(program: str, profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile, which ends with the block."""
    from_us, orders = os.pipe()
    answers, to_us = os.pipe()
    # Chromium reads orders from descriptor 3 and answers on 4; which ones are free here is not known.
    script = f'exec "$@" 3<&{from_us} 4>&{to_us}'
    words = ["bash", "-c", script, "bash", program, *FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(words, pass_fds=(from_us, to_us), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(from_us)
    os.close(to_us)
    with os.fdopen(orders, "wb") as writer, os.fdopen(answers, "rb") as reader:
        try:
            browser = Browser(orders=writer, answers=reader)
            target = browser.call("Target.createTarget", url="about:blank")["targetId"]
            browser.session = str(browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
            for domain in ("Page", "Network", "Log", "Runtime"):
                browser.call(f"{domain}.enable")
            yield browser
        finally:
            process.terminate()
            process.wait(timeout=30)
