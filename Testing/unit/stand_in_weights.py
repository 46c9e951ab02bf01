"""Tiny nnU-Net checkpoints in TotalSegmentator's weights folder, in place of its real ones.

Run by the Python that TotalSegmentator is installed in, never imported:

    python stand_in_weights.py FOLDER CLASS...

They have real plans and dataset files, the full number of classes, a few features and random
numbers in them: what they answer means nothing, but everything around them is the real program.
Only the classes that are named, and the background, are ever answered.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

TRAINER = "nnUNetTrainer_4000epochs_NoMirroring"
MODELS = {297: 3.0, 298: 6.0}
"""Task numbers of the fast and the fastest model of ``total``, and their spacing in mm."""
FEATURES = [4, 4]


def architecture() -> dict[str, Any]:
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 2,
            "features_per_stage": FEATURES,
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
            "strides": [[1, 1, 1], [2, 2, 2]],
            "n_conv_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1],
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def configuration(spacing: float) -> dict[str, Any]:
    def resampling(order: int, kind: str) -> dict[str, Any]:
        name = f"resampling_fn_{kind}"
        options = {"is_seg": kind == "seg", "order": order, "order_z": 0, "force_separate_z": None}
        return {name: "resample_data_or_seg_to_shape", f"{name}_kwargs": options}

    return {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [64, 64, 64],
        "median_image_size_in_voxels": [100.0, 100.0, 100.0],
        "spacing": [spacing] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        **resampling(3, "data"),
        **resampling(1, "seg"),
        **resampling(1, "probabilities"),
        "architecture": architecture(),
        "batch_dice": False,
    }


def plans(folder: str, spacing: float) -> dict[str, Any]:
    intensities = {
        "max": 3000.0,
        "mean": 0.0,
        "median": 0.0,
        "min": -1024.0,
        "percentile_00_5": -1000.0,
        "percentile_99_5": 1000.0,
        "std": 400.0,
    }
    return {
        "dataset_name": folder,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [spacing] * 3,
        "original_median_shape_after_transp": [100, 100, 100],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration(spacing)},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": intensities},
    }


def checkpoint(classes: dict[int, str], wanted: set[str]) -> dict[str, Any]:
    torch = import_module("torch")
    unet = import_module("dynamic_network_architectures.architectures.unet")
    torch.manual_seed(0)
    options = dict(architecture()["arch_kwargs"])
    options.update(
        conv_op=torch.nn.Conv3d, norm_op=torch.nn.InstanceNorm3d, nonlin=torch.nn.LeakyReLU
    )
    network = unet.PlainConvUNet(
        input_channels=1, num_classes=len(classes) + 1, deep_supervision=False, **options
    )
    last = network.decoder.seg_layers[-1]
    with torch.no_grad():
        last.weight.normal_(0, 1)
        last.bias.fill_(-1000.0)
        for number in (0, *(n for n, name in classes.items() if name in wanted)):
            last.bias[number] = 0.0
    return {
        "network_weights": network.state_dict(),
        "trainer_name": TRAINER,
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": None,
    }


def main(weights: Path, wanted: set[str]) -> None:
    torch = import_module("torch")
    classes = import_module("totalsegmentator.map_to_binary").class_map["total"]
    known = import_module("totalsegmentator.map_tasks_config").TASK_ID_WEIGHTS_CONFIGS
    for task, spacing in MODELS.items():
        name = known[task]["foldername"]
        model = weights / name / f"{TRAINER}__nnUNetPlans__3d_fullres"
        (model / "fold_0").mkdir(parents=True)
        dataset = {
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, **{label: n for n, label in classes.items()}},
            "numTraining": 1,
            "file_ending": ".nii.gz",
        }
        (model / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
        (model / "plans.json").write_text(json.dumps(plans(name, spacing)), encoding="utf-8")
        torch.save(checkpoint(classes, wanted), model / "fold_0" / "checkpoint_final.pth")


if __name__ == "__main__":
    main(Path(sys.argv[1]), set(sys.argv[2:]))
