"""A run that is stopped by hand."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from ElasticHyperRegLib.errors import Paused
from Testing.training.test_loop import config, run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_between_validations_keeps_its_steps(tmp_path, number):
    whole = run(config(), tmp_path / "whole")

    def stop(step: int, loss: float) -> None:
        if step == 4:
            os.kill(os.getpid(), number)

    with pytest.raises(Paused, match="stopped after step 4; the same command goes on"):
        run(config(), tmp_path / "stopped", progress=stop)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    steps: list[int] = []
    resumed = run(config(), tmp_path / "stopped", progress=lambda step, loss: steps.append(step))
    assert steps == [5, 6]
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name
