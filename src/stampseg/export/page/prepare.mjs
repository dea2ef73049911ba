// A case as the network sees it: axes by flips and permutations -> crop -> intensities -> working spacing.
import { turnTo } from "./affine.mjs";
import { normalise } from "./intensities.mjs";
import { refuse } from "./refusal.mjs";
import { resample } from "./resampling.mjs";
import { boxed, eachVoxel, sizeOf, turned, wholeView } from "./view.mjs";
import { roundHalfEven } from "./words.mjs";

const SPACING_TOLERANCE = 0.01; // a voxel size this close to the planned one is not resampled
const MOST_VALUES = 2 ** 29; // float32 values of one array, 2 GiB: browsers give little more

// Returns the image (channels x shape, contiguous), its shape, and the way back: turn, box.
export function prepare(volume, plan) {
  checkFit(volume, plan);
  const turn = turnOf(volume, plan);
  const view = turned(wholeView(volume.shape, volume.strides), turn);
  const box = plan.crop === "nonzero" ? nonzeroBox(volume, view) : view.shape.map((n) => [0, n]);
  const inside = boxed(view, box);
  const spacing = oriented(volume.spacing, turn);
  const shape = workingShape(inside.shape, spacing, plan.spacing);
  if (sizeOf(shape) * plan.in_channels > MOST_VALUES)
    refuse(
      `${volume.name}: voxels of ${spacing.join(" x ")} brought to the model's ${plan.spacing.join(" x ")} make ` +
        `${shape.join(" x ")}, more than a browser can hold; use \`stampseg predict\`, or correct the voxel size`,
    );
  const channels = volume.channels.map((values) => gathered(values, inside));
  normalise(channels, inside.shape, plan, volume.isPicture);
  const image = new Float32Array(sizeOf(shape) * channels.length);
  channels.forEach((values, channel) => image.set(resample(values, inside.shape, shape), channel * sizeOf(shape)));
  return { image, shape, geometry: { turn, box, boxShape: inside.shape, shape } };
}

function checkFit(volume, plan) {
  const wanted = plan.spatial_dims === 2;
  if (volume.isPicture !== wanted)
    refuse(
      `${volume.name}: is a ${volume.isPicture ? "picture" : "volume"}, and this model is for ` +
        `${wanted ? "pictures" : "volumes"}`,
    );
  fitChannels(volume, plan.in_channels);
}

// Grey is repeated to 3 channels, colours that are all grey become one, as in training.
function fitChannels(volume, count) {
  const { channels } = volume;
  if (channels.length === count) return;
  const grey = () => channels.slice(1).every((other) => other.every((value, i) => value === channels[0][i]));
  if (channels.length === 1 && count === 3) volume.channels = [channels[0], channels[0], channels[0]];
  else if (channels.length === 3 && count === 1 && grey()) volume.channels = [channels[0]];
  else
    refuse(
      `${volume.name}: ${channels.length} channel(s), expected ${count}; give the channels the model was trained ` +
        "with, in the same order",
    );
}

export function turnOf(volume, plan) {
  const stays = volume.affine === null || plan.orientation === "file" || plan.orientation === null;
  const turn = stays ? [[0, 1], [1, 1], [2, 1]] : turnTo(volume.affine, plan.orientation);
  return plan.axes ? turn.map(([axis, flip]) => [plan.axes.indexOf(axis), flip]) : turn;
}

// Values of the source's axes, along the turned ones.
export function oriented(values, turn) {
  return [0, 1, 2].map((axis) => values[turn.findIndex(([target]) => target === axis)]);
}

export function workingShape(shape, spacing, wanted) {
  return shape.map((n, axis) => {
    const factor = spacing[axis] / wanted[axis];
    return Math.abs(factor - 1) <= SPACING_TOLERANCE ? n : Math.max(1, roundHalfEven(n * factor));
  });
}

function gathered(values, view) {
  const out = new Float32Array(sizeOf(view.shape));
  eachVoxel(view, (place, number) => (out[number] = values[place]));
  return out;
}

// The box around the voxels that are not 0 in some channel; the whole grid where there are none.
function nonzeroBox(volume, view) {
  const box = view.shape.map((n) => [n, 0]);
  const [, b, c] = view.shape;
  eachVoxel(view, (place, number) => {
    if (volume.channels.every((values) => values[place] === 0)) return;
    const at = [Math.floor(number / (b * c)), Math.floor(number / c) % b, number % c];
    at.forEach((where, axis) => {
      box[axis][0] = Math.min(box[axis][0], where);
      box[axis][1] = Math.max(box[axis][1], where + 1);
    });
  });
  return box[0][1] ? box : view.shape.map((n) => [0, n]);
}
