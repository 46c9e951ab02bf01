"""What a session settles before it aligns the pair: its request, its model, its first notes."""

from __future__ import annotations

from dataclasses import replace

from ..engine import RegistrationOptions, RegistrationRequest, model_choice
from ..engine.elasticity import tissue_names
from ..engine.model import ModelChoice
from ..engine.request import AUTO, NONE
from ..similarity import MIND
from ..types import Elasticity, Grid, Image, LabelMap
from .answer import SessionInputs

NO_MODEL = "no trained model fits this pair: the solver answers"
COARSE = 3.0
"""Times as large as the scan's are voxels whose answers are called previews."""
PREVIEW = "live answers are previews, on voxels of {} mm; the full result has the scan's own {} mm"
ACROSS = "compared across modalities, by MIND-SSC: the solver answers"
NO_SLIDING = "{} knows no border that slides: only the solver's passes after it do"


def request_of(
    pair: tuple[Image, Image, LabelMap | None], given: SessionInputs, model: str, device: str
) -> RegistrationRequest:
    """What ``Session`` was given, as one request; ``pair``: fixed, moving, labels of the fixed."""
    fixed, moving, labels = pair
    # The engine knows no mps: what must be repeatable bit for bit runs on the processor there.
    options = RegistrationOptions(
        elasticity=given.elasticity,
        initial=given.initial,
        model=model,
        refine=given.refine,
        device="cpu" if device == "mps" else device,
        seed=given.seed,
        sliding=given.sliding,
        similarity=given.similarity,
    )
    return RegistrationRequest(
        fixed=fixed,
        moving=moving,
        fixed_labels=labels,
        moving_labels=given.moving_labels,
        fixed_mask=given.fixed_mask,
        moving_mask=given.moving_mask,
        fixed_points=given.fixed_points,
        moving_points=given.moving_points,
        options=options,
    )


def first_notes(request: RegistrationRequest, choice: ModelChoice, similarity: str) -> list[str]:
    """What is to be known before the first answer."""
    if similarity == MIND:
        return [ACROSS]
    if choice.card is None:
        return [] if request.options.model == NONE else [NO_MODEL]
    return [NO_SLIDING.format(choice.card.name)] if request.options.sliding else []


def preview_note(live: Grid, fixed: Grid) -> list[str]:
    """That answers on the grid ``live`` are previews, where the fixed image is much finer."""
    if fixed.voxels < COARSE**fixed.ndim * live.voxels:
        return []
    return [PREVIEW.format(*("×".join(f"{s:.2g}" for s in g.spacing) for g in (live, fixed)))]


def live_choice(request: RegistrationRequest) -> ModelChoice:
    """The model that answers live.

    With ``auto`` it must obey tissues that differ; a named one that obeys tissues, all of them.

    Raises:
        InputError: the one that was named does not.
    """
    labels, options = request.fixed_labels, request.options
    choice = model_choice(request)
    obeys = choice.card is not None and choice.card.model.conditioning == "tissue"
    if labels is None or (options.model != AUTO and not obeys):
        return choice
    first = next(iter(tissue_names(labels).values()))
    other = Elasticity(options.elasticity.mu, options.elasticity.lam)
    differ = {first: other if other != options.elasticity else Elasticity(0.0, 1.0)}
    return model_choice(replace(request, options=replace(options, tissues=differ)))
