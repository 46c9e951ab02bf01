"""The Qt stand-in refuses what PythonQt refuses."""

from __future__ import annotations

import pytest


def test_a_property_is_not_called(slicer_standin):
    import qt

    label = qt.QLabel("text")
    assert label.text == "text"
    with pytest.raises(TypeError):
        label.text()
    label.setText("other")
    assert label.text == "other"


@pytest.mark.parametrize("name", ["value", "txet"])
def test_no_attribute_is_made_on_a_widget(slicer_standin, name):
    import qt

    with pytest.raises(AttributeError, match="not allowed"):
        setattr(qt.QLabel("text"), name, 3)


def test_a_wrong_signature_is_refused(slicer_standin):
    import qt

    with pytest.raises(ValueError, match="no signal"):
        qt.QSlider().connect("valueChanged(double)", print)


def test_a_slot_gets_every_argument_and_its_fault_is_kept(slicer_standin):
    import ctk
    import qt

    from .standin.pythonqt import SLOT_FAULTS

    got: list[float] = []
    slider = ctk.ctkSliderWidget()
    slider.connect("valueChanged(double)", got.append)
    slider.value = 2.5
    assert got == [2.5]
    button = qt.QPushButton()
    button.connect("clicked(bool)", lambda: None)
    button.click()
    assert isinstance(SLOT_FAULTS.pop(), TypeError)


def test_a_slot_can_be_disconnected(slicer_standin):
    import qt

    got: list[bool] = []
    box = qt.QCheckBox()
    box.connect("toggled(bool)", got.append)
    box.checked = True
    box.disconnect("toggled(bool)", got.append)
    box.checked = False
    assert got == [True]
