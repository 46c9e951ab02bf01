"""What the nodes show: pixels of real slice views and of real displayable managers."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import torch
from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

from ElasticHyperRegLib import Displacement, Grid, Image, InputError
from ElasticHyperRegLib.estimation import Sensitivity
from ElasticHyperRegLib.field import with_initial, world_points
from ElasticHyperRegLib.mrml import (
    GlyphStyle,
    RegistrationDisplay,
    image_from_node,
    jacobian_colors,
    jacobian_legend,
    node_from_image,
)
from ElasticHyperRegLib.mrml.arrays import image_array
from ElasticHyperRegLib.mrml.colors import jacobian_rgba
from ElasticHyperRegLib.mrml.grey import grey_window, set_grey_window, usual_windows

core = pytest.importorskip("trame_slicer.core")
views = pytest.importorskip("trame_slicer.views")

SIZE = 64
GRID = Grid.from_spacing((16, SIZE, SIZE), (1.0, 1.0, 2.0), (-31.5, -31.5, -15.0))
SHIFT = (5.0, -7.0, 0.0)


@pytest.fixture
def app():
    """Slicer's logics and factories of views; an emptied scene would lack half its nodes."""
    made = core.SlicerApp()
    yield made
    made.scene.Clear(1)
    made.io_manager.cache_dir.cleanup()


@pytest.fixture
def pair(app):
    """A bright block in the fixed volume; in the moving one it stands 5 mm right, 7 mm back."""
    made = []
    for name, (right, front) in (("fixed", (0, 0)), ("moving", (5, -7))):
        data = torch.full((1, 1, *GRID.shape), 20.0)
        data[..., 20 + front : 40 + front, 24 + right : 40 + right] = 220.0
        node = node_from_image(app.scene, Image(data, GRID, name, "uint8"), name)
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevelMinMax(0, 255)
        made.append(node)
    return made


@pytest.fixture
def slices(app, pair):
    """Slice logic that looks at the axial plane z = 0, one pixel a millimetre."""
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(app.app_logic)
    logic.SetMRMLScene(app.scene)
    node = logic.AddSliceNode("Red")
    node.SetOrientationToAxial()
    node.SetDimensions(SIZE, SIZE, 1)
    node.SetFieldOfView(SIZE, SIZE, 1)
    node.SetSliceOffset(1.0)
    yield logic
    logic.SetMRMLScene(None)


def shift_field(shift=SHIFT) -> Displacement:
    u_mm = torch.tensor(shift).view(1, 3, 1, 1, 1).expand(1, 3, *GRID.shape)
    return Displacement(u_mm, GRID)


def ones() -> torch.Tensor:
    return torch.ones(1, 1, *GRID.shape)


def pixels(logic) -> np.ndarray:
    """(J, I, 3) of the slice, turned so that i runs to the right (R+) and j to the front."""
    producer = logic.GetImageDataConnection().GetProducer()
    producer.Update()
    shown = image_array(producer.GetOutputDataObject(0))[0, ..., :3]
    return shown[:, ::-1].astype(float)  # Slicer shows the patient's right on the left


def made(app, pair) -> RegistrationDisplay:
    display = RegistrationDisplay(app.scene, pair[0], pair[1], GRID)
    display.update(shift_field(), ones())
    return display


def test_the_moving_volume_is_warped_onto_the_fixed_one(app, pair, slices):
    display = made(app, pair)
    display.show("fixed")
    fixed = pixels(slices)
    assert fixed[30, 32, 0] == pytest.approx(220, abs=2)
    assert fixed[10, 10, 0] == pytest.approx(20, abs=2)
    display.show("warped")
    assert np.abs(pixels(slices) - fixed)[8:56, 8:56].max() <= 2
    display.update(shift_field((0.0, 0.0, 0.0)), ones())
    assert np.abs(pixels(slices) - fixed).max() > 150


def test_updates_change_the_picture_in_place(app, pair, slices):
    display = made(app, pair)
    display.show("warped")
    count, image = app.scene.GetNumberOfNodes(), pixels(slices)
    heard = []
    event = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
    pair[1].AddObserver(event, lambda *_: heard.append(1))
    for step in range(5):
        display.update(shift_field((float(step), 0.0, 0.0)), ones())
        assert np.abs(pixels(slices) - image).max() > 100
    assert len(heard) == 5
    assert app.scene.GetNumberOfNodes() == count


