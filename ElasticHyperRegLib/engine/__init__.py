"""One request type, one way to answer it: what every shell (command line, Slicer, web) calls."""

from .answer import AlignedPair, align_pair, bind_model
from .field_model import FieldModel
from .memory import answer_where_it_fits, enough_memory, ran_out
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
    "answer_where_it_fits",
    "bind_model",
    "choose_model",
    "enough_memory",
    "model_choice",
    "ran_out",
    "register",
]
