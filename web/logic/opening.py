"""From files or the phantom to an open pair."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from trame_server.state import State

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.mrml import (
    ControllerOptions,
    LiveController,
    node_from_image,
    node_from_labels,
)
from ElasticHyperRegLib.tissues import TissueScheme, load_scheme
from ElasticHyperRegLib.types import LabelMap

from ..inputs import ROLES, Inputs
from ..options import PairFiles
from ..pair import Pair
from ..scene import Views
from .live import Live, told


class OpeningLogic:
    """The dialog in which a pair is chosen.

    Args:
        state: of the page.
        live: holds the pair once it is open.
        views: show it.
        inputs: hold the files meanwhile.
        device: where to compute.
    """

    def __init__(self, state: State, live: Live, views: Views, inputs: Inputs, device: str) -> None:
        self._state = state
        self._live = live
        self._views = views
        self._inputs = inputs
        self._device = device

    async def open_demo(self, demo: Future[Pair]) -> None:
        """Open a phantom pair, as soon as it is made."""
        with self._state:
            self._state.update({"open_dialog": False, "status": "Making the phantom …"})
        pair = await asyncio.wrap_future(demo)
        with self._state:
            self.open(pair)

    async def open_files(self, files: PairFiles) -> None:
        """Open the files that the server was started with, or show what is wrong with them."""
        with self._state as state:
            state.update({"status": "Reading the scans …", "open_dialog": False})
            state.update({"scheme": files.tissues, "model": files.model})
            state.initial_alignment = files.initial
        for role, path in files.paths.items():
            await self._take(role, Path(path), Path(path).name)
        with self._state as state:
            if any(state.problems.values()):
                state.open_dialog = True
            else:
                self.start()

    def uploading(self, role: str) -> None:
        """A file for ``role`` is on its way."""
        self._state.uploading = role
        self._state.problems = {**self._state.problems, role: ""}

    def uploaded(self, role: str, problem: str) -> None:
        """A file for ``role`` was read, or could not be."""
        with self._state as state:
            state.uploading = ""
            state.problems = {**state.problems, role: problem}
            state.given = {name: given.name for name, given in self._inputs.given.items()}

    @told
    def list_folder(self) -> None:
        """Show what the data folder holds."""
        folder = self._inputs.folder
        self._state.data_names = [] if folder is None else folder.names()

    async def take_from_folder(self, role: str, name: str) -> None:
        """Read a file of the data folder for ``role``."""
        try:
            if self._inputs.folder is None:
                raise InputError("a file of the server", "--data FOLDER when it was started")
            path = self._inputs.folder.path(name)
        except InputError as error:
            self.uploaded(role, str(error))
        else:
            await self._take(role, path, name)

    async def _take(self, role: str, path: Path, name: str) -> None:
        problem = ""
        try:
            await asyncio.to_thread(self._inputs.take, role, path, name)
        except InputError as error:
            problem = str(error)
        self.uploaded(role, problem)

    @told
    def remove(self, role: str) -> None:
        """Take a file back."""
        self._inputs.given.pop(role, None)
        self._state.given = {k: v for k, v in self._state.given.items() if k != role}

    @told
    def start(self) -> None:
        """Open the pair that was given."""
        given = self._inputs.given
        missing = [role for role in ROLES[:2] if role not in given]
        if missing:
            raise InputError(f"no {missing[0]} scan", "a fixed and a moving scan", "choose a file")
        contents: dict[str, Any] = {role: one.content for role, one in given.items()}
        self.open(
            Pair(
                **contents,
                initial=self._state.initial_alignment,
                scheme=self._state.scheme or None,
                model=self._state.model,
                title=f"{given['moving'].name} onto {given['fixed'].name}",
            )
        )

    @told
    def open(self, pair: Pair) -> None:
        """Put the pair into the scene and show it; what is wrong with it is told."""
        self._live.close()
        scene = self._views.scene
        self._views.clear()
        scheme = None if pair.scheme is None else load_scheme(pair.scheme)
        labels = [
            None if found is None else label_node(scene, found, name, scheme)
            for found, name in (
                (pair.fixed_labels, "Fixed tissues"),
                (pair.moving_labels, "Moving tissues"),
            )
        ]
        fixed = node_from_image(scene, pair.fixed, "Fixed")
        options = ControllerOptions(
            model=pair.model, device=self._device, initial=pair.initial, scheme=pair.scheme
        )
        controller = LiveController(
            scene,
            fixed,
            node_from_image(scene, pair.moving, "Moving"),
            *labels,
            options=options,
        )
        if labels[1] is not None:
            labels[1].SetDisplayVisibility(False)
        self._live.replace(controller)
        self._views.show(fixed, labels[0])
        self._state.update({"open_dialog": False, "pair_title": pair.title})


def label_node(scene: Any, labels: LabelMap, name: str, scheme: TissueScheme | None) -> Any:
    """Segmentation node of ``labels``, named and coloured by the scheme where there is one.

    Raises:
        InputError: a label belongs to no tissue of the scheme.
    """
    colors = {}
    if scheme is not None:
        labels = scheme.named(labels)
        colors = {tissue.name: tissue.color for tissue in scheme.tissues}
    return node_from_labels(scene, labels, name, colors)
