"""Convolutions that are as quick for one volume as for each of a batch.

On a processor PyTorch hands a single small volume not to oneDNN but to a loop of its own (ATen's
``use_mkldnn`` asks for a batch, or for 20,480 values along the first four axes), which takes up to
ten times as long. What is registered live is one such volume.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def convolve(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: int = 1,
    padding: int = 1,
) -> torch.Tensor:
    """Convolution with a border of zeros, differentiable: (N, outputs, *shape).

    Args:
        x: (N, groups × inputs, *shape); the number of groups is told by the channels.
        weight: (outputs, inputs, *kernel).
        bias: (outputs,).
        stride: along every axis.
        padding: voxels of the border on every side.
    """
    groups = x.shape[1] // weight.shape[1]
    if _is_left_to_the_loop(x):
        steps, border = [stride] * 3, [padding] * 3
        bias = None if bias is None else bias.contiguous()  # it is read as if it were
        return torch.mkldnn_convolution(x, weight, bias, border, steps, [1] * 3, groups)
    by_dimension = functional.conv2d if x.ndim == 4 else functional.conv3d
    return by_dimension(x, weight, bias, stride=stride, padding=padding, groups=groups)


def _is_left_to_the_loop(x: torch.Tensor) -> bool:
    """Whether oneDNN is there for ``x``, and PyTorch might not take it."""
    single = x.ndim == 5 and len(x) == 1 and x.dtype == torch.float32
    if not single or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    return torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)


class Convolution3d(nn.Conv3d):
    """A convolution of cubic kernels whose border is of zeros or continues the volume."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, *shape) → (N, outputs, *shape / stride)."""
        padding, stride = int(self.padding[0]), int(self.stride[0])
        if self.padding_mode == "zeros":
            return convolve(x, self.weight, self.bias, stride, padding)
        x = functional.pad(x, [padding] * 6, mode=self.padding_mode)
        return convolve(x, self.weight, self.bias, stride, 0)


CONVOLUTION: dict[int, type[nn.Conv2d | nn.Conv3d]] = {2: nn.Conv2d, 3: Convolution3d}
"""By dimension."""
