"""One page: scene, views, session and controls, put together."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from trame_server import Server
from trame_server.utils.asynchronous import create_task

from ElasticHyperRegLib.estimation.options import METHODS, OBJECTIVES
from ElasticHyperRegLib.mrml import Ready, jacobian_legend
from ElasticHyperRegLib.resources import scheme_names
from ElasticHyperRegLib.tissues import presets
from ElasticHyperRegLib.weights import list_models

from .demo import start_demo
from .folder import MOST_ENTRIES
from .inputs import Inputs
from .keys import Keys
from .logic.compare import CompareLogic
from .logic.display import DisplayLogic
from .logic.estimate import EstimateLogic
from .logic.live import Live
from .logic.opening import OpeningLogic
from .logic.quality import QualityLogic
from .logic.tissues import TissueLogic
from .options import Demo, PageOptions
from .pair import Pair
from .scene import Views
from .ui import layout
from .ui.tissues import TissueTable


class Page:
    """Everything behind one tab.

    Args:
        server: of the tab, which ``shell`` has made ready.
        options: what the page may do.
        demo: the phantom to open at once, on its way.

    Attributes:
        inputs: take uploads.
    """

    def __init__(
        self, server: Server, options: PageOptions, demo: Future[Pair] | None = None
    ) -> None:
        self._server = server
        self._demo = demo
        self._files = options.pair
        state = self._state = server.state
        state.update(choices())
        start = options.start
        state.update({"scheme": start.tissues, "initial_alignment": start.initial})
        state.model = start.model
        state.open_dialog = demo is None and options.pair is None
        self.inputs = Inputs(options)
        self._views = Views(server)
        self._live = live = Live(state)
        tissues = TissueLogic(state, live)
        self._logics = layout.Logics(
            tissues=tissues,
            display=DisplayLogic(state, live),
            estimate=EstimateLogic(state, live),
            compare=CompareLogic(state, live, tissues.refresh),
            quality=QualityLogic(state, live),
            opening=OpeningLogic(state, live, self._views, self.inputs, options),
            demo=self.open_demo,
        )
        self._table = TissueTable(server, self._logics.tissues)
        layout.build(server, self._views, self._logics)
        live.on(Ready, self._rebuild)
        state.change("open_dialog")(self._look_again)
        state.change("theme")(lambda theme, **_: self._views.set_theme(theme))
        server.trigger("uploading")(self._logics.opening.uploading)
        server.trigger("upload_failed")(self.uploaded)
        server.trigger("key")(Keys(state, self._views, self._logics).press)

    @property
    def result(self) -> Path | None:
        """The archive to download."""
        return self._logics.quality.archive

    @property
    def busy(self) -> bool:
        """Whether something is computed."""
        return self._live.controller is not None and bool(self._live.controller.busy)

    def uploaded(self, role: str, problem: str) -> None:
        """An upload ended well, or with a problem."""
        self._logics.opening.uploaded(role, problem)

    async def open_demo(self) -> None:
        """Open the phantom pair that was asked for, the thorax where none was."""
        opening = self._logics.opening
        demo, self._demo = self._demo, None
        if demo is None and opening.refuses_strange():
            return
        await opening.open_demo(demo or start_demo(Demo(model=self._state.model)))

    async def run(self) -> None:
        """Live, for ever; opens the pair that was asked for."""
        tasks = [self._live.run(self._views.draws), self._list_folder()]
        if self._demo is not None:
            tasks.append(self.open_demo())
        if self._files is not None:
            tasks.append(self._logics.opening.open_files(self._files))
        await asyncio.gather(*tasks)

    def _look_again(self, open_dialog: bool, **_: Any) -> None:
        if open_dialog:
            create_task(self._list_folder())

    async def _list_folder(self) -> None:
        """Offer what the data folder holds; to walk through a large one takes a while."""
        folder = self.inputs.folder
        names = [] if folder is None else await asyncio.to_thread(folder.names)
        with self._state as state:
            state.data_names = names
            if len(names) == MOST_ENTRIES:
                self._live.say(f"Of the server's folder only the first {len(names)} are listed.")

    def _rebuild(self, event: Ready) -> None:
        self._table.build(len(self._logics.tissues.rows))


def choices() -> dict[str, list[Any]]:
    """What the page's menus offer."""
    return {
        "schemes": list(scheme_names()),
        "models": ["auto", "none", *(card.name for card in list_models())],
        "objectives": list(OBJECTIVES),
        "methods": list(METHODS),
        "presets": [
            {"title": preset.title, "value": name, "hint": preset.hint}
            for name, preset in presets().items()
        ],
        "legend": [
            {"value": f"{value:g}", "color": f"rgb{color}", "text": text}
            for value, color, text in jacobian_legend()
        ],
    }
