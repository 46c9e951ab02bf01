"""How many sessions there are, and for how long; no browser and no session is needed."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="the extra app is not installed")

from aiohttp import web as http
from aiohttp.test_utils import TestClient, TestServer

from ElasticHyperRegLib.errors import InputError
from web import worker as worker_process
from web.options import Limits, ServeOptions
from web.routes import Routes, receive
from web.serve import build, serve
from web.workers import KEY_HEADER, Worker, Workers

RUNNERS: list[http.AppRunner] = []
Client = TestClient[Any, Any]
Scenario = Callable[[Client, Workers], Awaitable[None]]


@pytest.fixture
def stand_in(monkeypatch):
    """A worker that is no process: a small server that echoes what reaches it."""

    async def page(request):
        body = (await request.read()).decode()
        return http.json_response({"key": request.headers.get(KEY_HEADER), "body": body})

    async def talk(request):
        socket = http.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data.upper())
        return socket

    async def start(self, options):
        app = http.Application()
        app.add_routes([http.get("/ws", talk), http.route("*", "/{path:.*}", page)])
        runner = http.AppRunner(app)
        RUNNERS.append(runner)
        await runner.setup()
        await http.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    monkeypatch.setattr(Worker, "start", start)
    monkeypatch.setattr(Worker, "ended", False)


@pytest.fixture
def hasty(monkeypatch):
    """A front that waits but a moment for a tab."""
    monkeypatch.setattr("web.front.RELOAD_SECONDS", 0.2)
    monkeypatch.setattr("web.workers.ANSWER_SECONDS", 0.2)


def visit(scenario: Scenario, options: ServeOptions | None = None) -> None:
    """Run a scenario against a front."""
    options = options or ServeOptions()

    async def go() -> None:
        workers = Workers(options.page, options.limits)
        async with TestClient(TestServer(build(options, workers))) as client:
            await scenario(client, workers)
            await workers.close_all()
        while RUNNERS:
            await RUNNERS.pop().cleanup()

    asyncio.run(go())


async def opened(client: Client) -> str:
    """Address of a new session."""
    answer = await client.get("/", allow_redirects=False)
    assert answer.status == 303, await answer.text()
    return answer.headers["Location"]


def test_every_tab_gets_a_session_up_to_the_limit(stand_in):
    async def scenario(client, workers):
        first, second = await opened(client), await opened(client)
        assert first != second
        assert first == first.lower()
        answer = await client.get("/", allow_redirects=False)
        assert answer.status == 503
        assert "--max-sessions" in await answer.text()

    visit(scenario, ServeOptions(limits=Limits(sessions=2)))


def test_requests_reach_the_worker_with_its_key_alone(stand_in):
    async def scenario(client, workers):
        path = await opened(client)
        key = workers.get(path.split("/")[2]).key
        await ready(workers)
        answer = await client.post(f"{path}upload/fixed", data=b"voxels")
        assert await answer.json() == {"key": key, "body": "voxels"}
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert (await client.get("/session/unknown/")).status == 410

    visit(scenario)


def test_socket_is_joined_and_a_second_tab_gets_its_own_session(stand_in):
    async def scenario(client, workers):
        path = await opened(client)
        await ready(workers)
        async with client.ws_connect(f"{path}ws") as socket:
            await socket.send_str("ping")
            assert await socket.receive_str() == "PING"
            listens = asyncio.create_task(socket.receive())  # and answers, as browsers do
            answer = await client.get(path, allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            listens.cancel()
        assert (await client.get(path)).status == 200

    visit(scenario)


def test_a_tab_that_lost_its_connection_gets_its_session_back(stand_in, hasty):
    async def scenario(client, workers):
        path = await opened(client)
        await ready(workers)
        async with client.ws_connect(f"{path}ws"):  # it answers nothing, as nobody listens
            worker = workers.get(path.split("/")[2])
            assert (await client.head(path, allow_redirects=False)).status == 200
            async with client.ws_connect(f"{path}ws") as socket:
                await socket.send_str("ping")
                assert await socket.receive_str() == "PING"
            assert list(workers) == [worker]

    visit(scenario)


@pytest.mark.parametrize(("word", "kept"), [(True, False), (False, True)])
def test_a_tab_that_went_without_a_word_may_come_back(stand_in, word, kept):
    async def scenario(client, workers):
        path = await opened(client)
        await ready(workers)
        worker = workers.get(path.split("/")[2])
        socket = await client.ws_connect(f"{path}ws")
        await socket.send_str("ping")
        assert await socket.receive_str() == "PING"
        if word:
            await socket.close()
        else:
            socket._response.connection.transport.abort()
        while worker.tab is not None:
            await asyncio.sleep(0.01)
        worker.seen = time.monotonic() - 50
        await workers.sweep()
        assert (workers.get(worker.name) is worker) == kept

    visit(scenario, ServeOptions(limits=Limits(idle_minutes=1, grace_seconds=2)))


def test_work_counts_as_input(stand_in):
    async def scenario(client, workers):
        path = await opened(client)
        await ready(workers)
        worker = workers.get(path.split("/")[2])
        said = asyncio.StreamReader()
        listens = asyncio.create_task(worker.listen(said))
        for attended in (True, False):
            worker.attended, worker.seen = attended, time.monotonic() - 61
            said.feed_data(b"busy\n")
            await asyncio.sleep(0.01)
            await workers.sweep()
            assert (workers.get(worker.name) is worker) == attended
        said.feed_eof()
        await listens

    visit(scenario, ServeOptions(limits=Limits(idle_minutes=1)))


def test_a_slow_upload_counts_as_input(stand_in):
    async def scenario(client, workers):
        path = await opened(client)
        await ready(workers)
        worker = workers.get(path.split("/")[2])

        async def slowly() -> AsyncIterator[bytes]:
            for _ in range(2):
                worker.seen = 0
                yield b"voxels"
                await asyncio.sleep(0.05)
                assert worker.seen > 0

        answer = await client.post(f"{path}upload/fixed", data=slowly())
        assert (await answer.json())["body"] == "voxelsvoxels"

    visit(scenario)


def test_a_worker_says_that_it_is_busy_as_long_as_it_is(monkeypatch):
    monkeypatch.setattr(worker_process, "BUSY_SECONDS", 0.01)
    routes: Any = Routes("key")
    said = io.StringIO()

    async def go() -> None:
        tells = asyncio.create_task(worker_process.tell_busy(said, routes))
        for page in (None, SimpleNamespace(busy=False), SimpleNamespace(busy=True)):
            assert said.getvalue() == ""
            routes.page = page
            await asyncio.sleep(0.05)
        tells.cancel()

    asyncio.run(go())
    assert set(said.getvalue().split()) == {"busy"}


def test_an_upload_that_says_that_it_is_too_large_is_not_taken(tmp_path):
    async def take(request):
        with pytest.raises(InputError, match="larger than 1 MiB"):
            await receive(request, tmp_path / "upload", 1 << 20)
        return http.Response(text=str(request.content.total_bytes))

    async def never() -> AsyncIterator[bytes]:
        yield bytes(10)
        await asyncio.Event().wait()

    async def go() -> None:
        app = http.Application()
        app.add_routes([http.post("/", take)])
        async with TestClient(TestServer(app)) as client:
            headers = {"Content-Length": str(2 << 20)}
            answer = await client.post("/", data=never(), headers=headers)
            assert int(await answer.text()) <= 10

    asyncio.run(go())
    assert not (tmp_path / "upload").exists()


def served_for(seconds: float, options: ServeOptions) -> list[str]:
    """What ``serve`` says until it is stopped, which must not take long."""
    said: list[str] = []

    async def go() -> None:
        serving = asyncio.create_task(serve(options, said.append))
        while not said:
            await asyncio.sleep(0.01)
        await asyncio.sleep(seconds)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(serving, 5)

    asyncio.run(go())
    return said


@pytest.mark.parametrize(("token", "opened"), [(None, 1), ("a secret of ours", 0)])
def test_no_secret_is_handed_to_a_program_that_others_can_list(
    stand_in, monkeypatch, token, opened
):
    urls: list[str] = []
    monkeypatch.setattr("webbrowser.open", urls.append)

    said = served_for(0.2, ServeOptions(token=token))
    assert len(urls) == opened and ("secret" in said[0]) == (token is not None)


def test_a_browser_of_the_terminal_holds_nothing_up(stand_in, monkeypatch):
    left = threading.Event()
    monkeypatch.setattr("webbrowser.open", lambda url: left.wait(20))

    begun = time.monotonic()
    served_for(0.1, ServeOptions())
    assert time.monotonic() - begun < 10
    left.set()


def test_a_worker_that_has_just_died_is_told(stand_in):
    async def scenario(client, workers):
        path = await opened(client)
        await ready(workers)
        await RUNNERS.pop().cleanup()
        answer = await client.get(path)
        assert answer.status == 410
        assert "fault" in await answer.text()

    visit(scenario)


def test_the_browser_is_told_as_soon_as_a_session_is_ready(stand_in, monkeypatch):
    starts = Worker.start

    async def start_slowly(self, options):
        await asyncio.sleep(0.3)
        return await starts(self, options)

    monkeypatch.setattr(Worker, "start", start_slowly)

    async def scenario(client, workers):
        path = await opened(client)
        page = await (await client.get(path)).text()
        assert "Starting a session" in page and "url=?ready" in page
        begun = time.monotonic()
        answer = await client.get(f"{path}?ready", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, path)
        assert time.monotonic() - begun > 0.1
        assert "key" in await (await client.get(path)).json()

    visit(scenario)


def test_sessions_left_alone_are_closed(stand_in):
    async def scenario(client, workers):
        path = await opened(client)
        await ready(workers)
        worker = workers.get(path.split("/")[2])
        async with client.ws_connect(f"{path}ws"):
            worker.seen = time.monotonic() - 5
            await workers.sweep()
            assert workers.get(worker.name) is worker
            worker.seen = time.monotonic() - 61
            await workers.sweep()
            assert workers.get(worker.name) is None
        assert (await client.get(path)).status == 410
        gone = workers.get((await opened(client)).split("/")[2])
        gone.seen = time.monotonic() - 5
        await workers.sweep()
        assert list(workers) == []

    visit(scenario, ServeOptions(limits=Limits(idle_minutes=1, grace_seconds=2)))


def test_first_session_waits_for_the_first_tab(stand_in):
    async def scenario(client, workers):
        workers.warm()
        spare = next(iter(workers))
        spare.seen = time.monotonic() - 1000
        await workers.sweep()
        assert spare.name in await opened(client)

    visit(scenario, replace(ServeOptions(), limits=Limits(sessions=1)))


async def ready(workers: Workers) -> None:
    for worker in workers:
        assert worker.ready is not None
        await worker.ready
