"""The one address that a browser sees: lets it in, gives each tab its worker, passes all on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import (
    ClientConnectionError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientWebSocketResponse,
    WSCloseCode,
    WSMsgType,
)
from aiohttp import web as http

from .notices import FULL, GONE, READY, STARTING, failed, notice
from .workers import KEY_HEADER, Full, Tab, Worker, Workers

SWEEP_SECONDS = 2.0
RELOAD_SECONDS = 2.0
HEARTBEAT_SECONDS = 20.0
HOLD_SECONDS = 20.0
"""For so long a request waits for a session; those between give up after a minute or so."""
MESSAGE_BYTES = 16 << 20
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "content-encoding"}
Socket = http.WebSocketResponse | ClientWebSocketResponse
CLIENT = http.AppKey("client", ClientSession)


class Front:
    """The routes of the front.

    Args:
        workers: the sessions.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def routes(self) -> list[http.RouteDef]:
        """Everything that this server answers to."""
        return [
            http.get("/", self.new_session, allow_head=False),
            http.get("/favicon.ico", no_icon),
            http.post("/session/{name}/paraview/", self.where),
            http.get("/session/{name}/ws", self.speak),
            http.route("*", "/session/{name}/{path:.*}", self.forward),
        ]

    async def new_session(self, request: http.Request) -> http.StreamResponse:
        """Every tab that asks for the page gets a session, and an address, of its own."""
        try:
            worker = self._workers.open()
        except Full:
            return notice(FULL, 503)
        raise http.HTTPSeeOther(f"/session/{worker.name}/")

    async def where(self, request: http.Request) -> http.Response:
        """Tell trame's client where its connection is.

        The client puts in the host it knows, and wss where it came by https: a proxy may have.
        """
        path = f"/session/{request.match_info['name']}/ws"
        return http.json_response({"sessionURL": f"ws://USE_HOST{path}"})

    async def forward(self, request: http.Request) -> http.StreamResponse:
        """Pass a request on to the tab's worker, and its answer back."""
        worker = self._workers.get(request.match_info["name"])
        if worker is None or worker.ended:
            return notice(GONE if worker is None else failed(str(worker.log)), 410)
        worker.touch()
        path = request.match_info["path"]
        if path in ("", "index.html"):
            if READY in request.query and worker.ready:
                await asyncio.wait({worker.ready}, timeout=HOLD_SECONDS)
                raise http.HTTPSeeOther(f"/session/{worker.name}/")
            if not (worker.ready and worker.ready.done()):
                return notice(STARTING, 200)
            if await taken(worker):
                raise http.HTTPSeeOther("/")
        url = f"{await address(worker)}/{request.raw_path.split('/', 3)[3]}"
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        headers[KEY_HEADER] = worker.key
        body = taken_in(request, worker) if request.can_read_body else None
        try:
            answer = await request.app[CLIENT].request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            )
        except ClientConnectionError:  # it has just ended, and nobody has noticed yet
            return notice(failed(str(worker.log)), 410)
        return await passed_on(answer, request)

    async def speak(self, request: http.Request) -> http.StreamResponse:
        """Join the tab's connection to its worker's; a newer connection replaces an older one."""
        worker = self._workers.get(request.match_info["name"])
        if worker is None or worker.ended:
            raise http.HTTPGone
        socket = http.WebSocketResponse(
            max_msg_size=MESSAGE_BYTES, heartbeat=HEARTBEAT_SECONDS, compress=False, autoping=False
        )
        await socket.prepare(request)
        tab, before = Tab(request, socket), worker.tab
        worker.tab, worker.attended = tab, True
        worker.touch()
        if before is not None:
            before.drop()
        url = f"{await address(worker)}/ws"
        try:
            async with request.app[CLIENT].ws_connect(
                url, headers={KEY_HEADER: worker.key}, max_msg_size=0
            ) as inner:
                await join(tab, inner, worker)
        finally:
            if worker.tab is tab:
                worker.tab = None
                worker.attended = socket.close_code == WSCloseCode.ABNORMAL_CLOSURE
            worker.touch()
            await socket.close()
        return socket


async def taken_in(request: http.Request, worker: Worker) -> AsyncIterator[bytes]:
    """What a tab sends, piece by piece; a large upload may take longer than a tab may be idle."""
    async for piece in request.content.iter_any():
        worker.touch()
        yield piece


async def passed_on(answer: ClientResponse, request: http.Request) -> http.StreamResponse:
    """A worker's answer, piece by piece."""
    async with answer:
        response = http.StreamResponse(status=answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                response.headers[name] = value
        await response.prepare(request)
        async for piece in answer.content.iter_any():
            await response.write(piece)
    return response


async def no_icon(_request: http.Request) -> http.Response:
    """Browsers ask for a picture of the site; there is none."""
    return http.Response(status=204)


async def address(worker: Worker) -> str:
    """Where the worker listens; waits while it starts."""
    if worker.ready is None:
        raise http.HTTPGone
    try:
        return await asyncio.shield(worker.ready)
    except (OSError, asyncio.TimeoutError) as error:
        raise http.HTTPInternalServerError(text=str(error)) from error


async def taken(worker: Worker) -> bool:
    """Whether another tab uses the session.

    One that reloads lets go of it within a moment. One that lost its connection cannot, and is let
    go of here: it may be the very tab that asks.
    """
    waited = 0.0
    while worker.tab is not None and waited < RELOAD_SECONDS:
        await asyncio.sleep(0.1)
        waited += 0.1
    if worker.tab is None:
        return False
    tab = worker.tab
    there = await tab.answers()
    if not there:
        tab.drop()
    return there


async def join(tab: Tab, inner: ClientWebSocketResponse, worker: Worker) -> None:
    """Pass messages both ways until either side ends."""

    async def passes(source: Socket, target: Socket) -> None:
        async for message in source:
            if message.type == WSMsgType.BINARY:
                await target.send_bytes(message.data)
            elif message.type == WSMsgType.TEXT:
                await target.send_str(message.data)
            elif message.type == WSMsgType.PING:
                await source.pong(message.data)
            elif message.type == WSMsgType.PONG:
                tab.heard.set()
                continue
            if source is tab.socket:
                worker.touch()

    both = [
        asyncio.create_task(passes(tab.socket, inner)),
        asyncio.create_task(passes(inner, tab.socket)),
    ]
    _, rest = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    for task in both:
        with suppress(asyncio.CancelledError, ConnectionError, ClientError):
            await task
