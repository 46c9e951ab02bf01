"""From files or the phantom to an open pair."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from trame_server.state import State
from trame_server.utils.asynchronous import create_task

from ElasticHyperRegLib.engine.similarity import SIMILARITIES
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.mrml import (
    ControllerOptions,
    LiveController,
    node_from_image,
    node_from_labels,
)
from ElasticHyperRegLib.mrml.outputs import SOURCE
from ElasticHyperRegLib.resources import scheme_names
from ElasticHyperRegLib.tissues import TissueScheme, load_scheme
from ElasticHyperRegLib.types import LabelMap
from ElasticHyperRegLib.weights import list_models

from ..inputs import ROLES, Inputs
from ..options import ALIGNMENTS, PageOptions, PairFiles
from ..pair import Pair
from ..scene import Views
from ..state import DEFAULTS
from .live import Live, told

LOG = logging.getLogger(__name__)
SAID_SECONDS = 0.05
"""For the page to be told what begins, before all else waits for it."""
LABELS_OF_BEFORE = (
    "the labels of the scan before were taken back; choose those of this one, or go without"
)


class OpeningLogic:
    """The dialog in which a pair is chosen.

    Args:
        state: of the page.
        live: holds the pair once it is open.
        views: show it.
        inputs: hold the files meanwhile.
        options: what the page may do.
    """

    def __init__(
        self, state: State, live: Live, views: Views, inputs: Inputs, options: PageOptions
    ) -> None:
        self._state = state
        self._live = live
        self._views = views
        self._inputs = inputs
        self._device = options.device
        self._opened = 0
        self._start = options.start

    async def open_demo(self, demo: Future[Pair]) -> None:
        """Open a phantom pair, as soon as it is made."""
        with self._state:
            self._state.update({"open_dialog": False, "status": "Making the phantom …"})
        before = self._opened
        try:
            pair = await asyncio.wrap_future(demo)
        except Exception as error:
            LOG.exception("the phantom")
            with self._state as state:
                state.update({"open_dialog": True, "status": self._live.status})
                self._live.say(f"A fault of this program: {error}", bad=True)
            return
        if self._opened == before:  # else somebody has opened scans meanwhile
            with self._state:
                self.open(pair)

    async def open_files(self, files: PairFiles) -> None:
        """Open the files that the server was started with, or show what is wrong with them."""
        with self._state as state:
            state.update({"status": "Reading the scans …", "open_dialog": False})
        try:
            for role, path in files.paths.items():
                await self._take(role, partial(Path, path), Path(path).name)
        finally:
            with self._state as state:
                state.update({"open_dialog": True, "status": DEFAULTS["status"]})
        with self._state as state:
            if not any(state.problems.values()):
                self.start()

    def uploading(self, role: str) -> None:
        """A file for ``role`` is on its way."""
        with self._state as state:
            state.uploading = [*state.uploading, role]
            state.problems = {**state.problems, role: ""}

    def uploaded(self, role: str, problem: str) -> None:
        """A file for ``role`` was read, or could not be."""
        with self._state as state:
            left = list(state.uploading)
            if role in left:
                left.remove(role)  # once: another for the same role may be on its way
            state.uploading = left
            given = {name: given.name for name, given in self._inputs.given.items()}
            gone = dict.fromkeys(state.given.keys() - given.keys(), LABELS_OF_BEFORE)
            state.given = given
            state.problems = {**state.problems, **gone, role: problem}

    async def take_from_folder(self, role: str, name: str | None) -> None:
        """Read a file of the data folder for ``role``; a field that was emptied names none."""
        if name:
            self.uploading(role)
            await self._take(role, partial(self._inputs.in_folder, name), name)

    async def _take(self, role: str, find: Callable[[], Path], name: str) -> None:
        problem = f"{name} could not be read: a fault of this program"
        try:
            await asyncio.to_thread(lambda: self._inputs.take(role, find(), name))
            problem = ""
        except InputError as error:
            problem = str(error)
        except Exception:
            LOG.exception("reading %s", name)
        finally:
            self.uploaded(role, problem)

    @told
    def remove(self, role: str) -> None:
        """Take a file back."""
        self._inputs.given.pop(role, None)
        self._state.given = {k: v for k, v in self._state.given.items() if k != role}

    @told
    def start(self) -> None:
        """Open the pair that was given, once the page has been told so."""
        pair = self._chosen()
        self._state.update({"open_dialog": False, "status": "Opening the scans …"})
        create_task(self._open_given(pair))

    async def _open_given(self, pair: Pair) -> None:
        await asyncio.sleep(SAID_SECONDS)
        before = self._live.controller
        with self._state:
            self.open(pair)
        if self._live.controller is not before:
            self._inputs.opened()

    def _chosen(self) -> Pair:
        """The pair that was given.

        Raises:
            InputError: a scan is missing, or still on its way.
        """
        given = self._inputs.given
        missing = [role for role in ROLES[:2] if role not in given]
        if missing:
            raise InputError(f"no {missing[0]} scan", "a fixed and a moving scan", "choose a file")
        if self._state.uploading:
            raise InputError("files that are still on their way", action="wait until they are here")
        self._refuse_strange()
        contents: dict[str, Any] = {role: one.content for role, one in given.items()}
        return Pair(
            **contents,
            initial=self._state.initial_alignment,
            scheme=self._state.scheme or None,
            model=self._state.model,
            similarity=self._state.similarity,
            title=f"{given['moving'].name} onto {given['fixed'].name}",
        )

    def refuses_strange(self) -> bool:
        """Whether something is chosen that no menu offers, which is then told."""
        try:
            self._refuse_strange()
        except InputError as error:
            self._live.say(str(error), bad=True)
            return True
        return False

    def _refuse_strange(self) -> None:
        """Refuse what no menu offers: whoever writes to the page's state could name any file.

        Raises:
            InputError: a scheme, model, alignment or similarity that is neither offered nor what
                the server was started with.
        """
        state = self._state
        for given, offered in (
            (state.scheme, (None, self._start.tissues, *scheme_names())),
            (state.model, ("auto", "none", self._start.model, *(c.name for c in list_models()))),
            (state.initial_alignment, ALIGNMENTS),
            (state.similarity, SIMILARITIES),
        ):
            if given not in offered:
                raise InputError(f"{given!r}", "one of the menu")

    @told
    def open(self, pair: Pair) -> None:
        """Put the pair into the scene and show it.

        What is wrong with it is told in the dialog, and the pair that was open stays.
        """
        before = self._views.nodes
        self._opened += 1
        try:
            controller, fixed, tissues = self._made(pair)
        except Exception:
            self._views.remove([node for node in self._views.nodes if node not in before])
            self._state.update({"open_dialog": True, "status": self._live.status})
            raise
        self._live.replace(controller)
        for line in strangers(pair):
            self._live.say(line)
        self._views.remove(before)
        self._views.show(fixed, tissues)
        self._state.update({"open_dialog": False, "pair_title": pair.title})

    def _made(self, pair: Pair) -> tuple[LiveController, Any, Any]:
        """Controller of a pair, its fixed volume, and its fixed tissues where known.

        Raises:
            InputError: it cannot be registered as it is.
        """
        scene = self._views.scene
        scheme = None if pair.scheme is None else load_scheme(pair.scheme)
        tissues, moving_tissues = (
            None if found is None else label_node(scene, found, name, scheme)
            for found, name in (
                (pair.fixed_labels, "Fixed tissues"),
                (pair.moving_labels, "Moving tissues"),
            )
        )
        fixed, moving = (
            called(node_from_image(scene, image, name), name, image.name)
            for image, name in ((pair.fixed, "Fixed"), (pair.moving, "Moving"))
        )
        options = ControllerOptions(
            model=pair.model,
            device=self._device,
            initial=pair.initial,
            similarity=pair.similarity,
            scheme=pair.scheme,
        )
        controller = LiveController(scene, fixed, moving, tissues, moving_tissues, options=options)
        if moving_tissues is not None:
            moving_tissues.SetDisplayVisibility(False)
        return controller, fixed, tissues


def label_node(scene: Any, labels: LabelMap, name: str, scheme: TissueScheme | None) -> Any:
    """Segmentation node of ``labels``, named and coloured by the scheme where there is one.

    Raises:
        InputError: a label belongs to no tissue of the scheme.
    """
    colors = {}
    if scheme is not None:
        labels = scheme.named(labels)
        colors = {tissue.name: tissue.color for tissue in scheme.tissues}
    return called(node_from_labels(scene, labels, name, colors), name, labels.name)


def strangers(pair: Pair) -> list[str]:
    """What a scheme takes for its rest though its name tells something else."""
    if pair.scheme is None:
        return []
    scheme = load_scheme(pair.scheme)
    maps = [labels for labels in (pair.fixed_labels, pair.moving_labels) if labels is not None]
    return list(dict.fromkeys(line for line in map(scheme.left_over, maps) if line))


def called(node: Any, name: str, source: str) -> Any:
    """``node`` by a name that the pair before, which it may replace, still has in the scene.

    Its ``source``, the name of a file, goes into the record of a result.
    """
    node.SetName(name)
    node.SetAttribute(SOURCE, source)
    return node
