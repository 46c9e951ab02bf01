"""Overlays are clear where a scan shows nothing but air."""

from __future__ import annotations

import pytest
import torch

from ElasticHyperRegLib import Displacement, Grid, Image
from ElasticHyperRegLib.engine.air import tissue_share
from ElasticHyperRegLib.estimation import Sensitivity
from ElasticHyperRegLib.grid import coarser
from ElasticHyperRegLib.mrml import GlyphStyle, RegistrationDisplay, node_from_image
from ElasticHyperRegLib.mrml.arrays import image_array
from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom
from ElasticHyperRegLib.phantom.heart import make_heart

GRID = Grid.from_spacing((6, 24, 24), (1.0, 1.0, 2.0))


def test_lungs_in_a_ct_count_and_the_air_around_does_not():
    made = make_phantom(PhantomOptions(size=48))
    share = tissue_share(made.fixed, made.fixed.grid)
    labels = made.fixed_labels.data
    assert float(share[labels == 2].mean()) > 0.8
    assert float(share[labels == 1].mean()) > 0.9
    assert float(share[:, :, 8:-8, :3, :3].mean()) < 0.02


def test_heart_and_vessels_in_mr_count_and_the_air_around_does_not():
    made = make_heart()
    share = tissue_share(made.fixed, made.fixed.grid)
    for label in (1, 2, 3):
        assert float(share[made.fixed_labels.data == label].mean()) > 0.8, label
    assert float(share[..., :12, :12].max()) < 0.05


def test_a_crop_without_air_counts_whole():
    data = torch.where(torch.arange(24) < 12, 90.0, 200.0) + torch.randn(1, 1, *GRID.shape)
    assert float(tissue_share(Image(data, GRID), GRID).min()) == 1


def test_emphysema_in_a_ct_counts():
    data = torch.full((1, 1, *GRID.shape), -1000.0)
    data[..., 6:18, 6:18] = -945.0
    share = tissue_share(Image(data, GRID), GRID)
    assert float(share[..., 9:15, 9:15].min()) > 0.9
    assert float(share[..., :3, :].max()) == 0


def test_it_lies_on_the_grid_that_is_asked_for():
    made = make_heart()
    grid = coarser(made.fixed.grid, (4.0, 4.0, 10.0))
    share = tissue_share(made.fixed, grid)
    assert share.shape == (1, 1, *grid.shape)
    assert float(share.min()) >= 0 and float(share.max()) <= 1


@pytest.mark.parametrize("kind", ["jacobian", "displacement", "volume"])
def test_the_overlay_is_clear_over_air(scene, kind):
    data = torch.full((1, 1, *GRID.shape), 3.0)
    data[..., 6:18, 6:18] = 200.0
    one, other = (node_from_image(scene, Image(data, GRID, name), name) for name in ("1", "2"))
    display = RegistrationDisplay(scene, one, other, GRID)
    display.update(
        Displacement(torch.zeros(1, 3, *GRID.shape), GRID), torch.full((1, 1, *GRID.shape), 2.0)
    )
    if kind == "jacobian":
        display.set_jacobian(True)
    else:
        spread = torch.ones(1, 1, *GRID.shape)
        display.set_sensitivity(Sensitivity(spread, spread, GRID, 2, {}), kind)
    (painted,) = [
        node
        for node in display.nodes
        if kind in node.GetName().lower() and node.IsA("vtkMRMLVectorVolumeNode")
    ]
    opacity = image_array(painted.GetImageData())[..., 3]
    assert opacity[:, 10:14, 10:14].min() > 200
    assert opacity[:, :3].max() == 0
    assert image_array(display.jacobian_node.GetImageData()).min() == 2.0, "values stay"


def test_arrows_start_in_the_body_alone_and_a_grid_stays_whole(scene):
    data = torch.full((1, 1, *GRID.shape), 3.0)
    data[..., 6:18, 6:18] = 200.0
    one, other = (node_from_image(scene, Image(data, GRID, name), name) for name in ("1", "2"))
    display = RegistrationDisplay(scene, one, other, GRID)
    u_mm = torch.full((1, 3, *GRID.shape), 4.0)
    display.update(Displacement(u_mm, GRID), torch.ones(1, 1, *GRID.shape))
    moved = {}
    for style in ("arrows", "cones", "grid"):
        display.set_glyphs(GlyphStyle(style))
        transform = display.glyph_node.GetTransformToParent()
        moved[style] = [transform.TransformPoint(x, x, 4.0)[0] - x for x in (6.0, 12.0, 17.0, 2.0)]
    assert moved["arrows"] == moved["cones"] == pytest.approx([4, 4, 4, 0])
    assert moved["grid"] == pytest.approx([4, 4, 4, 4])
