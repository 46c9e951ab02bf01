"""From a request to a result: the one place where a pair is registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

from .answer import align_pair, bind_model
from .check import check_request, pick_device
from .memory import answer_where_it_fits, enough_memory
from .model import model_choice
from .report import peak_memory_mib
from .request import Progress, RegistrationRequest, RegistrationResult
from .run import Run, never, silent


def register(
    request: RegistrationRequest,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> RegistrationResult:
    """Find the deformation of ``request`` and measure it.

    Initial alignment, then a trained model where one was named or fits, then the exact solver
    from there. On one machine and device equal requests give equal fields; on the processor bit
    for bit.

    Args:
        request: images, labels, masks, landmarks, options.
        progress: called with the name of the step and the fraction done of all, 0 to 1.
        cancelled: asked often; true stops the run.

    Returns:
        The result, whose metrics hold what ``metrics.json`` needs but for the seconds of reading
        and writing.

    Raises:
        InputError: the request cannot be registered as it is; see ``check_request``. There is
            not enough memory.
        Cancelled: ``cancelled`` said so.
    """
    run = Run(progress or silent, cancelled or never)
    begin = perf_counter()
    check_request(request)
    choice = model_choice(request)
    with enough_memory(request):
        pair = align_pair(request, pick_device(request.options.device), run)
        result = answer_where_it_fits(request, pair, choice, bind_model, run)
    seconds = {**run.seconds, "total": perf_counter() - begin}
    facts = {"seconds": seconds} | peak_memory_mib()
    return replace(result, metrics=result.metrics | facts)
