"""Models written to disk and read back, with nothing taken on trust."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from ..errors import InputError
from ..networks import RegistrationNetwork, build
from .card import ModelCard, card_text, make_card, read_card
from .folders import find_model


def save_model(
    model: RegistrationNetwork,
    about: Mapping[str, Any],
    folder: Path,
    dtype: torch.dtype = torch.float32,
) -> ModelCard:
    """Write ``model.safetensors`` and ``card.json`` to ``folder``, whose name is the model's.

    Both files are complete before either takes the place of an older one: a full disk leaves the
    older model as it was.

    Args:
        about: table of the fields of ``About``; what the model is comes from the model itself.
        dtype: of the stored weights; float16 halves the file.

    Raises:
        InputError: ``about`` lacks something, the disk is full or may not be written.
    """
    state = {name: t.detach().to("cpu", dtype) for name, t in model.state_dict().items()}
    data = save({name: tensor.contiguous() for name, tensor in state.items()})
    card = make_card(model.spec, about, hashlib.sha256(data).hexdigest(), folder)
    _replace({card.weights: data, card.path: card_text(card).encode()})
    return card


def _replace(files: Mapping[Path, bytes]) -> None:
    """Write every file beside its place, then move all of them there."""
    partial = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in files}
    try:
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial[path].open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for path in files:
            partial[path].replace(path)
    except OSError as error:
        place = next(iter(files)).parent
        raise InputError(
            f"{place} cannot be written ({error.strerror})", action="free space or choose another"
        ) from error
    finally:
        for path in partial.values():
            with suppress(OSError):
                path.unlink()


def load_model(name_or_folder: str | Path) -> tuple[RegistrationNetwork, ModelCard]:
    """Model and card, by the model's name or its folder; float32, frozen, in evaluation mode.

    Raises:
        InputError: no such model, a card with a fault, a wrong checksum, weights that are not
            those of the architecture; the message names the file.
    """
    card = read_card(find_model(name_or_folder))
    state = _read_weights(card)
    # Loading a model must not change what is drawn at random after it.
    with torch.random.fork_rng(devices=()):
        model = build(card.model)
    _check_fits(state, model, card)
    model.load_state_dict(state)
    return model.eval().requires_grad_(False), card


def _read_weights(card: ModelCard) -> dict[str, torch.Tensor]:
    try:
        data = card.weights.read_bytes()
    except OSError as error:
        raise InputError(
            f"{card.weights} cannot be read ({error.strerror})", action="download the model again"
        ) from error
    checksum = hashlib.sha256(data).hexdigest()
    if checksum != card.sha256.lower():
        raise InputError(
            f"{card.weights} with SHA-256 {checksum[:16]}…",
            f"{card.sha256[:16]}… as {card.path.name} says",
            "download the model again",
        )
    try:
        return load(data)
    except SafetensorError as error:
        raise InputError(f"{card.weights} is no safetensors file ({error})") from error


def _check_fits(
    state: Mapping[str, torch.Tensor], model: RegistrationNetwork, card: ModelCard
) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    faults = [f"lacks {name}" for name in expected.keys() - given.keys()]
    faults += [f"has an unexpected {name}" for name in given.keys() - expected.keys()]
    faults += [
        f"has {name} of shape {given[name]} in place of {expected[name]}"
        for name in expected.keys() & given.keys()
        if given[name] != expected[name]
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise InputError(
            f"{card.weights} {', '.join(sorted(faults)[:3])}{more}",
            f"the weights of {card.model.name} as {card.path.name} describes it",
        )
