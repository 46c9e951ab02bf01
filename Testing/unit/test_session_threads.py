"""What does not compute holds no threads of OpenMP."""

from __future__ import annotations

from pathlib import Path
from time import monotonic, sleep

import pytest
import torch

from ElasticHyperRegLib.session.threads import _gnu_openmp, give_back_threads
from ElasticHyperRegLib.session.worker import Worker

pytestmark = pytest.mark.skipif(_gnu_openmp() is None, reason="PyTorch's OpenMP is not GNU's")


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def come_to(count: int) -> bool:
    """Whether there are so many threads after a while: one that ends is still listed a moment."""
    limit = monotonic() + 10
    while threads() != count and monotonic() < limit:
        sleep(0.01)
    return threads() == count


def compute() -> float:
    """A loop that is long enough to be shared."""
    return float(torch.ones(2_000_000).sin().sum())


@pytest.fixture
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
def test_a_team_ends_and_the_next_loop_has_a_new_one():
    give_back_threads()
    alone, first = threads(), compute()
    assert threads() == alone + 1
    give_back_threads()
    assert come_to(alone)
    assert compute() == first


@pytest.mark.usefixtures("_two_threads")
def test_a_worker_without_work_holds_none():
    give_back_threads()
    before = threads()
    worker = Worker("test")

    def work(stop: object) -> int:
        compute()
        return threads()

    assert worker.run(work) == before + 2  # its own and one of its team
    assert come_to(before + 1)
    worker.close()
    assert come_to(before)
