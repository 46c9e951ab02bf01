"""Help and acknowledgement of the module."""

from __future__ import annotations

from slicer.i18n import tr as _

PAPERS = (
    "A. Reithmeir, J. A. Schnabel, V. A. Zimmer: Learning Physics-Inspired Regularization for "
    "Medical Image Registration with Hypernetworks. SPIE Medical Imaging 2024, "
    '<a href="https://arxiv.org/abs/2311.08239">arXiv:2311.08239</a>',
    "A. Reithmeir, L. Felsner, R. Braren, J. A. Schnabel, V. A. Zimmer: Data-Driven Tissue- and "
    "Subject-Specific Elastic Regularization for Medical Image Registration. MICCAI 2024",
    "Y. Wang, H. Qiu, C. Qin: Conditional Deformable Image Registration with Spatially-Variant "
    "and Adaptive Regularization. ISBI 2023",
)


def helpText() -> str:
    """What the module is for and how it is used, as HTML."""
    return _(
        "<p>Finds the deformation between two scans of one patient, with every tissue behaving "
        "like itself: bone nearly rigid, lung soft, liver in between.</p>"
        "<p>Choose the volume that stays (fixed) and the one to be deformed (moving), and press "
        "<b>Register</b>. Then drag the sliders: <b>μ</b> is the price of changing a tissue's "
        "shape, <b>λ</b> the price of changing its volume. With a segmentation each tissue has "
        "its own; <b>Estimate</b> finds them for this patient.</p>"
        "<p><b>Research use only, not for clinical decisions.</b></p>"
    )


def acknowledgement() -> str:
    """The papers that the method comes from, as HTML."""
    papers = "".join(f"<li>{paper}</li>" for paper in PAPERS)
    return _("<p>If you use the method, please cite:</p>") + f"<ul>{papers}</ul>"
