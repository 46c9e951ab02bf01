"""How long a shipped network takes for a pair, beside a plain U-Net of its channels.

python -m benchmarks.network --out bench-result

The U-Net has ordinary convolutions of the same channels where the other generates them; a model
that is no U-Net is compared with HyperMorph's published one. Both integrate their velocity. They
take turns in one process, on the grid that the model was trained on; on the processor and, where
there is one, on the GPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import nn
from torch.nn import functional

from ElasticHyperRegLib.networks import HyperMorph, HyperMorphOptions, ModelSpec
from ElasticHyperRegLib.networks.convolution import CONVOLUTION
from ElasticHyperRegLib.networks.network import SLOPE
from ElasticHyperRegLib.weights import list_models, load_model

WARM_UP = 3


class OrdinaryConvolution(nn.Module):
    """Stands where HyperMorph has a generated convolution, and takes no notice of λ and μ."""

    def __init__(self, inputs: int, outputs: int, ndim: int) -> None:
        super().__init__()
        self.convolution = CONVOLUTION[ndim](inputs, outputs, 3, padding=1)

    def forward(self, x: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """(N, inputs, *shape) → (N, outputs, *shape)."""
        return functional.leaky_relu(self.convolution(x), SLOPE)


class PlainUNet(nn.Module):
    """The U-Net of ``spec`` without its hypernetwork."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        options = spec.options if isinstance(spec.options, HyperMorphOptions) else None
        options = options or HyperMorphOptions()
        alike = replace(spec, options=options, conditioning="global", tissues=(), map_sigma_vox=0.0)
        self.body = HyperMorph(alike, options)
        ordinary = [
            OrdinaryConvolution(layer.kernel[0], len(layer.base) - layer.weights, spec.ndim)
            for layer in self.body.layers
        ]
        self.body.layers = nn.ModuleList(ordinary)  # type: ignore[assignment]
        del self.body.features
        self.nothing = (torch.empty(1, 0),) * len(ordinary)

    def forward(self, fixed: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
        """Displacement (N, D, *shape) in voxels."""
        velocity = self.body.predict(self.body.encode(fixed, moving), self.nothing)
        return self.body.integrate(velocity)


def medians(actions: list[Callable[[], object]], rounds: int, device: torch.device) -> list[float]:
    """Median seconds of each, taking turns."""
    took: list[list[float]] = [[] for _ in actions]
    with torch.inference_mode():
        for number in range(WARM_UP + rounds):
            for action, seconds in zip(actions, took, strict=True):
                _wait(device)
                begin = perf_counter()
                action()
                _wait(device)
                if number >= WARM_UP:
                    seconds.append(perf_counter() - begin)
    return [median(seconds) for seconds in took]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def line(name: str, device: torch.device, rounds: int) -> str:
    """Row of the table for one model on one device."""
    network, card = load_model(name)
    plain = PlainUNet(network.spec).eval()
    shape = card.expects.size[::-1]
    spec = network.spec
    conditioning = {
        "global": torch.full((1, len(spec.hyper)), 0.2),
        "tissue": torch.full((1, len(spec.tissues), len(spec.hyper)), 0.2),
        "map": torch.full((1, len(spec.hyper), *shape), 0.2),
    }[spec.conditioning].to(device)
    fixed, moving = torch.rand(2, 1, 1, *shape, device=device)
    network.to(device), plain.to(device)
    ours, other = medians(
        [lambda: network(fixed, moving, conditioning), lambda: plain(fixed, moving)],
        rounds,
        device,
    )
    size = "×".join(str(n) for n in card.expects.size)
    sizes = [sum(p.numel() for p in part.parameters()) / 1e6 for part in (network, plain)]
    return (
        f"| {name} | {device.type} | {size} | {1e3 * ours:.1f} | {1e3 * other:.1f} | "
        f"{ours / other:.2f} | {sizes[0]:.2f} | {sizes[1]:.2f} |"
    )


def main() -> None:
    """Measure and write ``network.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", help="names, by default all that are installed")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    names = given.models.split(",") if given.models else [card.name for card in list_models()]
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    columns = ("model", "device", "size", "ms", "plain U-Net, ms", "ratio", "M", "U-Net, M")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [line(name, torch.device(d), given.rounds) for name in names for d in devices]
    lines += ["", f"Medians of {given.rounds} turns, {given.threads} threads; M: parameters."]
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "network.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
