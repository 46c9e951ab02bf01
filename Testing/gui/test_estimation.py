"""The section *Estimate subject parameters*, on the Qt stand-in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ElasticHyperRegLib.mrml.events import Estimated, Failed, Progressed, Ready, Surfaced
from ElasticHyperRegLib.types import Elasticity


def poll(widget: Any) -> None:
    widget.panel.live.poll()


def found(tissues: tuple[str, ...] = ("lung", "bone")) -> SimpleNamespace:
    settings = tuple(Elasticity(i / 10, j / 10) for i in range(11) for j in range(11 - i))
    scores = tuple(0.8 + 0.1 * s.mu * (1 - s.mu) for s in settings)
    surfaces = [
        SimpleNamespace(tissue=t, settings=settings, scores=scores, chosen=Elasticity(0.1, 0.5))
        for t in tissues
    ]
    return SimpleNamespace(
        elasticity={tissue: Elasticity(0.1, 0.5) for tissue in tissues},
        surfaces=tuple(surfaces),
        surface=lambda tissue: next(s for s in surfaces if s.tissue == tissue),
        objective={"dice": 1.0},
        evidence="Chosen by the overlap of 2 tissues.",
        warnings=("lung: the evidence does not determine λ",),
        scores={tissue: {"before": 0.81, "after": 0.86} for tissue in tissues},
    )


def test_estimate_shows_progress_then_the_heat_map(live, controller):
    ui = live.ui
    ui.objectiveComboBox.setCurrentIndex(ui.objectiveComboBox.findData("soft-dice"))
    ui.methodComboBox.setCurrentIndex(ui.methodComboBox.findData("coarse-to-fine"))
    ui.estimateButton.click()
    assert controller.calls[-1] == ("estimate", "soft-dice", "coarse-to-fine")
    assert not ui.estimateButton.enabled
    assert ui.cancelEstimateButton.enabled
    controller.coming.append(Progressed("estimate", 0.4))
    poll(live)
    assert ui.estimateProgressBar.value == 40
    controller.done("estimate", Estimated(found()))
    poll(live)
    assert ui.estimateButton.enabled
    assert "0.810 → 0.860" in ui.estimateResultLabel.text
    assert "does not determine" in ui.estimateResultLabel.text
    assert not ui.heatMapLabel.pixmap.isNull()
    drawn = ui.heatMapLabel.pixmap.toImage()
    corners = [drawn.pixelColor(x, y).getRgb()[:3] for x, y in ((45, 32), (44 + 9, 30 + 89))]
    assert corners == [(68, 1, 84), (253, 231, 37)]  # μ = 1 and μ = 0.5, as in the page
    ui.heatMapTissueComboBox.setCurrentIndex(0)
    assert ui.heatMapTissueComboBox.currentData == "lung"


def test_estimate_takes_weights_that_are_written(live, controller):
    live.ui.objectiveComboBox.setEditText("dice=1, similarity=0.5")
    live.ui.estimateButton.click()
    assert controller.calls[-1][:2] == ("estimate", "dice=1, similarity=0.5")
    controller.done("estimate", Estimated(found()))
    controller.coming.append(Ready("none", "cpu", ("lung",), (), ("dice", "similarity")))
    poll(live)
    live.ui.estimateButton.click()
    assert controller.calls[-1][:2] == ("estimate", "dice=1, similarity=0.5")


def test_what_the_pair_does_not_allow_gives_way_to_the_best_that_it_does(live, controller):
    for written in ("dice=1, tre=0.1", "similarity=much"):
        live.ui.objectiveComboBox.setEditText(written)
        controller.coming.append(Ready("none", "cpu", ("lung",), (), ("similarity", "folds")))
        poll(live)
        live.ui.estimateButton.click()
        assert controller.calls[-1][:2] == ("estimate", "similarity")
        controller.done("estimate", Failed("estimate", "enough", cancelled=True))
        poll(live)


def test_only_what_the_pair_allows_is_offered(live, controller):
    def offered(combo: Any) -> list[str]:
        return [combo.itemData(index) for index in range(combo.count)]

    assert offered(live.ui.objectiveComboBox) == ["dice", "soft-dice", "similarity"]
    assert offered(live.ui.methodComboBox) == ["grid", "coarse-to-fine", "gradient"]


def test_the_first_surface_is_drawn_while_the_search_goes_on(live, controller):
    live.ui.estimateButton.click()
    controller.coming.append(Surfaced(found(("everywhere",)).surfaces[0]))
    poll(live)
    assert live.ui.cancelEstimateButton.enabled
    assert not live.ui.heatMapLabel.pixmap.isNull()
    assert not live.ui.heatMapFrame.isHidden()
    controller.done("estimate", Failed("estimate", "estimate was cancelled", cancelled=True))
    poll(live)
    assert live.ui.heatMapFrame.isHidden()


def test_estimate_can_be_cancelled(live, controller):
    live.ui.estimateButton.click()
    live.ui.cancelEstimateButton.click()
    poll(live)
    assert live.ui.statusLabel.text == "estimate was cancelled"
    assert live.ui.estimateButton.enabled
