"""What happens where memory runs out, and what is given back before it does."""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock

import torch

from ..errors import InputError
from ..similarity import MIND, NCC
from .answer import AlignedPair, FieldOf, answer
from .model import ModelChoice
from .request import RegistrationRequest, RegistrationResult
from .run import Run
from .similarity import similarity_of

BYTES = {NCC: 220, MIND: 800}
"""Per voxel of the fixed image, roughly, as measured on volumes of 192³ and 256³."""
LARGE_VOXELS = 2**21
PLENTY = 1.5
"""Times what is needed: so much must be free. Volumes of 7 to 37 million voxels took 1.1 to 1.3."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
"""Of ``mallopt``, glibc's malloc.h."""
GROUPS = {
    "": ("/sys/fs/cgroup", "memory.max", "memory.current"),
    "memory": ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
}
"""Version of control groups (2, 1) → where their limit and use of memory stand."""
_KEEPING, _keeping = Lock(), 0
RAN_OUT = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
    "cublas_status_not_initialized",  # so cuBLAS and cuDNN say it
    "cudnn_status_not_initialized",
    "unable to find an engine to execute",
)
LOG = logging.getLogger(__name__)


def answer_where_it_fits(
    request: RegistrationRequest,
    pair: AlignedPair,
    choice: ModelChoice,
    field_of: FieldOf,
    run: Run,
) -> RegistrationResult:
    """``answer``; on the processor where the device cannot, which ``device_note`` then tells.

    Raises:
        Cancelled: ``run`` was cancelled.
    """
    with memory_kept(pair.grid.voxels, pair.prepared.similarity):
        if pair.device.type == "cpu":
            return answer(request, pair, choice, field_of, run)
        try:
            return answer(request, pair, choice, field_of, run)
        except Exception as error:
            if not ran_out(error):
                raise
            note = f"on cpu, as {pair.device.type} could not: {first_line(error)}"
        # The error is gone here, and with it what its traceback held of the device's memory.
        LOG.warning("goes on %s", note)
        pair = replace(pair, device=torch.device("cpu"))
        result = answer(request, pair, choice, field_of, run)
        return replace(result, metrics=result.metrics | {"device_note": note})


@contextmanager
def enough_memory(request: RegistrationRequest) -> Iterator[None]:
    """Tell a lack of memory in one line.

    Raises:
        InputError: there was none left.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, NotImplementedError) or not ran_out(error):
            raise
        voxels, per_voxel = request.fixed.grid.voxels, BYTES[similarity_of(request)]
        raise InputError(
            f"images that there is no memory for ({first_line(error)})",
            f"some {per_voxel * voxels // 2**20} MiB free for a fixed image of {voxels} voxels",
            "crop the images or resample them to larger voxels, or end other programs",
        ) from error


@contextmanager
def memory_kept(voxels: int, similarity: str) -> Iterator[None]:
    """Inside, what is freed is kept for what is asked for next (Linux with glibc, main thread).

    Of its own accord glibc has the system give every block above 32 MiB anew and clear it page by
    page: of large volumes that takes longer than what is computed in it. Blocks that are kept leave
    gaps between them, up to half as much memory again, so it is done only where there is plenty.

    Args:
        voxels: of the fixed image.
        similarity: what the images are compared by.
    """
    global _keeping
    needed = BYTES[similarity] * voxels
    mallopt = _mallopt() if voxels >= LARGE_VOXELS else None
    if mallopt is None or (available_bytes() or 0) < PLENTY * needed:
        yield
        return
    with _KEEPING:
        _keeping += 1
        mallopt(M_TRIM_THRESHOLD, -1)
        mallopt(M_MMAP_MAX, 0)
    try:
        yield
    finally:
        with _KEEPING:
            _keeping -= 1
            if not _keeping:  # as it is once large blocks have come and gone
                mallopt(M_MMAP_MAX, 2**16)
                mallopt(M_MMAP_THRESHOLD, 2**25)
                mallopt(M_TRIM_THRESHOLD, 2**26)
        give_back()


def available_bytes() -> int | None:
    """Memory that may still be taken, by a container's limit too; ``None``: nobody tells."""
    free = _left_to_programs()
    return None if free is None else min((free, *_left_to_group()))


def _left_to_programs() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        table = dict(line.split(":", 1) for line in lines)
        return int(table["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _left_to_group() -> Iterator[int]:
    """Memory that a container or a job of a cluster may still take, where it has a limit."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for _, kind, path in (line.split(":", 2) for line in lines):
        if kind not in GROUPS:
            continue
        root, *names = GROUPS[kind]
        for folder in (Path(root + path), Path(root)):
            with suppress(OSError, ValueError):  # "max" where there is none
                limit, used = (int((folder / name).read_text(encoding="ascii")) for name in names)
                yield limit - used + _droppable(folder)


def _droppable(group: Path) -> int:
    """Memory of files that were read or written, which counts as used and is given up first."""
    with suppress(OSError, ValueError):
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        table = dict(line.split() for line in lines)
        return int(table.get("total_inactive_file") or table.get("inactive_file") or 0)
    return 0


def _mallopt() -> Callable[[int, int], int] | None:
    if sys.platform != "linux":
        return None
    found: Callable[[int, int], int] | None = getattr(ctypes.CDLL(None), "mallopt", None)
    return found


def give_back() -> None:
    """Return freed memory to the system, where the C library keeps it (Linux with glibc).

    glibc holds on to what large images leave behind between the small objects made meanwhile:
    after a few registrations of one pair more than half of what a process occupies.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def ran_out(error: BaseException) -> bool:
    """Whether ``error`` says that there was no memory left, or that the device cannot do it."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError, NotImplementedError)):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(text in words for text in RAN_OUT)


def first_line(error: Exception) -> str:
    """The first line of an error."""
    return str(error).partition("\n")[0][:120] or type(error).__name__
