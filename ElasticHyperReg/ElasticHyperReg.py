"""ElasticHyperReg: registration in which every tissue deforms like itself, in 3D Slicer."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import slicer
import slicer.util
from ElasticHyperRegSlicer import library
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

library.makeImportable()

POLL_SECONDS = 0.02
INPUT_FAULT = 2
Elasticities = Mapping[str, Any]
"""Tissue → (λ, μ), two numbers or an ``ElasticHyperRegLib.types.Elasticity``."""


class ElasticHyperReg(ScriptedLoadableModule):
    """What 3D Slicer shows of the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        from ElasticHyperRegSlicer import samples, texts

        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "ElasticHyperReg"
        parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        parent.dependencies = []
        parent.contributors = ["ElasticHyperReg contributors"]
        parent.helpText = texts.helpText()
        parent.acknowledgementText = texts.acknowledgement()
        icon = self.resourcePath("Icons/ElasticHyperReg.png")
        slicer.app.connect("startupCompleted()", lambda: samples.register(icon))


class ElasticHyperRegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel, made of ``ElasticHyperRegSlicer.panel``."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: Any = None
        self.panel: Any = None
        self.entered = False

    def setup(self) -> None:
        """Build the panel; torch is not loaded."""
        from ElasticHyperRegSlicer.panel import Panel

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/ElasticHyperReg.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = ElasticHyperRegLogic()
        self.panel = Panel(self.ui, self.logic, self.resourcePath)
        scene = slicer.mrmlScene
        for event, method in (
            (scene.StartCloseEvent, self.onSceneStartClose),
            (scene.EndCloseEvent, self.onSceneChanged),
            (scene.StartImportEvent, self.onSceneStartImport),
            (scene.EndImportEvent, self.onSceneEndImport),
            (scene.StartSaveEvent, self.onSceneStartSave),
        ):
            self.addObserver(scene, event, method)

    def enter(self) -> None:
        """The user opens the module."""
        self.entered = True
        self.panel.live.setInSight(True)
        self.panel.showMissing()
        self.panel.choosePair()

    def exit(self) -> None:
        """The user opens another module; a live pair goes on."""
        self.entered = False
        self.panel.live.setInSight(False)
        self.panel.store()

    def cleanup(self) -> None:
        """The module is closed or reloaded."""
        self.panel.close(_("The module was closed."))
        self.removeObservers()

    def onReload(self) -> None:
        """Reload the files beside this one too."""
        for name in [name for name in sys.modules if name.startswith("ElasticHyperRegSlicer")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """Let go of every node before it disappears."""
        self.panel.forgetPair(_("The scene was closed."))

    def onSceneStartImport(self, caller: Any, event: Any) -> None:
        """Until it has ended, what the selectors say is nobody's choice."""
        self.panel.importing = True

    def onSceneEndImport(self, caller: Any, event: Any) -> None:
        """The scene holds more: the pair stays, or is the first of what was loaded."""
        self.panel.endImport()

    def onSceneChanged(self, caller: Any, event: Any) -> None:
        """A scene was closed: show what is left."""
        if self.entered:
            self.panel.choosePair(create=False)
            self.panel.showState()

    def onSceneStartSave(self, caller: Any, event: Any) -> None:
        """Everything goes into the file."""
        self.panel.store()


class ElasticHyperRegLogic(ScriptedLoadableModuleLogic):
    """What the module does, without its panel.

    From the Python console::

        from ElasticHyperReg import ElasticHyperRegLogic
        logic = ElasticHyperRegLogic()
        pair = (getNode("exhale"), getNode("inhale"), getNode("tissues"), getNode("tissues 2"))
        nodes = logic.register(*pair, elasticity={"lung": (0.05, 0.1), "bone": (0.1, 0.8)})
        nodes["warped"], nodes["transform"], nodes["jacobian"]
        found = logic.estimate(*pair)
        logic.export("/tmp/result", *pair, elasticity=found.elasticity)

    All methods wait for what they do and raise ``ElasticHyperRegLib.errors.InputError``, one line
    that says what was given, what was expected and what to do. Volumes are
    vtkMRMLScalarVolumeNode, tissues vtkMRMLSegmentationNode or vtkMRMLLabelMapVolumeNode.
    """

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self, parent)
        self.isSingletonParameterNode = False  # a scene may hold several pairs

    def createParameterNode(self) -> Any:
        """A parameter node for one more pair, not yet in the scene."""
        node = ScriptedLoadableModuleLogic.createParameterNode(self)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(_("Pair")))
        return node

    def openPair(self, pairNode: Any) -> Any:
        """``LiveController`` of a pair as its parameter node describes it; not yet started."""
        from ElasticHyperRegLib.mrml import LiveController

        return LiveController.from_state(slicer.mrmlScene, pairNode)

    def register(
        self,
        fixedVolume: Any,
        movingVolume: Any,
        segmentation: Any = None,
        movingSegmentation: Any = None,
        elasticity: Elasticities | None = None,
    ) -> dict[str, Any]:
        """Register two volumes at full resolution.

        Args:
            fixedVolume: volume that stays.
            movingVolume: volume that is deformed onto it.
            segmentation: tissues of the fixed volume.
            movingSegmentation: tissues of the moving volume, to be warped along.
            elasticity: tissue → (λ, μ), or one (λ, μ) for everywhere. Tissues that are not named
                keep their preset.

        Returns:
            ``transform``, ``inverse``, ``warped``, ``jacobian`` and, with a moving segmentation,
            ``warped_labels`` → node.
        """
        pair = (fixedVolume, movingVolume, segmentation, movingSegmentation)
        with _live(pair, elasticity) as controller:
            controller.write_outputs()
            written = _wait(controller, "Written", "register")
        found = {what: slicer.mrmlScene.GetNodeByID(key) for what, key in written.nodes.items()}
        return {what: node for what, node in found.items() if node is not None}

    def estimate(
        self,
        fixedVolume: Any,
        movingVolume: Any,
        segmentation: Any,
        movingSegmentation: Any,
        objective: str = "dice",
        method: str = "grid",
    ) -> Any:
        """Find λ and μ of each tissue for this pair.

        Args:
            fixedVolume: volume that stays.
            movingVolume: volume that is deformed onto it.
            segmentation: tissues of the fixed volume.
            movingSegmentation: the same tissues of the moving volume.
            objective: ``dice``, ``soft-dice`` or ``similarity``, or several with weights, as in
                ``dice=1, similarity=0.5``.
            method: ``grid``, ``coarse-to-fine`` or ``gradient`` (not by hard Dice).

        Returns:
            ``ElasticHyperRegLib.estimation.Estimate``: ``elasticity`` (tissue → (λ, μ), as
            ``register`` takes it), ``scores`` before and after, ``warnings``.
        """
        pair = (fixedVolume, movingVolume, segmentation, movingSegmentation)
        with _live(pair, None) as controller:
            controller.estimate(objective, method)
            return _wait(controller, "Estimated", "estimate").estimate

    def export(
        self,
        folder: str,
        fixedVolume: Any,
        movingVolume: Any,
        segmentation: Any = None,
        movingSegmentation: Any = None,
        elasticity: Elasticities | None = None,
    ) -> dict[str, Any]:
        """Register two volumes and write the files of ``elastic-hyperreg register``.

        Args:
            folder: new or empty.
            fixedVolume: as for ``register``, likewise the rest.
            movingVolume: likewise.
            segmentation: likewise.
            movingSegmentation: likewise.
            elasticity: likewise.

        Returns:
            The content of ``metrics.json``.
        """
        pair = (fixedVolume, movingVolume, segmentation, movingSegmentation)
        with _live(pair, elasticity) as controller:
            controller.export(folder)
            return dict(_wait(controller, "Exported", "register").metrics)

    def segment(self, volume: Any) -> Any:
        """Tissues of a thorax or body CT, by the extension TotalSegmentator.

        Args:
            volume: CT in Hounsfield units.

        Returns:
            vtkMRMLSegmentationNode, its segments named as the schemes ``thorax-ct`` and
            ``abdomen-ct`` expect.
        """
        from ElasticHyperRegSlicer import totalsegmentator

        from ElasticHyperRegLib.errors import InputError

        reason = totalsegmentator.obstacle()
        if reason:
            raise InputError(reason)
        return totalsegmentator.segment(volume, logging.info)

    def batch(self, manifest: str, outputFolder: str) -> int:
        """Register a cohort, one row of a CSV a pair; the same as ``elastic-hyperreg batch``.

        Returns:
            0 when every case is done, 2 when the input of some is at fault, 1 for a fault of ours;
            ``summary.csv`` in the folder has the reasons.
        """
        missing = _missingPackages()
        if missing:
            sys.stderr.write(f"{missing}\n")
            return INPUT_FAULT
        from ElasticHyperRegLib.cli import main

        return main(["batch", manifest, "--out", outputFolder])


