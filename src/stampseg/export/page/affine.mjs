// Matrices that lead from voxels to millimetres (RAS+): 4 x 4, as rows.
import { refuse } from "./refusal.mjs";

export const LPS_TO_RAS = [[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]];

export function product(first, second) {
  return first.map((row) => second[0].map((_, j) => row.reduce((sum, value, k) => sum + value * second[k][j], 0)));
}

export function spacingOf(affine) {
  return [0, 1, 2].map((axis) => Math.hypot(affine[0][axis], affine[1][axis], affine[2][axis]));
}

export function determinant(m) {
  return (
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
    m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
    m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
  );
}

export function inverse3(m) {
  const size = determinant(m);
  const minor = (i, j) => {
    const [r, s] = [0, 1, 2].filter((n) => n !== i);
    const [t, u] = [0, 1, 2].filter((n) => n !== j);
    return (m[r][t] * m[s][u] - m[r][u] * m[s][t]) * ((i + j) % 2 ? -1 : 1);
  };
  return [0, 1, 2].map((i) => [0, 1, 2].map((j) => minor(j, i) / size));
}

export function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

export function dot(a, b) {
  return a.reduce((sum, value, axis) => sum + value * b[axis], 0);
}

export function checkAffine(affine, name) {
  if (affine.flat().every(Number.isFinite) && Math.abs(determinant(affine)) >= 1e-12) return affine;
  return refuse(
    `${name}: the header's affine does not place voxels in space; expected three independent finite axes; ` +
      "correct the header (voxel size, sform or qform)",
  );
}

// The rotation nearest to the axes of voxels, by Newton's iteration for the orthogonal factor.
function nearestRotation(affine) {
  const sizes = spacingOf(affine);
  let m = [0, 1, 2].map((i) => [0, 1, 2].map((j) => affine[i][j] / sizes[j]));
  for (let step = 0; step < 60; step++) {
    const back = inverse3(m);
    m = m.map((row, i) => row.map((value, j) => (value + back[j][i]) / 2));
  }
  return m;
}

// For each voxel axis the closest axis of RAS and its sign; each axis is given once, the surest first.
function closestAxes(affine) {
  const rotation = nearestRotation(affine);
  const surest = (axis) => Math.max(...rotation.map((row) => row[axis] ** 2));
  const order = [0, 1, 2].sort((a, b) => surest(b) - surest(a));
  const result = [];
  for (const axis of order) {
    const column = rotation.map((row) => Math.abs(row[axis]));
    const target = column.indexOf(Math.max(...column));
    result[axis] = [target, rotation[target][axis] < 0 ? -1 : 1];
    rotation[target] = [0, 0, 0];
  }
  return result;
}

const CODES = { R: [0, 1], L: [0, -1], A: [1, 1], P: [1, -1], S: [2, 1], I: [2, -1] };

// How the axes of voxels become those of a code such as RAS: for each, its new axis and 1 or -1.
export function turnTo(affine, code) {
  const wanted = [...code].map((letter) => CODES[letter]);
  return closestAxes(affine).map(([axis, sign]) => {
    const target = wanted.findIndex(([other]) => other === axis);
    return [target, sign * wanted[target][1]];
  });
}
