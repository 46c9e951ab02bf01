"""One process for each tab: started, found again by its name, closed, and never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web as http

from .options import Limits, PageOptions

PACKAGE = Path(__file__).resolve().parents[1]
START_SECONDS = 300.0
STOP_SECONDS = 5.0
ANSWER_SECONDS = 2.0
FAULT_SECONDS = 15.0
"""For so long the user can read what went wrong."""
KEY_HEADER = "X-Worker-Key"


class Full(Exception):
    """As many sessions are open as there may be."""


@dataclass(eq=False)
class Tab:
    """A tab's connection.

    Attributes:
        request: that it began with.
        socket: what it became.
        heard: set when the tab answers ``answers``.
    """

    request: http.Request
    socket: http.WebSocketResponse
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def answers(self) -> bool:
        """Whether the tab is there: of one whose network went away nothing is heard."""

        async def ask() -> None:
            self.heard.clear()
            await self.socket.ping()
            await self.heard.wait()

        try:
            await asyncio.wait_for(ask(), ANSWER_SECONDS)
        except (asyncio.TimeoutError, ConnectionError):
            return False
        return True

    async def close(self) -> None:
        """Say that the session is closed."""
        with suppress(asyncio.TimeoutError):  # nobody may be there to hear it
            closing = self.socket.close(code=1001, message=b"session closed")
            await asyncio.wait_for(closing, ANSWER_SECONDS)

    def drop(self) -> None:
        """End the connection at once."""
        if self.request.transport is not None:
            self.request.transport.abort()


@dataclass(eq=False)
class Worker:
    """The process behind one tab.

    Attributes:
        name: unguessable; part of the tab's address, which trame puts into lower case.
        key: what the worker asks of every request, so that only the front can speak to it.
        place: folder of all its files, uploads too; removed at the end.
        log: where its standard error goes; kept after a fault.
        url: where it listens, once it is ready.
        tab: the tab's connection, where there is one.
        attended: whether there is a tab, or one that went without a word and may come back.
        seen: time of the last input, on the monotonic clock.
        listening: to the process.
    """

    name: str
    key: str
    place: Path
    log: Path
    ready: asyncio.Task[str] | None = None
    process: asyncio.subprocess.Process | None = None
    tab: Tab | None = None
    attended: bool = False
    seen: float = field(default_factory=time.monotonic)
    listening: asyncio.Task[None] | None = None

    def touch(self) -> None:
        """Note that the user did something, or waits for something."""
        self.seen = time.monotonic()

    @property
    def ended(self) -> bool:
        """Whether it could not start, or its process has come to an end."""
        if self.ready is None or not self.ready.done():
            return False
        gone = self.process is None or self.process.returncode is not None
        return gone or self.ready.cancelled() or self.ready.exception() is not None

    async def start(self, page: PageOptions) -> str:
        """Start the process; its address once it answers.

        Raises:
            OSError: it did not come up.
        """
        with self.log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"{__package__}.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment(self.place),
                start_new_session=True,  # Ctrl-C in the terminal is for the front, which stops it
            )
        tell, told = self.process.stdin, self.process.stdout
        if tell is None or told is None:
            raise OSError("the session's process has no pipes")
        given = {"key": self.key, "place": str(self.place), **page.to_json()}
        tell.write(json.dumps(given).encode() + b"\n")
        await tell.drain()
        line = await asyncio.wait_for(told.readline(), START_SECONDS)
        if not line:
            raise OSError(f"a session's process did not start; its log is {self.log}")
        self.listening = asyncio.create_task(self.listen(told))
        return f"http://127.0.0.1:{json.loads(line)['port']}"

    async def listen(self, told: asyncio.StreamReader) -> None:
        """Count what the process says, which is that it is busy, as input of the tab."""
        async for _ in told:
            if self.attended:
                self.touch()

    async def stop(self) -> None:
        """End the process: it leaves by itself when its input is closed, or is killed."""
        if self.ready is not None and not self.ready.done():
            self.ready.cancel()
            with suppress(asyncio.CancelledError):
                await self.ready
        if self.tab is not None:
            await self.tab.close()
        process = self.process
        if process is not None and process.returncode is None:
            if process.stdin is not None:
                process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except asyncio.TimeoutError:
                process.kill()
                await process.wait()
        if self.listening is not None:
            self.listening.cancel()
        shutil.rmtree(self.place, ignore_errors=True)
        if process is None or process.returncode == 0:
            self.log.unlink(missing_ok=True)


class Workers:
    """All sessions of one server.

    Args:
        page: what each page may do.
        limits: how many, and for how long without input.
    """

    def __init__(self, page: PageOptions, limits: Limits) -> None:
        self._page = page
        self._limits = limits
        self._workers: dict[str, Worker] = {}
        self._spare: Worker | None = None

    def warm(self) -> None:
        """Start the first session before anyone asks, so that it is there at once."""
        self._spare = self._start()

    def open(self) -> Worker:
        """A session for a new tab, which may still be starting.

        Raises:
            Full: there is no room for another.
        """
        worker, self._spare = self._spare, None
        if worker is None or worker.ended:
            worker = self._start()
        worker.touch()
        return worker

    def get(self, name: str) -> Worker | None:
        """The session of that name, if it is still open."""
        return self._workers.get(name)

    async def sweep(self) -> None:
        """Close what has ended, has no tab any more, or has been left alone for long."""
        now = time.monotonic()
        for worker in list(self._workers.values()):
            idle_seconds = 60 * self._limits.idle_minutes
            limit = idle_seconds if worker.attended else self._limits.grace_seconds
            idle = worker is not self._spare and now - worker.seen > limit
            if idle or (worker.ended and now - worker.seen > FAULT_SECONDS):
                await self.close(worker)

    async def close(self, worker: Worker) -> None:
        """End one session."""
        self._workers.pop(worker.name, None)
        await worker.stop()

    async def close_all(self) -> None:
        """End every session."""
        await asyncio.gather(*(self.close(worker) for worker in list(self._workers.values())))

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._workers.values()))

    def _start(self) -> Worker:
        if len(self._workers) >= self._limits.sessions:
            raise Full
        name = secrets.token_hex(16)
        place = Path(tempfile.mkdtemp(prefix="elastic-hyperreg-session-"))
        worker = Worker(name, secrets.token_urlsafe(32), place, place.with_suffix(".log"))
        worker.ready = asyncio.create_task(worker.start(self._page))
        self._workers[worker.name] = worker
        return worker


def cores() -> int:
    """Processors that this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def environment(place: Path) -> dict[str, str]:
    """What a worker finds around it: this package, its folder, a way to draw without a display."""
    found = dict(os.environ)
    paths = [str(PACKAGE), *filter(None, [found.get("PYTHONPATH")])]
    found["PYTHONPATH"] = os.pathsep.join(paths)
    found.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    found.setdefault("OMP_NUM_THREADS", str(max(1, cores() - 1)))  # one is left to draw with
    # Mesa's own threads only get in the way where the browser and the session have but two.
    found.setdefault("LP_NUM_THREADS", str(max(0, cores() - 2)))
    found["TMPDIR"] = str(place)
    found["WSLINK_WS_COMPRESS"] = "0"  # pictures are JPEG already
    found["TRAME_ARGS"] = "--server"
    if sys.platform.startswith("linux") and not found.get("DISPLAY"):
        found.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    return found
