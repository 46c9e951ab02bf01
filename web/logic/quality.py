"""The table of figures, and the result folder to take away."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from trame_server.state import State
from trame_server.utils.asynchronous import create_task

from ElasticHyperRegLib.mrml import Exported, Failed, Measured, Quality, Updated, percent

from .live import Live, told

FORCE = "mean |div σ|: {:.2g}, in the unit of μ per mm"


class QualityLogic:
    """Shows what was measured; makes the archive of the result.

    Args:
        state: of the page.
        live: the open pair.

    Attributes:
        archive: the last result folder as a zip file; None before there is one.
    """

    def __init__(self, state: State, live: Live) -> None:
        self._state = state
        self._live = live
        self._place = Path(tempfile.mkdtemp(prefix="elastic-hyperreg-result-"))
        self.archive: Path | None = None
        self._count = 0
        live.on(Measured, self._show)
        live.on(Updated, self._outdate)
        live.on(Exported, self._pack)
        live.on(Failed, self._failed)

    @told
    def measure(self) -> None:
        """Measure what is shown."""
        self._live.now.measure()

    @told
    def export(self) -> None:
        """Register exactly, and make the archive of its result folder."""
        controller = self._live.now
        self._count += 1
        controller.export(self._place / f"result-{self._count}")

    def _pack(self, event: Exported) -> None:
        self._state.status = "Packing the result …"
        create_task(self._offer(event.folder, self._count, archive_name(self._state.pair_title)))

    async def _offer(self, folder: Path, number: int, name: str) -> None:
        """Have the browser fetch the archive of a folder; a large one takes seconds to make.

        Nobody waits for it where another pair is open by then.
        """
        pair = self._live.controller
        try:
            archive = await asyncio.to_thread(packed, folder)
        except OSError as error:
            with self._state:
                self._live.say(f"The result cannot be packed: {error.strerror or error}", bad=True)
            return
        if self._live.controller is not pair:
            archive.unlink()
            return
        if self.archive is not None:
            with suppress(OSError):  # on Windows one that is still being sent stays
                self.archive.unlink(missing_ok=True)
        self.archive = archive
        with self._state as state:
            state.update(
                {"download": {"number": number, "name": name}, "status": f"{name} is ready"}
            )

    def _failed(self, event: Failed) -> None:
        if event.what == "register":
            shutil.rmtree(self._place / f"result-{self._count}", ignore_errors=True)

    def _outdate(self, event: Updated) -> None:
        if self._state.quality and self._state.quality["number"] != event.number:
            self._state.quality = {**self._state.quality, "stale": True}

    def _show(self, event: Measured) -> None:
        quality, now = event.quality, self._state.answer.get("number")
        self._state.quality = {**shown(quality), "stale": quality.number != now}


def archive_name(title: str) -> str:
    """The name of a pair's archive, which tells it from another's."""
    words = re.sub(r"[^\w.+-]+", "-", title).strip("-.")
    return f"{words or 'elastic-hyperreg'}-result.zip"


def packed(folder: Path) -> Path:
    """The archive of a folder, in its place."""
    archive = shutil.make_archive(str(folder), "zip", folder)
    shutil.rmtree(folder)
    return Path(archive)


def shown(quality: Quality) -> dict[str, Any]:
    """The table for the page; what does not apply is empty."""
    return {
        "number": quality.number,
        "rows": [
            {
                "name": row.name.replace("_", " "),
                "dice": _pair(row.dice, ".3f"),
                "hd95": _pair(row.hd95_mm, ".1f"),
                "volume": f"{100 * row.volume_change:+.1f} %",
                "folds": percent(row.folds_fraction),
                "strain": f"{100 * row.strain:.1f} %",
                "stress": f"{row.stress:.2f}",
                "pull": _figure(row.residual_relative, "{:.2f}"),
                "titles": {"pull": _figure(row.residual, FORCE)},
            }
            for row in quality.tissues
        ],
        "lines": _lines(quality),
    }


def _lines(quality: Quality) -> list[str]:
    lines = [f"Folded voxels: {percent(quality.folds_fraction)}"]
    there = quality.inverse_consistency_mm
    if there:
        lines.append(f"There and back: mean {there['mean']:.2f} mm, 95 % {there['p95']:.2f} mm")
    tre = quality.tre_mm
    if tre:
        lines.append(f"Landmarks ({tre['n']:.0f}): {tre['before']:.2f} → {tre['after']:.2f} mm")
    return lines


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _pair(values: tuple[float, float] | None, form: str) -> str:
    return "" if values is None else f"{values[0]:{form}} → {values[1]:{form}}"
