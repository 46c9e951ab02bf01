"""Whether a result that stands already is that of the run which is asked for now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engine.record import options_record
from .pair import Job
from .record import checksums
from .settings import SCHEME

COMPARED = ("initial", "model", "refine", "seed")
"""Options that are recorded as they were given."""


def difference(job: Job, record: Mapping[str, Any]) -> str | None:
    """What a job has otherwise than the ``request.json`` of a result; ``None``: nothing.

    λ and μ are compared as far as they are given: presets and estimates are found while it runs.
    A file that has moved is the same as long as its content is.
    """
    inputs, recorded = job.files.given() | job.settings.files(), record["inputs"]
    for name in {**inputs, **recorded}:
        if not (name in inputs and name in recorded and _same(inputs[name], recorded[name])):
            return name.replace("_", " ")
    now, then = json.loads(json.dumps(options_record(job.settings.options()))), record["options"]
    for name in COMPARED:
        if now[name] != then[name]:
            return name
    if job.settings.tissues != then["tissues"]:
        return "tissue scheme"
    if SCHEME not in job.settings.sliding and now["sliding"] != then["sliding"]:
        return "sliding border"
    known = then["elasticity"]
    given = {} if job.estimate else now["elasticity"]
    return "λ or μ" if any(known.get(name) != value for name, value in given.items()) else None


def _same(path: Path, recorded: Mapping[str, str]) -> bool:
    if str(path.resolve()) == recorded["path"]:
        return True
    return path.exists() and checksums({"": path})[""] == recorded["sha256"]
