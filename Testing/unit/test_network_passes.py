"""A network that looks more than once, each time through what it found before."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.field import vox_to_norm
from ElasticHyperRegLib.networks import (
    SPECS,
    HyperMorph,
    HyperMorphOptions,
    LapIRN,
    LapIRNOptions,
    ModelSpec,
    build,
    spec_from_table,
    spec_to_table,
)
from ElasticHyperRegLib.networks.cells import from_cells, to_cells

VALUES = torch.full((1, 2), 0.2)


def spec_of(ndim: int, passes: int, patch: int = 2) -> ModelSpec:
    unet = HyperMorphOptions(rank=2, encoder=(4, 4), decoder=(4, 4), last=(4,), passes=passes)
    return replace(SPECS["elas-g"], ndim=ndim, options=unet, patch=patch)


def network(spec: ModelSpec) -> HyperMorph:
    torch.manual_seed(0)
    model = build(spec).eval()
    assert isinstance(model, HyperMorph)
    return model


def pair(ndim: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    fixed, moving = torch.rand(2, 1, 1, *[16] * ndim, generator=generator)
    return fixed, moving


def found(model: HyperMorph, images: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        return model(*images, VALUES).velocity


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 8)])
@pytest.mark.parametrize("patch", [1, 2])
def test_cells_come_back_as_voxels(shape, patch):
    data = torch.rand(2, 3, *shape)
    assert torch.equal(from_cells(to_cells(data, patch), patch), data)


@pytest.mark.parametrize("ndim", [2, 3])
def test_velocities_of_all_passes_add_up(ndim):
    model = network(spec_of(ndim, passes=3))
    with torch.no_grad():
        for tensor in model.flow.parameters():
            tensor.zero_()
        model.flow.get_parameter("bias")[0] = 0.5
    expected = torch.zeros(1, ndim, *[16] * ndim)
    expected[:, 0] = 3 * 0.5 * 2  # passes, cells, voxels a cell
    torch.testing.assert_close(found(model, pair(ndim)), expected)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("patch", [1, 2])
def test_second_look_is_at_the_moved_image_and_the_velocity(ndim, patch):
    model = network(spec_of(ndim, passes=2, patch=patch))
    with torch.no_grad():
        for tensor in model.flow.parameters():
            tensor.zero_()
        model.flow.get_parameter("bias")[0] = 2.0 / patch  # two voxels along i
    seen: list[torch.Tensor] = []
    model.layers[0].register_forward_hook(lambda _, given, __: seen.append(given[0][:1]))
    fixed, moving = pair(ndim)
    found(model, (fixed, moving))
    first, second = seen
    cells = patch**ndim
    assert torch.count_nonzero(first[:, 2 * cells :]) == 0
    assert torch.equal(second[:, :cells], to_cells(fixed, patch))
    warped = from_cells(second[:, cells : 2 * cells], patch)
    torch.testing.assert_close(warped[..., :-2], moving[..., 2:])
    torch.testing.assert_close(second[:, 2 * cells], torch.full_like(second[:, 0], 2.0 / patch))


def test_a_later_pass_learns_from_the_whole():
    model = network(spec_of(2, passes=2)).train()
    with torch.no_grad():
        model.flow.weight.mul_(1e4)
    fixed, moving = pair(2)
    flow = model(fixed, moving.requires_grad_(), VALUES)
    flow.displacement.square().mean().backward()
    assert model.layers[0].base.grad is not None
    assert float(model.layers[0].base.grad.abs().max()) > 0
    assert moving.grad is not None


def test_one_pass_is_the_published_network():
    one, two = (sum(p.numel() for p in network(spec_of(2, n)).parameters()) for n in (1, 2))
    first = network(spec_of(2, 2)).layers[0]
    extra = 2 * 4 * 9  # velocity channels, outputs, kernel
    assert two - one == extra * (1 + first.change.in_features)


def pyramid_that_moves(ndim: int, passes: int, cells: float, patch: int = 1) -> LapIRN:
    """Two levels, of which only the finer adds something: so many cells along the first axis."""
    torch.manual_seed(0)
    options = LapIRNOptions(1, blocks=1, levels=2, flow_range=1.0, passes=passes)
    model = build(replace(SPECS["CIR-DM"], ndim=ndim, options=options, patch=patch)).eval()
    assert isinstance(model, LapIRN)

    def still(_, __, flow):
        return torch.zeros_like(flow)

    def moves(_, __, flow):
        v_vox = torch.zeros_like(flow)
        v_vox[:, 0] = cells
        return vox_to_norm(v_vox)

    model.levels[0].output.register_forward_hook(still)
    model.levels[1].output.register_forward_hook(moves)
    return model


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("patch", [1, 2])
def test_a_pyramids_velocities_of_all_passes_add_up(ndim, patch):
    model = pyramid_that_moves(ndim, 3, 0.5, patch)
    with torch.no_grad():
        velocity = model(*pair(ndim), VALUES[:, :1]).velocity
    expected = torch.zeros(1, ndim, *[16] * ndim)
    expected[:, 0] = 3 * 0.5 * patch
    torch.testing.assert_close(velocity, expected)


def test_a_pyramid_looks_again_at_every_level_through_what_it_found():
    model = pyramid_that_moves(2, 2, 2.0)
    seen: list[torch.Tensor] = []
    for level in model.levels:
        level.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    fixed, moving = pair(2)
    with torch.no_grad():
        model(fixed, moving, VALUES[:, :1])
    assert [tuple(x.shape[1:]) for x in seen] == [(4, 8, 8), (4, 16, 16)] * 2
    assert torch.count_nonzero(seen[0][:, 2:]) == 0
    assert torch.equal(seen[1][:, :2], torch.cat([fixed, moving], dim=1))
    for first, second, moved in ((seen[0], seen[2], 1), (seen[1], seen[3], 2)):
        assert torch.equal(second[:, :1], first[:, :1])
        torch.testing.assert_close(second[:, 1, :, :-moved], first[:, 1, :, moved:])
        u_vox = torch.zeros_like(second[:, 2:])
        u_vox[:, 0] = moved
        torch.testing.assert_close(second[:, 2:], vox_to_norm(u_vox))


def test_a_pyramid_of_one_pass_is_the_published_one():
    one, two = (
        sum(p.numel() for p in pyramid_that_moves(2, passes, 0.0).parameters()) for passes in (1, 2)
    )
    assert two - one == 2 * 4 * 9  # velocity channels, outputs, kernel


@pytest.mark.parametrize("options", [HyperMorphOptions(passes=2), LapIRNOptions(passes=2)])
def test_passes_are_kept_in_files_and_checked(options):
    name = "elas-g" if isinstance(options, HyperMorphOptions) else "CSAIN"
    spec = replace(SPECS[name], options=options)
    assert spec_from_table(spec_to_table(spec), "card") == spec
    with pytest.raises(InputError, match="positive"):
        replace(options, passes=0)
