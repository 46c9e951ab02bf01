"""A storm of slider moves over the real session, and what it leaves (Qt stand-in)."""

from __future__ import annotations

import json

import pytest

from .driving import choose, command_line, differing, export, open_module, storm, wait

pytestmark = pytest.mark.slow

SIZE = 32
SECONDS = 2.0


def test_a_storm_leaves_no_node_and_ends_as_the_command_line(module, scene, tmp_path):
    widget = open_module(SIZE)
    widget.ui.registerButton.click()
    wait(widget)
    widget.ui.jacobianCheckBox.click()
    choose(widget.ui.glyphComboBox, "arrows")
    seen = storm(widget, SECONDS)
    assert seen.moves > 5 and seen.beats > 5
    assert seen.nodes_added == 0
    wait(widget)
    export(widget, tmp_path / "out")
    (tmp_path / "truth").mkdir()
    assert command_line(widget, tmp_path / "truth") == 0
    ours, theirs = tmp_path / "out", tmp_path / "truth" / "out"
    assert differing(ours, theirs) == []
    records = [
        json.loads((p / "request.json").read_text("utf-8"))["options"] for p in (ours, theirs)
    ]
    assert {"tissues": "phantom", **records[0]} == records[1]
    widget.cleanup()
    widget.parent.deleteLater()
