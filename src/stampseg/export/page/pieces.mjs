// Pieces of a mask, and its holes. Masks are flat arrays of three axes, in the order in which they lie in memory.

const RIVAL = 0.5; // share of the surest piece's sum from which another is no stray

function neighbours(shape, faces) {
  const [, b, c] = shape;
  const steps = [];
  for (const i of [-1, 0, 1])
    for (const j of [-1, 0, 1])
      for (const k of [-1, 0, 1]) {
        const moved = Math.abs(i) + Math.abs(j) + Math.abs(k);
        if (moved && (!faces || moved === 1)) steps.push((i * b + j) * c + k);
      }
  return steps;
}

function flood(open, start, steps, mark) {
  const stack = [start];
  mark(start);
  while (stack.length) {
    const place = stack.pop();
    for (const step of steps)
      if (open(place + step)) {
        mark(place + step);
        stack.push(place + step);
      }
  }
}

// The smallest box around the voxels of each value below a number but 0: [start, stop] of each axis; null where
// there are none.
export function boxesOf(mask, shape, count) {
  const boxes = Array.from({ length: count }, () => shape.map((n) => [n, 0]));
  const [a, b, c] = shape;
  let place = 0;
  for (let i = 0; i < a; i++)
    for (let j = 0; j < b; j++)
      for (let k = 0; k < c; k++) {
        const value = mask[place++];
        if (!value || value >= count) continue;
        widen(boxes[value][0], i);
        widen(boxes[value][1], j);
        widen(boxes[value][2], k);
      }
  return boxes.map((box) => (box[0][1] ? box : null));
}

function widen(range, at) {
  if (at < range[0]) range[0] = at;
  if (at >= range[1]) range[1] = at + 1;
}

// The box of one value.
export function boxOf(mask, shape, value) {
  return boxesOf(mask, shape, value + 1)[value];
}

// Calls back with places in the mask and in an array of the box with a border of one voxel around it.
function eachInBox(shape, box, call) {
  const [, b, c] = shape;
  const [, h, w] = box.map(([start, stop]) => stop - start + 2);
  for (let i = box[0][0]; i < box[0][1]; i++)
    for (let j = box[1][0]; j < box[1][1]; j++)
      for (let k = box[2][0]; k < box[2][1]; k++)
        call((i * b + j) * c + k, ((i - box[0][0] + 1) * h + j - box[1][0] + 1) * w + k - box[2][0] + 1);
}

// Pieces of a value that hang together, corners included: calls back with the place and the number of each voxel's
// piece, from 0; returns how many there are.
function numbered(mask, shape, box, value) {
  const padded = box.map(([start, stop]) => stop - start + 2);
  const pieces = new Int32Array(padded[0] * padded[1] * padded[2]);
  eachInBox(shape, box, (place, inner) => (pieces[inner] = mask[place] === value ? -1 : 0));
  const steps = neighbours(padded, false);
  let count = 0;
  for (let start = 0; start < pieces.length; start++)
    if (pieces[start] === -1) {
      count++;
      flood((at) => pieces[at] === -1, start, steps, (at) => (pieces[at] = count));
    }
  return { pieces, count };
}

// Of each piece the sum of a weight of its voxels; and a way to empty those that do not stay, which returns how many
// voxels went, and of how many.
export function piecesOf(mask, shape, value, weight, box = boxOf(mask, shape, value)) {
  if (box === null) return null;
  const { pieces, count } = numbered(mask, shape, box, value);
  const sums = new Float64Array(count);
  eachInBox(shape, box, (place, inner) => {
    if (pieces[inner]) sums[pieces[inner] - 1] += weight(place);
  });
  const keep = (stays) => {
    let [gone, all] = [0, 0];
    eachInBox(shape, box, (place, inner) => {
      if (!pieces[inner]) return;
      all++;
      if (stays[pieces[inner] - 1]) return;
      mask[place] = 0;
      gone++;
    });
    return [gone, all];
  };
  return { sums: [...sums], keep };
}

// Leaves of each class the piece with the highest sum of margins and its rivals; returns how many pieces went, and
// what they were of the voxels of their class, the largest share.
export function keepSurest(mask, margins, shape, classes) {
  let [dropped, stray] = [0, 0];
  for (const value of classes) {
    const found = piecesOf(mask, shape, value, (place) => margins[place]);
    if (found === null || found.sums.length < 2) continue;
    const most = found.sums.reduce((a, b) => Math.max(a, b));
    const stays = found.sums.map((sum) => sum >= RIVAL * most);
    const [gone, all] = found.keep(stays);
    dropped += stays.filter((stay) => !stay).length;
    stray = Math.max(stray, gone / all);
  }
  return { dropped, stray };
}

// Drops pieces below a size, or all but the largest; `voxel` is the size of a voxel.
export function dropPieces(mask, shape, value, least, largest, voxel) {
  const found = piecesOf(mask, shape, value, () => 1);
  if (found === null) return;
  const most = found.sums.reduce((a, b) => Math.max(a, b));
  found.keep(found.sums.map((size) => size * voxel >= least * (1 - 1e-9) && (!largest || size === most)));
}

// A mask (0 and 1) with what it encloses: from there no way over faces leads to the border.
// Along the flat axes there is no border.
export function filledHoles(mask, shape, flat) {
  const padded = shape.map((n, axis) => (flat.includes(axis) ? n : n + 2));
  const shift = shape.map((_, axis) => (flat.includes(axis) ? 0 : 1));
  const outside = new Uint8Array(padded[0] * padded[1] * padded[2]);
  const inner = (i, j, k) => ((i + shift[0]) * padded[1] + j + shift[1]) * padded[2] + k + shift[2];
  const eachPlace = (call) => {
    let place = 0;
    for (let i = 0; i < shape[0]; i++)
      for (let j = 0; j < shape[1]; j++) for (let k = 0; k < shape[2]; k++) call(place++, inner(i, j, k));
  };
  eachPlace((place, at) => (outside[at] = mask[place] ? 1 : 0));
  floodFaces(outside, padded);
  const filled = new Uint8Array(mask.length);
  eachPlace((place, at) => (filled[place] = outside[at] === 2 ? 0 : 1));
  return filled;
}

// Marks with 2 what of the zeros is reached over faces from the first corner, within the array.
function floodFaces(cells, [a, b, c]) {
  if (cells[0]) return;
  const stack = [0];
  cells[0] = 2;
  const visit = (place) => {
    if (cells[place] === 0) {
      cells[place] = 2;
      stack.push(place);
    }
  };
  while (stack.length) {
    const place = stack.pop();
    const [i, j, k] = [Math.floor(place / (b * c)), Math.floor(place / c) % b, place % c];
    if (i > 0) visit(place - b * c);
    if (i < a - 1) visit(place + b * c);
    if (j > 0) visit(place - c);
    if (j < b - 1) visit(place + c);
    if (k > 0) visit(place - 1);
    if (k < c - 1) visit(place + 1);
  }
}
