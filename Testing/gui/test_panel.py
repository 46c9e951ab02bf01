"""Every control of the panel, on the Qt stand-in; see ``standin`` for what that proves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ElasticHyperRegLib.mrml.events import (
    Closed,
    Exported,
    Failed,
    Measured,
    Sensed,
    Status,
    Unsensed,
    Updated,
    Written,
)
from ElasticHyperRegLib.mrml.quality import Quality, TissueQuality

from .driving import choose


def poll(widget: Any) -> None:
    widget.panel.live.poll()


def test_two_volumes_and_one_click_to_the_first_view(widget):
    ui = widget.ui
    chosen = [s.currentNode().GetName() for s in (ui.fixedSelector, ui.movingSelector)]
    assert chosen == ["exhale", "inhale"]
    assert ui.registerButton.enabled
    ui.registerButton.click()
    poll(widget)
    assert widget.panel.live.controller.state.nodes["fixed"].GetName() == "exhale"
    assert set(widget.panel.tissues.rows) == {"lung", "bone", "soft_tissue", "spleen"}
    assert ui.statusLabel.text.startswith("Ready")


def test_says_that_it_is_for_research_only(widget):
    assert widget.ui.researchLabel.text == "Research use only, not for clinical decisions."


def test_without_volumes_nothing_can_be_registered(make_widget):
    widget = make_widget()
    assert not widget.ui.registerButton.enabled
    assert not widget.ui.estimateButton.enabled
    assert not widget.ui.keepAButton.enabled
    assert not widget.ui.exportButton.enabled


def test_swap_exchanges_the_sides(widget):
    widget.ui.swapButton.click()
    assert widget.ui.fixedSelector.currentNode().GetName() == "inhale"
    assert widget.ui.movingSelector.currentNode().GetName() == "exhale"


def test_changed_inputs_end_the_live_pair_and_say_so(live, controller):
    live.ui.swapButton.click()
    assert controller.closed
    assert "inputs have changed" in live.ui.statusLabel.text
    assert live.panel.tissues.rows == {}


def test_a_renamed_volume_keeps_the_pair_live(live, controller, volumes):
    said: list[Any] = []
    live.ui.fixedSelector.connect("currentNodeChanged(vtkMRMLNode*)", said.append)
    volumes[0].SetName("breathing out")
    assert said == [volumes[0]]
    assert not controller.closed


@pytest.mark.parametrize("which", ["lam", "mu"])
def test_a_slider_sets_its_tissue_and_is_settled(live, controller, which):
    row = live.panel.tissues.rows["lung"]
    slider, box = (row.lamSlider, row.lamBox) if which == "lam" else (row.muSlider, row.muBox)
    slider.value = 700
    tissue = controller.tissues[0]
    value = tissue.lam if which == "lam" else tissue.mu
    assert value > 0.5
    assert box.value == pytest.approx(value)
    assert controller.calls[-1] == ("settle",)


def test_a_dragged_slider_is_settled_when_it_is_let_go(live, controller):
    slider = live.panel.tissues.rows["lung"].muSlider
    slider.setSliderDown(True)
    for position in (400, 500, 600):
        slider.value = position
    assert ("settle",) not in controller.calls
    assert slider.value == 600
    slider.setSliderDown(False)
    assert controller.calls[-1] == ("settle",)
    live.ui.undoButton.click()
    assert controller.tissues[0].mu == 0.1
    live.ui.redoButton.click()
    assert controller.tissues[0].mu > 0.1


def test_a_typed_value_is_kept_to_the_digit(live, controller):
    live.panel.tissues.rows["bone"].lamBox.value = 0.137
    assert controller.tissues[1].lam == pytest.approx(0.137)


def test_the_other_weight_limits_a_slider(live, controller):
    row = live.panel.tissues.rows["bone"]
    row.lamSlider.value = 1000
    assert controller.tissues[1].lam == pytest.approx(0.2)
    assert row.lamBox.maximum == pytest.approx(0.2)


def test_lock_preset_and_reset(live, controller):
    row = live.panel.tissues.rows["lung"]
    row.lockButton.click()
    assert controller.tissues[0].locked
    row.muSlider.value = 650
    tissue = controller.tissues[0]
    assert tissue.lam / tissue.mu == pytest.approx(0.5, abs=1e-3)
    actions = {action.text.partition("  ")[0]: action for action in row.menu.actions()}
    next(action for text, action in actions.items() if text not in ("Reset", "")).trigger()
    assert controller.calls[-1][0] == "set_preset"
    assert controller.tissues[0].mu == pytest.approx(0.3)
    actions["Reset"].trigger()
    assert (controller.tissues[0].lam, controller.tissues[0].mu) == (0.05, 0.1)
    live.panel.tissues.rows["lung"].lamBox.value = 0.3
    live.ui.resetAllButton.click()
    assert controller.tissues[0].lam == 0.05


def test_a_tissue_that_is_not_there_cannot_be_moved(live):
    row = live.panel.tissues.rows["spleen"]
    assert not row.lamSlider.enabled
    assert live.panel.tissues.rows["lung"].lamSlider.enabled


def test_live_update_can_be_switched_off(live, controller):
    live.ui.liveCheckBox.click()
    assert controller.live is False


def test_quality_of_the_live_answer_is_said(live, controller):
    controller.set_elasticity("lung", mu=0.2)
    poll(live)
    assert live.ui.liveQualityLabel.text == "refined by the exact solver, after 0.12 s"
    assert live.ui.foldsLabel.text == "none"


MODES = ["warped", "fixed", "blend", "checkerboard", "flicker", "difference"]


@pytest.mark.parametrize("mode", MODES)
def test_every_display_mode(live, controller, mode):
    combo = live.ui.displayModeComboBox
    other = "fixed" if mode == "warped" else "warped"
    combo.setCurrentIndex(combo.findData(other))
    combo.setCurrentIndex(combo.findData(mode))
    assert controller.display.mode == mode
    assert live.ui.blendSlider.enabled == (mode == "blend")


def test_display_controls_reach_the_views(live, controller):
    ui, display = live.ui, controller.display
    ui.displayModeComboBox.setCurrentIndex(ui.displayModeComboBox.findData("blend"))
    ui.blendSlider.value = 30
    assert display.last("set_blend") == (pytest.approx(0.3),)
    ui.jacobianCheckBox.click()
    ui.jacobianOpacitySlider.value = 80
    assert display.last("set_jacobian") == (True, pytest.approx(0.8))
    assert not ui.jacobianLegendLabel.pixmap.isNull()
    ui.glyphComboBox.setCurrentIndex(ui.glyphComboBox.findData("arrows"))
    ui.glyphDensitySlider.value = 20
    ui.glyphScaleSlider.value = 2.5
    style = display.last("set_glyphs")[0]
    assert (style.style, style.density_mm, style.scale) == ("arrows", 20, 2.5)


MEANS = {
    "bone": {"displacement_sd_mm": 0.104, "jacobian_sd": 0.25},
    "soft_tissue": {"displacement_sd_mm": 1.5, "jacobian_sd": 0.031},
}


def test_sensitivity_is_computed_once_and_then_shown(live, controller):
    live.ui.jacobianCheckBox.click()
    live.ui.sensitivityCheckBox.click()
    assert not live.ui.jacobianCheckBox.checked
    assert "sensitivity" in controller.busy
    found = SimpleNamespace(means=MEANS)
    assert live.ui.sensitivityLabel.isHidden()
    controller.done("sensitivity", Sensed(found))
    poll(live)
    assert controller.display.last("set_sensitivity") == (None, "displacement", 0.8)
    assert live.ui.sensitivityLabel.text == "soft tissue 1.50 mm, bone 0.10 mm"
    assert not live.ui.sensitivityLabel.isHidden()
    live.ui.sensitivityCheckBox.click()
    assert live.ui.sensitivityLabel.isHidden()
    live.ui.sensitivityCheckBox.click()
    assert [call[0] for call in controller.calls].count("sensitivity") == 1
    controller.coming.append(Updated(7, "refined", True, 0.1, {}))
    poll(live)
    assert live.ui.sensitivityCheckBox.checked  # a better answer to the same setting
    controller.coming.append(Unsensed())
    poll(live)
    assert not live.ui.sensitivityCheckBox.checked
    live.ui.sensitivityCheckBox.click()
    assert [call[0] for call in controller.calls].count("sensitivity") == 2
    assert live.ui.sensitivityLabel.isHidden()  # the figures of the field before
    controller.done("sensitivity", Failed("sensitivity", "the sliders moved meanwhile"))
    poll(live)
    assert not live.ui.sensitivityCheckBox.checked
    assert "moved meanwhile" in live.ui.statusLabel.text


def test_either_spread_is_shown_without_computing_anew(live, controller):
    ui = live.ui

    def shown() -> str:
        return str(controller.display.last("set_sensitivity")[1])

    assert not ui.spreadComboBox.enabled
    ui.sensitivityCheckBox.click()
    choose(ui.spreadComboBox, "volume")
    assert shown() == "off", "nothing is known yet"
    controller.done("sensitivity", Sensed(SimpleNamespace(means=MEANS)))
    poll(live)
    assert shown() == "volume"
    assert ui.sensitivityLabel.text == "bone 0.250, soft tissue 0.031"
    choose(ui.spreadComboBox, "displacement")
    assert shown() == "displacement"
    assert ui.sensitivityLabel.text == "soft tissue 1.50 mm, bone 0.10 mm"
    choose(ui.spreadComboBox, "volume")
    ui.jacobianCheckBox.click()
    assert shown() == "off" and not ui.sensitivityCheckBox.checked
    ui.sensitivityCheckBox.click()
    assert shown() == "volume"
    assert [call[0] for call in controller.calls].count("sensitivity") == 1
    controller.coming.append(Unsensed())
    poll(live)
    assert shown() == "off" and ui.spreadComboBox.currentData == "volume"


def test_keep_switch_show_and_remove(live, controller):
    ui = live.ui
    ui.keepAButton.click()
    live.panel.tissues.rows["lung"].muBox.value = 0.4
    assert not ui.switchButton.enabled
    ui.keepBButton.click()
    ui.switchButton.click()
    assert controller.tissues[0].mu == 0.1
    ui.switchButton.click()
    assert controller.tissues[0].mu == pytest.approx(0.4)
    ui.keepNameLineEdit.text = "soft lung"
    ui.keepButton.click()
    names = [ui.keptTable.item(row, 0).text() for row in range(ui.keptTable.rowCount)]
    assert names == ["A", "B", "soft lung"]
    ui.keptTable.setCurrentCell(0, 0)
    ui.showKeptButton.click()
    assert controller.tissues[0].mu == 0.1
    ui.forgetButton.click()
    assert ui.keptTable.rowCount == 2


def quality() -> Quality:
    rows = (
        TissueQuality("lung", (0.71, 0.94), (9.0, 2.1), 0.38, 0.0, 0.052, 0.4, 0.00123, 0.62),
        TissueQuality("soft_tissue", None, None, -0.02, 0.001, 0.01, 1.0, None, None),
    )
    consistency = {"mean": 0.04, "p95": 0.1, "max": 0.6}
    return Quality(1, rows, 0.0001, consistency, {"before": 6.1, "after": 1.2, "n": 40})


def test_quality_table(live, controller):
    live.ui.measureButton.click()
    assert not live.ui.measureButton.enabled
    controller.done("measure", Measured(quality()))
    poll(live)
    table = live.ui.qualityTable
    cells = [[table.item(r, c).text() for c in range(8)] for r in range(table.rowCount)]
    assert cells == [
        ["lung", "0.710 → 0.940", "9.0 → 2.1", "+38.0 %", "0 %", "5.2 %", "0.40", "0.62"],
        ["soft tissue", "–", "–", "-2.0 %", "0.10 %", "1.0 %", "1.00", "–"],
    ]
    assert table.item(0, 7).toolTip() == "Mean |div σ|: 0.0012, in the unit of μ per mm."
    assert table.item(1, 7).toolTip() == "–"
    assert "elastic equilibrium" in table.horizontalHeaderItem(7).toolTip()
    assert "6.10 → 1.20 mm apart (40 of them)" in live.ui.qualitySummaryLabel.text


def test_outputs_go_to_the_scene_and_to_a_folder(live, controller, volumes, tmp_path):
    ui = live.ui
    ui.writeOutputsButton.click()
    assert not ui.exportButton.enabled
    controller.done("register", Written({"warped": volumes[1].GetID()}))
    poll(live)
    assert "warped: inhale" in ui.writtenLabel.text
    assert not ui.exportButton.enabled
    ui.exportPathLineEdit.currentPath = str(tmp_path)
    ui.overwriteCheckBox.click()
    ui.exportButton.click()
    assert controller.calls[-1] == ("register", str(tmp_path), True)
    controller.done("register", Exported(tmp_path, {}))
    poll(live)
    assert str(tmp_path) in ui.writtenLabel.text


def test_stop_ends_a_pair_that_is_being_prepared(live, controller):
    controller.jobs.add("prepare")
    live.panel.refresh()
    live.ui.stopButton.click()
    assert controller.closed
    assert live.ui.statusLabel.text == "Stopped."


def test_stop_cancels_a_full_registration_and_stays_live(live, controller):
    live.ui.writeOutputsButton.click()
    live.ui.stopButton.click()
    poll(live)
    assert not controller.closed
    assert live.ui.statusLabel.text == "register was cancelled"


def test_failures_and_closing_are_said(live, controller):
    controller.coming.append(Failed("register", "the disk is full"))
    poll(live)
    assert live.ui.statusLabel.text == "⚠ the disk is full"
    controller.coming.append(Status("one coarser", warning=True))
    poll(live)
    assert live.ui.statusLabel.text == "⚠ one coarser"
    controller.coming.append(Closed("the fixed volume was deleted"))
    poll(live)
    assert live.panel.live.controller is None
    assert live.ui.statusLabel.text == "the fixed volume was deleted"


def test_a_fault_in_the_controller_ends_the_pair_and_is_said(live, controller, monkeypatch, caplog):
    def broken():
        raise RuntimeError("no such tensor")

    monkeypatch.setattr(controller, "poll", broken)
    poll(live)
    assert live.panel.live.controller is None
    assert "no such tensor" in live.ui.statusLabel.text
    assert "no such tensor" in caplog.text


def test_what_the_controller_refuses_is_said(live, controller):
    live.ui.estimateButton.click()
    live.panel.live.do("estimate", "dice", "grid")
    assert live.ui.statusLabel.text.startswith("⚠ 'estimate' twice")


def test_a_kept_setting_gets_its_figures_when_the_answer_is_final(live, controller, monkeypatch):
    metrics: dict[str, Any] = {}
    kept = SimpleNamespace(name="A", elasticity={}, metrics=metrics, record=lambda: {"name": "A"})
    monkeypatch.setattr(type(controller), "kept", [kept])
    live.panel.comparison.fill()
    assert live.ui.keptTable.item(0, 2).text() == "–"
    metrics["mean_dice"] = {"after": 0.875}
    for final, text in ((False, "–"), (True, "0.875")):
        controller.coming.append(Updated(1, "refined", final, 0.1, {}))
        poll(live)
        assert live.ui.keptTable.item(0, 2).text() == text


def test_what_settles_is_stored_at_once(live, controller, monkeypatch):
    stored: list[Any] = []
    monkeypatch.setattr(controller, "store", stored.append, raising=False)
    for number, method in enumerate(("undo", "redo", "reset", "settle"), start=1):
        live.panel.live.do(method)
        assert stored == [live.panel.pairNode] * number


def test_the_timer_goes_on_until_the_threads_of_an_ended_pair_have_ended(live, controller):
    live.panel.end("enough")
    timer = live.panel.live._timer
    controller.threads = True
    live.panel.live.poll()
    assert timer.active
    controller.threads = False
    live.panel.live.poll()
    assert not timer.active
