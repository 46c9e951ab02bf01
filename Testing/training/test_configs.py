"""The configuration files of the published models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import training
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.networks import LITERATURE, SPECS, build
from ElasticHyperRegLib.tissues import load_scheme
from training.conditioning import condition, draw_for
from training.config import read_config
from training.data.sources import read_options

FOLDER = Path(training.__file__).parent / "configs"
CONFIGS = sorted(FOLDER.glob("[!_]*.toml"))


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
        parts = options.get("parts", [{"source": data.source, "options": options}])
        for part in parts:
            assert read_options(part["source"], part["options"])
    assert read_options(data.source, data.options)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("nlst-elas-g", "42.14"),
        ("lungct-diff-g", "42.14"),
        ("acdc-elas-g", "14.13"),
        ("acdc-elas-sas", "14.13"),
        ("acdc-elas-fixed-1", "14.13"),
        ("oasis-CIR-DM", "1.22"),
    ],
)
def test_published_sizes_have_the_published_parameters(name, millions):
    with torch.device("meta"):
        model = build(read_config(FOLDER / f"{name}.toml").model)
    assert f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f}" == millions


@pytest.mark.parametrize(
    ("stem", "who"),
    [
        ("acdc-elas-fixed", "brock"),
        ("lungct-elas-fixed-brock", "brock"),
        ("lungct-elas-fixed-lai-fook", "lai-fook"),
    ],
)
def test_fixed_elasticities_are_scaled_as_published(stem, who):
    for scale in ("1", "0.1", "0.01"):
        model = read_config(FOLDER / f"{stem}-{scale}.toml").model
        expected = [float(scale) * value for value in LITERATURE[who]]
        assert model.fixed_elasticity == pytest.approx(expected)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_tissues_are_those_of_the_scheme_in_its_order(path):
    config = read_config(path)
    options = config.data.options
    scheme = options.get("scheme") or (
        "nlst" if options.get("labels") == "totalsegmentator" else ""
    )
    if scheme and config.model.tissues:
        tissues = sorted(load_scheme(scheme).tissues, key=lambda tissue: tissue.label)
        assert config.model.tissues == tuple(tissue.name for tissue in tissues)


def test_a_configuration_that_extends_another_stands_alone_in_its_record(tmp_path):
    whole = read_config(FOLDER / "oasis-CSAIN-elastic.toml")
    alone = tmp_path / "config.toml"
    alone.write_text(whole.text, encoding="utf-8")
    assert read_config(alone) == whole
    assert whole.optimisation.windows == (3, 5, 7)
    assert whole.data.source == "oasis"  # of the one below
    mixture = read_config(FOLDER / "thorax-mixture-elas-g.toml")
    above = tmp_path / "above.toml"
    (tmp_path / "below.toml").write_text(mixture.text, encoding="utf-8")
    above.write_text('extends = "below.toml"\n[optimisation]\nsteps = 7\n', encoding="utf-8")
    changed = read_config(above)
    assert changed.optimisation == replace(mixture.optimisation, steps=7)
    assert changed.data == mixture.data
    (tmp_path / "top.toml").write_text('extends = "above.toml"\nseed = 3\n', encoding="utf-8")
    top = read_config(tmp_path / "top.toml")
    assert (top.seed, top.optimisation) == (3, changed.optimisation)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('extends = "none.toml"', r"none\.toml, which cannot be read"),
        ("extends = 3", "extends is 3; expected the name of a file"),
        ('extends = "above.toml"', r"above\.toml, which extends itself"),
        ("seed = ", "above.toml, which is no TOML"),
    ],
)
def test_what_cannot_be_extended_is_one_line(tmp_path, text, words):
    path = tmp_path / "above.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)


def test_every_published_model_has_one():
    assert {read_config(path).model.name for path in CONFIGS} == set(SPECS)
