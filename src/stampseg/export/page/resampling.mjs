// Resampling along one axis after the other: every new row is a few old rows, weighted.

// Linear, edges of the field of view aligned, averaged where it shrinks.
// New row i is the sum over t of weights[i][t] times old row first[i] + t; last[i] is one past the last old row.
export function lowPassMap(size, count) {
  const scale = size / count;
  const reach = Math.max(scale, 1);
  const map = { size, count, first: [], last: [], weights: [] };
  for (let row = 0; row < count; row++) {
    const centre = scale * (row + 0.5);
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const last = Math.min(Math.trunc(centre + reach + 0.5), size);
    const weights = [];
    for (let old = first; old < last; old++) weights.push(Math.max(1 - Math.abs((old - centre + 0.5) / reach), 0));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    map.first.push(first);
    map.last.push(last);
    map.weights.push(weights.map((weight) => Math.fround(weight / sum)));
  }
  return map;
}

// An array of (outer, map.size, inner) -> (outer, map.count, inner).
export function applyMap(array, map, outer, inner) {
  const out = new Float32Array(outer * map.count * inner);
  for (let o = 0; o < outer; o++)
    for (let row = 0; row < map.count; row++)
      map.weights[row].forEach((weight, t) => {
        const source = (o * map.size + map.first[row] + t) * inner;
        const target = (o * map.count + row) * inner;
        for (let i = 0; i < inner; i++) out[target + i] += weight * array[source + i];
      });
  return out;
}

// A contiguous array of a shape -> another shape of as many axes; what shrinks first leaves less to do.
export function resample(array, from, to) {
  const shape = [...from];
  const changed = shape.map((_, axis) => axis).filter((axis) => from[axis] !== to[axis]);
  changed.sort((a, b) => to[a] / from[a] - to[b] / from[b]);
  for (const axis of changed) {
    const outer = shape.slice(0, axis).reduce((product, n) => product * n, 1);
    const inner = shape.slice(axis + 1).reduce((product, n) => product * n, 1);
    array = applyMap(array, lowPassMap(from[axis], to[axis]), outer, inner);
    shape[axis] = to[axis];
  }
  return array;
}
