"""Sample data: a phantom that is made here, and a pair that 3D Slicer knows where to find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import slicer.util
from slicer.i18n import tr as _

CATEGORY = "ElasticHyperReg"
PHANTOM_SIZE = 96


def register(icon: str) -> None:
    """Tell the module SampleData of both; nothing is made or loaded yet.

    Args:
        icon: file of the picture on the buttons.
    """
    _register("BreathingPhantom", loadPhantom, icon)
    _register("MRBrainTumorPair", loadTumorPair, icon)


def missing() -> str:
    """What must be installed before a phantom can be made; empty where nothing is missing."""
    from .installation import Installation

    return Installation().description()


def loadPhantom(_source: Any = None, size: int = PHANTOM_SIZE) -> list[Any]:
    """Make the thorax phantom: exhale, inhale and the tissues of both, four nodes.

    Raises:
        RuntimeError: something is not installed yet.
    """
    text = missing()
    if text:
        raise RuntimeError(text)
    from ElasticHyperRegLib.mrml import node_from_image, node_from_labels
    from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom
    from ElasticHyperRegLib.tissues import load_scheme

    phantom = make_phantom(PhantomOptions(size=size))
    colors = {tissue.name: tissue.color for tissue in load_scheme("phantom").tissues}
    scene = slicer.mrmlScene
    return [
        node_from_image(scene, phantom.fixed, _("Phantom exhale")),
        node_from_image(scene, phantom.moving, _("Phantom inhale")),
        node_from_labels(scene, phantom.fixed_labels, _("Phantom exhale tissues"), colors),
        node_from_labels(scene, phantom.moving_labels, _("Phantom inhale tissues"), colors),
    ]


def loadTumorPair(_source: Any = None) -> list[Any]:
    """The brain of one patient before and after an operation, downloaded by SampleData."""
    import SampleData

    logic = SampleData.SampleDataLogic()
    pair = ("MRBrainTumor1", "MRBrainTumor2")
    return [node for name in pair for node in logic.downloadSamples(name)]


def _register(name: str, load: Callable[[Any], list[Any]], icon: str) -> None:
    import SampleData

    def shown(source: Any) -> list[Any]:
        """SampleData calls this from a button, where an error is seen in the log alone."""
        with slicer.util.tryWithErrorDisplay(f"{name}:", waitCursor=True):
            return load(source)

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=name,
        uris="",  # nothing is downloaded: SampleData wants a text
        customDownloader=shown,
        thumbnailFileName=icon,
    )
