"""The two spreads of a sensitivity map as overlays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Displacement, Grid, Image, InputError
from ElasticHyperRegLib.estimation import Sensitivity
from ElasticHyperRegLib.mrml import RegistrationDisplay, node_from_image, spread_legend
from ElasticHyperRegLib.mrml.arrays import image_array
from ElasticHyperRegLib.mrml.spreads import LEAST, SPREADS

GRID = Grid.from_spacing((4, 6, 8), (1.0, 1.0, 2.0))
MOST = {"displacement": 4.0, "volume": 0.2}


def sensed() -> Sensitivity:
    """Along i from nothing to the largest; the volume change the other way."""
    ramp = torch.linspace(0, 1, GRID.size[0]).expand(1, 1, *GRID.shape)
    return Sensitivity(4 * ramp, 0.2 * ramp.flip(-1), GRID, 5, {})


@pytest.fixture
def display(scene, monkeypatch) -> RegistrationDisplay:
    everywhere = torch.ones(1, 1, *GRID.shape)
    monkeypatch.setattr("ElasticHyperRegLib.mrml.display.tissue_share", lambda *_: everywhere)
    data = torch.rand(1, 1, *GRID.shape)
    one, other = (node_from_image(scene, Image(data, GRID, name), name) for name in ("1", "2"))
    made = RegistrationDisplay(scene, one, other, GRID)
    made.update(Displacement(torch.zeros(1, 3, *GRID.shape), GRID), torch.ones(1, 1, *GRID.shape))
    return made


def painted(display: RegistrationDisplay, spread: str) -> Any:
    """The volume of colours of a spread."""
    (node,) = [
        node
        for node in display.nodes
        if node.GetName() == f"{display.spread_nodes[spread].GetName()} colours"
    ]
    return node


def ticks(display: RegistrationDisplay, spread: str) -> list[str]:
    """What stands beside the colours of the legend."""
    table = painted(display, spread).GetDisplayNode().GetColorNode()
    return [table.GetColorName(index) for index in range(table.GetNumberOfColors())]


@pytest.mark.parametrize("spread", SPREADS)
def test_each_spread_is_a_volume_over_its_own_range(display, spread):
    found = sensed()
    display.set_sensitivity(found, spread)
    node = display.spread_nodes[spread]
    values = image_array(node.GetImageData())
    assert np.array_equal(values, SPREADS[spread].values(found)[0, 0].numpy())
    shown = node.GetDisplayNode()
    assert (shown.GetWindowLevelMin(), shown.GetWindowLevelMax()) == (
        0,
        pytest.approx(MOST[spread]),
    )
    opacity = image_array(painted(display, spread).GetImageData())[..., 3]
    assert opacity[values == values.max()].min() == 255
    assert opacity[values == 0].max() == 0


def test_the_ticks_of_the_displacement_are_in_mm_and_of_the_volume_bare(display):
    display.set_sensitivity(sensed())
    assert ticks(display, "displacement") == ["0 mm", "1 mm", "2 mm", "3 mm", "≥ 4 mm"]
    assert ticks(display, "volume") == ["0", "0.05", "0.1", "0.15", "≥ 0.2"]


def test_one_overlay_at_a_time_whichever_was_there_before(scene, display):
    layers = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    display.set_jacobian(True)
    display.set_sensitivity(sensed())
    for spread in ("displacement", "volume", "displacement"):
        display.set_sensitivity(None, spread)
        assert layers.GetLabelVolumeID() == painted(display, spread).GetID()
    count = scene.GetNumberOfNodes()
    display.set_sensitivity(sensed(), "volume")
    assert scene.GetNumberOfNodes() == count, "the nodes serve again"
    display.set_jacobian(True)
    display.set_sensitivity(None, "off")
    assert layers.GetLabelVolumeID() is not None and display.state.jacobian, "the Jacobian stays"
    display.set_jacobian(False)
    assert layers.GetLabelVolumeID() is None


def test_a_spread_that_is_not_known_yet_shows_nothing(scene, display):
    layers = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    display.set_sensitivity(None, "volume")
    assert display.spread_nodes == {} and layers.GetLabelVolumeID() is None


def test_another_spread_is_refused(display):
    with pytest.raises(InputError, match="the spread 'stress'"):
        display.set_sensitivity(sensed(), "stress")


@pytest.mark.parametrize(("spread", "last"), [("displacement", "≥ 0.4 mm"), ("volume", "≥ 0.4")])
def test_the_legend_runs_from_none_to_the_largest(spread, last):
    legend = spread_legend(0.4, SPREADS[spread].unit)
    assert [value for value, _, _ in legend] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert legend[-1][2] == last


def test_a_few_voxels_far_above_the_rest_do_not_set_the_scale():
    values = torch.linspace(0, 0.1, 10_000).view(1, 1, 10, 10, 100).clone()
    values[..., -5:] = torch.where(values[..., -5:] > 0.0998, 3.0, values[..., -5:])
    found = Sensitivity(values, values, Grid.from_spacing((100, 10, 10), (1.0, 1.0, 1.0)), 2, {})
    assert float(values.max()) == 3
    assert SPREADS["volume"].most(found) == pytest.approx(0.1, rel=1e-2)


def test_a_spread_of_rounding_alone_has_a_scale_all_the_same():
    none = torch.full((1, 1, *GRID.shape), 1e-7)
    found = Sensitivity(none, none, GRID, 2, {})
    assert [spread.most(found) for spread in SPREADS.values()] == [LEAST, LEAST]
