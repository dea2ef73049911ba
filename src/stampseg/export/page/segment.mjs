// From a volume to its mask on its own grid, and what is said of it: the same as `stampseg predict`.
import { Agreement, ANGLE, expectedDice, hasInterval, turnedScorer } from "./confidence.mjs";
import { remarks } from "./likeness.mjs";
import { keepSurest } from "./pieces.mjs";
import { postprocess } from "./postprocess.mjs";
import { prepare } from "./prepare.mjs";
import { structuresOf } from "./regions.mjs";
import { Doubts, Restorer } from "./restoring.mjs";
import { unusual } from "./shapes.mjs";
import { slide, walkingAxis } from "./sliding.mjs";
import { counted, percent } from "./words.mjs";

const STRAY = 0.5; // of a label's voxels in pieces left out: more is unusual

// `model`: plan (lifted) and postprocess; `scorer`: a window (channels x patch) -> logits (classes x patch).
export async function segment(volume, model, scorer, { confidence = false, onWindow = () => {} } = {}) {
  const { plan } = model;
  const { image, shape, geometry } = prepare(volume, plan);
  const axis = walkingAxis(shape, plan.patch_size);
  const restorer = new Restorer(volume, geometry, plan, axis);
  const agreement = confidence ? new Agreement(plan) : null;
  const doubts = confidence ? new Doubts(volume, geometry, plan.classes, axis) : null;
  const scorers = confidence ? [scorer, turnedScorer(scorer, plan, ANGLE), turnedScorer(scorer, plan, -ANGLE)] : [scorer];
  const onRow = (row, views) => {
    restorer.add(row, views[0]);
    agreement?.add(views);
    doubts?.add(row, views);
  };
  await slide({
    image, shape, channels: plan.in_channels, classes: plan.classes, patch: plan.patch_size, axis, scorers, onRow, onWindow,
  });
  const { mask, margins } = restorer;
  const inMemory = memoryShape(volume);
  const { dropped, stray } = margins ? keepSurest(mask, margins, inMemory, plan.one_piece) : { dropped: 0, stray: 0 };
  const voxel = volume.spacing[0] * volume.spacing[1] * volume.spacing[2];
  postprocess(mask, inMemory, model.postprocess, voxel);
  const flags = unusual(mask, inMemory, plan, voxel, volume.isPicture);
  if (stray > STRAY) flags.push(`${counted(dropped, "stray piece")} left out, ${percent(stray)} of what was found of a label`);
  const labels = labelsOf(mask, plan, voxel, agreement);
  return { mask, dropped, remarks: remarks(volume, plan), flags, labels, doubt: doubts?.map ?? null };
}

// The shape with the axis first whose voxels lie farthest apart in memory.
function memoryShape(volume) {
  return [0, 1, 2].sort((a, b) => volume.strides[b] - volume.strides[a]).map((axis) => volume.shape[axis]);
}

function countsOf(mask, classes) {
  const counts = new Array(classes).fill(0);
  for (const value of mask) counts[value]++;
  return counts;
}

// Whether every training case has a class.
function isInAll({ scans }, value) {
  const known = scans && scans.labels[value];
  return Boolean(known) && known.cases === scans.cases;
}

// Of the mask as it is shown and written, after post-processing; of regions each holds those within it.
function labelsOf(mask, plan, voxel, agreement) {
  const counts = countsOf(mask, plan.classes);
  return structuresOf(plan).map(({ name, classes, written }, index) => {
    const voxels = classes.reduce((sum, value) => sum + counts[value], 0);
    const calibration = plan.calibration && plan.calibration.labels[index + 1];
    const certainty = agreement ? agreement.certainty(index + 1) : null;
    const missing = !voxels && classes.some((value) => isInAll(plan, value));
    const figures = voxels ? expectedDice(calibration, certainty ?? 0) : missing && calibration ? [0, 0, 0] : null;
    const expected = agreement ? figures : null;
    const words = agreement ? wordsOf(voxels, missing, expected, calibration) : null;
    return { name, value: written, voxels, size: voxels * voxel, certainty, expected, words };
  });
}

// What is said of a label, as by `predict`; null where nobody knows what to expect.
function wordsOf(voxels, missing, expected, calibration) {
  if (!voxels) return missing ? "not found" : "nothing found";
  if (!expected) return null;
  const [dice, low, high] = expected.map((value) => value.toFixed(2));
  return hasInterval(calibration) ? `${dice} (${low} to ${high})` : dice;
}
