// How far a mask can be trusted: does the network say the same of the image a little turned?
// By three passes: the image as it is, and every window turned by ANGLE to either side and back.

import { decided, structuresOf, totals } from "./regions.mjs";

export const ANGLE = (10 * Math.PI) / 180;
const SURE = 1e-6; // probability below which a voxel has no entropy
const LEVEL = 0.9; // of the intervals

// A scorer of windows turned in the plane of the finest voxels, its scores turned back.
export function turnedScorer(scorer, plan, angle) {
  const axes = plan.spatial_dims === 3 ? [0, 1, 2] : [1, 2];
  const isFlat = (axis) => (plan.patch_size[axis] === 1 ? 1 : 0); // it is not turned, while there are others
  const plane = axes.sort((a, b) => isFlat(a) - isFlat(b) || plan.spacing[a] - plan.spacing[b]).slice(0, 2).sort();
  const turn = (arrays, by) => rotated(arrays, plan.patch_size, plane, plan.spacing, by);
  return async (window) => turn(await scorer(turn(window, angle)), -angle);
}

// Arrays (any number x patch), each turned about its middle; what lies outside is the nearest voxel.
export function rotated(arrays, patch, [first, second], spacing, angle) {
  const strides = [patch[1] * patch[2], patch[2], 1];
  const [rest] = [0, 1, 2].filter((axis) => axis !== first && axis !== second);
  const [n, m] = [patch[first], patch[second]];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [ratio, back] = [spacing[second] / spacing[first], spacing[first] / spacing[second]];
  const out = new Float32Array(arrays.length);
  const size = patch[0] * patch[1] * patch[2];
  for (let i = 0; i < n; i++)
    for (let j = 0; j < m; j++) {
      const [y, x] = [i - (n - 1) / 2, j - (m - 1) / 2];
      const at = nearby(cos * y - sin * ratio * x + (n - 1) / 2, n, strides[first]);
      const across = nearby(sin * back * y + cos * x + (m - 1) / 2, m, strides[second]);
      for (let start = 0; start < arrays.length; start += size)
        for (let r = 0; r < patch[rest]; r++) {
          const base = start + r * strides[rest];
          const low = between(arrays, base + at.low, across);
          const high = between(arrays, base + at.high, across);
          out[base + i * strides[first] + j * strides[second]] = low + (high - low) * at.share;
        }
    }
  return out;
}

// The two rows beside a place, within the array, and the share of the second.
function nearby(place, count, stride) {
  const inside = Math.min(Math.max(place, 0), count - 1);
  const low = Math.floor(inside);
  return { low: low * stride, high: Math.min(low + 1, count - 1) * stride, share: inside - low };
}

function between(array, base, { low, high, share }) {
  return array[base + low] + (array[base + high] - array[base + low]) * share;
}

// Sums over rows of probabilities, of which certainty is made; of the background and each structure.
export class Agreement {
  constructor(plan) {
    const { classes, regions } = plan;
    const parts = [[0], ...structuresOf(plan).map((structure) => structure.classes)];
    Object.assign(this, { classes, regions, parts });
    // of each class the parts that hold it
    this.holders = Array.from({ length: classes }, (_, value) => [...parts.keys()].filter((n) => parts[n].includes(value)));
    const zeros = (count) => new Float64Array(count);
    this.voxels = [0, 1, 2].map(() => zeros(parts.length)); // of the masks of the views
    this.common = [0, 1].map(() => zeros(parts.length)); // of the first mask with those of the turned views
    this.inside = zeros(parts.length); // probability within the first mask
    this.all = zeros(classes);
    this.entropy = zeros(parts.length); // of each against the rest
  }

  // Rows (classes x area) of the image as it is and of the turned views.
  add(views) {
    const area = views[0].length / this.classes;
    const { holders, parts } = this;
    const likely = views.map((view) => (this.regions.length ? totals(view, area, this.regions) : view));
    for (let i = 0; i < area; i++) {
      const [own, ...others] = likely.map((view) => this.classOf(view, area, i));
      for (const part of holders[own]) {
        this.voxels[0][part]++;
        for (const value of parts[part]) this.inside[part] += views[0][value * area + i];
      }
      others.forEach((found, n) => {
        for (const part of holders[found]) {
          this.voxels[n + 1][part]++;
          if (parts[part].includes(own)) this.common[n][part]++;
        }
      });
      for (let k = 0; k < this.classes; k++) this.all[k] += views[0][k * area + i];
      for (let n = 0; n < parts.length; n++) this.entropy[n] += entropyOf(parts[n], views[0], area, i);
    }
  }

  classOf(view, area, i) {
    if (this.regions.length) return decided(view, area, i, this.regions);
    let best = 0;
    for (let k = 1; k < this.classes; k++) if (view[k * area + i] > view[best * area + i]) best = k;
    return best;
  }

  // Of the background (0) or a structure (from 1 on), 0 to 1; null where it is in none of the masks.
  certainty(part) {
    const [own, ...others] = this.voxels.map((counts) => counts[part]);
    if (!own && !others.some(Boolean)) return null;
    const agreed = others.map((other, n) => (own + other ? (2 * this.common[n][part]) / (own + other) : 1));
    const all = this.parts[part].reduce((sum, value) => sum + this.all[value], 0);
    const soft = (2 * this.inside[part]) / (own + all);
    const clear = own ? own / (own + this.entropy[part]) : 0;
    return (soft + (agreed[0] + agreed[1]) / 2 + clear) / 3;
  }
}

// Of the probability that a voxel is of these classes, in nats; what is almost sure has none.
function entropyOf(classes, view, area, i) {
  let p = 0;
  for (const value of classes) p += view[value * area + i];
  return p > SURE && p < 1 - SURE ? -(p * Math.log(p) + (1 - p) * Math.log1p(-p)) : 0;
}

// Dice that is to be expected of a label that was found and the ends of its interval; null where the model does
// not know. The ends are 0 and 1 where people are too few for an interval.
export function expectedDice(calibration, certainty) {
  if (!calibration) return null;
  const dice = interpolated(certainty, calibration.certainty, calibration.dice);
  if (!hasInterval(calibration)) return [dice, 0, 1];
  return [dice, Math.max(dice - calibration.margin, 0), Math.min(dice + calibration.margin, 1)];
}

export function hasInterval({ level }) {
  return level >= LEVEL;
}

function interpolated(x, places, values) {
  if (x <= places[0]) return values[0];
  for (let i = 1; i < places.length; i++)
    if (x < places[i]) {
      const share = (x - places[i - 1]) / (places[i] - places[i - 1]);
      return values[i - 1] + share * (values[i] - values[i - 1]);
    }
  return values[values.length - 1];
}
