"""Tissue schemes: every label goes to one tissue, and mistakes in a file are told by their line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ElasticHyperRegLib import Elasticity, Grid, InputError, LabelMap, read_labels
from ElasticHyperRegLib.phantom.body import TISSUES as PHANTOM_TISSUES
from ElasticHyperRegLib.tissues import (
    LABELS,
    TissueScheme,
    class_names,
    load_scheme,
    presets,
    scheme_names,
)

OWN = """\
name = "own"
title = "My scheme"
rest = "other"

[[tissue]]
name = "background"
label = 0
color = [0, 0, 0]
elasticity = [0, 0.1]

[[tissue]]
name = "other"
label = 1
color = [200, 150, 100]
preset = "soft-tissue"

[[tissue]]
name = "tumour"
label = 2
color = [255, 0, 0]
elasticity = [0.2, 0.6]
source = "palpation"
labels = [
    7,
    9,
]
classes = [
    "lesion",
    "Metastasis 1",
]
"""


def label_map(values: list[int], names: dict[int, str] | None = None) -> LabelMap:
    data = torch.tensor(values, dtype=torch.int32).view(1, 1, 1, 1, -1)
    return LabelMap(data, Grid.from_spacing((1, 1, len(values)), (1, 1, 1)), names or {})


def applied(scheme: TissueScheme, labels: LabelMap, **options) -> list[int]:
    return scheme.apply(labels, **options).data.flatten().tolist()


def save(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def own(tmp_path: Path) -> TissueScheme:
    return load_scheme(save(tmp_path, OWN))


def test_a_scheme_is_read_as_it_is_written(own):
    assert (own.name, own.title, own.rest, own.task) == ("own", "My scheme", "other", None)
    assert [tissue.label for tissue in own.tissues] == [0, 1, 2]
    tumour = own.tissues[2]
    assert (tumour.name, tumour.color) == ("tumour", (255, 0, 0))
    assert tumour.sources == (7, 9, "lesion", "Metastasis 1")
    assert (tumour.preset, tumour.preset_source) == (Elasticity(0.2, 0.6), "palpation")
    assert own.tissues[0].preset_source == "chosen in own.toml"
    assert own.elasticity() == {
        "background": Elasticity(0, 0.1),
        "other": presets()["soft-tissue"].elasticity,
        "tumour": Elasticity(0.2, 0.6),
    }


def test_labels_go_to_their_tissues_and_the_others_to_the_rest(own):
    out = own.apply(label_map([0, 7, 9, 8, 7, 1]))
    assert out.data.flatten().tolist() == [0, 2, 2, 1, 2, 1]
    assert out.data.dtype == torch.int32
    assert out.names == {0: "background", 1: "other", 2: "tumour"}


@pytest.mark.parametrize("name", ["lesion", "Lesion", "metastasis_1", "METASTASIS-1", "tumour"])
def test_a_name_counts_before_a_number_however_it_is_spelt(own, name):
    assert applied(own, label_map([0, 3, 7], {3: name, 7: "Segment_7"})) == [0, 2, 2]
    assert applied(own, label_map([0, 3, 7], {3: "other", 7: name})) == [0, 1, 2]


def test_the_number_of_another_tissue_means_nothing(own):
    assert applied(own, label_map([0, 3, 7], {3: "lesion", 7: "elbow"})) == [0, 2, 1]
    heart = load_scheme("cardiac-mr")
    theirs = label_map([0, 1, 2, 3], {1: "LV", 2: "MYO", 3: "RV"})
    assert applied(heart, theirs) == [0, 3, 2, 1]
    with pytest.raises(InputError, match=r"label 1 \(liver\) belongs to no tissue"):
        heart.apply(label_map([0, 1], {1: "liver"}))
    assert applied(heart, label_map([0, 1, 2], {1: "Label 1", 2: "2"})) == [0, 1, 2]
    brain = load_scheme("brain-mr")
    assert applied(brain, label_map([0, 1], {1: "Left-Cerebral-Cortex"})) == [0, 1]


def test_label_0_is_background_whatever_its_name(own):
    assert applied(own, label_map([0, 3], {0: "lesion", 3: "lesion"})) == [0, 2]


def test_a_scheme_applied_to_its_own_result_changes_nothing(own):
    once = own.apply(label_map([0, 7, 8]))
    assert torch.equal(own.apply(once).data, once.data)


def test_named_labels_keep_their_values(own):
    labels = label_map([0, 7, 8])
    named = own.named(labels)
    assert torch.equal(named.data, labels.data) and named.name == labels.name
    assert named.names == {v: tissue.name for v, tissue in own.assignment(labels).items()}
    assert own.named(named).names == named.names


@given(values=st.lists(st.integers(0, 70), min_size=1, max_size=40))
def test_nothing_is_lost_and_nothing_invented(values):
    scheme = load_scheme("thorax-ct")
    labels = label_map(values)
    out = scheme.apply(labels).data.flatten().numpy()
    assigned = scheme.assignment(labels)
    assert set(assigned) == set(values)
    for tissue in scheme.tissues:
        mine = [value for value in values if assigned[value].name == tissue.name]
        assert (out == tissue.label).sum() == len(mine)


def test_a_scheme_without_rest_refuses_what_it_does_not_name():
    with pytest.raises(InputError, match=r"label 4, 9 \(apex\) belongs to no tissue of the scheme"):
        load_scheme("cardiac-mr").apply(label_map([0, 1, 2, 3, 4, 9], {9: "apex"}))


@pytest.mark.parametrize("values", [[-1, 2], [0, 70000]])
def test_impossible_labels_are_refused(own, values):
    with pytest.raises(InputError, match="expected labels from 0 to 65535"):
        own.apply(label_map(values))


@pytest.mark.parametrize("name", scheme_names())
def test_packaged_schemes_are_sound(name):
    scheme = load_scheme(name)
    assert scheme.name == name
    assert scheme.title
    assert scheme.tissues[0].name == "background"
    assert [tissue.label for tissue in scheme.tissues] == list(range(len(scheme.tissues)))
    assert len({tissue.color for tissue in scheme.tissues}) == len(scheme.tissues)
    assert all("working value" in tissue.preset_source for tissue in scheme.tissues)


def test_the_wanted_schemes_are_there():
    wanted = {"thorax-ct", "abdomen-ct", "cardiac-mr", "brain-mr", "phantom", "nlst"}
    assert wanted <= set(scheme_names())


def test_the_published_class_sets():
    order = {name: [t.name for t in load_scheme(name).tissues] for name in ("nlst", "cardiac-mr")}
    assert order == {
        "nlst": ["background", "lung", "bone", "liver"],
        "cardiac-mr": ["background", "right_ventricle", "myocardium", "left_ventricle"],
    }
    bone = load_scheme("nlst").tissues[2].sources
    assert len(bone) == 25 + 24 + 1  # C1 to S1, ribs, sternum


def test_bones_of_the_thorax():
    sources = {t.name: set(t.sources) for t in load_scheme("thorax-ct").tissues}
    ribs = {f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13)}
    vertebrae = {n for n in class_names("total").values() if n.startswith("vertebrae_")}
    limbs = {f"{n}_{s}" for n in ("humerus", "scapula", "clavicula") for s in ("left", "right")}
    assert ribs | vertebrae | limbs | {"sternum", "sacrum", "skull"} <= sources["bone"]
    assert len(sources["lung"]) == 5
    assert sources["liver"] == {"liver"}


def test_the_phantom_scheme_knows_the_phantom():
    names = {tissue.label: tissue.name for tissue in load_scheme("phantom").tissues}
    assert names == PHANTOM_TISSUES


@pytest.mark.parametrize("named", [True, False])
def test_the_built_in_segmenter_has_a_scheme(named):
    out = load_scheme("ct-threshold").apply(label_map(list(LABELS), LABELS if named else None))
    merged = {LABELS[n]: out.name_of(int(v)) for n, v in enumerate(out.data.flatten())}
    soft = dict.fromkeys(("soft_tissue", "airways", "fat", "gas"), "soft_tissue")
    lungs = dict.fromkeys(("lung_left", "lung_right"), "lung")
    assert merged == {"background": "background", "bone": "bone", **soft, **lungs}


def test_class_tables():
    total = class_names("total")
    assert sorted(total) == list(range(1, 118))
    assert len(set(total.values())) == 117
    known = {1: "spleen", 5: "liver", 10: "lung_upper_lobe_left", 27: "vertebrae_L5", 51: "heart"}
    assert known.items() <= total.items()
    assert (total[79], total[92], total[116]) == ("spinal_cord", "rib_left_1", "sternum")
    assert sorted(class_names("total_mr")) == list(range(1, 51))
    with pytest.raises(
        InputError, match="expected one of total, total_mr; perhaps you mean 'total'"
    ):
        class_names("totl")


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("thorax-ct", {"liver": [5], "lung": [10, 11, 14]}),
        ("abdomen-ct", {"spleen": [1], "kidney": [2, 3], "liver": [5]}),
        ("nlst", {"liver": [5], "lung": [10, 11, 14], "bone": [*range(26, 34), *range(98, 116)]}),
    ],
)
def test_61_real_labels_become_tissues(shared_data, scheme, expected):
    labels = read_labels(shared_data / "totalsegmentator_example" / "labels.nii.gz")
    before = np.bincount(labels.data.numpy().ravel(), minlength=118)
    assert np.count_nonzero(before[1:]) == 61
    out = load_scheme(scheme).apply(labels)
    after = np.bincount(out.data.numpy().ravel(), minlength=len(out.names))
    assert after.sum() == before.sum()
    number = {name: label for label, name in out.names.items()}
    for name, sources in expected.items():
        assert after[number[name]] == before[sources].sum()
    if load_scheme(scheme).rest == "soft_tissue":
        assert after[0] == before[0]


@pytest.mark.shared_data
def test_every_label_of_a_real_brain_has_a_tissue(shared_data):
    seg = np.load(shared_data / "brain" / "test_scan.npz")["seg"].astype(np.int32)
    labels = LabelMap(torch.from_numpy(seg)[None, None], Grid.from_spacing(seg.shape, (1, 1, 1)))
    out = load_scheme("brain-mr").apply(labels)
    assert set(out.present()) == set(out.names)
    assert int((out.data == 0).sum()) == int((seg == 0).sum())


MISTAKES = [
    ("label = 2\n", "label = 2\nlabels = 2\n", 27, "no valid TOML"),
    ("label = 1\n", "label = 1\nlabels = 2\n", 14, "labels = 2; expected a list of whole numbers"),
    ("label = 2\n", "", 17, "label = None; expected a whole number"),
    ("label = 2\n", "label = 1\n", 19, "label 1 a second time"),
    ("label = 2\n", "label = true\n", 19, "label = True"),
    ("label = 2\n", "label = -2\n", 19, "label = -2"),
    ("label = 0\n", "label = 5\n", 7, "no tissue has label 0"),
    ('name = "tumour"', 'name = "Other"', 18, "name other a second time"),
    ('name = "tumour"', 'name = "a, b"', 18, "name = 'a, b'"),
    ('name = "tumour"', "nam = 1", 18, "unknown key 'nam'"),
    ("color = [255, 0, 0]", "colour = [255, 0, 0]", 20, "perhaps you mean 'color'"),
    ("color = [255, 0, 0]", "color = [255, 0]", 20, r"color = \[255, 0\]"),
    ("color = [255, 0, 0]", "color = [256, 0, 0]", 20, "whole numbers from 0 to 255"),
    ("color = [255, 0, 0]", 'color = "red"', 20, "color = 'red'"),
    ("color = [255, 0, 0]", "color = [255, 0, 0", 21, "no valid TOML"),
    ("[0.2, 0.6]", "[0.5, 0.6]", 21, "λ=0.5, μ=0.6; expected λ and μ in"),
    ("[0.2, 0.6]", "[0.5]", 21, "expected 2 numbers"),
    ("[0.2, 0.6]", '[0.5, "x"]', 21, "expected 2 numbers"),
    ("elasticity = [0.2, 0.6]\n", "", 17, "neither of 'preset' and 'elasticity'"),
    ('"soft-tissue"', '"soft_tissue"', 15, "unknown preset 'soft_tissue'.*mean 'soft-tissue'"),
    ("[0.2, 0.6]\n", '[0.2, 0.6]\npreset = "liver"\n', 22, "both of 'preset' and 'elasticity'"),
    ("    9,", '    "9",', 23, "expected a list of whole numbers"),
    ('"lesion"', '"other"', 28, "other is part of other and of tumour"),
    ('"lesion"', "3", 27, "expected a list of texts"),
    ('rest = "other"', 'rest = "others"', 3, "rest = 'others'; expected one of"),
    ('rest = "other"', "rests = 1", 3, "unknown key 'rests'.*perhaps you mean 'rest'"),
    ('rest = "other"', 'task = "totl"', 3, "TotalSegmentator task 'totl'"),
    ('rest = "other"', 'task = "total"', 28, "unknown class 'lesion'"),
    ("[[tissue]]\nname", "[tissue]\nname", 11, "no valid TOML"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "reason"), MISTAKES)
def test_mistakes_are_told_with_their_line(tmp_path, right, wrong, line, reason):
    assert OWN.count(right) >= 1
    path = save(tmp_path, OWN.replace(right, wrong, 1))
    with pytest.raises(InputError, match=rf"line {line}: .*{reason}") as caught:
        load_scheme(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_misspelt_class_is_told_with_what_it_may_be(tmp_path):
    text = OWN.replace('rest = "other"', 'task = "total"').replace('"lesion"', '"livr"')
    with pytest.raises(
        InputError, match=r"line 28: unknown class 'livr'.*perhaps you mean 'liver'"
    ):
        load_scheme(save(tmp_path, text))


def test_a_label_in_two_tissues_is_refused(tmp_path):
    text = OWN.replace('preset = "soft-tissue"', 'preset = "soft-tissue"\nlabels = [4, 9]')
    with pytest.raises(InputError, match=r"line 24: 9 is part of other and of tumour"):
        load_scheme(save(tmp_path, text))


def test_tissues_may_be_written_in_one_line(tmp_path):
    tissue = '{name = "background", label = 0, color = [0, 0, 0], preset = "background"}'
    assert load_scheme(save(tmp_path, f"tissue = [{tissue}]")).title == "own"


@pytest.mark.parametrize("text", ["", 'name = "x"', "tissue = 1", "tissue = []"])
def test_a_file_without_tissues_is_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"no \[\[tissue\]\]"):
        load_scheme(save(tmp_path, text))


def test_what_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no UTF-8 text"):
        load_scheme(tmp_path / "bytes.toml")
    with pytest.raises(InputError, match="does not exist"):
        load_scheme(tmp_path / "nothing.toml")
    with pytest.raises(InputError, match="tissue scheme 'thorax'.*perhaps you mean 'thorax-ct'"):
        load_scheme("thorax")


def sliding(folder: Path, line: str) -> TissueScheme:
    return load_scheme(save(folder, OWN.replace('rest = "other"', f'rest = "other"\n{line}')))


def test_borders_that_may_slide(tmp_path, own):
    assert own.slides == ()
    one = sliding(tmp_path, 'slides = [["tumour", "other"]]')
    assert one.slides == (("tumour", "other"),)
    rest = sliding(tmp_path, 'slides = [["tumour", "rest"], ["other", "tumour"]]')
    assert rest.slides == (("tumour", "rest"), ("other", "tumour"))


@pytest.mark.parametrize(
    ("line", "place", "reason"),
    [
        ('slides = [["tumor", "rest"]]', 4, "unknown tissue 'tumor'.*perhaps you mean 'tumour'"),
        ('slides = [["rest", "tumour"]]', 4, "unknown tissue 'rest' in slides"),
        ('slides = [\n["tumour", "rest"],\n["tumour", "othr"]]', 6, "perhaps you mean 'other'"),
        ('slides = [["tumour", "tumour"]]', 4, "tumour sliding along itself"),
        ('slides = ["tumour", "rest"]', 4, "expected pairs of tissues"),
        ("slides = 3", 4, "slides = 3; expected pairs of tissues"),
    ],
)
def test_mistakes_in_slides_are_told_with_their_line(tmp_path, line, place, reason):
    with pytest.raises(InputError, match=rf"line {place}: .*{reason}"):
        sliding(tmp_path, line)


def test_no_tissue_is_called_rest(tmp_path):
    with pytest.raises(InputError, match="line 18: name = 'rest'; expected a name that does not"):
        load_scheme(save(tmp_path, OWN.replace('name = "tumour"', 'name = "rest"')))


def test_which_classes_a_scheme_needs():
    assert load_scheme("cardiac-mr").class_subset() == ()
    needed = load_scheme("nlst").class_subset()
    assert len(needed) == 25 + 24 + 1 + 5 + 1
    assert set(needed) <= set(class_names("total").values())
