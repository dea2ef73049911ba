// In what the labels of a mask are unlike those of training: size, pieces, at the border or not.
import { boxesOf, piecesOf } from "./pieces.mjs";
import { counted, digits, rangeText } from "./words.mjs";

const SIZE_FACTOR = 2; // beyond the training labels' range
const PRESENT = 0.9; // share of the training cases: a label that fewer have may be absent
const LEAST_THICKNESS = 0.25; // of a ball of the same size: what is thinner breaks into pieces that are right
const SLIP = 0.01; // share of a label's voxels: a piece of no more is a slip of the pen

// The mask is flat, `shape` in the order of memory; `voxel` is the size of a voxel.
export function unusual(mask, shape, plan, voxel, isPicture) {
  const known = plan.scans ? plan.scans.labels : [];
  const found = [];
  boxesOf(mask, shape, known.length).forEach((box, value) => {
    const usual = known[value];
    if (!usual || (!box && usual.cases < PRESENT * plan.scans.cases)) return;
    const texts = box ? unlike(shapeOf(mask, shape, value, box, voxel, isPicture), usual, isPicture) : ["nothing found"];
    found.push(...texts.map((text) => `${plan.label_names[value]}: ${text}`));
  });
  return found;
}

function shapeOf(mask, shape, value, box, voxel, isPicture) {
  const { sums } = piecesOf(mask, shape, value, () => 1, box);
  const total = sums.reduce((a, b) => a + b, 0);
  const ends = box.map(([start, stop], axis) => start === 0 || stop === shape[axis]);
  return {
    size: total * voxel,
    pieces: sums.filter((size) => size > SLIP * total).length,
    at_border: ends.slice(isPicture ? 1 : 0).some(Boolean),
  };
}

function unlike(shape, usual, isPicture) {
  const [least, most] = usual.size;
  const found = [];
  if (!(shape.size >= least / SIZE_FACTOR && shape.size <= most * SIZE_FACTOR)) {
    const [scale, unit] = isPicture ? [1, "pixels"] : [1000, "ml"];
    const usualSizes = rangeText(least / scale, most / scale, 3);
    found.push(`${digits(shape.size / scale, 3)} ${unit} (trained on ${usualSizes})`);
  }
  const isThin = usual.thickness != null && usual.thickness < LEAST_THICKNESS;
  if (shape.pieces > usual.pieces && !isThin) found.push(`${counted(shape.pieces, "piece")} (trained on ${usual.pieces} at most)`);
  if (shape.at_border && !usual.at_border) found.push("reaches the border of the image, as no training label does");
  return found;
}
