"""ANTs: SyN with the defaults of ANTsPy (affine first where asked for), a fixed seed.

https://antspyx.readthedocs.io
"""

from __future__ import annotations

import tempfile

from .peer import Clock, Job, main


def register(job: Job, clock: Clock) -> None:
    """Write the composed forward transform; ANTs' fields are LPS mm on the fixed grid."""
    import ants
    import SimpleITK as sitk

    fixed, moving = ants.image_read(str(job.fixed)), ants.image_read(str(job.moving))
    mask, moving_mask = (
        ants.image_read(str(path)) if path else None for path in (job.fixed_mask, job.moving_mask)
    )
    with tempfile.TemporaryDirectory() as folder:
        with clock.running():
            found = ants.registration(
                fixed,
                moving,
                type_of_transform="SyN" if job.affine else "SyNOnly",
                mask=mask,
                moving_mask=moving_mask,
                random_seed=1,
                outprefix=f"{folder}/",
            )
        composed = ants.apply_transforms(
            fixed, moving, found["fwdtransforms"], compose=f"{folder}/whole-"
        )
        sitk.WriteImage(sitk.ReadImage(composed, sitk.sitkUnknown), job.out)


if __name__ == "__main__":
    main(register)
