"""What ``serve`` is asked for."""

from __future__ import annotations

import ipaddress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ElasticHyperRegLib.errors import InputError

SMALLEST_TOKEN = 8
DEMOS = ("thorax", "cardiac")
DEMO_SIZES = (32, 256)
ALIGNMENTS = ("none", "translation", "rigid", "affine")
"""As ``alignment.KINDS``, which would cost the front seconds to load."""


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
        idle_minutes: a session with neither input nor work for so long is closed, also while the
            connection to its tab is lost.
        grace_seconds: a session whose tab was closed for so long is closed.
    """

    sessions: int = 4
    upload_mib: int = 2048
    idle_minutes: float = 30.0
    grace_seconds: float = 45.0


@dataclass(frozen=True)
class Demo:
    """A phantom pair to open.

    Attributes:
        kind: one of ``DEMOS``.
        size: voxels along each axis, of a stack along each side of a slice; None as is usual.
        model: its name, ``none`` or ``auto``.

    Raises:
        InputError: another kind, or a size out of range.
    """

    kind: str = "thorax"
    size: int | None = None
    model: str = "auto"

    def __post_init__(self) -> None:
        if self.kind not in DEMOS:
            raise InputError(f"the demo {self.kind!r}", " or ".join(DEMOS))
        least, most = DEMO_SIZES
        if self.size is not None and not least <= self.size <= most:
            raise InputError(f"--size {self.size}", f"{least} to {most}")


@dataclass(frozen=True)
class PairFiles:
    """Files of this machine to open a page with.

    Attributes:
        paths: role of the page's inputs → file or DICOM folder.

    Raises:
        InputError: a scan is missing or not there.
    """

    paths: dict[str, str]

    def __post_init__(self) -> None:
        for role in ("fixed", "moving"):
            if role not in self.paths:
                raise InputError(f"a pair to open without --{role}", "--fixed and --moving")
        for role, path in self.paths.items():
            if not Path(path).exists():
                raise InputError(f"--{role.replace('_', '-')} {path}", "a file that exists")


@dataclass(frozen=True)
class Start:
    """How pairs are begun with, unless the page is told otherwise.

    Attributes:
        tissues: scheme that names the labels.
        initial: ``none``, ``translation``, ``rigid`` or ``affine``.
        model: its name, ``none`` or ``auto``.

    Raises:
        InputError: another alignment.
    """

    tissues: str | None = None
    initial: str = "affine"
    model: str = "auto"

    def __post_init__(self) -> None:
        if self.initial not in ALIGNMENTS:
            raise InputError(f"--initial {self.initial}", " or ".join(ALIGNMENTS))


@dataclass(frozen=True)
class PageOptions:
    """What a page may do.

    Attributes:
        demo: the phantom pair that it opens with; None for none.
        pair: the files that it opens with; None for none.
        start: how it begins with pairs.
        data: the folder of this machine that images may be opened from; None is none.
        upload_mib: see ``Limits``.
        device: where to compute.

    Raises:
        InputError: a demo and files.
    """

    demo: Demo | None = None
    pair: PairFiles | None = None
    start: Start = Start()
    data: Path | None = None
    upload_mib: int = Limits.upload_mib
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.demo is not None and self.pair is not None:
            raise InputError("--demo with --fixed and --moving", "one pair to open", "leave one")

    def to_json(self) -> dict[str, Any]:
        """Itself as plain values, for the worker's first line of input."""
        return asdict(self) | {"data": None if self.data is None else str(self.data)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PageOptions:
        """The inverse of ``to_json``."""
        demo, pair, data = (values[name] for name in ("demo", "pair", "data"))
        return cls(
            demo=None if demo is None else Demo(**demo),
            pair=None if pair is None else PairFiles(**pair),
            start=Start(**values["start"]),
            data=None if data is None else Path(data),
            upload_mib=values["upload_mib"],
            device=values["device"],
        )


@dataclass(frozen=True)
class ServeOptions:
    """How to serve.

    Attributes:
        page: what each page may do.
        host: address to listen on; other than loopback it needs a token.
        port: 0 takes a free one.
        token: what every connection has to know; None asks for nothing.
        browser: open the page in the user's browser, unless there is a token.
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
