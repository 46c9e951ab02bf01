"""What a worker answers besides trame's own page: uploads and downloads."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from aiohttp import web as http
from aiohttp.typedefs import Handler

from ElasticHyperRegLib.errors import InputError

from .access import same
from .workers import KEY_HEADER

if TYPE_CHECKING:
    from .page import Page

STATIC = Path(__file__).parent / "static"
BLOCK = 1 << 20


class Routes:
    """Uploads and downloads of one page.

    Args:
        key: what every request has to carry; only the front knows it.

    Attributes:
        page: takes uploads and has the result; ``None`` until it is made.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self.page: Page | None = None

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
        page, role = self.page, request.match_info["role"]
        if page is None:
            raise http.HTTPServiceUnavailable(text="The page is not there yet.")
        name = Path(unquote(request.headers.get("X-File-Name", ""))).name
        try:
            with page.inputs.incoming(name) as path:
                await receive(request, path, page.inputs.most_bytes)
                await asyncio.to_thread(page.inputs.take, role, path, name)
        except InputError as error:
            page.uploaded(role, str(error))
            return http.json_response({"message": str(error)})
        except OSError as error:
            problem = f"{name} cannot be kept on the server: {error.strerror or error}"
            page.uploaded(role, problem)
            return http.json_response({"message": problem})
        page.uploaded(role, "")
        return http.json_response({"name": name})

    async def download(self, request: http.Request) -> http.StreamResponse:
        """The last result folder as an archive."""
        path = self.page.result if self.page else None
        if path is None or not path.is_file():
            raise http.HTTPNotFound
        return http.FileResponse(path, headers={"Content-Disposition": "attachment"})


async def receive(request: http.Request, path: Path, most: int) -> None:
    """Write the body of a request to a new file.

    Raises:
        InputError: it has more than ``most`` bytes.
    """
    refusal = InputError(f"a file larger than {most >> 20} MiB", "a smaller one", "crop it")
    if (request.content_length or 0) > most:
        raise refusal
    size = 0
    with path.open("xb") as file:
        async for block in request.content.iter_chunked(BLOCK):
            size += len(block)
            if size > most:
                raise refusal
            file.write(block)
