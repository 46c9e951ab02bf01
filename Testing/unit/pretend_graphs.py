"""A stand-in for CUDA graphs on a processor: records every operation, and runs them again in place.

As on a GPU, a replay reads and writes the memory that was there when it was recorded, and nothing
that waits for the device, or is copied to it, can be recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ElasticHyperRegLib.engine import captured as module

WAITING = ("aten::lift_fresh", "aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero")


class Graph(TorchDispatchMode):
    """Stands in for ``torch.cuda.CUDAGraph``."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, ...]] = []
        self.replays = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._schema.name in WAITING:
            raise RuntimeError("operation not permitted when stream is capturing")
        found = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, found))
        return found

    @torch.inference_mode()
    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, found in self.calls:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(found), tree_leaves(again), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Stream:
    """Stands in for ``torch.cuda.Stream``."""

    def __init__(self, *_: object) -> None:
        pass

    def wait_stream(self, other: Stream) -> None:
        assert isinstance(other, Stream)


@contextmanager
def recording(graph: Graph, stream: Stream, capture_error_mode: str) -> Iterator[None]:
    assert capture_error_mode == "thread_local" and isinstance(stream, Stream)
    with graph:
        yield


@contextmanager
def on_stream(stream: Stream) -> Iterator[None]:
    assert isinstance(stream, Stream)
    yield


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """The processor has graphs; those that are made."""
    made: list[Graph] = []

    def make() -> Graph:
        made.append(Graph())
        return made[-1]

    monkeypatch.setattr(module, "REPLAYING", ("cpu",))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", make)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", on_stream)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: None)
    return made
