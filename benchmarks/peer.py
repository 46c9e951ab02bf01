"""What the peers share: their job, their clock, and what they leave behind.

Peers run in an environment of their own, without torch and without this project's library.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter


@dataclass(frozen=True)
class Job:
    """One pair to register.

    Args:
        fixed: image file, 2D or 3D.
        moving: image file.
        out: displacement field to write, NRRD, LPS mm on the fixed grid, fixed → moving.
        fixed_mask: where similarity counts, or None.
        moving_mask: likewise, or None.
        affine: find an affine alignment first; else the world frames are trusted.
        threads: number of processor threads.
    """

    fixed: Path
    moving: Path
    out: Path
    fixed_mask: Path | None
    moving_mask: Path | None
    affine: bool
    threads: int


@dataclass
class Clock:
    """Seconds spent in registration proper, without imports, reading and writing."""

    seconds: float = field(default=0.0, init=False)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time spent inside."""
        start = perf_counter()
        yield
        self.seconds += perf_counter() - start


def peak_memory_mib() -> int:
    """Of this process alone."""
    # Linux's getrusage begins with what the process held that started this one.
    status = Path("/proc/self/status")
    if not status.exists():
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)  # macOS: bytes
    told = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return round(int(told.split()[1]) / 2**10)


def main(register: Callable[[Job, Clock], None]) -> None:
    """Do the job of the command line; write ``<out>.json`` with seconds and peak memory."""
    parser = argparse.ArgumentParser()
    for name in ("fixed", "moving", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("fixed-mask", "moving-mask"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--affine", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    job = Job(**vars(parser.parse_args()))
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(job.threads)
    clock = Clock()
    register(job, clock)
    record = {"seconds": round(clock.seconds, 3), "peak_memory_mib": peak_memory_mib()}
    job.out.with_suffix(".json").write_text(json.dumps(record), encoding="utf-8")
