"""Background work on its own, without a scene."""

from __future__ import annotations

import threading

from ElasticHyperRegLib.mrml.jobs import Jobs


def test_what_a_job_leaves_behind_goes_back_to_the_system(monkeypatch):
    given = threading.Event()
    monkeypatch.setattr("ElasticHyperRegLib.mrml.jobs.give_back", given.set)
    jobs = Jobs()
    jobs.run("sum", lambda *_: 1 + 1, lambda result: [])
    assert given.wait(30)
