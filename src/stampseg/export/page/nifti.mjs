// NIfTI-1 and -2 in one file: read, and labels written on the same grid.
import { checkAffine, cross, dot } from "./affine.mjs";
import { refuse } from "./refusal.mjs";
import { readValues } from "./values.mjs";
import { checkSize, scan } from "./volume.mjs";
import { sizeOf } from "./view.mjs";

const MILLIMETRES = { 1: 1000, 3: 0.001 }; // in the units that a header may have instead: metre, micrometre
const TYPES = {
  2: "uint8", 4: "int16", 8: "int32", 16: "float32", 64: "float64", 256: "int8",
  512: "uint16", 768: "uint32", 1024: "int64", 1280: "uint64",
};
const RGB = 128;
const CODES = [0, 1, 2, 3, 4, 5]; // of qform and sform; nibabel takes another for 0

// Where the fields of the two headers lie.
const ONE = {
  size: 348, dim: [40, 2], type: 70, bits: 72, pixdim: [76, 4], offset: [108, "getFloat32"], slope: [112, "getFloat32"],
  inter: [116, "getFloat32"], units: 123, codes: [252, 2], quaternion: [256, 4], sform: [280, 4], real: "getFloat32",
  intent: [68, 2], intentNumbers: [56, 12], intentName: [328, 16], display: [124, 8], voxels: 352,
  nearZero: 3 * 2 ** -23,
};
const TWO = {
  size: 540, dim: [16, 8], type: 12, bits: 14, pixdim: [104, 8], offset: [168, "getBigInt64"], slope: [176, "getFloat64"],
  inter: [184, "getFloat64"], units: 500, codes: [344, 4], quaternion: [352, 8], sform: [400, 8], real: "getFloat64",
  intent: [504, 4], intentNumbers: [80, 24], intentName: [508, 16], display: [192, 16], voxels: 544,
  nearZero: 3 * 2 ** -52,
};

export function readNifti(bytes, name) {
  const header = headerOf(bytes, name);
  const { fields, view, little } = header;
  const shape = shapeOf(header, name);
  const voxels = shape.slice(0, 3);
  const code = view.getInt16(fields.type, little);
  const coloured = code === RGB;
  const type = coloured ? "uint8" : TYPES[code];
  if (!type) refuse(`${name}: values of NIfTI type ${code}; expected real numbers; save the image as float32`);
  if (coloured && shape[3] > 1)
    refuse(`${name}: ${shape[3]} volumes in colour; expected one; save each as a file of its own`);
  const channels = coloured ? 3 : shape[3];
  checkSize(name, voxels, channels);
  const count = sizeOf(voxels);
  const [slope, intercept] = coloured ? [1, 0] : scaling(header);
  const start = startOf(header, name);
  const values = Array.from({ length: channels }, (_, channel) =>
    readValues(bytes, {
      type, start, count, little, slope, intercept, name,
      step: coloured ? 3 : 1,
      first: coloured ? channel : channel * count,
    }),
  );
  const affine = checkAffine(affineOf(header, voxels, name), name);
  const writing = { kind: "nifti", header: bytes.slice(0, fields.size), little };
  return { ...scan(name, voxels, affine, values, writing), isPlaced: codesOf(header).some(Boolean) };
}

function headerOf(bytes, name) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const fields of [ONE, TWO])
    for (const little of [true, false])
      if (bytes.byteLength > fields.size && view.getInt32(0, little) === fields.size) {
        const magic = String.fromCharCode(...bytes.subarray(fields === ONE ? 344 : 4, fields === ONE ? 346 : 6));
        if (magic === "n+") return { fields, view, little };
        refuse(`${name}: its voxels are in another file (a pair of .hdr and .img), or it is Analyze; save it as .nii.gz`);
      }
  return refuse(`${name}: not a NIfTI file, whatever its name says; save it again as .nii.gz`);
}

// The byte at which the voxels begin.
function startOf({ fields, view, little }, name) {
  const start = Number(view[fields.offset[1]](fields.offset[0], little));
  if (start >= fields.voxels) return start;
  return refuse(
    `${name}: the header says that voxels begin at byte ${start}, which is within the header; expected ` +
      `byte ${fields.voxels} or later; the header is broken; save the image again`,
  );
}

const integer = ({ view, little }, place, size) =>
  size === 2 ? view.getInt16(place, little) : size === 4 ? view.getInt32(place, little) : Number(view.getBigInt64(place, little));
