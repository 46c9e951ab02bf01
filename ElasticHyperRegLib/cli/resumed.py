"""Whether a result that stands already is that of the run which is asked for now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engine.record import options_record
from ..engine.request import AUTO
from ..errors import InputError
from ..weights import find_model, read_card
from .pair import Job
from .record import checksums

COMPARED = ("initial", "model", "refine", "seed", "similarity")
"""Options that are recorded as they were given."""
ASKED = {
    "elasticity": "λ or μ",
    "sliding": "sliding border",
    "estimate": "way to λ and μ (--estimate)",
}
"""What was asked for → its name for people."""


def difference(job: Job, record: Mapping[str, Any]) -> str | None:
    """What a job has otherwise than the ``request.json`` of a result; ``None``: nothing.

    A file is the same as long as its content is, wherever it lies.

    Raises:
        KeyError, TypeError, AttributeError: the record is not one of ``register_files``.
    """
    inputs, recorded = job.files.given() | job.settings.files(), record["inputs"]
    for name in {**inputs, **recorded}:
        if not (name in inputs and name in recorded and _same(inputs[name], recorded[name])):
            return name.replace("_", " ")
    now = _as_read(options_record(job.settings.options()))
    then = {"similarity": AUTO, **record["options"]}  # earlier versions did not know it
    for name in COMPARED:
        if now[name] != then[name]:
            return name
    if "tissues" not in inputs and job.settings.tissues != then["tissues"]:
        return "tissue scheme"
    asked, before = _as_read(job.asked()), record["asked"]
    return next((said for name, said in ASKED.items() if asked[name] != before[name]), None)


def other_weights(job: Job, metrics: Mapping[str, Any]) -> str | None:
    """The model, where its weights are not those that made a result; ``None``: they are."""
    sum_then, asked = metrics.get("model_sha256"), job.settings.model
    if sum_then is None:
        return None
    name = metrics["model"] if asked == AUTO else asked
    try:
        same = read_card(find_model(name)).sha256 == sum_then
    except InputError:  # which chose for itself, and would choose another now
        return None if asked == AUTO else f"model {name}, which is not there any more"
    return None if same else f"model {name} of other weights"


def _as_read(record: Mapping[str, Any]) -> Any:
    """As it comes back from a file."""
    return json.loads(json.dumps(record))


def _same(path: Path, recorded: Mapping[str, str]) -> bool:
    return path.exists() and checksums({"": path})[""] == recorded["sha256"]
