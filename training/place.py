"""Where a run happens: its processes, and the folder that the first of them writes."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from torch import distributed

from ElasticHyperRegLib.errors import InputError

LOCK = ".lock"
T = TypeVar("T")


class SharedFault(InputError):
    """A fault that all processes meet together, so that the first alone tells it."""


@dataclass(frozen=True, eq=False)
class Place:
    """Processes and folder of a run.

    Args:
        fabric: launched.
        folder: of the run.
        workers: threads that prepare batches while others are computed on.
        tensorboard: whether what goes into the CSV files also goes into ``folder/tensorboard``.
    """

    fabric: Fabric
    folder: Path
    workers: int = 1
    tensorboard: bool = False

    def write(self, action: Callable[[], T]) -> T | None:
        """Let the first process do ``action``, which writes to the folder; ``None`` elsewhere.

        All processes call this together: what stops the first one stops all of them.

        Raises:
            SharedFault: the disk is full, or the folder may not be written.
        """
        done, fault = None, ""
        if self.fabric.is_global_zero:
            try:
                done = action()
            except OSError as error:
                fault = error.strerror or str(error)
        fault = self.fabric.broadcast(fault)
        if fault:
            raise SharedFault(
                f"{self.folder}, which cannot be written ({fault})",
                "a folder with space that may be written",
                "free space, or name another folder; the same command goes on from the last "
                "checkpoint",
            )
        return done


@contextmanager
def held(place: Place) -> Iterator[None]:
    """Keep the folder of a run for this start of it; a killed one lets go of it by itself.

    All processes call this together.

    Raises:
        SharedFault: another start holds it, or the folder cannot be made.
    """
    lock = FileLock(place.folder / LOCK)
    place.write(lambda: place.folder.mkdir(parents=True, exist_ok=True))
    fault = ""
    if place.fabric.is_global_zero:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            fault = "where this run is in progress"
        except (OSError, NotImplementedError) as error:
            fault = f"which cannot be held ({getattr(error, 'strerror', None) or error})"
    fault = place.fabric.broadcast(fault)
    if fault:
        raise SharedFault(
            f"{place.folder}, {fault}",
            "a folder of this start alone, on a file system that has locks",
            "wait for the other to end, or name another folder with --out",
        )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def launched(fabric: Fabric) -> Iterator[Fabric]:
    """The processes of ``fabric``, started, which let go of each other at the end.

    A model that several processes train must be gone by then. PyTorch waits for threads where a
    process group ends, and these may wait for the interpreter: it stands still when the model is
    what ends the group, and a group left over at exit can take a finished process down.
    """
    fabric.launch()
    try:
        yield fabric
    finally:
        gc.collect()
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


def peer_ended(error: RuntimeError) -> bool:
    """Whether PyTorch says that another process of the run is there no more."""
    return isinstance(error, distributed.DistBackendError) or "gloo" in str(error)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside ``path``, which takes its place once it is whole and on the disk.

    Raises:
        OSError: the disk is full or may not be written; what stood at ``path`` is as it was.
    """
    partial = path.with_name(f".{path.name}.part")
    partial.unlink(missing_ok=True)  # of a process that was killed
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
