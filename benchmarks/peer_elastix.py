"""elastix: affine, then a B-spline grid of 10 mm, four resolutions, localised by random samples.

https://elastix.dev
"""

from __future__ import annotations

import tempfile
from typing import Any

from .peer import Clock, Job, main

RESOLUTIONS = 4
FINAL_GRID_MM = 10.0
ITERATIONS = 500
SAMPLES = 2048


def _parameters(itk: Any, affine: bool) -> Any:
    """The default maps of elastix with the settings above and normalised correlation."""
    parameters = itk.ParameterObject.New()
    common = {
        "MaximumNumberOfIterations": [str(ITERATIONS)],
        "NumberOfSpatialSamples": [str(SAMPLES)],
        "WriteResultImage": ["false"],
    }
    if affine:
        linear = parameters.GetDefaultParameterMap("affine", RESOLUTIONS)
        centred = {"AutomaticTransformInitialization": ["true"]}
        parameters.AddParameterMap({**linear, **common, **centred})
    spline = parameters.GetDefaultParameterMap("bspline", RESOLUTIONS, FINAL_GRID_MM)
    one_metric = {
        "Registration": ["MultiResolutionRegistration"],
        "Metric": ["AdvancedNormalizedCorrelation"],
    }
    parameters.AddParameterMap({**spline, **common, **one_metric})
    return parameters


def register(job: Job, clock: Clock) -> None:
    """Write transformix's deformation field: LPS mm on the fixed grid."""
    import itk

    fixed, moving = (itk.imread(str(path), itk.F) for path in (job.fixed, job.moving))
    # No number_of_threads: it crashes (ITKElastix issues 160, 295); the environment limits them.
    options: dict[str, Any] = {"log_to_console": False}
    if job.fixed_mask:  # with a moving mask too, its sampler finds no samples
        options["fixed_mask"] = itk.imread(str(job.fixed_mask), itk.UC)
    parameters = _parameters(itk, job.affine)
    with clock.running():
        _, found = itk.elastix_registration_method(
            fixed, moving, parameter_object=parameters, **options
        )
    with tempfile.TemporaryDirectory() as folder:  # else it leaves a copy in the working folder
        field = itk.transformix_deformation_field(moving, found, output_directory=folder)
        itk.imwrite(field, str(job.out))


if __name__ == "__main__":
    main(register)
