"""OpenMP's threads: who does not compute gives them back, for the others' sake.

GNU's OpenMP keeps a team of threads for every thread that has computed once. Where all teams
together have more members than there are processors, they sleep from one loop to the next instead
of waiting awake: a network of fifty short loops takes twice as long, a pass of the live solver up
to three times. So theirs give back whoever asks a session for something, a scene that has shown an
answer, and a thread that has made a training batch.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path

SOFT = 1
"""``omp_pause_soft`` of OpenMP 5.0, §3.2.44: what was set is kept."""


def give_back_threads() -> None:
    """End the calling thread's team, where OpenMP is GNU's; its next loop has a new one (0.1 ms).

    Others' OpenMP is left alone: there a pause is not the calling thread's own affair.
    """
    library = _gnu_openmp()
    if library is not None:
        library.omp_pause_resource_all(SOFT)


@lru_cache(maxsize=1)
def _gnu_openmp() -> ctypes.CDLL | None:
    """The libgomp that PyTorch has loaded, if it has one and that knows how to pause."""
    try:
        lines = Path("/proc/self/maps").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    paths = {line.split(maxsplit=5)[-1] for line in lines if "libgomp" in line}
    if len(paths) != 1:
        return None
    try:
        library = ctypes.CDLL(paths.pop())
    except OSError:  # replaced on the disk since it was loaded
        return None
    return library if hasattr(library, "omp_pause_resource_all") else None
