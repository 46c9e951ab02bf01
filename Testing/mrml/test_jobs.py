"""Background work on its own, and what the scene's thread leaves to it."""

from __future__ import annotations

import threading

from ElasticHyperRegLib.mrml import LiveController
from ElasticHyperRegLib.mrml.jobs import Jobs
from Testing.unit.openmp_team import alone, come_to, compute, needs_gnu, threads


def test_what_a_job_leaves_behind_goes_back_to_the_system(monkeypatch):
    given = threading.Event()
    monkeypatch.setattr("ElasticHyperRegLib.mrml.jobs.give_back", given.set)
    jobs = Jobs()
    jobs.run("sum", lambda *_: 1 + 1, lambda result: [])
    assert given.wait(30)


@needs_gnu
def test_what_was_shown_holds_no_threads(scene, nodes):
    controller = LiveController(scene, *nodes)
    with alone() as before:
        compute()
        assert threads() == before + 1
        controller.poll()
        assert come_to(before)
    controller.close()
