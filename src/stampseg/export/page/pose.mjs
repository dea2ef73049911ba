// Whether a scan would be more like the training scans if it were turned, mirrored or magnified.
// Cells are {values: channels x shape, shape}, three axes; of pictures the first has one cell.

const FACTORS = [1.35, 1.6]; // by which the middle of a scan is magnified
const MOST_CHANNELS = 4; // that are looked at by what is learnt
const NEAR = 1.5; // the same, to tell by what is learnt how near it is
const SAME = 1e6; // cells that differ by less than one of so many parts of a deviation are equal

// Of the ranks, on which a few cells of padding or metal count no more than others.
export function correlation(one, other) {
  return alike(ranks(one.values), ranks(other.values));
}

// By how much more alike a scan becomes; negative where it is best as it is.
export function gains(cells, usual) {
  const [mine, theirs] = [ranks(cells.values), ranks(usual.values)];
  const asItIs = alike(mine, theirs);
  const most = (likenesses) => Math.max(...likenesses) - asItIs;
  return {
    turned: most(turns({ ...cells, values: mine }).map((values) => alike(values, theirs))),
    enlarged: most(FACTORS.map((factor) => alike(mine, ranks(magnified(usual, factor))))),
    reduced: most(FACTORS.map((factor) => alike(ranks(magnified(cells, factor)), theirs))),
  };
}

// "turned", "mirrored", "enlarged" or "reduced", as a scan is and the training scans are not; undefined of one like them.
export function told(all, pose) {
  const cells = { ...all, values: someChannels(all) };
  const mine = ranks(cells.values);
  const score = (values, template) => values.reduce((sum, value, i) => sum + value * template[i], 0);
  const gain = (ways) =>
    Math.max(...ways.map((values) => score(values, pose.template))) - score(mine, pose.template);
  const laid = {};
  if (pose.turned !== null) laid.turned = gain(turns({ ...cells, values: mine })) - pose.turned;
  if (pose.mirrored !== null) laid.mirrored = gain(mirrors({ ...cells, values: mine })) - pose.mirrored;
  const sizes = {
    enlarged: score(mine, pose.near) - pose.enlarged,
    reduced: pose.reduced - score(ranks(magnified(cells, NEAR)), pose.near),
  };
  for (const beyond of [laid, sizes]) {
    // of one that lies otherwise its size cannot be told
    const [word, most] = Object.entries(beyond).reduce((best, one) => (one[1] > best[1] ? one : best), ["", 0]);
    if (most > 0) return word;
  }
  return undefined;
}

// As many channels as are looked at, evenly among them all.
function someChannels({ values, shape }) {
  const size = shape[0] * shape[1] * shape[2];
  const count = values.length / size;
  if (count <= MOST_CHANNELS) return values;
  const some = Array.from({ length: MOST_CHANNELS }, (_, n) => Math.floor((n * count) / MOST_CHANNELS));
  return Float64Array.from(some.flatMap((channel) => [...values.slice(channel * size, (channel + 1) * size)]));
}

function alike(one, other) {
  return one.reduce((sum, value, i) => sum + value * other[i], 0) / one.length;
}

// With mean 0 and deviation 1, or all 0; equal values share the mean of their ranks.
function ranks(values) {
  const keys = Array.from(values, (value) => Math.round(value * SAME));
  const order = keys.map((_, i) => i).sort((a, b) => keys[a] - keys[b]);
  const found = new Float64Array(keys.length);
  for (let start = 0, stop; start < order.length; start = stop) {
    for (stop = start + 1; stop < order.length && keys[order[stop]] === keys[order[start]]; stop++);
    for (let i = start; i < stop; i++) found[order[i]] = (start + stop - 1) / 2;
  }
  return standardised(found);
}

export function standardised(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  return values.map((value) => (value - mean) / (spread > 0 ? spread : 1));
}

// All other ways to lay it down by quarter turns: 3 of pictures, 23 of volumes; none is a mirror image.
function turns({ values, shape }) {
  const others = waysOf(shape, 1).filter(([order, signs]) => signs.includes(-1) || order.some((axis, n) => axis !== n));
  return others.map(([order, signs]) => laid(values, shape, order, signs));
}

// Its mirror image, laid down in every way: 4 of pictures, 24 of volumes.
function mirrors({ values, shape }) {
  return waysOf(shape, -1).map(([order, signs]) => laid(values, shape, order, signs));
}

// Orders and signs of the axes, which turn (1) or mirror (-1).
function waysOf(shape, determinant) {
  const found = [];
  for (const order of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    for (const signs of [0, 1, 2, 3, 4, 5, 6, 7].map((n) => [0, 1, 2].map((axis) => (n >> axis) & 1 ? -1 : 1))) {
      const moved = order.filter((axis, place) => axis !== place).length; // 2: two change places, which mirrors
      const isWanted = signs[0] * signs[1] * signs[2] * (moved === 2 ? -1 : 1) === determinant;
      const isPossible = shape[0] > 1 || (order[0] === 0 && signs[0] === 1);
      if (isWanted && isPossible) found.push([order, signs]);
    }
  return found;
}

function laid(values, shape, order, signs) {
  const strides = [shape[1] * shape[2], shape[2], 1];
  const size = shape[0] * strides[0];
  const out = new Float64Array(values.length);
  let next = 0;
  const place = (at, axis) => (signs[axis] > 0 ? at : shape[axis] - 1 - at) * strides[order[axis]];
  for (let start = 0; start < values.length; start += size)
    for (let i = 0; i < shape[0]; i++)
      for (let j = 0; j < shape[1]; j++)
        for (let k = 0; k < shape[2]; k++) out[next++] = values[start + place(i, 0) + place(j, 1) + place(k, 2)];
  return out;
}

// Its middle in as many cells, linearly between them.
function magnified({ values, shape }, factor) {
  for (const axis of [0, 1, 2]) {
    const count = shape[axis];
    const inner = [1, 2].reduce((product, other) => (other > axis ? product * shape[other] : product), 1);
    const middle = (count - 1) / 2;
    const out = new Float64Array(values.length);
    for (let start = 0; start < values.length; start += count * inner)
      for (let i = 0; i < count; i++)
        for (let k = 0; k < count; k++) {
          const weight = Math.max(0, 1 - Math.abs(middle + (i - middle) / factor - k));
          for (let n = 0; weight && n < inner; n++) out[start + i * inner + n] += weight * values[start + k * inner + n];
        }
    values = out;
  }
  return values;
}