def test_blend_and_flicker(app, pair, slices):
    display = made(app, pair)
    display.update(shift_field((0.0, 0.0, 0.0)), ones())
    display.show("blend")
    display.set_blend(0.25)
    assert pixels(slices)[38, 26, 0] == pytest.approx(0.75 * 220 + 0.25 * 20, abs=3)
    display.show("flicker")
    assert pixels(slices)[38, 26, 0] == pytest.approx(220, abs=2)
    display.flick()
    assert pixels(slices)[38, 26, 0] == pytest.approx(20, abs=2)


def test_difference_is_grey_where_they_agree(app, pair, slices):
    display = made(app, pair)
    former = pair[1].GetDisplayNode().GetColorNodeID()
    display.show("difference")
    assert np.abs(pixels(slices)[8:56, 8:56] - 127.5).max() <= 3
    display.update(shift_field((0.0, 0.0, 0.0)), ones())
    shown = pixels(slices)
    assert shown[38, 26, 0] > 220 and shown[15, 42, 0] < 40
    display.show("warped")
    assert pair[1].GetDisplayNode().GetColorNodeID() == former


def test_checkerboard_shows_both_by_turns(app, pair, slices):
    display = made(app, pair)
    display.update(shift_field((0.0, 0.0, 0.0)), ones())
    display.show("fixed")
    fixed = pixels(slices)
    display.show("warped")
    warped = pixels(slices)
    display.show("checkerboard")
    board = pixels(slices)
    inner = np.index_exp[4:60, 4:60, 0]
    from_fixed = np.abs(board - fixed)[inner] < 3
    from_warped = np.abs(board - warped)[inner] < 3
    assert (from_fixed | from_warped).mean() > 0.9  # the rest is blurred along the edges
    assert (from_fixed & ~from_warped).any() and (from_warped & ~from_fixed).any()


@pytest.mark.parametrize("mode", ["fixed", "warped", "blend", "checkerboard"])
def test_the_grey_window_holds_for_both_volumes(app, pair, slices, mode):
    display = made(app, pair)
    display.show(mode)
    assert display.values == (20.0, 220.0)
    display.set_grey_window((120.0, 320.0))
    assert display.grey_window == (120.0, 320.0)
    shown = pixels(slices)[8:56, 8:56, 0]
    assert shown.min() == 0
    assert shown.max() == pytest.approx(255 / 2, abs=2)
    display.set_grey_window(None)
    assert all(node.GetDisplayNode().GetAutoWindowLevel() for node in pair)
    assert pixels(slices)[8:56, 8:56, 0].max() > 200


@pytest.mark.parametrize("which", [0, 1])
def test_a_window_that_the_mouse_changed_holds_for_both_where_they_are_compared(app, pair, which):
    display = made(app, pair)
    display.set_grey_window((20.0, 220.0))
    display.show("warped")
    set_grey_window(pair[which], (60.0, 160.0))
    assert grey_window(pair[1 - which]) == (20.0, 220.0)
    display.show("difference")
    assert [grey_window(node) for node in pair] == [(60.0, 160.0)] * 2
    set_grey_window(pair[which], (5000.0, 9000.0))  # nothing of the other lies there
    display.show("flicker")
    assert grey_window(pair[1 - which]) == (60.0, 160.0)


def test_usual_windows_are_offered_for_ct_alone():
    assert usual_windows((-1024.0, 1500.0))["lung"] == (-1350.0, 150.0)
    assert usual_windows((0.0, 255.0)) == {}


@pytest.fixture
def no_air(monkeypatch):
    """Paint everywhere: what lies about the block is as dark as air."""
    monkeypatch.setattr(
        "ElasticHyperRegLib.mrml.display.tissue_share",
        lambda image, grid: torch.ones(1, 1, *grid.shape),
    )


@pytest.mark.usefixtures("no_air")
def test_jacobian_colours_lie_where_the_truth_says(app, pair, slices):
    display = made(app, pair)
    jacobian = ones()
    jacobian[..., :16] = 0.5
    jacobian[..., 16:32] = 2.0
    jacobian[..., 32:48] = -0.2
    display.update(shift_field(), jacobian)
    display.show("fixed")
    display.set_jacobian(True, 1.0)
    shown = pixels(slices)[32]
    for i, value in ((8, 0.5), (24, 2.0), (40, -0.2), (56, 1.0)):
        (rgba,) = jacobian_rgba(np.array([value]))
        expected = 255 * rgba[:3] * rgba[3] + 20 * (1 - rgba[3])
        assert np.abs(shown[i] - expected).max() <= 4, value
    assert np.abs(shown[56] - 20).max() <= 2, "what keeps its volume is clear"
    display.set_jacobian(False)
    assert pixels(slices)[32, 8, 0] == pytest.approx(20, abs=2)


