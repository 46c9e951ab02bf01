"""Which settings training sees, and by what they are judged, level by level."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from ElasticHyperRegLib.energies import domain_mean
from ElasticHyperRegLib.networks import SPECS, LapIRN, LapIRNOptions, build
from ElasticHyperRegLib.similarity import LocalNCC
from training.batches import collate, training_batch
from training.conditioning import Conditioning, condition, draw_for, predict
from training.config import TrainingConfig
from training.hardware import Hardware
from training.loop import batch_loss
from training.loss import Masks, Measure, energy_density, objective

from .small_source import SIZE, Discs
from .test_loop import config, run

ELASTIC = replace(SPECS["elas-sas"], ndim=2, tissues=("a", "b", "c"))
DIFFUSION = replace(SPECS["diff-sas"], ndim=2, tissues=("a", "b", "c"))
WINDOWS = (3, 5, 7)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Independent draws


def test_independent_draws_fill_their_square_tissue_by_tissue():
    values = draw_for(ELASTIC, 5000, 3, generator(), "independent")
    assert values.shape == (5000, 3, 2)
    assert 0 <= values.min() < 0.001 and 0.499 < values.max() <= 0.5
    flat = values.flatten(1)
    assert flat.mean(0).tolist() == pytest.approx([0.25] * 6, abs=0.01)
    assert (torch.corrcoef(flat.T) - torch.eye(6)).abs().max() < 0.05
    alpha = draw_for(DIFFUSION, 5000, 3, generator(), "independent")
    assert 0.99 < alpha.max() <= 1
    one = draw_for(replace(SPECS["elas-g"], ndim=2), 4, 3, generator(), "independent")
    assert one.shape == (4, 1, 2)


def test_their_objective_is_half_of_the_published_one():
    """(2 − Λ′ − Γ′)·D + W(Λ′, Γ′) of λ′ and μ′, each uniform from 0 to 1, is twice ours."""
    labels = torch.randint(0, 3, (2, 1, SIZE, SIZE), generator=generator(1))
    values = draw_for(ELASTIC, 2, 3, generator(2), "independent")
    fixed, warped = torch.rand(2, 2, 1, SIZE, SIZE, generator=generator(3))
    u_mm = torch.randn(2, 2, SIZE, SIZE, generator=generator(4))
    setting, published = (condition(ELASTIC, v, labels) for v in (values, 2 * values))
    ours = objective(fixed, warped, u_mm, setting, Measure(ELASTIC, (1.0, 2.0), 5))
    assert published.mu is not None
    weight = 2 - published.lam - published.mu
    similarity = (weight * (1 - LocalNCC(fixed, 5).map(warped))).flatten(1).mean(1)
    energy = domain_mean(energy_density(u_mm, (1.0, 2.0), published, ELASTIC))
    torch.testing.assert_close(2 * ours.total, similarity + energy)


def test_a_run_draws_as_it_is_told(tmp_path):
    weights = [
        run(config(steps=2, every=2, draws=draws), tmp_path / draws).network.state_dict()
        for draws in ("simplex", "independent")
    ]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


# Coarse to fine


def lapirn(steps: int = 6) -> TrainingConfig:
    plain = config(steps=steps, every=3)
    model = replace(
        SPECS["CSAIN-elastic"], ndim=2, options=LapIRNOptions(1, blocks=1), integration_steps=3
    )
    optimisation = replace(plain.optimisation, windows=WINDOWS)
    return replace(plain, model=model, optimisation=optimisation)


def test_the_coarsest_levels_alone_are_what_the_finer_ones_add_to():
    model = build(lapirn().model)
    assert isinstance(model, LapIRN)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".output.2." in name:
                weight.normal_(std=0.3)
    pair = torch.rand(2, 1, 1, 30, 20, generator=generator())
    given = (pair[0], pair[1], torch.full((1, 2, 30, 20), 0.2))
    with torch.no_grad():
        found = [model(*given, levels) for levels in (1, 2, 3)]
        whole = model(*given)
    assert torch.equal(found[2].displacement, whole.displacement)
    assert all(flow.displacement.shape == (1, 2, 30, 20) for flow in found)
    assert not torch.allclose(found[0].velocity, found[1].velocity, atol=1e-3)
    silent = copy.deepcopy(model)
    with torch.no_grad():
        for level in silent.levels[1:]:
            flow = level.output[2]
            assert isinstance(flow, torch.nn.Conv2d)
            flow.weight.zero_()
        torch.testing.assert_close(silent(*given).velocity, found[0].velocity)


@pytest.mark.parametrize(("step", "trained"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_levels_are_trained_one_after_the_other(step, trained):
    settings, model = lapirn(), build(lapirn().model)
    assert isinstance(model, LapIRN)
    seed = (1, step, 0, 0)
    batch_loss(settings, Discs(), model, training_batch(Discs(), 2, seed), seed).backward()
    moved = [any(p.grad is not None for p in level.parameters()) for level in model.levels]
    assert moved == [number < trained for number in range(3)]


def test_each_level_has_its_window_and_half_the_weight_of_the_finer():
    about = Measure(lapirn().model, (1.0, 1.0), 9)
    assert [about.level(WINDOWS, n)[2:] for n in (1, 2, 3)] == [
        (3, (), 4),
        (5, (3,), 2),
        (7, (5, 3), 1),
    ]
    fixed, warped = torch.rand(2, 2, 1, 16, 24, generator=generator())
    setting = condition(lapirn().model, torch.tensor([[[0.1, 0.0]]] * 2), None)
    still = torch.zeros(2, 2, 16, 24)
    pool = torch.nn.functional.avg_pool2d
    apart = [
        LocalNCC(pool(fixed, n), window)(pool(warped, n)) for n, window in ((1, 7), (2, 5), (4, 3))
    ]
    expected = 0.9 * (apart[0] + apart[1] / 2 + apart[2] / 4) / 1.75
    found = objective(fixed, warped, still, setting, about.level(WINDOWS, 3))
    torch.testing.assert_close(found.similarity, expected)
    first = objective(fixed, warped, still, setting, about.level(WINDOWS, 1))
    torch.testing.assert_close(first.similarity, 0.9 * apart[2])


def test_masks_and_maps_shrink_with_the_images():
    about = Measure(lapirn().model, (1.0, 1.0), 9).level(WINDOWS, 2)
    fixed = torch.rand(1, 1, 16, 16, generator=generator())
    warped = fixed.clone()
    warped[..., 8:] = torch.rand(1, 1, 16, 8, generator=generator(1))
    mask = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    mask[..., :8] = True
    stiff = torch.zeros(1, 1, 16, 16)
    stiff[..., 8:] = 1.0  # the images do not count there
    still = torch.zeros(1, 2, 16, 16)
    maps = Conditioning(torch.zeros(1), stiff, torch.zeros_like(stiff))
    plain = Conditioning(torch.zeros(1), torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
    masked = objective(fixed, warped, still, plain, about, Masks(mask))
    assert float(masked.similarity) == pytest.approx(0, abs=1e-3)
    seen = objective(fixed, warped, still, plain, about, Masks(None, mask.float()))
    mapped = objective(fixed, warped, still, maps, about)
    torch.testing.assert_close(seen.similarity, 2 * mapped.similarity)  # the mean of one half


def test_a_run_goes_through_all_levels(tmp_path):
    state = run(lapirn(), tmp_path)
    assert state.step == 6
    pair = collate([Discs().sample(0, None)])  # type: ignore[arg-type]  # nothing is random in it
    setting = condition(state.network.spec, torch.tensor([[[0.0, 0.1]]]), None)
    with torch.no_grad():
        assert predict(state.network, pair, setting).displacement.abs().max() > 0


def test_unused_weights_are_looked_for_only_where_there_are_any():
    assert Hardware("cpu", devices=2)._strategy(lapirn()) == "ddp_find_unused_parameters_true"
    assert Hardware("cpu", devices=2)._strategy(config()) == "auto"
    assert Hardware("cpu")._strategy(lapirn()) == "auto"
