"""What a worker answers besides trame's own page: uploads and downloads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web as http
from aiohttp.typedefs import Handler

from ElasticHyperRegLib.errors import InputError

from .access import same
from .inputs import Inputs
from .workers import KEY_HEADER

STATIC = Path(__file__).parent / "static"
BLOCK = 1 << 20


class Routes:
    """Uploads and downloads of one page.

    Args:
        key: what every request has to carry; only the front knows it.
        inputs: takes uploads.
        ended: is told the role of an upload, and its problem, empty where it was read.
        result: path of the archive to download, or None.
    """

    def __init__(
        self,
        key: str,
        inputs: Inputs,
        ended: Callable[[str, str], None],
        result: Callable[[], Path | None],
    ) -> None:
        self._key = key
        self._inputs = inputs
        self._ended = ended
        self._result = result

    def bind(self, app: http.Application) -> None:
        """Add the routes to trame's server, and the check to all of them."""
        app.middlewares.append(self.check)
        app.add_routes(
            [
                http.post("/upload/{role}", self.upload),
                http.get("/result.zip", self.download),
                http.static("/page", STATIC),
            ]
        )

    @http.middleware
    async def check(self, request: http.Request, handler: Handler) -> http.StreamResponse:
        """Nobody but the front may speak to a worker."""
        if not same(request.headers.get(KEY_HEADER, ""), self._key):
            raise http.HTTPForbidden
        return await handler(request)

    async def upload(self, request: http.Request) -> http.Response:
        """Take one file for a role; answers with its name or with what is wrong with it."""
        role = request.match_info["role"]
        name = Path(unquote(request.headers.get("X-File-Name", ""))).name
        try:
            with self._inputs.incoming(name) as path:
                await self._receive(request, path)
                await asyncio.to_thread(self._inputs.take, role, path, name)
        except InputError as error:
            self._ended(role, str(error))
            return http.json_response({"message": str(error)})
        except OSError as error:
            problem = f"{name} cannot be kept on the server: {error.strerror or error}"
            self._ended(role, problem)
            return http.json_response({"message": problem})
        self._ended(role, "")
        return http.json_response({"name": name})

    async def _receive(self, request: http.Request, path: Path) -> None:
        most, size = self._inputs.most_bytes, 0
        with path.open("xb") as file:
            async for block in request.content.iter_chunked(BLOCK):
                size += len(block)
                if size > most:
                    raise InputError(
                        f"a file larger than {most >> 20} MiB", "a smaller one", "crop it"
                    )
                file.write(block)

    async def download(self, request: http.Request) -> http.StreamResponse:
        """The last result folder as an archive."""
        path = self._result()
        if path is None or not path.is_file():
            raise http.HTTPNotFound
        return http.FileResponse(path, headers={"Content-Disposition": "attachment"})