def test_a_small_change_of_volume_hides_little():
    opacity = jacobian_rgba(np.array([1.0, 1.05, 0.95, 1.2, 2.0, 0.5]))[:, 3]
    assert opacity[0] == 0 and opacity[1:3].max() < 0.15 and 0.3 < opacity[3] < 0.4
    assert opacity[4:].tolist() == [1, 1]


def test_halved_and_doubled_are_equally_strong():
    blue, white, red, fold = jacobian_colors(np.array([0.5, 1.0, 2.0, 0.0]))
    assert blue[2] > 2 * blue[0] and red[0] > 2 * red[2]
    assert np.allclose(white, 247 / 255)
    assert tuple(fold) == (1, 0, 1)
    values = np.array([0.25, 3.0, 0.7071, 1.4142])
    assert np.allclose(jacobian_colors(values)[:2], [blue, red])
    assert [text for _, _, text in jacobian_legend() if text] == [
        "fold",
        "halved",
        "same volume",
        "doubled",
    ]


def test_a_parent_transform_is_kept_below_the_live_one(app, pair, slices):
    parent = app.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "bed")
    matrix = slicer.vtkMRMLSliceNode().GetXYToRAS()
    matrix.Identity()
    matrix.SetElement(0, 3, 11.0)
    parent.SetMatrixTransformToParent(matrix)
    pair[1].SetAndObserveTransformNodeID(parent.GetID())
    display = RegistrationDisplay(app.scene, pair[0], pair[1], GRID)
    display.update(shift_field((16.0, -7.0, 0.0)), ones())
    display.show("fixed")
    fixed = pixels(slices)
    display.show("warped")
    assert np.abs(pixels(slices) - fixed)[8:56, 8:48].max() <= 2
    assert image_from_node(pair[1]).grid.origin[0] == pytest.approx(-31.5 + 11)
    display.close()
    assert pair[1].GetParentTransformNode() is parent


@pytest.fixture
def slice_view(app, pair):
    view = views.SliceView(
        app.scene, app.app_logic, "Green", scheduled_render_strategy=views.NoScheduleRendering()
    )
    view.set_view_properties(views.ViewProps(orientation="Axial"))
    view.render_window().SetSize(200, 200)
    yield view
    view.finalize()


def rendered(view) -> np.ndarray:
    """(J, I, 3) of what a view renders."""
    view.render()
    grab = vtkWindowToImageFilter()
    grab.SetInput(view.render_window())
    grab.ReadFrontBufferOff()
    grab.Update()
    return image_array(grab.GetOutput())[0].astype(int)


def coloured(image: np.ndarray) -> np.ndarray:
    return np.abs(image - image.mean(-1, keepdims=True)).max(-1) > 40


