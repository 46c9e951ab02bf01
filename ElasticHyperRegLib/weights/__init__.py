"""Trained models on disk: weights with a card that says what they are."""

from .card import About, Ancestor, Expects, ModelCard, Training, check_window, read_card
from .folders import (
    find_model,
    is_model_name,
    list_models,
    model_reference,
    packaged_folder,
    user_folder,
)
from .store import load_model, save_model

__all__ = [
    "About",
    "Ancestor",
    "Expects",
    "ModelCard",
    "Training",
    "check_window",
    "find_model",
    "is_model_name",
    "list_models",
    "load_model",
    "model_reference",
    "packaged_folder",
    "read_card",
    "save_model",
    "user_folder",
]
