"""One request type, one way to answer it: what every shell (command line, Slicer, web) calls."""

from .answer import AlignedPair, align_pair, answer, bind_model
from .field_model import FieldModel
from .model import ModelChoice, choose_model, model_choice
from .network_field import NetworkField, NetworkOptions
from .register import register
from .request import Progress, RegistrationOptions, RegistrationRequest, RegistrationResult
from .run import Run

__all__ = [
    "AlignedPair",
    "FieldModel",
    "ModelChoice",
    "NetworkField",
    "NetworkOptions",
    "Progress",
    "RegistrationOptions",
    "RegistrationRequest",
    "RegistrationResult",
    "Run",
    "align_pair",
    "answer",
    "bind_model",
    "choose_model",
    "model_choice",
    "register",
]
