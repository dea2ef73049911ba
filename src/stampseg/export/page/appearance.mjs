// What a scan looks like, whatever its scale of values: where it is bright, how rough, where values begin.
import { percentilesOf } from "./percentiles.mjs";
import { correlation, gains, standardised, told } from "./pose.mjs";
import { eachVoxel, sizeOf } from "./view.mjs";
import { percent } from "./words.mjs";

const SAMPLES = 2000000; // voxels that neighbours are compared at
const VALUES = 25000; // that percentiles are taken of
const MOST_ROOM = 0.2; // of a correlation, below the training scans' range
const ROUGHNESS_ROOM = 0.5; // of a natural logarithm: by a factor of 1.6
const FLOOR_ROOM = 0.2;

// In what it looks unlike the training scans; `floors`: also look where the values begin. The image is
// channels, each seen by `view`, of the axes that are `real`; `spacing` in mm, or 1 for pictures.
export function strange({ channels, view, spacing, real }, usual, floors) {
  const count = Math.round((usual.cells.length / channels.length) ** (1 / real.length));
  const shape = [0, 1, 2].map((axis) => (real.includes(axis) ? count : 1));
  const found = [];
  if (channels.length * sizeOf(shape) === usual.cells.length) {
    const values = channels.flatMap((one) => [...standardised(cellsOf(one, view, shape))]);
    found.push(...laidOtherwise({ values, shape }, usual));
  }
  const sample = sampled(channels, thinned(view, real, channels.length));
  const deviation = deviationOf(sample);
  const rough = real.map((axis) => roughness(channels, view, real, axis, deviation * spacing[axis]));
  const isBeyond = rough.some((value, n) => {
    const known = usual.roughness[n];
    return value !== null && known && (value < known[0] - ROUGHNESS_ROOM || value > known[1] + ROUGHNESS_ROOM);
  });
  if (isBeyond)
    found.push(
      "smoother or rougher than the training scans; zoomed, or are its voxels of another size than its file says?",
    );
  const [least, most] = usual.floor;
  const floor = floorOf(sample);
  if (floors && !(floor >= least - FLOOR_ROOM && floor <= most + FLOOR_ROOM))
    found.push(
      `values begin at ${percent(floor)} of their range (trained on ${percent(least)} to ${percent(most)}); was ` +
        "something added to them?",
    );
  return found;
}

// That what it shows lies elsewhere, and what would mend it.
function laidOtherwise(cells, usual) {
  const mean = { values: usual.cells, shape: cells.shape };
  const likeness = correlation(cells, mean);
  const other = usual.pose && told(cells, usual.pose);
  if (other) return [`looks ${other} against the training scans, or is of something else`];
  if (usual.gains) {
    const isBeyond = ([word, gain], n) => gain > usual.gains[n] && (!usual.pose || word === "reduced");
    const [word] = Object.entries(gains(cells, mean)).find(isBeyond) ?? [];
    if (word) return [`looks ${word} against the training scans, or is of something else`];
  }
  if (likeness >= (usual.lowest ?? usual.likeness - MOST_ROOM)) return [];
  return [
    `bright and dark lie elsewhere: a likeness of ${likeness.toFixed(2)} (trained on ${usual.likeness.toFixed(2)} and ` +
      "more); turned, or of something else?",
  ];
}

// The means of so many cells per axis, the last axis fastest. Cells overlap where voxels lie in two.
function cellsOf(values, view, counts) {
  const order = [0, 1, 2].sort((a, b) => Math.abs(view.strides[b]) - Math.abs(view.strides[a])); // as in memory
  const [outer, middle, inner] = order.map((axis) => edgesOf(view.shape[axis], counts[axis]));
  const steps = order.map((axis) => counts.slice(axis + 1).reduce((product, n) => product * n, 1));
  const [si, sj, sk] = order.map((axis) => view.strides[axis]);
  const sums = new Float64Array(sizeOf(counts));
  const plane = new Float64Array(middle.length * inner.length);
  const line = new Float64Array(inner.length);
  for (let i = 0; i < view.shape[order[0]]; i++) {
    plane.fill(0);
    for (let j = 0; j < view.shape[order[1]]; j++) {
      const start = view.offset + i * si + j * sj;
      inner.forEach(([low, high], n) => {
        line[n] = 0;
        for (let k = low; k < high; k++) line[n] += values[start + k * sk];
      });
      eachHolder(middle, j, (m) => line.forEach((sum, n) => (plane[m * inner.length + n] += sum)));
    }
    eachHolder(outer, i, (o) =>
      plane.forEach((sum, n) => {
        const [m, last] = [Math.floor(n / inner.length), n % inner.length];
        sums[o * steps[0] + m * steps[1] + last * steps[2]] += sum;
      }),
    );
  }
  const length = ([low, high]) => high - low;
  outer.forEach((first, o) =>
    middle.forEach((second, m) =>
      inner.forEach((third, n) => {
        sums[o * steps[0] + m * steps[1] + n * steps[2]] /= length(first) * length(second) * length(third);
      }),
    ),
  );
  return sums;
}

// First voxel, and the one behind the last, of each cell.
function edgesOf(size, count) {
  return Array.from({ length: count }, (_, n) => {
    const start = Math.floor((n * size) / count);
    return [start, Math.max(Math.ceil(((n + 1) * size) / count), start + 1)];
  });
}

function eachHolder(edges, place, call) {
  edges.forEach(([start, stop], n) => {
    if (place >= start && place < stop) call(n);
  });
}

// Some of the voxels, along all real axes but one that is left whole.
function thinned(view, real, channels, whole = null) {
  const axes = real.filter((axis) => axis !== whole);
  const size = channels * sizeOf(view.shape);
  const step = Math.max(1, Math.ceil((size / SAMPLES) ** (1 / axes.length)));
  const steps = [0, 1, 2].map((axis) => (axes.includes(axis) ? step : 1));
  return {
    offset: view.offset,
    shape: view.shape.map((n, axis) => Math.ceil(n / steps[axis])),
    strides: view.strides.map((stride, axis) => stride * steps[axis]),
  };
}

function sampled(channels, view) {
  const size = sizeOf(view.shape);
  const sample = new Float32Array(channels.length * size);
  channels.forEach((values, n) => eachVoxel(view, (place, i) => (sample[n * size + i] = values[place])));
  return sample;
}

function deviationOf(sample) {
  let [sum, square] = [0, 0];
  for (const value of sample) sum += value;
  const mean = sum / sample.length;
  for (const value of sample) square += (value - mean) ** 2;
  return Math.sqrt(square / sample.length);
}

function floorOf(sample) {
  const step = Math.max(1, Math.floor(sample.length / VALUES));
  const [low, high] = percentilesOf(step > 1 ? sample.filter((_, i) => i % step === 0) : sample, [1, 99]);
  return high > low ? low / (high - low) : 0;
}

// The logarithm of the mean difference of neighbours, by a scale; null where there is nothing to differ.
function roughness(channels, view, real, axis, scale) {
  if (view.shape[axis] < 2 || scale <= 0) return null;
  const some = thinned(view, real, channels.length, axis);
  const pairs = { ...some, shape: some.shape.map((n, other) => (other === axis ? n - 1 : n)) };
  const step = some.strides[axis];
  let sum = 0;
  for (const values of channels)
    eachVoxel(pairs, (place) => (sum += Math.abs(Math.fround(values[place + step] - values[place]))));
  return sum > 0 ? Math.log(sum / (channels.length * sizeOf(pairs.shape)) / scale) : null;
}
