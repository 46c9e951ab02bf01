"""What every shell shows alike: figures, the heat map, what is judged by, the names of the room."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import ElasticHyperRegLib
from ElasticHyperRegLib import Elasticity, mrml
from ElasticHyperRegLib.estimation.surface import Surface
from ElasticHyperRegLib.mrml import Ready, Updated, free_name, heat_map, percent
from ElasticHyperRegLib.mrml.events import status_of

CORNERS = (Elasticity(0, 0), Elasticity(0, 1), Elasticity(1, 0))
VIRIDIS_ENDS = (68, 1, 84), (253, 231, 37)


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0, "0 %"), (3e-6, "<0.01 %"), (1e-4, "0.01 %"), (0.0123, "1.23 %"), (1.0, "100.00 %")],
)
def test_folds_are_never_written_as_none_where_there_are_some(fraction, text):
    assert percent(fraction) == text


def test_the_status_tells_a_first_answer_from_the_last():
    first, last = Updated(7, "network", False, 0.154, {}), Updated(7, "refined", True, 4.51, {})
    assert status_of(first) == "shown after 154 ms (network), refining …"
    assert status_of(last) == "final after 4.5 s (refined)"


def test_heat_map_shows_the_nearest_score_everywhere():
    drawn = heat_map(Surface("lung", "held", CORNERS, (0.1, 0.4, 0.25), CORNERS[1], 0.01), 20)
    colors = {(round(c.lam, 3), round(c.mu, 3)): c.color for c in drawn.cells}
    assert len(colors) == len(drawn.cells) == 20 * 21 / 2
    assert all(lam + mu <= 1 + 1e-9 for lam, mu in colors)
    assert (colors[0.025, 0.025], colors[0.025, 0.975]) == VIRIDIS_ENDS
    assert colors[0.225, 0.225] == VIRIDIS_ENDS[0] and colors[0.225, 0.725] == VIRIDIS_ENDS[1]
    assert colors[0.975, 0.025] not in VIRIDIS_ENDS
    assert (drawn.low, drawn.high, drawn.side) == (0.1, 0.4, 0.05)


def test_equal_scores_have_one_colour_which_is_none_of_the_ends():
    drawn = heat_map(Surface("lung", "held", CORNERS, (0.3, 0.3, 0.3), CORNERS[0], 0.01), 5)
    (color,) = {cell.color for cell in drawn.cells}
    assert color not in VIRIDIS_ENDS


def test_the_cells_of_the_map_fill_the_triangle():
    side, cells = 1 / 8, heat_map(Surface("a", "held", CORNERS, (1, 2, 3), CORNERS[0], 0), 8).cells
    covered = np.zeros((8, 8), dtype=bool)
    for cell in cells:
        covered[round(cell.mu / side - 0.5), round(cell.lam / side - 0.5)] = True
    assert np.array_equal(covered, np.add.outer(np.arange(8), np.arange(8)) < 8)


@pytest.mark.parametrize(
    ("wanted", "judged"),
    [
        ("folds", "folds"),
        ("similarity=1, folds=0.5", "similarity=1, folds=0.5"),
        ("dice", "similarity"),
        ("similarity=1, tre=0.1", "similarity"),
        ("similarity=much", "similarity"),
        ("", "similarity"),
    ],
)
def test_what_the_evidence_does_not_allow_gives_way_to_the_best_that_it_does(wanted, judged):
    ready = Ready("none", "cpu", ("lung",), objectives=("similarity", "folds"))
    assert ready.objective(wanted) == judged


def test_names_of_kept_settings_go_on_after_z():
    taken: list[str] = []
    for _ in range(28):
        taken.append(free_name(taken))
    assert taken[:2] + taken[25:] == ["A", "B", "Z", "AA", "AB"]
    assert free_name(["A", "C"]) == "B"


@pytest.mark.parametrize("package", [ElasticHyperRegLib, mrml])
def test_every_name_that_is_loaded_late_has_its_type(package):
    tree = ast.parse(Path(package.__file__).read_text("utf-8"))
    (checked,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    typed = {alias.name for line in checked.body for alias in line.names}  # type: ignore[attr-defined]
    assert typed | {"__version__"} == set(package.__all__) | {"__version__"}
    assert all(getattr(package, name) is not None for name in package.__all__)
