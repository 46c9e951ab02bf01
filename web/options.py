"""What ``serve`` is asked for."""

from __future__ import annotations

import ipaddress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ElasticHyperRegLib.errors import InputError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
SMALLEST_TOKEN = 8


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Limits:
    """What one server and one tab may use.

    Attributes:
        sessions: tabs at a time.
        upload_mib: size of one upload, and of what an archive unpacks to.
        idle_minutes: a session without any input for so long is closed.
        grace_seconds: a session without a tab for so long is closed.
    """

    sessions: int = 4
    upload_mib: int = 2048
    idle_minutes: float = 30.0
    grace_seconds: float = 45.0


@dataclass(frozen=True)
class PageOptions:
    """What a page may do.

    Attributes:
        demo: voxels a side of the phantom pair that it opens with; None opens nothing.
        data: the folder of this machine that images may be opened from; None is none.
        upload_mib: see ``Limits``.
        device: where to compute.
    """

    demo: int | None = None
    data: Path | None = None
    upload_mib: int = Limits.upload_mib
    device: str = "auto"

    def to_json(self) -> dict[str, Any]:
        """Itself as plain values, for the worker's first line of input."""
        return asdict(self) | {"data": None if self.data is None else str(self.data)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PageOptions:
        """The inverse of ``to_json``."""
        data = values["data"]
        return cls(**{**values, "data": None if data is None else Path(data)})


@dataclass(frozen=True)
class ServeOptions:
    """How to serve.

    Attributes:
        page: what each page may do.
        host: address to listen on; other than loopback it needs a token.
        port: 0 takes a free one.
        token: what every connection has to know; None asks for nothing.
        browser: open the page in the user's browser.
        limits: of sessions and uploads.

    Raises:
        InputError: a host that others can reach without a token, a token too short, or a data
            folder that does not exist.
    """

    page: PageOptions = PageOptions()
    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    browser: bool = True
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise InputError(
                f"--host {self.host} without --token",
                "a token, since other machines can reach that address",
                "add --token followed by a secret of your choice",
            )
        if self.token is not None and len(self.token) < SMALLEST_TOKEN:
            raise InputError(
                f"a token of {len(self.token)} characters", f"at least {SMALLEST_TOKEN}"
            )
        if self.page.data is not None and not self.page.data.is_dir():
            raise InputError(f"--data {self.page.data}", "a folder that exists")
        if self.limits.sessions < 1:
            raise InputError(f"--max-sessions {self.limits.sessions}", "1 or more")
