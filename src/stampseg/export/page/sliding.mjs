// Sliding windows of the training patch, overlapping by half, averaged as probabilities under a Gaussian weight.
// They are walked along one axis; scores are kept only for the rows that unfinished windows still touch.

const LEAST = 1e-3; // weight at the corners of a window, of 1 in its middle

// The axis along which a slab as thick as a window is the smallest share of the image.
export function walkingAxis(shape, patch) {
  const ratios = shape.map((n, axis) => Math.max(n, patch[axis]) / patch[axis]);
  return ratios.indexOf(Math.max(...ratios));
}

// First voxel of the windows along each axis, negative where the image is padded.
export function windowStarts(shape, patch) {
  return shape.map((size, axis) => {
    const rest = size - patch[axis];
    if (rest <= 0) return [-Math.floor(-rest / 2)];
    const step = Math.max(Math.floor(patch[axis] / 2), 1);
    return Array.from({ length: Math.ceil(rest / step) + 1 }, (_, k) => Math.min(k * step, rest));
  });
}

export function windowWeight(patch) {
  const along = patch.map((size) =>
    Array.from({ length: size }, (_, i) => Math.exp(-((i - (size - 1) / 2) ** 2) / (2 * (size / 8) ** 2))),
  );
  const weight = new Float32Array(patch[0] * patch[1] * patch[2]);
  let next = 0;
  for (const a of along[0]) for (const b of along[1]) for (const c of along[2]) weight[next++] = Math.max(a * b * c, LEAST);
  return weight;
}

// Calls `onRow(row, views)` for each row of the image along `axis` as it becomes final: of each scorer the
// probabilities (classes x other axes in their order). Scorers take a window (channels x patch) and give logits.
export async function slide({ image, shape, channels, classes, patch, axis, scorers, onRow, onWindow }) {
  const starts = windowStarts(shape, patch);
  const weight = windowWeight(patch);
  const slabs = scorers.map(() => new Slab(shape, patch, axis, classes, weight));
  const places = placesOf(starts, axis);
  let next = 0;
  const finish = (stop) => {
    for (; next < stop; next++) onRow(next, slabs.map((slab) => slab.take(next)));
  };
  for (const [number, place] of places.entries()) {
    finish(Math.max(place[axis], 0));
    const window = cut(image, shape, channels, patch, place);
    for (const [view, scorer] of scorers.entries()) slabs[view].add(softmax(await scorer(window), classes), place);
    await onWindow(number + 1, places.length);
  }
  finish(shape[axis]);
}

// Windows in the order of their places along the axis.
function placesOf(starts, axis) {
  const places = [];
  for (const a of starts[0]) for (const b of starts[1]) for (const c of starts[2]) places.push([a, b, c]);
  return places.sort((first, second) => first[axis] - second[axis]);
}

// Calls back with the first voxel in the image and in the window, and the length, of each line inside both.
function eachLine(shape, patch, place, call) {
  const low = place.map((start) => Math.max(-start, 0));
  const high = place.map((start, axis) => Math.min(patch[axis], shape[axis] - start));
  for (let i = low[0]; i < high[0]; i++)
    for (let j = low[1]; j < high[1]; j++) {
      const there = ((i + place[0]) * shape[1] + j + place[1]) * shape[2] + low[2] + place[2];
      call(there, (i * patch[1] + j) * patch[2] + low[2], high[2] - low[2]);
    }
}

// The window (channels x patch) from a place, 0 outside the image.
function cut(image, shape, channels, patch, place) {
  const [whole, part] = [shape, patch].map(([a, b, c]) => a * b * c);
  const window = new Float32Array(channels * part);
  for (let channel = 0; channel < channels; channel++)
    eachLine(shape, patch, place, (there, own, length) => {
      const first = channel * whole + there;
      window.set(image.subarray(first, first + length), channel * part + own);
    });
  return window;
}

// Logits (classes x voxels) become probabilities, in place.
export function softmax(scores, classes) {
  const count = scores.length / classes;
  for (let i = 0; i < count; i++) {
    let most = -Infinity;
    for (let k = 0; k < classes; k++) most = Math.max(most, scores[k * count + i]);
    let sum = 0;
    for (let k = 0; k < classes; k++) sum += scores[k * count + i] = Math.exp(scores[k * count + i] - most);
    for (let k = 0; k < classes; k++) scores[k * count + i] /= sum;
  }
  return scores;
}

// Weighted sums of scores, as many rows as a window is long: row r of the image is at r modulo that.
class Slab {
  constructor(shape, patch, axis, classes, weight) {
    const others = [0, 1, 2].filter((other) => other !== axis);
    Object.assign(this, { shape, patch, axis, classes, weight, others });
    this.rows = Math.min(patch[axis], shape[axis]);
    this.area = shape[others[0]] * shape[others[1]];
    this.scores = new Float32Array(classes * this.rows * this.area);
    this.weights = new Float32Array(this.rows * this.area);
  }

  add(scores, place) {
    const { shape, patch, axis, others, rows, area, weight } = this;
    const volume = patch[0] * patch[1] * patch[2];
    const step = [patch[1] * patch[2], patch[2], 1];
    const [h, w] = others;
    const low = place.map((start) => Math.max(-start, 0));
    const high = place.map((start, a) => Math.min(patch[a], shape[a] - start));
    for (let i = low[axis]; i < high[axis]; i++)
      for (let j = low[h]; j < high[h]; j++) {
        const row = (i + place[axis]) % rows;
        let target = row * area + (j + place[h]) * shape[w] + low[w] + place[w];
        let source = i * step[axis] + j * step[h] + low[w] * step[w];
        for (let k = low[w]; k < high[w]; k++, target++, source += step[w]) {
          this.weights[target] += weight[source];
          for (let c = 0; c < this.classes; c++)
            this.scores[c * rows * area + target] += scores[c * volume + source] * weight[source];
        }
      }
  }

  // The means of a row that is final, (classes x area); its place is free for another row then.
  take(row) {
    const { rows, area, classes } = this;
    const first = (row % rows) * area;
    const found = new Float32Array(classes * area);
    for (let c = 0; c < classes; c++) {
      const start = c * rows * area + first;
      for (let i = 0; i < area; i++) found[c * area + i] = this.scores[start + i] / this.weights[first + i];
      this.scores.fill(0, start, start + area);
    }
    this.weights.fill(0, first, first + area);
    return found;
  }
}
