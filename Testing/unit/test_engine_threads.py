"""What does not compute holds no threads of OpenMP."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from ElasticHyperRegLib.engine.threads import give_back_threads
from ElasticHyperRegLib.session.worker import Worker
from Testing.conftest import ROOT
from Testing.unit.openmp_team import alone, come_to, compute, needs_gnu, threads
from training.batches import Batch, Seed, prefetched

pytestmark = needs_gnu


def test_a_team_ends_and_the_next_loop_has_a_new_one():
    with alone() as before:
        first = compute()
        assert threads() == before + 1
        give_back_threads()
        assert come_to(before)
        assert compute() == first


def test_a_worker_without_work_holds_none():
    with alone() as before:
        worker = Worker("test")

        def work(stop: object) -> int:
            compute()
            return threads()

        assert worker.run(work) == before + 2  # its own and one of its team
        assert come_to(before + 1)
        worker.close()
        assert come_to(before)


@pytest.mark.parametrize("ask", [Worker.submit, Worker.run])
def test_who_asks_a_worker_for_something_holds_none_meanwhile(ask):
    with alone() as before:
        worker = Worker("test")
        compute()
        assert threads() == before + 2
        ask(worker, lambda given: None)
        assert come_to(before + 1)
        worker.close()


def test_threads_that_work_ahead_hold_none_once_they_have():
    def made(seed: Seed) -> Batch:
        compute()
        return Batch(torch.zeros(1), torch.zeros(1), None, None, None)

    with alone() as before:
        found = prefetched(made, [(0,), (1,), (2,)], 1)
        next(found)
        assert come_to(before + 1)
        assert [seed for seed, _ in found] == [(1,), (2,)]
        assert come_to(before)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "2000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "None"),  # the user's own wish
    ],
)
def test_threads_wait_awake_for_a_moment(given, expected):
    script = "import os, ElasticHyperRegLib; print(os.environ.get('GOMP_SPINCOUNT'))"
    mine = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=mine | given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected
