"""What a run computes on, in Lightning Fabric's words."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.utilities.exceptions import MisconfigurationException

from ElasticHyperRegLib.errors import InputError

from .config import TrainingConfig


class ExactInputs(MixedPrecision):
    """Mixed precision that rounds no image, λ or μ before the first convolution."""

    def convert_input(self, data: Any) -> Any:
        """``data`` as it is."""
        return data


@dataclass(frozen=True)
class Hardware:
    """What to train on; names as in Lightning Fabric.

    Args:
        workers: threads of each process that prepare batches ahead.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    workers: int = 1

    def fabric(self, config: TrainingConfig) -> Fabric:
        """Lightning Fabric on it, not yet launched.

        Raises:
            InputError: this machine has no such hardware.
        """
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        precision = config.optimisation.precision
        exact = None
        try:
            if precision != "32-true":
                device = Fabric(accelerator=self.accelerator, devices=1).device.type
                exact = ExactInputs(precision, device)
            return Fabric(
                accelerator=self.accelerator,
                strategy=self._strategy(config),
                devices=self.devices,
                num_nodes=self.nodes,
                plugins=exact,
            )
        except (ValueError, RuntimeError, MisconfigurationException) as error:
            raise InputError(
                f"--accelerator {self.accelerator} --devices {self.devices} "
                f"({str(error).partition('. ')[0]})",
                "hardware that this machine has",
            ) from error

    def _strategy(self, config: TrainingConfig) -> str:
        """In training coarse to fine the weights of finer levels get no gradient at first."""
        several = self.devices * self.nodes > 1
        some_unused = several and bool(config.optimisation.windows)
        return "ddp_find_unused_parameters_true" if some_unused else "auto"
