"""What an answer of a network makes a GPU wait for: nothing but its λ and μ."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from ElasticHyperRegLib import Elasticity
from ElasticHyperRegLib.engine import NetworkField
from ElasticHyperRegLib.networks import ModelSpec
from Testing.unit.small_pair import small_request
from Testing.unit.test_network_field import bound
from Testing.unit.tiny_models import install, lively, tiny_spec

pytestmark = pytest.mark.usefixtures("models")

WAITS = ("aten::lift_fresh", "aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero")
"""A number that Python hands to torch, or torch to Python: on a GPU a copy that is waited for."""


class Waits(TorchDispatchMode):
    """Counts them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen[func._schema.name] += func._schema.name in WAITS
        return func(*args, **(kwargs or {}))


def waits(field: NetworkField, elasticity: Elasticity) -> dict[str, int]:
    with Waits() as found:
        field.displacement(elasticity, {})
    return {name: count for name, count in found.seen.items() if count}


@pytest.mark.parametrize("name", ["elas-g", "CSAIN-elastic"])
@pytest.mark.parametrize("passes", [1, 2])
def test_a_second_answer_waits_for_its_setting_alone(models, name, passes):
    spec: ModelSpec = tiny_spec(name)
    options = replace(spec.options, passes=passes, force_window=3)
    install(lively(replace(spec, options=options)), models / "thorax")
    field = bound(models / "thorax", small_request())
    field.displacement(Elasticity(0.1, 0.2), {})  # which makes what is kept
    assert waits(field, Elasticity(0.2, 0.3)) == {"aten::lift_fresh": 1}
