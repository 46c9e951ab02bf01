"""How a live pair is set up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .nodes import Node
from .pair_state import PairState


@dataclass(frozen=True, eq=False)
class ControllerOptions:
    """How a live pair is set up.

    Args:
        model: ``auto``, ``none`` or the name of a model.
        device: ``auto``, ``cpu`` or ``cuda``.
        initial: ``none``, ``translation``, ``rigid``, ``affine``, or the rows of a matrix (4, 4),
            RAS mm, fixed points → moving points.
        seed: of everything random.
        refine: iterations of the exact solver in exports and outputs, at most; ``None`` leaves
            that to it.
        similarity: ``auto``, ``ncc`` or ``mind``.
        scheme: tissue scheme that names label values, packaged name or ``.toml`` file.
        fixed_points_node: markups in the fixed volume, for landmark errors.
        moving_points_node: the same landmarks in the moving volume, matched by their labels.
        fixed_mask_node: label map or segmentation: where the fixed volume counts.
        moving_mask_node: likewise of the moving volume.
        measure_at_rest: fill the quality table whenever a slider rests.
        open_session: makes the session; ``None`` is ``ElasticHyperRegLib.session.Session``.
    """

    model: str = "auto"
    device: str = "auto"
    initial: Any = "affine"
    seed: int = 0
    refine: int | None = None
    similarity: str = "auto"
    scheme: str | None = None
    fixed_points_node: Node = None
    moving_points_node: Node = None
    fixed_mask_node: Node = None
    moving_mask_node: Node = None
    measure_at_rest: bool = True
    open_session: Callable[..., Any] | None = None

    def nodes(self) -> dict[str, Node]:
        """The nodes among the options, by role."""
        roles = ("fixed_points", "moving_points", "fixed_mask", "moving_mask")
        return {role: getattr(self, f"{role}_node") for role in roles}

    @classmethod
    def of_state(
        cls, state: PairState, open_session: Callable[..., Any] | None = None
    ) -> ControllerOptions:
        """The options of a saved pair."""
        given = state.nodes
        return cls(
            model=state.model,
            device=state.device,
            initial=state.initial,
            seed=state.seed,
            refine=state.refine,
            similarity=state.similarity,
            scheme=state.scheme,
            fixed_points_node=given.get("fixed_points"),
            moving_points_node=given.get("moving_points"),
            fixed_mask_node=given.get("fixed_mask"),
            moving_mask_node=given.get("moving_mask"),
            open_session=open_session,
        )
