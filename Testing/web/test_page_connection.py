"""What the page itself does when its connection is lost, and with keys, in a real browser."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from .conftest import Served, Tab, serving

pytestmark = pytest.mark.slow
PRESS = """presses => {
    const sent = [], trigger = trame.trigger;
    trame.trigger = (_, [name]) => sent.push(name);
    for (const press of presses)
        document.body.dispatchEvent(new KeyboardEvent("keydown", { bubbles: true, ...press }));
    trame.trigger = trigger;
    return sent;
}"""


class Line:
    """A way to a server that can be cut as a network is: the server hears nothing of it.

    Args:
        port: of the server.

    Attributes:
        port: to connect to instead.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._whole = True
        self._ends: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        listening = asyncio.start_server(self._join, "127.0.0.1", 0)
        found = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.port = found.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Lose every connection, and let none be made."""
        self._whole = False
        for near, _ in self._ends:
            self._loop.call_soon_threadsafe(near.transport.abort)

    def mend(self) -> None:
        """Let connections be made."""
        self._whole = True

    async def _join(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        if not self._whole:
            near.transport.abort()
            return
        far_reader, far = await asyncio.open_connection("127.0.0.1", self._server)
        self._ends.append((near, far))
        await asyncio.gather(self._pass(reader, far), self._pass(far_reader, near))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(1 << 16):
                writer.write(piece)
                await writer.drain()
            if self._whole:
                writer.close()
        except OSError:
            pass


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server for two."""
    pytest.importorskip("trame_slicer", reason="the extra app is not installed")
    with serving("--max-sessions", "2") as served:
        yield served


@pytest.fixture(scope="module")
def line(server: Served) -> Line:
    """The way there."""
    return Line(urlsplit(server.url).port or 80)


@pytest.fixture(scope="module")
def tab(browser: Any, line: Line) -> Iterator[Tab]:
    """A tab at the other end of it."""
    tab = Tab(browser, f"http://127.0.0.1:{line.port}/")
    tab.page.wait_for_selector(".open-dialog")
    yield tab
    tab.page.close()


def restored(tab: Tab) -> None:
    """Wait for the page as it was left."""
    tab.page.wait_for_selector(".brand")
    assert tab.page.evaluate("trame.state.get('theme')") == "light"


def test_keys_are_left_to_a_dialog(tab):
    escape, estimate = {"key": "Escape", "code": "Escape"}, {"key": "e", "code": "KeyE"}
    question = {"key": "?", "code": "Minus", "shiftKey": True}
    assert tab.page.evaluate(PRESS, [escape, estimate, question]) == ["?"]
    tab.page.evaluate("trame.state.set('open_dialog', false)")
    tab.page.locator(".open-dialog").wait_for(state="hidden")
    assert tab.page.evaluate(PRESS, [escape, estimate, question]) == ["Escape", "KeyE", "?"]


@pytest.mark.parametrize(
    ("key", "code", "name"),
    [
        ("z", "KeyY", "KeyZ"),  # German
        ("q", "KeyA", "KeyQ"),  # French
        ("я", "KeyZ", "KeyZ"),  # Russian
        ("!", "Digit1", "shift+Digit1"),
    ],
)
def test_letters_are_those_printed_on_the_keys(tab, key, code, name):
    press = {"key": key, "code": code, "shiftKey": name.startswith("shift")}
    assert tab.page.evaluate(PRESS, [press]) == [name]


def test_a_key_that_is_held_steps_and_does_nothing_else_again(tab):
    held = [{"key": key, "code": f"Key{key.upper()}", "repeat": True} for key in "qkedjt"]
    undo = {"key": "z", "code": "KeyZ", "ctrlKey": True, "repeat": True}
    assert tab.page.evaluate(PRESS, [*held, undo]) == ["KeyQ", "ctrl+KeyZ"]


def test_the_page_loaded_anew_is_the_same_session(tab, server):
    tab.page.evaluate("trame.state.set('theme', 'light')")
    sessions = server.workers()
    tab.page.reload()
    restored(tab)
    assert server.workers() == sessions


def test_a_lost_connection_comes_back_to_its_session(tab, line, server):
    tab.page.evaluate("trame.state.set('theme', 'light')")
    address, sessions = tab.page.url, server.workers()
    line.cut()
    tab.page.wait_for_selector("text=Trying again")
    line.mend()
    restored(tab)
    assert tab.page.url == address
    assert server.workers() == sessions


def test_a_session_that_another_tab_took_over_is_left_to_it(browser, tab, line, server):
    line.cut()
    tab.page.wait_for_selector("text=Trying again")
    other = Tab(browser, server.url + urlsplit(tab.page.url).path.lstrip("/"))
    restored(other)
    line.mend()
    tab.page.wait_for_selector("text=open in another tab")
    assert len(server.workers()) == 1
    other.page.close()
    tab.page.click("text=come back")
    restored(tab)
