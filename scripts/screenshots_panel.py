"""Pictures of the 3D Slicer module's panel for the documentation, on the Qt stand-in.

``QT_QPA_PLATFORM=offscreen python -m scripts.screenshots_panel [--size 64]``

A phantom is made and really registered; the widgets are drawn by the stand-ins of
``Testing/gui/standin``, so that 3D Slicer's own look differs a little.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from Testing.gui.standin import install

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
WIDTH = 500
PATIENCE_SECONDS = 900
ALL = ("inputs", "model", "tissues", "live", "estimate", "display", "compare", "quality", "output")


def open_module(size: int) -> Any:
    """The module with a phantom loaded and chosen."""
    slicer = install()
    sys.path.append(str(ROOT / "ElasticHyperReg"))
    from ElasticHyperRegSlicer import samples

    import ElasticHyperReg

    fixed, moving, tissues, moving_tissues = samples.loadPhantom(size=size)
    widget = ElasticHyperReg.ElasticHyperRegWidget()
    widget.setup()
    widget.enter()
    for name, node in (
        ("fixedSelector", fixed),
        ("movingSelector", moving),
        ("labelsSelector", tissues),
        ("movingLabelsSelector", moving_tissues),
    ):
        getattr(widget.ui, name).setCurrentNode(node)
    combo = widget.ui.schemeComboBox
    combo.setCurrentIndex(combo.findData("phantom"))
    slicer.app.processEvents()
    return widget


def wait(widget: Any, until: Callable[[], bool]) -> None:
    """Run the window until it says so.

    Raises:
        TimeoutError: it does not, or the pair has ended.
    """
    import slicer

    end = time.monotonic() + PATIENCE_SECONDS
    while not until():
        slicer.app.processEvents()
        time.sleep(0.01)
        if time.monotonic() > end or widget.panel.live.controller is None:
            raise TimeoutError(widget.ui.statusLabel.text)


def idle(widget: Any) -> Callable[[], bool]:
    """Whether the pair is ready and nothing goes on."""
    live = widget.panel.live
    return lambda: live.display is not None and not live.busy


def picture(widget: Any, name: str, sections: tuple[str, ...]) -> None:
    """Draw the panel with these sections unfolded."""
    import slicer

    for section in ALL:
        button = getattr(widget.ui, f"{section}CollapsibleButton", None)
        if button is None:
            raise AttributeError(f"no section {section}")
        button.collapsed = section not in sections
    widget.parent.show()
    slicer.app.processEvents()
    widget.parent.resize(WIDTH, 200)
    slicer.app.processEvents()
    widget.parent.resize(WIDTH, widget.parent.sizeHint().height())
    slicer.app.processEvents()
    widget.parent.grab().save(str(IMAGES / f"{name}.png"))


def main() -> None:
    """Register the phantom and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="voxels of the phantom")
    widget = open_module(parser.parse_args().size)
    ui = widget.ui
    ui.modelComboBox.setCurrentIndex(ui.modelComboBox.findData("none"))
    ui.registerButton.click()
    wait(widget, idle(widget))
    ui.keepAButton.click()
    widget.panel.tissues.rows["lung"].muSlider.value = 150
    wait(widget, idle(widget))
    ui.keepBButton.click()
    ui.jacobianCheckBox.click()
    combo = ui.glyphComboBox
    combo.setCurrentIndex(combo.findData("arrows"))
    picture(widget, "panel", ("inputs", "tissues", "live", "estimate", "display"))
    picture(widget, "panel-figures", ("model", "compare", "quality", "output"))
    ui.methodComboBox.setCurrentIndex(ui.methodComboBox.findData("coarse-to-fine"))
    ui.estimateButton.click()
    wait(widget, idle(widget))
    picture(widget, "panel-estimate", ("tissues", "estimate"))
    widget.cleanup()


if __name__ == "__main__":
    main()
