"""The panel: its sections, the pair they belong to, and what goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.mrml.pair_state import MODULE, PairState

from .comparison import ComparisonSection
from .display import DisplaySection
from .estimation import EstimationSection
from .inputs import InputsSection
from .installation import Installation
from .live import LivePair
from .models import ModelSection
from .output import OutputSection
from .quality import QualitySection
from .tissues import TissuesSection

PER_CENT = 100
LONG = {"prepare", "register", "sensitivity"}
"""Jobs with a bar and a button to stop them."""


class Panel:
    """Everything in the module's panel.

    Args:
        ui: the widgets of ``ElasticHyperReg.ui``.
        logic: makes parameter nodes, and live pairs of them (``openPair``).
        resourcePath: name → path in the module's ``Resources``.

    Attributes:
        pairNode: parameter node of the chosen pair, ``None`` while the scene closes.
        live: the live pair.
        importing: a scene is being imported: its selectors lose what they show and choose anew.
    """

    def __init__(self, ui: Any, logic: Any, resourcePath: Callable[[str], str]) -> None:
        self.ui = ui
        self.pairNode: Any = None
        self.importing = False
        self._logic = logic
        self._storing = False
        self.installation = Installation(resourcePath("requirements.txt"))
        self.live = LivePair(self.refresh, self.store)
        self.inputs = InputsSection(ui, self._onInputs, self.say)
        self.model = ModelSection(
            ui, self.live, self._onInputs, lambda: not self.installation.missing()
        )
        self.tissues = TissuesSection(ui, self.live, resourcePath("Icons"))
        self.estimation = EstimationSection(ui, self.live)
        self.display = DisplaySection(ui, self.live, self.store)
        self.comparison = ComparisonSection(ui, self.live, self.store)
        self.quality = QualitySection(ui, self.live)
        self.output = OutputSection(ui, self.live)
        self._sections = (
            self.tissues,
            self.estimation,
            self.display,
            self.comparison,
            self.quality,
            self.output,
        )
        for label in (ui.statusLabel, ui.estimateResultLabel, ui.qualitySummaryLabel):
            label.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Preferred)  # wraps
        self._connect()
        self.showMissing()
        self.refresh()

    def _connect(self) -> None:
        ui, live = self.ui, self.live
        ui.pairSelector.addAttribute("vtkMRMLScriptedModuleNode", "ModuleName", MODULE)
        ui.pairSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.setPair)
        ui.registerButton.connect("clicked()", self.register)
        ui.stopButton.connect("clicked()", self.stop)
        ui.installButton.connect("clicked()", self.install)
        live.listen("Status", lambda event: self.say(event.text, event.warning))
        live.listen("Progressed", self._onProgress)
        live.listen("Ready", self._onReady)
        live.listen("Updated", self._onUpdated)
        live.listen("Failed", lambda event: self.say(event.message, not event.cancelled))
        live.listen("Closed", self._onClosed)
        live.listen("Estimated", lambda event: self.store())

    def say(self, text: str, warning: bool = False) -> None:
        """One line below the button."""
        self.ui.statusLabel.text = f"⚠ {text}" if warning else text
        if warning:
            slicer.util.showStatusMessage(text, 5000)

    def refresh(self) -> None:
        """Everything that depends on whether a pair is live and what it does."""
        busy = self.live.busy
        self.ui.registerButton.enabled = self._canRegister()
        self.ui.stopButton.enabled = bool(LONG & busy)
        self.ui.progressBar.visible = bool(LONG & busy)
        for section in self._sections:
            section.refresh()

    def _canRegister(self) -> bool:
        nodes = self.inputs.nodes()
        return "fixed" in nodes and "moving" in nodes and nodes["fixed"] is not nodes["moving"]

    # -- the pair in the scene

    def choosePair(self, create: bool = True) -> None:
        """The pair of the scene that is shown: the one chosen before, else one with volumes.

        Args:
            create: make a pair where the scene has none.
        """
        known = self._logic.getAllParameterNodes()
        filled = [node for node in known if node.GetNodeReferenceID("fixed")]
        candidates = [node for node in known if node is self.pairNode and node in filled]
        candidates += filled + known
        if candidates:
            self.setPair(candidates[0])
        elif create:
            self.setPair(self._logic.getParameterNode())
        self.inputs.proposeVolumes()
        self.refresh()

    def setPair(self, node: Any) -> None:
        """Show another pair; the live one ends."""
        if node is self.pairNode or self.importing:
            return
        self.store()
        self.end(_("Another pair was chosen."))
        self.pairNode = node
        self.ui.pairSelector.setCurrentNode(node)
        self.showState()

    def endImport(self) -> None:
        """Show the pair that was shown before, or where it was empty one that was loaded."""
        self.importing = False
        empty = self.pairNode is None or not self.pairNode.GetNodeReferenceID("fixed")
        if empty:
            self.choosePair(create=False)
        self.ui.pairSelector.setCurrentNode(self.pairNode)
        self.showState()

    def forgetPair(self, reason: str) -> None:
        """The scene closes: its nodes are not touched any more."""
        self.pairNode = None
        self.end(reason)

    def showState(self) -> None:
        """Show what the parameter node says; a script or a loaded scene has changed it."""
        if self.pairNode is None or self._storing:
            return
        try:
            state = PairState.load(self.pairNode)
        except InputError as error:
            self.say(str(error), True)
            return
        self._storing = True
        self.inputs.show(state)
        self.model.show(state)
        self.display.show(state.display)
        if self.live.controller is not None:
            for tissue in self.live.controller.tissues:
                lam, mu = state.elasticity.get(tissue.name, (tissue.lam, tissue.mu))
                if (lam, mu) != (tissue.lam, tissue.mu):
                    self.live.do("set_elasticity", tissue.name, lam, mu)
            self.live.do("settle")
        self._storing = False
        self.refresh()

    def store(self) -> None:
        """Write everything into the parameter node, so that the scene saves it."""
        if self.pairNode is None or self._storing:
            return
        self._storing = True
        try:
            if self.live.controller is not None:
                self.live.controller.store(self.pairNode)
            self._choices().store(self.pairNode)
        except InputError as error:
            self.say(str(error), True)
        self._storing = False

    def _choices(self) -> PairState:
        """What is in the node, with what the panel decides."""
        state, chosen = PairState.load(self.pairNode), self.inputs.nodes()
        before = {role: node for role, node in state.nodes.items() if role != "transform"}
        nodes, kept = dict(chosen), state.kept
        same = all(before.get(role) is chosen.get(role) for role in ("fixed", "moving"))
        if same and "transform" in state.nodes:
            nodes["transform"] = state.nodes["transform"]
        if chosen != before:  # the figures of kept settings are those of other images
            kept = tuple({**record, "metrics": {}} for record in kept)
        return replace(
            state,
            nodes=nodes,
            kept=kept,
            model=self.model.model,
            device=self.model.device,
            initial=self.inputs.initial,
            similarity=self.inputs.similarity,
            scheme=self.inputs.scheme,
            display=self.display.state(),
        )

    def _onInputs(self) -> None:
        """The user chose something else: what is live does not fit any more."""
        if self._storing or self.importing or slicer.mrmlScene.IsBatchProcessing():
            return  # a scene that is being closed or loaded: the choice follows at its end
        if self.pairNode is None:
            self.choosePair()
        self.live.poll()  # a deleted node says so itself
        self.end(_("The inputs have changed. Press Register to go on."))
        self.store()
        self.refresh()

    # -- what the buttons do

    def register(self) -> None:
        """Align the chosen volumes and go live."""
        if self.pairNode is None:
            self.choosePair()
        if not (self._canRegister() and self.install()):
            return
        self.end(_("Another registration was started."))
        self.store()
        try:
            with slicer.util.WaitCursor():
                self.say(_("Loading…"))
                slicer.app.processEvents()
                controller = self._logic.openPair(self.pairNode)
        except InputError as error:
            self.say(str(error), True)
            return
        self.live.begin(controller)

    def stop(self) -> None:
        """Stop what takes long; while the pair is still being prepared, the whole of it."""
        if "prepare" in self.live.busy:
            self.end(_("Stopped."))
        else:
            self.live.do("cancel", "sensitivity", "register")

    def install(self) -> bool:
        """Install what is missing, on the user's consent; whether all is there."""
        complete = not self.installation.missing() or self.installation.install()
        self.showMissing()
        return complete

    def showMissing(self) -> None:
        """Say what is not installed."""
        text = self.installation.description()
        self.ui.installLabel.text = text
        self.ui.installFrame.visible = bool(text)

    def end(self, reason: str) -> None:
        """End the live pair, if there is one; its transform node stays in the scene."""
        self.store()
        self.live.end(reason)

    def close(self, reason: str) -> None:
        """The end: after a reload the old widgets are hidden, and still told of the scene."""
        self.end(reason)
        self._storing = True

    # -- what happens

    def _onProgress(self, event: Any) -> None:
        if event.what != "estimate":
            self.ui.progressBar.value = round(PER_CENT * event.fraction)

    def _onReady(self, event: Any) -> None:
        self.say(_("Ready: drag a slider."))
        self.inputs.outlineTissues()
        if slicer.app.layoutManager() is not None:
            slicer.util.resetSliceViews()
        self.store()

    def _onClosed(self, event: Any) -> None:
        self.ui.liveQualityLabel.text = "–"
        self.say(event.reason, False)

    def _onUpdated(self, event: Any) -> None:
        stages = {
            "preview": _("first look, not yet solved"),
            "network": _("answer of the trained model"),
            "refined": _("refined by the exact solver"),
            "kept": _("kept setting"),
        }
        text = stages.get(event.stage, event.stage)
        if event.stage != "kept":
            text = _("{stage}, after {seconds:.2f} s").format(stage=text, seconds=event.seconds)
        self.ui.liveQualityLabel.text = text if event.final else f"{text} …"
        if event.final:
            self.store()