def _missingPackages() -> str:
    """What has to be installed before anything can be registered, in one line; empty for none."""
    from ElasticHyperRegSlicer.installation import Installation

    return Installation().obstacle()


@contextmanager
def _live(pair: tuple[Any, ...], elasticity: Elasticities | None) -> Iterator[Any]:
    """A prepared ``LiveController`` of (fixed, moving, tissues, moving tissues) with settings."""
    from ElasticHyperRegLib.errors import InputError

    missing = _missingPackages()
    if missing:
        raise InputError(missing)

    from ElasticHyperRegLib.mrml import ControllerOptions, LiveController
    from ElasticHyperRegLib.mrml.layers import layers_kept
    from ElasticHyperRegLib.mrml.nodes import keeping_only
    from ElasticHyperRegLib.mrml.volumes import OUTPUT

    if slicer.mrmlScene.IsBatchProcessing():  # in which nothing is brought into the scene
        raise InputError(
            "a scene that is being changed as a whole (StartState)", action="end that state first"
        )
    wanted = _numbers(elasticity or {})
    options = ControllerOptions(measure_at_rest=False)
    controller = LiveController(slicer.mrmlScene, *pair, options=options)
    with layers_kept(slicer.mrmlScene), keeping_only(slicer.mrmlScene, OUTPUT):
        try:
            controller.start()
            _wait(controller, "Ready", "prepare")
            controller.live = False
            for tissue, (lam, mu) in _values(controller, wanted).items():
                controller.set_elasticity(tissue, lam, mu)
            yield controller
        finally:
            controller.close()


