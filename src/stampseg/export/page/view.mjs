// A box of voxels in a flat array: offset, shape and strides of three axes. Pictures have a first axis of one voxel.

export function wholeView(shape, strides) {
  return { offset: 0, shape: [...shape], strides: [...strides] };
}

// Axis i of the view becomes axis turn[i][0]; it runs backwards where turn[i][1] is -1.
export function turned(view, turn) {
  const result = { offset: view.offset, shape: [0, 0, 0], strides: [0, 0, 0] };
  turn.forEach(([target, flip], axis) => {
    result.shape[target] = view.shape[axis];
    result.strides[target] = flip * view.strides[axis];
    if (flip < 0) result.offset += view.strides[axis] * (view.shape[axis] - 1);
  });
  return result;
}

// The part of a view within [start, stop] of each axis.
export function boxed(view, box) {
  const offset = box.reduce((sum, [start], axis) => sum + start * view.strides[axis], view.offset);
  return { offset, shape: box.map(([start, stop]) => stop - start), strides: view.strides };
}

// Calls back with the place in the flat array and a running number, the last axis fastest.
export function eachVoxel(view, call) {
  const [a, b, c] = view.shape;
  const [sa, sb, sc] = view.strides;
  let number = 0;
  for (let i = 0; i < a; i++)
    for (let j = 0; j < b; j++) {
      let place = view.offset + i * sa + j * sb;
      for (let k = 0; k < c; k++, place += sc) call(place, number++);
    }
}

export function sizeOf(shape) {
  return shape.reduce((product, n) => product * n, 1);
}
