// A scan in memory: channels (Float32Array each) of three axes, x fastest, or a picture with a first axis of 1.
import { checkAffine, spacingOf } from "./affine.mjs";
import { refuse } from "./refusal.mjs";
import { sizeOf } from "./view.mjs";

const MOST_VALUES = 2 ** 29; // 2 GiB as float32

export function checkSize(name, shape, channels) {
  if (shape.some((n) => !(Number.isInteger(n) && n > 0))) refuse(`${name}: ${shape.join(" x ")} holds no voxels; the file is broken`);
  if (sizeOf(shape) * channels > MOST_VALUES)
    refuse(`${name}: ${shape.join(" x ")} voxels are more than a browser can hold; use \`stampseg predict\``);
}

// `writing`: how a mask on the scan's own grid is written, {kind, ...}. `isPlaced`: the file says where it lies.
export function scan(name, shape, affine, channels, writing, notes = []) {
  checkAffine(affine, name);
  const strides = [1, shape[0], shape[0] * shape[1]];
  const spacing = spacingOf(affine);
  return { name, shape, strides, spacing, affine, channels: finite(channels, name), isPicture: false, isPlaced: true, writing, notes };
}

export function picture(name, rows, columns, channels, writing, notes = []) {
  const [shape, strides] = [[1, rows, columns], [rows * columns, columns, 1]];
  return { name, shape, strides, spacing: [1, 1, 1], affine: null, channels, isPicture: true, writing, notes };
}

// NaN and infinities become 0, as in `predict`.
function finite(channels, name) {
  let found = false;
  for (const values of channels)
    for (let i = 0; i < values.length; i++)
      if (Number.isFinite(values[i])) found = true;
      else values[i] = 0;
  return found ? channels : refuse(`${name}: every value is NaN or infinite, or too large for 32 bits (above 3.4e38); expected an image`);
}