const real = ({ fields, view, little }, [start, size], index) => view[fields.real](start + size * index, little);

// Three axes and channels; axes of length 1 beyond the third are dropped.
function shapeOf(header, name) {
  const [start, size] = header.fields.dim;
  const sizes = Array.from({ length: 8 }, (_, n) => integer(header, start + n * size, size));
  const stored = sizes.slice(1, 1 + sizes[0]);
  const shape = [...stored, 1, 1, 1].slice(0, Math.max(3, stored.length));
  const more = shape.slice(3).filter((n) => n !== 1);
  if (sizes[0] < 1 || sizes[0] > 7 || more.length > 1)
    refuse(`${name}: shape ${stored.join(" x ")}; expected three axes, or four with channels last; split it`);
  return [...shape.slice(0, 3), more[0] ?? 1];
}

function scaling({ fields, view, little }) {
  const [slope, intercept] = [fields.slope, fields.inter].map(([place, method]) => view[method](place, little));
  return slope === 0 || !Number.isFinite(slope) ? [1, 0] : [slope, intercept];
}

// Of qform and sform: 0 where the file has none.
function codesOf(header) {
  const [codes, size] = header.fields.codes;
  return [0, 1].map((n) => integer(header, codes + n * size, size));
}

function checkCodes(codes, name) {
  const other = codes.find((code) => !CODES.includes(code));
  if (other !== undefined)
    refuse(`${name}: qform_code or sform_code is ${other}; expected 0 to 5; correct the header`);
}

// Voxel to RAS+ mm: the sform, else the qform, else the voxel size with the middle at 0 and x to the left.
function affineOf(header, shape, name) {
  const { fields, view } = header;
  const [qform, sform] = codesOf(header);
  checkCodes([qform, sform], name);
  const sizes = [0, 1, 2].map((axis) => real(header, fields.pixdim, axis + 1));
  const axes = Math.min(3, integer(header, ...fields.dim)); // that the file counts: 2 of a single slice
  const counted = sizes.slice(0, axes);
  if (!sform && counted.includes(0))
    refuse(
      `${name}: the header has voxels of size ${counted.join(" x ")}; expected the millimetres of each ` +
        "axis; correct the header",
    );
  const spacing = sizes.map((n) => (n === 0 ? 1 : Math.abs(n)));
  const turned = qform && quaternionAffine(header, spacing, name); // checked beside an sform as well
  const affine = sform
    ? [0, 1, 2].map((row) => [0, 1, 2, 3].map((n) => real(header, fields.sform, 4 * row + n)))
    : turned || middleAffine(shape, spacing.map((n, axis) => (axis < axes ? n : 1)));
  const unit = MILLIMETRES[view.getUint8(fields.units) & 7] ?? 1;
  return [...affine.map((row) => row.map((value) => value * unit)), [0, 0, 0, 1]];
}

function middleAffine(shape, [x, y, z]) {
  const steps = [-x, y, z];
  return steps.map((step, axis) => [0, 1, 2].map((n) => (n === axis ? step : 0)).concat((-step * (shape[axis] - 1)) / 2));
}

