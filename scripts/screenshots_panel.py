"""Pictures of the 3D Slicer module for the documentation, on the Qt stand-in.

    QT_QPA_PLATFORM=offscreen python -m scripts.screenshots_panel [--size 64] [--lung FOLDER]

A phantom is made and really registered. The panel is drawn by the stand-ins of
``Testing/gui/standin``, so that 3D Slicer's own look differs a little; the views are drawn by 3D
Slicer's own classes. With ``--lung`` the views of a real pair, the folder of ``fixed.mha``,
``moving.mha`` and their ``*_lung_mask.mha`` (elastix test data), are drawn too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ElasticHyperRegLib.io import read_image, read_labels
from ElasticHyperRegLib.mrml import node_from_image, node_from_labels
from ElasticHyperRegLib.types import Image, LabelMap
from scripts.slicer_views import FourViews
from Testing.gui.driving import choose, open_module, open_with, wait
from Testing.gui.standin import install

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDTH, VIEWS = 500, (1280, 960)
ALL = ("inputs", "model", "tissues", "live", "estimate", "display", "compare", "quality", "output")
AIR_HU = -1024
LUNG = {1: "lung"}
LUNG_COLOR = {"lung": (128, 174, 200)}


def picture(widget: Any, name: str, sections: tuple[str, ...]) -> None:
    """Draw the panel with these sections unfolded."""
    import slicer

    for section in ALL:
        getattr(widget.ui, f"{section}CollapsibleButton").collapsed = section not in sections
    widget.parent.show()
    slicer.app.processEvents()
    widget.parent.resize(WIDTH, 200)
    slicer.app.processEvents()
    widget.parent.resize(WIDTH, widget.parent.sizeHint().height())
    slicer.app.processEvents()
    widget.parent.grab().save(str(IMAGES / f"{name}.png"))


def views_of(widget: Any, views: FourViews, name: str) -> None:
    """Draw the views with volume change and arrows, the tissues in 3D."""
    nodes = widget.panel.inputs.nodes()
    if not widget.ui.jacobianCheckBox.checked:
        widget.ui.jacobianCheckBox.click()
    choose(widget.ui.glyphComboBox, "arrows")
    views.show_surfaces(nodes["labels"])
    nodes["moving_labels"].SetDisplayVisibility(False)
    views.fit()
    views.save(IMAGES / f"{name}.png")


def register(widget: Any) -> None:
    """Press *Register* and wait for the answer."""
    widget.ui.registerButton.click()
    wait(widget)


def phantom(size: int) -> None:
    """All pictures of the phantom."""
    views = fresh_views()
    widget = open_module(size)
    ui = widget.ui
    register(widget)
    views_of(widget, views, "slicer-views")
    ui.keepAButton.click()
    widget.panel.tissues.rows["lung"].muSlider.value = 150
    wait(widget)
    ui.keepBButton.click()
    picture(widget, "panel", ("inputs", "tissues", "live", "estimate", "display"))
    picture(widget, "panel-figures", ("model", "compare", "quality", "output"))
    choose(ui.methodComboBox, "coarse-to-fine")
    ui.estimateButton.click()
    wait(widget)
    picture(widget, "panel-estimate", ("tissues", "estimate"))
    widget.cleanup()
    views.close()


def lung(folder: Path) -> None:
    """The views of a real pair."""
    views = fresh_views()
    images, masks = [], []
    for side in ("fixed", "moving"):
        image = read_image(folder / f"{side}.mha")
        inside = Image(image.data.clamp(min=AIR_HU), image.grid, image.name, image.dtype)
        images.append(node_from_image(views.scene, inside, f"Lung {side}"))
        mask = read_labels(folder / f"{side}_lung_mask.mha")
        named = LabelMap(mask.data, mask.grid, LUNG, mask.name)
        masks.append(node_from_labels(views.scene, named, f"Lung {side} mask", LUNG_COLOR))
    widget = open_with((*images, *masks))
    register(widget)
    views_of(widget, views, "slicer-views-lung")
    widget.cleanup()
    views.close()


def fresh_views() -> FourViews:
    """Views whose scene is that of the module to come."""
    import slicer

    views = FourViews(VIEWS)
    slicer.mrmlScene = views.scene
    return views


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="voxels of the phantom")
    parser.add_argument("--lung", type=Path, help="folder of a real pair")
    given = parser.parse_args()
    install()
    phantom(given.size)
    if given.lung:
        lung(given.lung)


if __name__ == "__main__":
    main()
