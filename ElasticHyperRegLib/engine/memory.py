"""What happens where memory runs out."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..errors import InputError
from .answer import AlignedPair, FieldOf, answer
from .model import ModelChoice
from .request import RegistrationRequest, RegistrationResult
from .run import Run

BYTES = 220
"""Per voxel of the fixed image, roughly, as measured on volumes of 192³ and 256³."""


def answer_where_it_fits(
    request: RegistrationRequest,
    pair: AlignedPair,
    choice: ModelChoice,
    field_of: FieldOf,
    run: Run,
) -> RegistrationResult:
    """``answer``; on the processor where the device cannot, which ``device_note`` then tells.

    Raises:
        InputError: there is no memory on the processor either.
        Cancelled: ``run`` was cancelled.
    """
    device, note = pair.device, {}
    if device.type != "cpu":
        try:
            return answer(request, pair, choice, field_of, run)
        except Exception as error:
            if not ran_out(error):
                raise
            note = {"device_note": f"on cpu, as {device.type} could not: {_line(error)}"}
        # The error is gone here, and with it what its traceback held of the device's memory.
        pair = replace(pair, device=torch.device("cpu"))
    try:
        result = answer(request, pair, choice, field_of, run)
    except Exception as error:
        if isinstance(error, NotImplementedError) or not ran_out(error):
            raise
        mib = BYTES * request.fixed.grid.voxels // 2**20
        raise InputError(
            f"images that there is no memory for ({_line(error)})",
            f"some {mib} MiB free for a fixed image of {request.fixed.grid.voxels} voxels",
            "crop the images or resample them to larger voxels, or end other programs",
        ) from error
    return replace(result, metrics=result.metrics | note)


def ran_out(error: BaseException) -> bool:
    """Whether ``error`` says that there was no memory left, or that the device cannot do it."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError, NotImplementedError)):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in words or "can't allocate memory" in words
    )


def _line(error: Exception) -> str:
    """The first line of an error."""
    return str(error).partition("\n")[0][:120] or type(error).__name__
