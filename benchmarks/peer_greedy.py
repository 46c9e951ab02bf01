"""Greedy: affine, then its diffeomorphic registration with NCC and its default smoothing.

https://greedy.readthedocs.io
"""

from __future__ import annotations

from typing import Any

from .peer import Clock, Job, main

AFFINE_ITERATIONS = "100x50x10"
ITERATIONS = "100x50x20"


def register(job: Job, clock: Clock) -> None:
    """Write the composed warp; greedy's fields are LPS mm on the fixed grid."""
    import picsl_greedy
    import SimpleITK as sitk

    images: dict[str, Any] = {
        "fixed": sitk.ReadImage(job.fixed, sitk.sitkFloat32),
        "moving": sitk.ReadImage(job.moving, sitk.sitkFloat32),
    }
    dim = images["fixed"].GetDimension()
    pair = f"-i fixed moving -m NCC {'x'.join(['2'] * dim)} -threads {job.threads} -V 0"
    for option, path in (("gm", job.fixed_mask), ("mm", job.moving_mask)):
        if path:
            images[option] = sitk.ReadImage(path, sitk.sitkFloat32)
            pair += f" -{option} {option}"
    greedy = picsl_greedy.Greedy2D() if dim == 2 else picsl_greedy.Greedy3D()
    warp, chain = "-o warp", "warp"
    with clock.running():
        if job.affine:
            linear = f"-a -dof 12 -ia-image-centers -n {AFFINE_ITERATIONS} -o affine"
            greedy.execute(f"{pair} {linear}", affine=None, **images)
            warp, chain = "-it affine -o warp", "warp affine"
        greedy.execute(f"{pair} {warp} -n {ITERATIONS}", warp=None, **images)
    greedy.execute(f"-rf fixed -r {chain} -rc composed -V 0", composed=None, **images)
    sitk.WriteImage(greedy["composed"], job.out)


if __name__ == "__main__":
    main(register)
