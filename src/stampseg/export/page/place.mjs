// Where a voxel of a scan is, for people. Views have their axes to the right, the front and the head.

const ENDS = [["L", "R"], ["P", "A"], ["I", "S"]]; // of these axes: left, right, back, front, foot, head

// Letters at the left, right, upper and lower edge of a plane.
export function edgesOf({ across, down, flips }) {
  return [across, down].flatMap((axis, n) => (flips[n] ? [...ENDS[axis]].reverse() : ENDS[axis]));
}

// Such as "R 12.3, P 4.0, S 20.1 mm" from the origin, of a place of the view of a scan.
export function placeWords(place, { shape, turn, affine }) {
  const voxel = turn.map(([target, flip], axis) => (flip > 0 ? place[target] : shape[axis] - 1 - place[target]));
  const words = ENDS.map(([low, high], row) => {
    const millimetres = affine[row].reduce((sum, value, n) => sum + value * (voxel[n] ?? 1), 0);
    return `${millimetres < 0 ? low : high} ${Math.abs(millimetres).toFixed(1)}`;
  });
  return `${words.join(", ")} mm`;
}