def _numbers(given: Elasticities | tuple[float, float]) -> dict[str, tuple[float, float]]:
    """λ and μ by tissue, or ``everywhere``.

    Raises:
        InputError: they are no two numbers, or out of range.
    """
    from ElasticHyperRegLib.engine.request import DEFAULT_ELASTICITY
    from ElasticHyperRegLib.session.values import setting

    named = given if isinstance(given, Mapping) else {"everywhere": given}
    read = {name: setting(value, DEFAULT_ELASTICITY, ()).default for name, value in named.items()}
    return {name: (value.lam, value.mu) for name, value in read.items()}


def _values(
    controller: Any, wanted: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """``wanted`` with what it says of ``everywhere`` for the tissues that it does not name."""
    rest = wanted.get("everywhere")
    others = {} if rest is None else {row.name: rest for row in controller.tissues}
    return {**others, **{name: pair for name, pair in wanted.items() if name != "everywhere"}}


def _wait(controller: Any, event: str, job: str) -> Any:
    """Poll until ``event`` comes.

    Raises:
        InputError: the job failed.
    """
    from ElasticHyperRegLib.errors import InputError

    while True:
        for happened in controller.poll():
            if type(happened).__name__ == event:
                return happened
            if type(happened).__name__ == "Failed" and happened.what == job:
                raise InputError(happened.message)
            if type(happened).__name__ == "Closed":
                raise InputError(happened.reason)
        time.sleep(POLL_SECONDS)


class ElasticHyperRegTest(ScriptedLoadableModuleTest):
    """Self-test inside 3D Slicer: *Reload and Test* in developer mode, or ctest."""

    size = 48

    def setUp(self) -> None:
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all of it."""
        self.setUp()
        self.test_phantom()

    def test_phantom(self) -> None:
        """Register a small phantom; the images must become more alike."""
        from ElasticHyperRegSlicer import samples

        missing = samples.missing()
        if missing:  # as on the machines that build extensions
            self.skipTest(missing)
        self.delayDisplay("Making a phantom")
        fixed, moving, tissues, movingTissues = samples.loadPhantom(size=self.size)
        self.delayDisplay("Registering")
        nodes = ElasticHyperRegLogic().register(fixed, moving, tissues, movingTissues)
        before, after = (self.difference(fixed, node) for node in (moving, nodes["warped"]))
        self.assertLess(after, 0.8 * before)  # noise alone makes a third of it
        self.assertGreater(slicer.util.arrayFromVolume(nodes["jacobian"]).min(), 0)
        self.delayDisplay("Passed")

    def difference(self, one: Any, other: Any) -> float:
        """Mean absolute difference of two volumes of one geometry."""
        arrays = [slicer.util.arrayFromVolume(node).astype(float) for node in (one, other)]
        return float(abs(arrays[0] - arrays[1]).mean())
