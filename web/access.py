"""Who may connect: the token, the name the browser used, and the page that asked."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from aiohttp import web as http
from aiohttp.typedefs import Handler

from .options import is_loopback

COOKIE = "elastic-hyperreg"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    # Vue compiles its templates in the page, which needs eval; nothing comes from elsewhere.
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; "
    "frame-ancestors 'none'",
}


def same(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how far they agree."""
    return hmac.compare_digest(given.encode(), expected.encode())


class Access:
    """Checks every request before anything else sees it.

    The token comes once in the address (``?token=``), or in an ``Authorization: Bearer`` header.
    The browser then gets a cookie with a secret of this run, so that the token stays in no
    address, history or log.

    Args:
        host: the address that is listened on.
        token: the secret to know; None asks for none.
    """

    def __init__(self, host: str, token: str | None) -> None:
        self._local = is_loopback(host)
        self._token = token
        self._ticket = secrets.token_urlsafe(32)

    @http.middleware
    async def check(self, request: http.Request, handler: Handler) -> http.StreamResponse:
        """Refuse with 403 what comes by another name or page, with 401 what lacks the token."""
        self._check_origin(request)
        if self._token is not None and not self._has_ticket(request):
            return self._admit(request, self._token)
        return await handler(request)

    def _check_origin(self, request: http.Request) -> None:
        """No page of another site may speak through the user's browser; it may link to ours.

        A name that is not ours could be another site's whose address was changed to this machine;
        where there is a token it is rather a proxy's, since that site lacks the cookie.
        """
        name = urlsplit(f"//{request.host}").hostname
        if self._local and self._token is None and not is_loopback(name or ""):
            raise http.HTTPForbidden(text=f"This server is not called {name}.")
        page = urlsplit(request.headers.get("Origin", f"//{request.host}")).netloc
        if page != request.host or _comes_from_a_page(request):
            raise http.HTTPForbidden(
                text=f"A page of {page or 'another site'} may not use this server, which was asked "
                f"for as {request.host}. If it is the server's own page, the proxy between must "
                "pass on the Host header."
            )
        if "prefetch" in request.headers.get("Sec-Purpose", ""):
            raise http.HTTPForbidden(text="Nothing here is fetched before it is asked for.")

    def _has_ticket(self, request: http.Request) -> bool:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer" and self._token is not None and same(bearer, self._token):
            return True
        return same(request.cookies.get(self._cookie(request), ""), self._ticket)

    def _admit(self, request: http.Request, token: str) -> http.Response:
        if not same(request.query.get("token", ""), token):
            raise http.HTTPUnauthorized(text="Wrong or missing token: open …/?token=YOUR-TOKEN")
        answer = http.HTTPSeeOther(request.path)
        answer.set_cookie(self._cookie(request), self._ticket, httponly=True, samesite="Lax")
        raise answer

    @staticmethod
    def _cookie(request: http.Request) -> str:
        """Cookies know no ports; two servers on one machine must not share theirs."""
        return f"{COOKIE}-{urlsplit(f'//{request.host}').port or 80}"


def _comes_from_a_page(request: http.Request) -> bool:
    """Whether another site's page asks, as for a picture in it; not the user, by a link there."""
    told = request.headers
    link = (told.get("Sec-Fetch-Mode"), told.get("Sec-Fetch-Dest")) == ("navigate", "document")
    return told.get("Sec-Fetch-Site") in ("cross-site", "same-site") and not link


async def add_headers(request: http.Request, response: http.StreamResponse) -> None:
    """Say what the browser must not do with any answer."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
