"""Convolutions of single volumes: PyTorch's own result, by oneDNN."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from ElasticHyperRegLib.networks.convolution import Convolution3d, convolve

KERNEL = (3, 3, 3)
SIZES = [(1, 1, (4, 4, 4), 1), (6, 2, (9, 7, 5), 2), (4, 4, (1, 3, 2), 1)]


class Called(TorchDispatchMode):
    """Names of the operations within."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func._schema.name)
        return func(*args, **kwargs or {})


def example(inputs: int, outputs: int, shape: tuple[int, ...], items: int = 1):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(items, inputs, *shape, generator=generator)
    return x, torch.randn(outputs, inputs, *KERNEL, generator=generator)


@pytest.mark.parametrize(("inputs", "outputs", "shape", "stride"), SIZES)
def test_a_single_volume_is_convolved_as_in_a_batch(inputs, outputs, shape, stride):
    x, weight = example(inputs, outputs, shape)
    bias = torch.arange(outputs, dtype=torch.float32)
    expected = functional.conv3d(torch.cat([x, x]), weight, bias, stride=stride, padding=1)[:1]
    torch.testing.assert_close(convolve(x, weight, bias, stride), expected)


def test_groups_are_told_by_the_channels():
    x, weight = example(6, 4, (5, 4, 3))
    weight = weight[:, :3]
    expected = functional.conv3d(x, weight, padding=1, groups=2)
    torch.testing.assert_close(convolve(x, weight, None), expected)


def test_gradients_are_those_of_pytorch():
    found = []
    for ours in (True, False):
        x, weight = (t.requires_grad_() for t in example(3, 2, (6, 5, 4)))
        y = convolve(x, weight, None) if ours else functional.conv3d(x, weight, padding=1)
        found.append(torch.autograd.grad(y.square().sum(), (x, weight)))
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_the_border_is_continued_where_the_layer_says_so():
    layer = Convolution3d(1, 1, 3, padding=1, padding_mode="replicate", bias=False)
    torch.nn.init.ones_(layer.weight)
    with torch.no_grad():
        found = layer(torch.ones(1, 1, 3, 3, 3))
    torch.testing.assert_close(found, torch.full_like(found, 27.0))
    zeros = Convolution3d(1, 1, 3, padding=1, bias=False)
    torch.nn.init.ones_(zeros.weight)
    assert zeros(torch.ones(1, 1, 3, 3, 3)).flatten()[0].item() == 8.0


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")
def test_a_small_volume_is_not_left_to_the_loop():
    x, weight = example(4, 4, (4, 4, 4))
    with Called() as plain:
        functional.conv3d(x, weight, padding=1)
    assert "aten::mkldnn_convolution" not in plain.names  # else this module has no more use
    with Called() as ours:
        convolve(x, weight, None)
    assert "aten::mkldnn_convolution" in ours.names


def test_without_onednn_pytorch_decides():
    x, weight = example(4, 4, (4, 4, 4))
    before = torch.backends.mkldnn.set_flags(False)
    try:
        with Called() as ours:
            convolve(x, weight, None)
    finally:
        torch.backends.mkldnn.set_flags(before[0])
    assert "aten::mkldnn_convolution" not in ours.names
