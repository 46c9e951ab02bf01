"""Who is let in, how many, and for how long; no browser and no session is needed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="the extra app is not installed")

from aiohttp import web as http
from aiohttp.test_utils import TestClient, TestServer

from ElasticHyperRegLib.errors import InputError
from web.options import Demo, Limits, PageOptions, PairFiles, ServeOptions
from web.serve import build, listen, page_url
from web.workers import KEY_HEADER, Worker, Workers

TOKEN = "a long secret"
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


def test_wrong_token_is_refused_everywhere():
    async def scenario(client, workers):
        for path in (
            "/",
            "/session/x/",
            "/session/x/ws",
            "/session/x/upload/fixed",
            "/favicon.ico",
        ):
            for query in ("", "?token=wrong", "?token=", f"?token={TOKEN[:-1]}"):
                answer = await client.get(path + query, allow_redirects=False)
                assert answer.status == 401, path + query
        assert list(workers) == []

    visit(scenario, ServeOptions(token=TOKEN))


def test_token_becomes_a_cookie_and_leaves_the_address():
    async def scenario(client, workers):
        answer = await client.get("/favicon.ico", params={"token": TOKEN}, allow_redirects=False)
        assert answer.status == 303
        assert answer.headers["Location"] == "/favicon.ico"
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert TOKEN not in cookie
        assert (await client.get("/favicon.ico")).status == 204

    visit(scenario, ServeOptions(token=TOKEN))


def test_token_in_the_header_is_enough():
    async def scenario(client, workers):
        for secret, status in ((TOKEN, 204), ("wrong", 401)):
            headers = {"Authorization": f"Bearer {secret}"}
            assert (await client.get("/favicon.ico", headers=headers)).status == status

    visit(scenario, ServeOptions(token=TOKEN))


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
def test_other_sites_are_refused(headers):
    async def scenario(client, workers):
        for path in ("/favicon.ico", "/session/x/ws"):
            assert (await client.get(path, headers=headers)).status == 403

    visit(scenario)


def test_open_host_needs_a_token():
    with pytest.raises(InputError, match="--token"):
        ServeOptions(host="0.0.0.0")
    assert ServeOptions(host="0.0.0.0", token=TOKEN).token == TOKEN
    with pytest.raises(InputError, match="characters"):
        ServeOptions(token="short")


def test_options_survive_the_way_to_the_worker(tmp_path):
    scan = tmp_path / "scan.nii.gz"
    scan.touch()
    pair = PairFiles({"fixed": str(scan), "moving": str(scan)}, tissues="phantom", initial="none")
    for opened in ({"demo": Demo("cardiac", 48)}, {"pair": pair}, {}):
        options = PageOptions(data=tmp_path, upload_mib=7, device="cpu", **opened)
        assert PageOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_what_cannot_be_opened_is_refused_at_once(tmp_path):
    with pytest.raises(InputError, match="thorax or cardiac"):
        Demo("lung")
    with pytest.raises(InputError, match="32 to 256"):
        Demo("thorax", 8)
    with pytest.raises(InputError, match="--moving"):
        PairFiles({"fixed": str(tmp_path)})
    with pytest.raises(InputError, match="exists"):
        PairFiles({"fixed": str(tmp_path), "moving": str(tmp_path / "none")})
    pair = PairFiles({"fixed": str(tmp_path), "moving": str(tmp_path)})
    with pytest.raises(InputError, match="one pair"):
        PageOptions(demo=Demo(), pair=pair)


def test_address_is_one_that_can_be_opened():
    options = ServeOptions(host="0.0.0.0", token=TOKEN)

    async def go() -> str:
        runner = http.AppRunner(build(options, Workers(options.page, options.limits)))
        await runner.setup()
        await listen(runner, options)
        url = page_url(options, runner)
        await runner.cleanup()
        return url

    assert asyncio.run(go()).startswith("http://127.0.0.1:")


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
            answer = await client.get(path, allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (303, "/")
        assert (await client.get(path)).status == 200

    visit(scenario)


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
