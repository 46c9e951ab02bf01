"""Networks of a few weights, saved as models into a folder of the test's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ElasticHyperRegLib.networks import (
    SPECS,
    HyperMorphOptions,
    LapIRNOptions,
    ModelSpec,
    RegistrationNetwork,
    build,
)
from ElasticHyperRegLib.weights import ModelCard, save_model

UNET = HyperMorphOptions(rank=2, encoder=(2, 2), decoder=(2, 2), last=(2,))
PYRAMID = LapIRNOptions(1, blocks=1, levels=2)
TRAINING = {
    "data": "generated shapes",
    "licence": "CC0-1.0",
    "command": "elastic-hyperreg train shapes.toml",
    "log": "step 5000: 0.12",
    "revision": "0123abc",
    "seed": 3,
}


def tiny_spec(kind: str = "elas-g", ndim: int = 3, **changes: Any) -> ModelSpec:
    options = UNET if isinstance(SPECS[kind].options, HyperMorphOptions) else PYRAMID
    return replace(SPECS[kind], ndim=ndim, options=options, **changes)


def lively(spec: ModelSpec, seed: int = 1, scale: float = 1.0) -> RegistrationNetwork:
    """A network whose field is about ``scale`` voxels large and hangs on its input."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        network = build(spec)
    for name, parameter in network.named_parameters():
        last = name.startswith("flow") or ".output.2." in name
        if last:
            parameter.data = torch.randn(parameter.shape, generator=generator) * scale
    return network


def constant(spec: ModelSpec, velocity_vox: tuple[float, ...]) -> RegistrationNetwork:
    """A U-Net whose velocity is the same everywhere, whatever it is shown."""
    network = build(spec)
    flow = network.flow
    assert isinstance(flow, torch.nn.Conv2d | torch.nn.Conv3d)
    assert flow.bias is not None
    flow.weight.data.zero_()
    flow.bias.data = torch.tensor(velocity_vox, dtype=torch.float32)
    return network


def install(
    network: RegistrationNetwork, folder: Path, expects: dict[str, Any] | None = None, **about: Any
) -> ModelCard:
    """Save a model that expects small CT, unless ``expects`` says otherwise."""
    ndim = network.spec.ndim
    usual = {
        "modality": "CT",
        "spacing_mm": [3.0] * ndim,
        "size": [24] * ndim,
        "intensity_window": [-1000, 600],
    }
    given = {"licence": "Apache-2.0", "metrics": {}, **about}
    table = {"expects": {**usual, **(expects or {})}, "training": TRAINING, **given}
    return save_model(network, table, folder)
