"""The program's own server and a real browser, once for all tests of the page."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_MS = 300_000
STOP_SECONDS = 30
DEMO_SIZE = 32
START = 19
"""Of the fields of ``/proc/…/stat`` after the name: when it was started."""


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page keeps on the disk goes with the test; a server's own process sees to its own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@dataclass
class Served:
    """A running server: where it is, its process, and what it said."""

    url: str
    process: subprocess.Popen[str]
    folder: Path

    def logs(self) -> str:
        """What all sessions wrote into their logs so far."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def workers(self) -> list[int]:
        """Process ids of the sessions, oldest first."""
        return children(self.process.pid)


def children(parent: int) -> list[int]:
    """Process ids of what a process started, oldest first; the numbers themselves begin anew."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append((int(fields[START]), int(entry.parent.name)))
    return [pid for _, pid in sorted(found)]


@contextmanager
def serving(*arguments: str) -> Iterator[Served]:
    """``serve`` on a free port; afterwards it has ended, and so have its sessions."""
    command = [sys.executable, "-m", "ElasticHyperRegLib", "serve", "--no-browser", *arguments]
    environment = {**os.environ, "TMPDIR": tempfile.mkdtemp()}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "http://" in line, process.communicate()[1]
    served = Served(line.split()[1], process, Path(environment["TMPDIR"]))
    try:
        yield served
    finally:
        workers = served.workers()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=STOP_SECONDS)
        left = os.listdir(environment["TMPDIR"])
        shutil.rmtree(environment["TMPDIR"])
    assert process.returncode == 130, error
    assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []
    assert left == [], "uploads, results or logs of a fault were left behind"


def browser_program() -> str | None:
    """Chromium, or what is built of it; ``None`` where there is none."""
    return shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    program = browser_program()
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, once for all tests."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if browser_program() is None:
        pytest.skip("no chromium; on Debian: apt-get install chromium")
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """The server with the phantom pair."""
    pytest.importorskip("trame_slicer", reason="the extra app is not installed")
    with serving("--demo", "--size", str(DEMO_SIZE), "--max-sessions", "3") as served:
        yield served


class Tab:
    """A tab of the browser with the page in it.

    Attributes:
        page: playwright's.
        errors: what the browser's console complained of.
    """

    def __init__(self, browser: Any, url: str, script: str = "") -> None:
        self.page = browser.new_page(
            viewport={"width": 1280, "height": 900}, color_scheme="dark", accept_downloads=True
        )
        self.page.add_init_script(script)
        self.page.set_default_timeout(PATIENCE_MS)
        self.errors: list[str] = []
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)

    def _listen(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    def number(self) -> int:
        """Of the answer that is shown, 0 before the first."""
        shown = self.page.locator("[data-number]")
        return int(shown.get_attribute("data-number")) if shown.count() else 0

    def settled(self, after: int = 0) -> None:
        """Wait for a final answer later than ``after``, and for what is measured then."""
        self.page.wait_for_function(
            "after => { const n = document.querySelector('[data-number]');"
            " return n && Number(n.dataset.number) > after"
            " && document.querySelector('.stage.final'); }",
            arg=after,
        )

    def tissue(self, name: str) -> Any:
        """A row of the tissue table."""
        return self.page.locator(f'[data-tissue="{name}"]')

    def weight(self, tissue: str, name: str) -> float:
        """λ or μ as the table shows it."""
        index = {"lam": 0, "mu": 1}[name]
        return float(self.tissue(tissue).locator(".weight .value").nth(index).input_value())

    def becomes(self, tissue: str, name: str, value: float) -> None:
        """Wait until the table shows a value."""
        self.page.wait_for_function(
            "([row, index, text]) =>"
            " document.querySelectorAll(`${row} .weight .value`)[index].value === text",
            arg=[f'[data-tissue="{tissue}"]', {"lam": 0, "mu": 1}[name], f"{value:.3f}"],
        )

    def drag(self, tissue: str, name: str, to: float, steps: int = 6) -> None:
        """Drag a slider to a position of 0 to 1, in several steps as a hand does."""
        place = f'[data-weight="{name}"]'
        track = self.tissue(tissue).locator(f"{place} .v-slider-track").bounding_box()
        thumb = self.tissue(tissue).locator(f"{place} .v-slider-thumb").bounding_box()
        mouse, y = self.page.mouse, track["y"] + track["height"] / 2
        mouse.move(thumb["x"] + thumb["width"] / 2, y)
        mouse.down()
        mouse.move(track["x"] + to * track["width"], y, steps=steps)
        mouse.up()

    def press(self, key: str) -> None:
        """A key, with nothing focused."""
        self.page.evaluate("document.activeElement.blur()")
        self.page.keyboard.press(key)


@pytest.fixture(scope="module")
def demo(browser: Any, server: Served) -> Iterator[Tab]:
    """A tab with the phantom pair, registered."""
    tab = Tab(browser, server.url)
    tab.settled()
    tab.page.locator("[data-message]").wait_for(state="hidden")
    yield tab
    tab.page.close()
