"""Networks that see blocks of voxels as cells: layout, shapes, and what stays exact."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.networks import (
    SPECS,
    HyperMorph,
    HyperMorphOptions,
    LapIRNOptions,
    ModelSpec,
    RegistrationNetwork,
    build,
    spec_from_table,
    spec_to_table,
)
from ElasticHyperRegLib.networks.cells import to_cells

KINDS = [("elas-g", 2), ("elas-g", 3), ("CSAIN-elastic", 2), ("CSAIN-elastic", 3)]


def spec_of(name: str, ndim: int, patch: int = 2) -> ModelSpec:
    unet = HyperMorphOptions(rank=2, encoder=(4, 4), decoder=(4, 4), last=(4,))
    pyramid = LapIRNOptions(1, blocks=1, levels=2)
    options = unet if SPECS[name].backbone == "hypermorph" else pyramid
    return replace(SPECS[name], ndim=ndim, options=options, patch=patch)


def conditioning(spec: ModelSpec, shape: tuple[int, ...]) -> torch.Tensor:
    return (
        torch.full((1, 2), 0.2)
        if spec.conditioning == "global"
        else torch.full((1, 2, *shape), 0.2)
    )


def moved(spec: ModelSpec, cells: float) -> RegistrationNetwork:
    """A network whose velocity is the same everywhere: ``cells`` along i in the finest level."""
    model = build(spec).eval()
    assert isinstance(model, HyperMorph)
    with torch.no_grad():
        for tensor in model.flow.parameters():
            tensor.zero_()
        model.flow.get_parameter("bias")[0] = cells
    return model


def test_cells_hold_every_voxel_of_their_block():
    data = torch.arange(24.0).view(1, 1, 4, 6)
    cells = to_cells(data, 2)
    assert cells.shape == (1, 4, 2, 3)
    block = data[0, 0, 2:4, 4:6].flatten()
    assert torch.equal(cells[0, :, 1, 2].sort().values, block)
    assert torch.equal(to_cells(data, 1), data)


def test_channels_of_fixed_come_before_those_of_moving():
    pair = torch.cat([torch.zeros(1, 1, 4, 4, 4), torch.ones(1, 1, 4, 4, 4)], dim=1)
    cells = to_cells(pair, 2)
    assert float(cells[:, :8].max()) == 0
    assert float(cells[:, 8:].min()) == 1


@pytest.mark.parametrize(("name", "ndim"), KINDS)
def test_field_has_the_shape_of_the_images(name, ndim):
    spec, shape = spec_of(name, ndim), (17, 22, 16)[:ndim]
    flow = build(spec).eval()(
        torch.rand(1, 1, *shape), torch.rand(1, 1, *shape), conditioning(spec, shape)
    )
    assert flow.velocity.shape == flow.displacement.shape == (1, ndim, *shape)


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_cell_is_patch_voxels_long(ndim):
    spec, shape = spec_of("elas-g", ndim), (16,) * ndim
    model = moved(spec, cells=0.25)
    with torch.no_grad():
        flow = model(*torch.rand(2, 1, 1, *shape), conditioning(spec, shape))
    torch.testing.assert_close(flow.velocity[:, 0], torch.full((1, *shape), 0.5))
    torch.testing.assert_close(flow.displacement, flow.velocity, atol=1e-5, rtol=0)


def test_finest_level_works_on_cells():
    spec = spec_of("CSAIN-elastic", 2)
    model = build(spec)
    features = model.encode(*torch.rand(2, 1, 1, 32, 32))
    assert [tuple(pair.shape[1:]) for pair in features.pairs] == [(8, 8, 8), (8, 16, 16)]


def test_patch_is_kept_in_the_table_and_old_tables_have_one():
    spec = spec_of("elas-g", 3)
    table = spec_to_table(spec)
    assert spec_from_table(table, "card").patch == 2
    del table["patch"]
    assert spec_from_table(table, "card").patch == 1


def test_no_patch_is_refused():
    with pytest.raises(InputError, match="patch of 0"):
        spec_of("elas-g", 2, patch=0)


@pytest.mark.parametrize("name", ["elas-g", "CSAIN-elastic"])
def test_a_volume_alone_gets_what_it_gets_in_a_batch(name):
    spec = spec_of(name, 3)
    model, images = build(spec).eval(), torch.rand(2, 3, 1, 16, 16, 16)
    setting = conditioning(spec, (16, 16, 16))
    with torch.no_grad():
        for name_, weight in model.named_parameters():
            if name_.startswith("flow.") or ".output.2." in name_:
                weight.normal_(std=0.1)
        together = model(*images, torch.cat([setting] * 3)).velocity
        alone = model(*images[:, 1:2], setting).velocity
    assert float(together.abs().max()) > 0.01
    torch.testing.assert_close(alone, together[1:2], atol=1e-4, rtol=1e-4)