@pytest.mark.usefixtures("no_air")
@pytest.mark.parametrize("style", ["arrows", "cones", "grid"])
def test_glyphs_appear_where_it_moves(app, pair, slice_view, style):
    display = RegistrationDisplay(app.scene, pair[0], pair[1], GRID)
    u_mm = torch.zeros(1, 3, *GRID.shape)
    u_mm[:, 0, :, :, SIZE // 2 :] = 6.0  # the patient's right half, shown on the left
    display.update(Displacement(u_mm, GRID), ones())
    display.show("fixed")
    slice_view.fit_view_to_content()
    assert not coloured(rendered(slice_view)).any()
    display.set_glyphs(GlyphStyle(style, 8.0))
    drawn = coloured(rendered(slice_view))
    left, right = drawn[:, 20:100].sum(), drawn[:, 120:180].sum()
    assert left > 200
    if style != "grid":  # grid lines stand everywhere
        assert right < left / 10
    display.set_glyphs(GlyphStyle())
    assert not coloured(rendered(slice_view)).any()


def test_arrows_point_from_fixed_to_moving(app, pair, slice_view):
    display = made(app, pair)
    display.set_glyphs(GlyphStyle("arrows"))
    ras = display.glyph_node.GetTransformToParent().TransformPoint(1, 2, 3)
    assert np.allclose(ras, (6, -5, 3))
    display.update(shift_field((0.0, 3.0, 0.0)), ones())
    assert np.allclose(display.glyph_node.GetTransformToParent().TransformPoint(1, 2, 3), (1, 5, 3))


def test_arrows_vanish_where_only_the_frames_differ(app, pair, slice_view):
    initial = np.eye(4)
    initial[:3, 3] = 0, 33, -20  # where the other scanner has its origin
    display = RegistrationDisplay(app.scene, pair[0], pair[1], GRID, initial=initial)
    display.show("fixed")
    slice_view.fit_view_to_content()
    display.set_glyphs(GlyphStyle("arrows", 8.0))
    d_mm = torch.zeros(1, 3, *GRID.shape)
    points = world_points(GRID, d_mm)
    display.update(Displacement(with_initial(d_mm, points, initial), GRID), ones())
    assert not coloured(rendered(slice_view)).any()
    d_mm[:, 0] = 6.0
    display.update(Displacement(with_initial(d_mm, points, initial), GRID), ones())
    assert coloured(rendered(slice_view)).sum() > 200
    ends = display.glyph_node.GetTransformToParent().TransformPoint(1, 2, 3)
    assert np.allclose(ends, (7, 2, 3), atol=1e-4)
    carried = display.transform_node.GetTransformFromParent().TransformPoint(1, 2, 3)
    assert np.allclose(carried, (7, 35, -17), atol=1e-4)  # the volume still has the whole map


@pytest.mark.usefixtures("no_air")
def test_nothing_is_drawn_beyond_the_volume(app, pair):
    display = made(app, pair)
    display.set_glyphs(GlyphStyle("arrows"))
    transform = display.glyph_node.GetTransformToParent()
    for outside in ((-40, 0, 0), (0, 40, 0), (0, 0, 20), (0, 0, -20)):
        assert np.allclose(transform.TransformPoint(outside), outside)
    assert np.allclose(transform.TransformPoint(-31.5, -31.5, -15), (-26.5, -38.5, -15))


def test_the_legend_appears_with_the_overlay(app, pair, slice_view):
    display = made(app, pair)
    display.show("fixed")
    slice_view.fit_view_to_content()
    display.set_jacobian(True, 0.5)  # of 1 everywhere: white
    beside = np.index_exp[:, 150:]  # where the legend stands
    bar = coloured(rendered(slice_view)[beside])
    assert bar.sum() > 50
    display.set_jacobian(False)
    assert not coloured(rendered(slice_view)[beside]).any()


def test_glyphs_appear_in_3d(app, pair):
    view = views.ThreeDView(
        app.scene, app.app_logic, "3D", scheduled_render_strategy=views.NoScheduleRendering()
    )
    view.render_window().SetSize(120, 120)
    display = made(app, pair)
    empty = rendered(view)
    display.set_glyphs(GlyphStyle("arrows", 12.0))
    view.reset_camera()
    assert (np.abs(rendered(view) - empty).max(-1) > 60).sum() > 200
    view.finalize()


def test_glyph_styles_are_checked():
    with pytest.raises(InputError, match="the glyph style 'stars'"):
        GlyphStyle("stars")
    with pytest.raises(InputError, match="positive numbers"):
        GlyphStyle("arrows", -1.0)


def test_unknown_modes_are_refused(app, pair):
    with pytest.raises(InputError, match="the display mode 'xray'"):
        made(app, pair).show("xray")


@pytest.mark.usefixtures("no_air")
def test_either_spread_takes_the_place_of_what_was_overlaid(app, pair, slices):
    display = made(app, pair)
    display.show("fixed")
    display.set_jacobian(True, 1.0)
    right, left = ones(), ones()
    right[..., :32], left[..., 32:] = 0, 0
    display.set_sensitivity(Sensitivity(right, left, GRID, 2, {}), opacity=1.0)
    shown = pixels(slices)[32]
    assert np.abs(shown[8] - 20).max() <= 2 and shown[56].min() > 150
    display.set_sensitivity(None, "volume", 1.0)
    shown = pixels(slices)[32]
    assert np.abs(shown[56] - 20).max() <= 2 and shown[8].min() > 150
    display.set_sensitivity(None, "off")
    assert np.abs(pixels(slices)[32, (8, 56)] - 20).max() <= 2
