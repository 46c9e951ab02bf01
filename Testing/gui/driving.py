"""Drives the real module on the Qt stand-in as a user does: for tests, pictures and timings."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ElasticHyperRegLib.cli import main
from ElasticHyperRegLib.engine.report import peak_memory_mib
from ElasticHyperRegLib.io import write_image, write_labels
from ElasticHyperRegLib.mrml import image_from_node, labels_from_node
from ElasticHyperRegLib.mrml.labels import as_tissues

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "ElasticHyperReg"
PATIENCE_SECONDS = 900
BEAT_MS, MOVE_MS = 20, 8
SIDES = ("fixed", "moving")
FILES = ("transform.h5", "inverse.h5", "warped.nii.gz", "warped_labels.nii.gz", "jacobian.nii.gz")


def open_module(size: int) -> Any:
    """The module with a phantom loaded and chosen, to be registered by the exact solver."""
    _find_module()
    from ElasticHyperRegSlicer.samples import loadPhantom

    widget = open_with(loadPhantom(size=size))
    choose(widget.ui.schemeComboBox, "phantom")
    return widget


def open_with(nodes: Sequence[Any]) -> Any:
    """The module with a fixed and a moving volume and the tissues of both, likewise."""
    import slicer

    _find_module()
    import ElasticHyperReg

    widget = ElasticHyperReg.ElasticHyperRegWidget()
    widget.setup()
    widget.enter()
    selectors = ("fixedSelector", "movingSelector", "labelsSelector", "movingLabelsSelector")
    for name, node in zip(selectors, nodes, strict=True):
        getattr(widget.ui, name).setCurrentNode(node)
    choose(widget.ui.modelComboBox, "none")
    slicer.app.processEvents()
    return widget


def _find_module() -> None:
    if str(MODULE_FOLDER) not in sys.path:
        sys.path.append(str(MODULE_FOLDER))


def choose(combo: Any, data: Any) -> None:
    """Pick the entry of a box."""
    combo.setCurrentIndex(combo.findData(data))


def wait(widget: Any, until: Callable[[], bool] | None = None) -> None:
    """Run the window until it says so, by default until nothing goes on.

    Raises:
        TimeoutError: it does not, or the pair has ended.
    """
    import slicer

    live = widget.panel.live
    over = until or (lambda: live.display is not None and not live.busy)
    end = time.monotonic() + PATIENCE_SECONDS
    while not over():
        slicer.app.processEvents()
        time.sleep(0.005)
        if time.monotonic() > end or live.controller is None:
            raise TimeoutError(widget.ui.statusLabel.text)


@dataclass(frozen=True)
class Storm:
    """What a storm of slider moves did.

    Attributes:
        moves: of sliders.
        answers: that were shown.
        beats: of a timer every ``BEAT_MS``.
        late_ms: the worst delay of such a beat.
        nodes_added: to the scene.
        grown_mib: peak memory at the end over that after a third of the storm.
    """

    moves: int
    answers: int
    beats: int
    late_ms: float
    nodes_added: int
    grown_mib: float


def storm(widget: Any, seconds: float) -> Storm:
    """Drag sliders of all tissues about for so long; the last stay where they are."""
    import qt
    import slicer

    rows, chance = list(widget.panel.tissues.rows.values()), random.Random(0)
    sliders = [s for row in rows for s in (row.lamSlider, row.muSlider) if s.enabled]
    late: list[float] = []
    counts = {"moves": 0, "answers": 0}
    last = [time.perf_counter()]

    def beat() -> None:
        now = time.perf_counter()
        late.append(now - last[0] - BEAT_MS / 1000)
        last[0] = now

    def move() -> None:
        slider = sliders[counts["moves"] // 25 % len(sliders)]
        slider.setSliderDown(True)
        slider.value = chance.randrange(slider.maximum)
        slider.setSliderDown(counts["moves"] % 25 != 24)
        counts["moves"] += 1

    def count(event: Any) -> None:
        counts["answers"] += 1

    widget.panel.live.listen("Updated", count)
    nodes, begin = slicer.mrmlScene.GetNumberOfNodes(), time.perf_counter()
    timers = [_timer(qt, BEAT_MS, beat), _timer(qt, MOVE_MS, move)]
    memory = 0.0
    while time.perf_counter() < begin + seconds:
        slicer.app.processEvents()
        time.sleep(0.001)
        if time.perf_counter() < begin + seconds / 3:
            memory = peak_memory_mib()["peak_memory_mib"]
    for timer in timers:
        timer.stop()
    for slider in sliders:
        slider.setSliderDown(False)
    grown = peak_memory_mib()["peak_memory_mib"] - memory
    added = slicer.mrmlScene.GetNumberOfNodes() - nodes
    return Storm(
        counts["moves"], counts["answers"], len(late), 1000 * max(late), added, float(grown)
    )


def _timer(qt: Any, milliseconds: int, slot: Callable[[], None]) -> Any:
    timer = qt.QTimer()
    timer.setTimerType(qt.Qt.PreciseTimer)
    timer.interval = milliseconds
    timer.connect("timeout()", slot)
    timer.start()
    return timer


def export(widget: Any, folder: Path) -> None:
    """Press *Export files* and wait."""
    widget.ui.exportPathLineEdit.currentPath = str(folder)
    widget.ui.exportButton.click()
    wait(widget)


def command_line(widget: Any, folder: Path) -> int:
    """The same pair and settings through ``elastic-hyperreg register``; its exit code."""
    controller = widget.panel.live.controller
    names = widget.panel.inputs.nodes()
    words = ["register", "--out", str(folder / "out"), "--model", "none", "--tissues", "phantom"]
    like = None
    for side, role in zip(SIDES, ("labels", "moving_labels"), strict=True):
        image = image_from_node(names[side])
        write_image(image, folder / f"{side}.nrrd")
        labels = like = as_tissues(labels_from_node(names[role], image), like=like)
        write_labels(labels, folder / f"{side}_labels.nrrd")
        words += [f"--{side}", str(folder / f"{side}.nrrd")]
        words += [f"--{side}-labels", str(folder / f"{side}_labels.nrrd")]
    for row in controller.tissues:
        words += ["--elasticity", f"{row.name}={row.lam!r},{row.mu!r}"]
    return main(words)


def differing(one: Path, other: Path) -> list[str]:
    """The result files of two folders that do not agree in every bit of their numbers."""

    def same(name: str) -> bool:
        return np.array_equal(_numbers(one / name), _numbers(other / name))

    return [name for name in FILES if not same(name)]


def _numbers(path: Path) -> np.ndarray:
    if path.suffix == ".h5":
        transform = sitk.ReadTransform(str(path))
        stages = sitk.CompositeTransform(transform)
        parts = [stages.GetNthTransform(i) for i in range(stages.GetNumberOfTransforms())]
        return np.concatenate([np.r_[p.GetParameters(), p.GetFixedParameters()] for p in parts])
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
