"""Live pairs over the made-up session, for tests."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ElasticHyperRegLib.mrml import ControllerOptions, LiveController, Updated
from Testing.mrml.fake_session import FakeSession

OPTIONS = ControllerOptions(open_session=FakeSession, measure_at_rest=False)


def until(controller, kind, seconds: float = 5.0):
    """Poll until an event of ``kind`` comes; it and all events before it."""
    found = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found += controller.poll()
        hits = [event for event in found if isinstance(event, kind)]
        if hits:
            return hits[0], found
        time.sleep(0.002)
    raise AssertionError(f"no {kind.__name__} in {found}")


def ready(scene, nodes, options=OPTIONS) -> Any:
    """A ``LiveController`` whose first answer is shown."""
    controller = LiveController(scene, *nodes, options=options)
    controller.start()
    until(controller, Updated)
    return controller


def shown_at(controller, point) -> np.ndarray:
    return np.array(
        controller.display.transform_node.GetTransformFromParent().TransformPoint(point)
    )
