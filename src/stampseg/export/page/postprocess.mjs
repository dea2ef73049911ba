// What is done to a predicted mask: holes are filled, small pieces or all but the largest are dropped.
import { boxOf, dropPieces, filledHoles } from "./pieces.mjs";

// The mask (flat, `shape` in the order of memory) is changed in place; `voxel` is the size of a voxel.
export function postprocess(mask, shape, steps, voxel) {
  for (const step of steps) {
    if (step.fill_holes) fill(mask, shape, step.label);
    if (step.least || step.largest) dropPieces(mask, shape, step.label, step.least, step.largest, voxel);
  }
}

// Background that the label encloses becomes the label; nothing outside of its box changes.
function fill(mask, shape, label) {
  const box = boxOf(mask, shape, label);
  if (box === null) return;
  const size = box.map(([start, stop]) => stop - start);
  const places = placesIn(shape, box);
  const filled = filledHoles(places.map((place) => (mask[place] === label ? 1 : 0)), size, flatAxes(shape));
  places.forEach((place, i) => {
    if (filled[i] && mask[place] === 0) mask[place] = label;
  });
}

function placesIn([, b, c], box) {
  const places = new Uint32Array(box.reduce((product, [start, stop]) => product * (stop - start), 1));
  let next = 0;
  for (let i = box[0][0]; i < box[0][1]; i++)
    for (let j = box[1][0]; j < box[1][1]; j++)
      for (let k = box[2][0]; k < box[2][1]; k++) places[next++] = (i * b + j) * c + k;
  return places;
}

// Axes of one voxel, along which everything would be at the border.
function flatAxes(shape) {
  return [0, 1, 2].filter((axis) => shape[axis] === 1);
}
