"""A pyramid whose hyper-parameters also scale what its levels see at their own resolution."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.networks import (
    SPECS,
    LapIRN,
    LapIRNOptions,
    build,
    spec_from_table,
    spec_to_table,
)

KINDS = ["CIR-DM", "CSAIN-elastic"]
SIZE = 16


def pyramid(kind: str, gated: bool) -> LapIRN:
    torch.manual_seed(0)
    options = LapIRNOptions(1, blocks=1, levels=2, gated=gated)
    model = build(replace(SPECS[kind], ndim=2, options=options)).eval()
    assert isinstance(model, LapIRN)
    for name, parameter in model.named_parameters():
        if ".output.2." in name:
            parameter.data.mul_(1e5)  # a new network hardly moves
    return model


def setting(model: LapIRN, value: float) -> torch.Tensor:
    hyper = len(model.spec.hyper)
    shape = (1, hyper, SIZE, SIZE) if model.spec.conditioning == "map" else (1, hyper)
    return torch.full(shape, value)


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    fixed, moving = torch.rand(2, 1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    return fixed, moving


def velocity(model: LapIRN, given: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(*pair(), given).velocity


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_gate_is_open(kind):
    plain, gated = pyramid(kind, False), pyramid(kind, True)
    lacking = gated.load_state_dict(plain.state_dict(), strict=False)
    assert lacking.missing_keys and all(".gate." in name for name in lacking.missing_keys)
    given = setting(plain, 0.3)
    assert torch.equal(velocity(gated, given), velocity(plain, given))
    assert float(velocity(plain, given).abs().max()) > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_a_gate_reaches_the_flow_past_the_blocks(kind):
    model = pyramid(kind, True)
    for level in model.levels:
        for block in level.blocks:  # blind to the setting
            for parameter in block.modulation.parameters():
                parameter.data.zero_()
    soft, stiff = (setting(model, value) for value in (0.1, 0.6))
    assert torch.equal(velocity(model, soft), velocity(model, stiff))
    for level in model.levels:
        assert level.gate is not None
        layer = level.gate.layer
        assert isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)
        layer.weight.data.fill_(-0.5)
    change = (velocity(model, soft) - velocity(model, stiff)).abs()
    assert float(change.max()) > 1e-3
    if kind == "CSAIN-elastic":  # and where the map says so alone
        local = soft.clone()
        local[..., :2] = 0.6
        here = (velocity(model, soft) - velocity(model, local)).abs()
        assert float(here[..., :4].max()) > 1e-3
        assert float(here[..., -4:].max()) < 0.2 * float(here[..., :4].max())


@pytest.mark.parametrize("kind", KINDS)
def test_one_pair_is_answered_for_many_settings_at_once(kind):
    model = pyramid(kind, True)
    for level in model.levels:
        assert level.gate is not None
        torch.nn.init.normal_(next(level.gate.parameters()), std=0.5)
    given = torch.cat([setting(model, value) for value in (0.1, 0.5, 0.9)])
    with torch.no_grad():
        together = model.decode(model.encode(*pair()), given)
    for number, one in enumerate(given):
        torch.testing.assert_close(together[number : number + 1], velocity(model, one[None]))


def test_maps_of_another_shape_are_still_refused():
    model = pyramid("CSAIN-elastic", True)
    with pytest.raises(InputError, match="maps of padded shape"):
        model(*pair(), torch.full((1, 2, 2 * SIZE, SIZE), 0.2))


def test_it_is_kept_in_files_and_checked():
    spec = replace(SPECS["CSAIN"], options=LapIRNOptions(gated=True))
    table = spec_to_table(spec)
    assert spec_from_table(table, "card") == spec
    table["options"]["gated"] = 1
    with pytest.raises(InputError, match="true or false"):
        spec_from_table(table, "card")
