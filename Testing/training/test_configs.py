"""The configuration files of the published models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import training
from ElasticHyperRegLib.networks import SPECS, build
from training.conditioning import condition, draw_for
from training.config import read_config
from training.data import sources

FOLDER = Path(training.__file__).parent / "configs"
CONFIGS = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_makes_its_model(path):
    config = read_config(path)
    assert config.name == path.stem
    published = SPECS[config.model.name]
    assert config.model.backbone == published.backbone
    assert config.model.hyper == published.hyper
    assert config.model.conditioning == published.conditioning
    network = build(config.model)
    shape = (2, 1, *[16 * config.model.patch] * config.model.ndim)
    values = draw_for(config.model, 2, 2, torch.Generator().manual_seed(0))
    given = condition(config.model, values[:, :1], None).network
    if config.model.conditioning == "map":
        given = given.expand(-1, -1, *shape[2:])
    assert network(torch.rand(shape), torch.rand(shape), given).velocity.shape[0] == 2


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_is_understood_by_its_data_set(path):
    data = read_config(path).data
    for options in (data.options, data.validation_options):
        kind = sources._KINDS[data.source].options
        assert isinstance(sources._options(data.source, kind, options), kind)


def test_a_volume_of_published_size_has_the_published_parameters():
    model = build(read_config(FOLDER / "nlst-elas-g.toml").model)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(42.14e6, rel=1e-3)


def test_every_published_model_has_one():
    assert {read_config(path).model.name for path in CONFIGS} == set(SPECS)
