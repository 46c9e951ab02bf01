"""All eight models in 2D and 3D: sizes, batches, halves, shapes, gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import pytest
import torch

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.field import exponential
from ElasticHyperRegLib.networks import (
    SPECS,
    HyperMorphOptions,
    LapIRN,
    LapIRNOptions,
    ModelSpec,
    RegistrationNetwork,
    build,
)
from ElasticHyperRegLib.networks.cells import crop_to, pad_to_multiple
from ElasticHyperRegLib.networks.hypernetwork import GeneratedConvolution
from ElasticHyperRegLib.networks.lapirn import PyramidLevel
from ElasticHyperRegLib.networks.modulation import MapModulation

SHAPES = {2: (32, 16), 3: (16, 32, 16)}
MODELS = [(name, ndim) for name in SPECS for ndim in (2, 3)]
KINDS = [("elas-g", 3), ("elas-sas", 2), ("CIR-DM", 2), ("CSAIN-elastic", 3)]
TINY_UNET = HyperMorphOptions(rank=4, encoder=(4, 6, 6, 6), decoder=(6, 6, 6, 6), last=(6, 4))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine cost tiny networks most of their time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(name: str, ndim: int) -> ModelSpec:
    spec = SPECS[name]
    small = TINY_UNET if spec.backbone == "hypermorph" else LapIRNOptions(1, blocks=2)
    return replace(spec, ndim=ndim, options=small)


def awake(spec: ModelSpec) -> RegistrationNetwork:
    """A network whose flow is some voxels: new ones start at the identity."""
    model = build(spec).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith("flow.") or ".output.2." in name:
                weight.normal_(std=0.3)
    return model


def flow_of(level: PyramidLevel) -> torch.nn.Parameter:
    weight = level.output[2].weight
    assert isinstance(weight, torch.nn.Parameter)
    return weight


def images(ndim: int, batch: int = 1, shape: tuple[int, ...] = ()) -> tuple[torch.Tensor, ...]:
    return tuple(torch.rand(2, batch, 1, *(shape or SHAPES[ndim])))


def values(spec: ModelSpec, batch: int = 1, shape: tuple[int, ...] = ()) -> torch.Tensor:
    hyper = len(spec.hyper)
    return torch.rand(
        *{
            "global": (batch, hyper),
            "tissue": (batch, len(spec.tissues), hyper),
            "map": (batch, hyper, *(shape or SHAPES[spec.ndim])),
        }[spec.conditioning]
    )


def parameters(spec: ModelSpec) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build(spec).parameters())


@pytest.mark.parametrize(
    ("name", "ndim", "millions"),
    [
        ("diff-g", 3, "42.14"),
        ("diff-g", 2, "14.13"),
        ("elas-fixed", 3, "42.14"),
        ("elas-g", 3, "42.14"),
        ("elas-g", 2, "14.13"),
        ("diff-sas", 2, "14.13"),
        ("elas-sas", 3, "42.14"),
        ("elas-sas", 2, "14.13"),
        ("CIR-DM", 3, "1.22"),
    ],
)
def test_published_sizes(name, ndim, millions):
    assert f"{parameters(replace(SPECS[name], ndim=ndim)) / 1e6:.2f}" == millions


def test_size_of_full_head_is_that_of_its_layers():
    channels = [(2, 16), (16, 32), (32, 32), (32, 32)]
    channels += [(32, 32), (64, 32), (64, 32), (64, 32), (48, 32), (32, 16), (16, 16)]
    generated = sum(27 * n_in * n_out + n_out for n_in, n_out in channels)
    features = (4 * 128 + 128) + 5 * (128 * 128 + 128)
    flow = 27 * 16 * 3 + 3
    assert parameters(SPECS["elas-g"]) == generated * (128 + 1) + features + flow


def test_low_rank_head_is_small():
    low = replace(SPECS["elas-g"], options=HyperMorphOptions(rank=16))
    assert parameters(low) < 5.6e6
    assert parameters(replace(low, ndim=2)) < 1.9e6


def test_csain_has_a_convolution_each_for_gamma_and_beta():
    csain, mlp = parameters(SPECS["CSAIN"]), parameters(SPECS["CIR-DM"])
    mapping = (64 + 64) + 3 * (64 * 64 + 64) + 2 * (64 * 56 + 56)
    maps = 2 * 2 * (27 * 28 + 28)
    assert mlp - csain == 15 * (mapping - maps)


@pytest.mark.parametrize(("name", "ndim"), MODELS)
def test_velocity_and_displacement(name, ndim):
    spec = tiny(name, ndim)
    model = awake(spec)
    fixed, moving = images(ndim)
    with torch.no_grad():
        velocity, displacement = model(fixed, moving, values(spec))
    assert velocity.shape == displacement.shape == (1, ndim, *SHAPES[ndim])
    assert torch.equal(displacement, exponential(velocity, 7))
    assert velocity.abs().max() > 0.1


@pytest.mark.parametrize(("name", "ndim"), KINDS)
def test_new_network_starts_at_the_identity(name, ndim):
    spec = tiny(name, ndim)
    assert build(spec)(*images(ndim), values(spec)).displacement.abs().max() < 0.01


@pytest.mark.parametrize(("name", "ndim"), MODELS)
def test_conditioning_changes_the_field(name, ndim):
    spec = tiny(name, ndim)
    model = awake(spec)
    features = model.encode(*images(ndim))
    low = values(spec) * 0
    with torch.no_grad():
        reference = model.decode(features, low)
        for h in range(len(spec.hyper)):
            high = low.clone()
            (high.select(1, h) if spec.conditioning != "tissue" else high[..., h]).fill_(1.0)
            change = (model.decode(features, high) - reference).abs().max()
            assert change > 1e-3 * reference.abs().max()


@pytest.mark.parametrize(("name", "dim"), [("elas-g", 1), ("elas-sas", 1), ("elas-sas", 2)])
def test_order_of_tissues_and_hyper_parameters_counts(name, dim):
    spec = tiny(name, 2)
    model = awake(spec)
    features, conditioning = model.encode(*images(2)), values(spec)
    with torch.no_grad():
        change = model.decode(features, conditioning) - model.decode(
            features, conditioning.flip(dim)
        )
    assert change.abs().max() > 0.01


@pytest.mark.parametrize(("name", "ndim"), KINDS)
def test_halves_make_the_whole(name, ndim):
    spec = tiny(name, ndim)
    model = awake(spec)
    (fixed, moving), conditioning = images(ndim), values(spec)
    features, generated = model.encode(fixed, moving), model.generate(conditioning)
    whole = model(fixed, moving, conditioning)
    assert torch.equal(model.decode(features, conditioning), whole.velocity)
    assert torch.equal(model.predict(features, generated), whole.velocity)
    assert torch.equal(model.integrate(whole.velocity), whole.displacement)


@pytest.mark.parametrize(("name", "ndim"), [*KINDS, ("elas-sas", 3), ("CIR-DM", 3)])
def test_every_item_of_a_batch_has_its_own_conditioning(name, ndim):
    spec = tiny(name, ndim)
    model = awake(spec)
    (fixed, moving), conditioning = images(ndim, batch=2), values(spec, batch=2)
    with torch.no_grad():
        together = model(fixed, moving, conditioning).velocity
        alone = [
            model(fixed[n : n + 1], moving[n : n + 1], conditioning[n : n + 1]).velocity
            for n in range(2)
        ]
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)


@pytest.mark.parametrize(("name", "ndim"), KINDS)
def test_one_pair_takes_many_conditionings_and_the_other_way_round(name, ndim):
    spec = tiny(name, ndim)
    model = awake(spec)
    fixed, moving = images(ndim, batch=2)
    conditioning = values(spec, batch=2)
    pair, one = (fixed[:1], moving[:1]), conditioning[:1]
    with torch.no_grad():
        many = model(*pair, conditioning).velocity
        shared = model(fixed, moving, one).velocity
        assert torch.allclose(many[1:], model(*pair, conditioning[1:]).velocity, atol=1e-4)
        assert torch.allclose(shared[1:], model(fixed[1:], moving[1:], one).velocity, atol=1e-4)
    with pytest.raises(InputError, match="2 image pairs with 3 conditionings"):
        model(fixed, moving, values(spec, batch=3))


@pytest.mark.parametrize(("name", "ndim", "shape"), [
    ("elas-g", 2, (37, 50)), ("elas-sas", 3, (17, 9, 20)),
    ("CIR-DM", 2, (37, 50)), ("CSAIN-elastic", 3, (17, 9, 20)),
])  # fmt: skip
def test_odd_sizes_are_padded_and_cropped(name, ndim, shape):
    spec = tiny(name, ndim)
    model = awake(spec)
    (fixed, moving), conditioning = images(ndim, shape=shape), values(spec, shape=shape)
    with torch.no_grad():
        found = model(fixed, moving, conditioning).velocity
        if spec.conditioning == "map":
            conditioning = pad_to_multiple(conditioning, 16)
        padded = model(pad_to_multiple(fixed, 16), pad_to_multiple(moving, 16), conditioning)
    assert found.shape == (1, ndim, *shape)
    assert torch.equal(found, crop_to(padded.velocity, shape))


def test_padding_is_centred_and_undone():
    data = torch.rand(1, 2, 5, 37, 16)
    padded = pad_to_multiple(data, 16)
    assert padded.shape == (1, 2, 16, 48, 16)
    assert torch.equal(padded[:, :, 0, 5:42], data[:, :, 0])
    assert torch.equal(crop_to(padded, (5, 37, 16)), data)


@pytest.mark.parametrize(("name", "ndim"), KINDS)
def test_gradient_reaches_every_parameter_and_the_conditioning(name, ndim):
    spec = tiny(name, ndim)
    model = awake(spec)
    conditioning = values(spec).requires_grad_()
    model(*images(ndim), conditioning).displacement.square().sum().backward()
    untouched = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().max() > 0
    ]
    assert untouched == []
    assert conditioning.grad is not None
    assert conditioning.grad.abs().max() > 0


@pytest.mark.parametrize(("name", "ndim"), [(n, 2) for n, _ in KINDS])
def test_half_precision_is_close_and_its_geometry_is_not_half(name, ndim):
    spec = tiny(name, ndim)
    model = awake(spec)
    (fixed, moving), conditioning = images(ndim), values(spec)
    with torch.no_grad():
        reference = model(fixed, moving, conditioning)
        with torch.autocast("cpu", torch.bfloat16):
            generated = model.generate(conditioning)
            half = model(fixed, moving, conditioning)
    assert all(map(torch.equal, generated, model.generate(conditioning)))
    assert half.velocity.dtype == half.displacement.dtype == torch.float32
    assert torch.equal(half.displacement, exponential(half.velocity, 7))
    error = (half.velocity - reference.velocity).norm() / reference.velocity.norm()
    assert 0 < error < 0.1


def test_generated_change_is_small_beside_the_base():
    layer = GeneratedConvolution(16, 32, 2, 128)
    h = torch.nn.functional.normalize(torch.randn(4, 128))
    theta = layer.generate(h)[:, : layer.weights].detach()
    assert 0.03 < (theta - layer.base[: layer.weights]).std() / theta.std() < 0.3
    assert abs(theta.std() - (2 / 1.04 / 144) ** 0.5) < 0.01


def test_constant_map_modulates_every_voxel_alike():
    convolution = MapModulation(2, 3, 2).styles[0]
    assert isinstance(convolution, torch.nn.Conv2d)
    style = convolution(torch.full((1, 2, 6, 6), 0.3))
    assert torch.allclose(style, style[..., :1, :1].expand_as(style), atol=1e-6)


def test_changing_a_map_on_one_side_changes_the_field_there_most():
    spec = replace(tiny("CSAIN", 2), options=LapIRNOptions(2, blocks=1))
    model = awake(spec)
    features = model.encode(*images(2, shape=(128, 32)))
    plain = torch.zeros(1, 1, 128, 32)
    changed = plain.clone()
    changed[:, :, :32] = 1
    with torch.no_grad():
        change = (model.decode(features, changed) - model.decode(features, plain)).abs()
    assert change[:, :, :32].mean() > 2 * change[:, :, 96:].mean()


def test_levels_refine_each_other():
    spec = tiny("CIR-DM", 2)
    model = awake(spec)
    assert isinstance(model, LapIRN)
    (fixed, moving), generated = images(2), model.generate(values(spec))
    features = model.encode(fixed, moving)
    assert [tuple(pair.shape[2:]) for pair in features.pairs] == [(8, 4), (16, 8), (32, 16)]
    coarse = model.velocities(features, generated, levels=2)
    every = model.velocities(features, generated)
    assert [tuple(v.shape[2:]) for v in every] == [(8, 4), (16, 8), (32, 16)]
    assert all(map(torch.equal, coarse, every))
    assert torch.equal(every[-1], model.predict(features, generated))


def test_level_that_adds_nothing_keeps_the_velocity_of_the_coarser_one():
    spec = tiny("CIR-DM", 2)
    model = awake(spec)
    assert isinstance(model, LapIRN)
    with torch.no_grad():
        for level in model.levels[1:]:
            flow_of(level).zero_()
        generated = model.generate(values(spec))
        found = model.velocities(model.encode(*images(2)), generated)
    assert found[0].std() > 0.01
    for coarse, fine in pairwise(found):
        doubled = torch.nn.functional.interpolate(2 * coarse, scale_factor=2, mode="bilinear")
        assert torch.allclose(fine, doubled, atol=1e-5)


def test_finer_level_goes_on_with_the_features_of_the_coarser_one():
    spec = tiny("CIR-DM", 2)
    model = awake(spec)
    assert isinstance(model, LapIRN)
    with torch.no_grad():
        flow_of(model.levels[0]).zero_()
        features, generated = model.encode(*images(2)), model.generate(values(spec))
        others = tuple(10 * g if n < model.given else g for n, g in enumerate(generated))
        change = model.predict(features, others) - model.predict(features, generated)
    assert change.abs().max() > 0.01


def test_finer_level_sees_the_moving_image_warped_by_the_coarser_one():
    spec = tiny("CIR-DM", 2)
    model = build(spec)
    assert isinstance(model, LapIRN)
    j, i = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    features = model.encode(torch.zeros(1, 1, 64, 64), (i + 100 * j)[None, None])
    seen: list[torch.Tensor] = []
    model.levels[2].encoder.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    motion = torch.tensor([3.0, -2.0])
    with torch.no_grad():
        flow_of(model.levels[0]).zero_()
    with patch.object(model.levels[1], "decode", lambda *_: (_shift(motion, 32), 0)):
        model.velocities(features, model.generate(values(spec)))
    middle = seen[0][0, :, 32, 32]
    assert middle.tolist() == pytest.approx(
        [0, 32 + 3 + 100 * (32 - 2), 3 / 31.5, -2 / 31.5], rel=1e-5
    )


def _shift(motion: torch.Tensor, size: int) -> torch.Tensor:
    """What a level of ``size`` voxels answers to move the next finer one by ``motion``."""
    half = motion / 2 / ((size - 1) / 2) / 0.4
    return half.view(1, 2, 1, 1).expand(1, 2, size, size)


@pytest.mark.parametrize(
    ("name", "fixed", "moving", "conditioning", "message"),
    [
        ("elas-g", (1, 1, 32, 32), (1, 1, 32, 16), (1, 2), r"\(1, 1, 32, 16\); expected both"),
        ("elas-g", (1, 1, 16, 16, 16), (1, 1, 16, 16, 16), (1, 2), "in 2D"),
        ("elas-g", (1, 2, 32, 32), (1, 2, 32, 32), (1, 2), r"\(N, 1, \*shape\)"),
        ("elas-g", (1, 1, 32, 32), (1, 1, 32, 32), (1, 1), r"expected \(N, 2\) for elas-g"),
        ("elas-sas", (1, 1, 32, 32), (1, 1, 32, 32), (1, 3, 2), r"\(N, 4, 2\) for elas-sas"),
        ("CSAIN", (1, 1, 32, 32), (1, 1, 32, 32), (1, 1), r"\(N, 1, \*shape\) in 2D"),
        ("CSAIN", (1, 1, 32, 32), (1, 1, 32, 32), (1, 1, 64, 32), r"padded shape \(64, 32\)"),
    ],
)
def test_wrong_shapes_are_refused(name, fixed, moving, conditioning, message):
    model = build(tiny(name, 2))
    with pytest.raises(InputError, match=message):
        model(torch.rand(fixed), torch.rand(moving), torch.rand(conditioning))