function quaternionAffine(header, spacing, name) {
  const [b, c, d, ...origin] = [0, 1, 2, 3, 4, 5].map((n) => real(header, header.fields.quaternion, n));
  const square = 1 - (b * b + c * c + d * d);
  if (square <= -header.fields.nearZero)
    refuse(`${name}: the quaternion of its qform is longer than 1 and no rotation; correct the header`);
  const a = Math.abs(square) < header.fields.nearZero ? 0 : Math.sqrt(square);
  const rotation = [
    [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
    [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
    [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
  ];
  const backwards = real(header, header.fields.pixdim, 0) === -1 ? -1 : 1;
  const sizes = [spacing[0], spacing[1], spacing[2] * backwards];
  return rotation.map((row, axis) => [...row.map((value, n) => value * sizes[n]), origin[axis]]);
}

// Labels (Uint8Array, Uint16Array or Uint32Array, x fastest) as a NIfTI file on the scan's own grid.
export function niftiOf(volume, labels) {
  const { writing } = volume;
  const header = writing.kind === "nifti" ? writing.header.slice() : freshHeader(volume);
  const little = writing.kind === "nifti" ? writing.little : true;
  const fields = header.length === ONE.size ? ONE : TWO;
  labelHeader(header, fields, little, volume.shape, labels.BYTES_PER_ELEMENT);
  const size = labels.BYTES_PER_ELEMENT;
  const out = new Uint8Array(fields.voxels + labels.length * size);
  out.set(header);
  const view = new DataView(out.buffer, fields.voxels);
  const put = { 1: "setUint8", 2: "setUint16", 4: "setUint32" }[size];
  for (let i = 0; i < labels.length; i++) view[put](i * size, labels[i], little);
  return out;
}

// The source's header, so that qform, sform and their codes stay as they are, fit for labels.
function labelHeader(header, fields, little, shape, bytes) {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const [start, size] = fields.dim;
  const put = (place, value) =>
    size === 2 ? view.setInt16(place, value, little) : view.setBigInt64(place, BigInt(value), little);
  const dims = Math.min(integer({ view, little }, start, size), 3);
  [dims, ...shape, 1, 1, 1, 1].forEach((value, n) => put(start + n * size, value));
  view.setInt16(fields.type, { 1: 2, 2: 512, 4: 768 }[bytes], little);
  view.setInt16(fields.bits, 8 * bytes, little);
  const reals = (place, method, value) => view[method.replace("get", "set")](place, method.includes("Big") ? BigInt(value) : value, little);
  reals(...fields.offset, fields.voxels);
  reals(...fields.slope, 1);
  reals(...fields.inter, 0);
  for (const [from, length] of [fields.intent, fields.intentNumbers, fields.intentName, fields.display])
    header.fill(0, from, from + length);
}

// NIfTI-1 in scanner coordinates, for a scan of another format.
function freshHeader({ affine, spacing }) {
  const header = new Uint8Array(ONE.size);
  const view = new DataView(header.buffer);
  view.setInt32(0, ONE.size, true);
  view.setInt16(ONE.dim[0], 3, true);
  header.set([0x6e, 0x2b, 0x31, 0], 344);
  view.setUint8(ONE.units, 2);
  [0, 1].forEach((n) => view.setInt16(ONE.codes[0] + 2 * n, 1, true));
  affine.slice(0, 3).forEach((row, r) => row.forEach((value, n) => view.setFloat32(ONE.sform[0] + 4 * (4 * r + n), value, true)));
  const { quaternion, backwards } = quaternionOf(affine, spacing);
  const origin = affine.slice(0, 3).map((row) => row[3]);
  [backwards, ...spacing, 1, 1, 1, 1].forEach((value, n) => view.setFloat32(ONE.pixdim[0] + 4 * n, value, true));
  [...quaternion, ...origin].forEach((value, n) => view.setFloat32(ONE.quaternion[0] + 4 * n, value, true));
  return header;
}

// The rotation of a qform, which knows right angles only: the third axis at a right angle to the plane of the others.
function quaternionOf(affine, spacing) {
  const column = (n) => [0, 1, 2].map((row) => affine[row][n] / spacing[n]);
  const x = column(0);
  const y = unit(column(1).map((value, n) => value - dot(x, column(1)) * x[n]));
  const z = cross(x, y);
  const backwards = dot(z, column(2)) < 0 ? -1 : 1;
  const r = [0, 1, 2].map((row) => [x[row], y[row], z[row]]);
  return { quaternion: imaginary(r), backwards };
}

function unit(vector) {
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

// b, c, d of the quaternion q of a rotation, with a not below 0, from the matrix 4 q qT: any row of it that is not 0
// is q, the longest one most exactly.
function imaginary(r) {
  const k = [
    [1 + r[0][0] + r[1][1] + r[2][2], r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]],
    [r[2][1] - r[1][2], 1 + r[0][0] - r[1][1] - r[2][2], r[0][1] + r[1][0], r[0][2] + r[2][0]],
    [r[0][2] - r[2][0], r[0][1] + r[1][0], 1 - r[0][0] + r[1][1] - r[2][2], r[1][2] + r[2][1]],
    [r[1][0] - r[0][1], r[0][2] + r[2][0], r[1][2] + r[2][1], 1 - r[0][0] - r[1][1] + r[2][2]],
  ];
  const longest = k.reduce((best, row) => (Math.hypot(...row) > Math.hypot(...best) ? row : best));
  const q = unit(longest);
  return q.slice(1).map((value) => (q[0] < 0 ? -value : value));
}

