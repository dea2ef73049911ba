// The plan of a model for three axes, and what of a plan this page cannot do.
import { refuse } from "./refusal.mjs";

const NORMALIZATIONS = ["zscore", "ct", "mean-std", "mean-std-mask", "mean-std-nonzero", "min-max"];

// Pictures are volumes with a first axis of one voxel.
export function liftedPlan(plan) {
  checkPlan(plan);
  const schemes = Array.isArray(plan.normalization)
    ? plan.normalization
    : Array(plan.in_channels).fill(plan.normalization);
  const lifted = { ...plan, normalizations: schemes, classes: plan.label_values.length };
  if (plan.spatial_dims === 3) return lifted;
  return {
    ...lifted,
    spacing: [1, ...plan.spacing],
    patch_size: [1, ...plan.patch_size],
    axes: plan.axes && [0, ...plan.axes.map((axis) => axis + 1)],
  };
}

// Whoever writes the page refuses such plans; one that was written by a later version is refused here.
function checkPlan(plan) {
  const schemes = [plan.normalization].flat();
  const unknown = schemes.find((scheme) => !NORMALIZATIONS.includes(scheme));
  if (unknown) refuse(`the model normalises images by ${unknown}, which this page cannot do`);
  if (plan.convention !== "stampseg")
    refuse(`the model prepares images by the convention ${plan.convention}, which this page cannot do`);
  if (!["none", "nonzero"].includes(plan.crop)) refuse(`the model crops images by ${plan.crop}, which this page cannot do`);
}
