// A DICOM series of uncompressed slices: which files are its slices, in which order, and where they lie.
// Whatever is not plainly one even stack is refused; `stampseg predict` knows more kinds.
import { cross, dot, LPS_TO_RAS, product } from "./affine.mjs";
import { ELSEWHERE, refuse } from "./refusal.mjs";
import { sizeOf } from "./view.mjs";
import { checkSize, scan } from "./volume.mjs";

const SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]; // implicit, explicit, big-endian
const BIG_ENDIAN = SYNTAXES[2];
const PROJECTIONS = ["CR", "DX", "MG", "IO", "PX", "XA", "RF", "RG"];
const LEAST = 3; // slices of a scan beside others
const SAME = 1e-3; // of directions, and of pixel sizes as a share
const AT_ONE_PLACE = 0.02; // pixels across the plane between slices that lie at one place
const OFF_GRID = 0.2; // voxels by which a slice may lie beside the even grid
const CORRECT = "correct the tag, or export the series again";
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
// Old files begin with the header itself: a tag of the first groups, and a type or a small length.
const OLD = /^(?:\x02\0\0\0UL|\x08\0[\0-\x20]\0(?:[A-Z]{2}|[\x02-\x40]\0\0\0))/;
const NAMED = /\.(dcm|dicom|ima)$/i;
// Endings of files that `predict` does not open to see whether they are DICOM.
const OTHERS =
  /\.(png|jpe?g|bmp|tiff?|mgz|nii|nrrd|mh[ad]|gz|raw|json|csv|txt|xml|html|pdf|zip|npy|yaml|safetensors)$/i;

const textOf = (bytes, start, end) => String.fromCharCode(...bytes.subarray(start, end));
const isMarked = (bytes) => textOf(bytes, 128, 132) === "DICM";
const isOld = (bytes) => OLD.test(textOf(bytes, 0, 8));

export function isDicom({ name, bytes }) {
  return !OTHERS.test(name) && (isMarked(bytes) || isOld(bytes));
}

// `files`: {name, bytes} of all that was dropped; `parse`: of the package dicom-parser.
export function readDicom(files, parse) {
  const notes = [];
  const slices = chosen(framesIn(files, parse, notes), notes);
  const [first] = slices;
  const shape = [first.columns, first.rows, slices.length];
  const name = `${files.length === 1 ? first.name : `${slices.length} DICOM slices`}`;
  checkSize(name, shape, 1);
  const values = new Float32Array(sizeOf(shape));
  slices.forEach((slice, n) => values.set(valuesOf(slice), n * slice.rows * slice.columns));
  return scan(name, shape, affineOf(slices), [values], { kind: "dicom" }, notes);
}

// What is no slice is left out and said, unless it may be one that was damaged: a mask would lack its end.
function framesIn(files, parse, notes) {
  const others = files.filter((file) => !isDicom(file));
  const parsed = files.filter(isDicom).map((file) => ({ ...file, data: parsedOf(file, parse) }));
  const isImage = ({ data }) => data.uint16("x00280010") && data.uint16("x00280011");
  const images = parsed.filter(isImage);
  checkNames(others, images);
  for (const { name } of others) notes.push(`${name}: left out, no DICOM`);
  const kinds = new Set(images.map(kindOf));
  for (const file of parsed.filter((one) => !isImage(one))) {
    const kind = kindOf(file);
    if (!kind || kinds.has(kind))
      refuse(`${file.name}: broken DICOM file (without rows and columns); copy it again`);
    notes.push(`${file.name}: left out, holds no image`);
  }
  return images.map(frameOf);
}

// Of the object: its SOP class.
const kindOf = ({ data }) => data.string("x00080016") ?? data.string("x00020002");

// A file's name with its numbers replaced: that of the slices of one series is the same.
const nameShape = ({ name }) => name.replace(/\d+/g, "0");

function checkNames(others, images) {
  const named = others.find(({ name }) => NAMED.test(name));
  if (named) refuse(`${named.name}: is named as DICOM and does not begin as one; copy it again`);
  const shapes = new Set(images.map(nameShape));
  const cut = others.find((file) => shapes.has(nameShape(file)));
  if (cut) refuse(`${cut.name}: named as the slices beside it, but no DICOM; copy it again`);
}

function parsedOf({ name, bytes }, parse) {
  if (!isMarked(bytes))
    refuse(
      `${name}: old DICOM, without the mark that begins new files, which this page cannot read; ${ELSEWHERE}`,
    );
  try {
    return parse(bytes);
  } catch (error) {
    return refuse(`${name}: broken DICOM file (${error.message ?? error.exception ?? error}); copy it again`);
  }
}

// Of an element; null where it is empty or has another count. `parseFloat` would take "1,5" for 1.
function numbersOf(name, data, tag, count, what) {
  const text = data.string(tag) ?? "";
  const parts = text.split("\\").map((part) => part.trim());
  if (!text || parts.every((part) => !part)) return null;
  if (!parts.every((part) => NUMBER.test(part)))
    refuse(`${name}: ${what} is "${text.slice(0, 60)}"; expected numbers, such as -1024.5; ${CORRECT}`);
  const found = parts.map(Number);
  return found.length === count && found.every(Number.isFinite) ? found : null;
}

// Slope or intercept; the default only where there is none, as CT without it would be 1024 HU off.
function rescaling(name, data, tag, what, otherwise) {
  const text = data.string(tag) ?? "";
  const found = numbersOf(name, data, tag, 1, what);
  if (!found && text.trim())
    refuse(`${name}: ${what} is "${text.slice(0, 60)}"; expected one number; ${CORRECT}`);
  return found ? found[0] : otherwise;
}

function thicknessOf(name, data) {
  const [thickness] = numbersOf(name, data, "x00180050", 1, "SliceThickness") ?? [0];
  const [between] = numbersOf(name, data, "x00180088", 1, "SpacingBetweenSlices") ?? [0];
  return thickness > 0 ? thickness : Math.abs(between) || 1;
}

const GEOMETRY = [
  ["x00200032", 3, "ImagePositionPatient"],
  ["x00200037", 6, "ImageOrientationPatient"],
  ["x00280030", 2, "PixelSpacing"],
];

function frameOf({ name, bytes, data }) {
  checkKind(name, data);
  checkBits(name, data);
  const [position, orientation, pixel] = GEOMETRY.map((of) => numbersOf(name, data, ...of));
  if (!position || !orientation || !pixel || !(pixel[0] > 0 && pixel[1] > 0))
    refuse(`${name}: has no position, orientation or pixel size; expected them in every slice; leave it out, or ${ELSEWHERE}`);
  const directions = [orientation.slice(0, 3), orientation.slice(3)].map((v) => v.map((n) => n / Math.hypot(...v)));
  const normal = cross(...directions);
  if (!(Math.hypot(...normal) > 0.5)) refuse(`${name}: its directions of rows and columns are none; copy it again`);
  const slope = rescaling(name, data, "x00281053", "RescaleSlope", 1);
  if (slope === 0) refuse(`${name}: RescaleSlope is 0, which makes every value the same`);
  const across = normal.map((value) => value / Math.hypot(...normal));
  return {
    name, bytes, data, position, directions, pixel: [pixel[1], pixel[0]], normal: across, slope,
    height: dot(position, across),
    intercept: rescaling(name, data, "x00281052", "RescaleIntercept", 0),
    thickness: thicknessOf(name, data),
    rows: data.uint16("x00280010"), columns: data.uint16("x00280011"),
    series: data.string("x0020000e") ?? "",
    kind: (data.string("x00080008") ?? "").toUpperCase(),
  };
}

// What this page cannot read as `predict` does.
function checkKind(name, data) {
  const syntax = data.string("x00020010") ?? SYNTAXES[1];
  const kind = (data.string("x00080008") ?? "").toUpperCase();
  const reasons = [
    [!SYNTAXES.includes(syntax), `is compressed (transfer syntax ${syntax})`],
    [Number(data.string("x00280008") ?? 1) !== 1 || data.elements.x52009230, "holds several frames"],
    [(data.uint16("x00280002") ?? 1) !== 1, "is in colour"],
    [(data.string("x00280004") ?? "").startsWith("PALETTE"), "has a palette of colours"],
    [data.elements.x00283000, "has a table of values (Modality LUT)"],
    [PROJECTIONS.includes(data.string("x00080060")), "is an X-ray picture"],
    [kind.includes("MOSAIC"), "holds its slices side by side (a Siemens mosaic)"],
    [![8, 16, 32].includes(data.uint16("x00280100")) || !data.elements.x7fe00010, "has no pixels of 8, 16 or 32 bits"],
  ];
  const found = reasons.find(([holds]) => holds);
  if (found) refuse(`${name}: ${found[1]}, which this page cannot read; ${ELSEWHERE}`);
}

// Which bits of a pixel are its value: the lowest, or the highest as in old files.
function bitsOf(data) {
  const [allocated, stored] = [data.uint16("x00280100"), data.uint16("x00280101")];
  return { allocated, stored, top: Math.max(stored, (data.uint16("x00280102") ?? stored - 1) + 1) };
}

function checkBits(name, data) {
  const { allocated, stored, top } = bitsOf(data);
  if (!(stored >= 1 && stored <= allocated) || data.uint16("x00280103") === undefined)
    refuse(
      `${name}: does not say what its pixels are; expected BitsStored of 1 to ${allocated}, and ` +
        "PixelRepresentation; export it again",
    );
  if (top !== stored && top !== allocated)
    refuse(
      `${name}: its values lie in the bits ${top - stored} to ${top - 1} of ${allocated} ` +
        "(HighBit, BitsStored); expected the lowest or the highest ones; convert it",
    );
}

// The slices of the one scan, in order.
function chosen(frames, notes) {
  if (!frames.length) refuse(`no DICOM image was found; expected the slices of one series`);
  const localizers = frames.filter((frame) => frame.kind.includes("LOCALIZER"));
  const real = localizers.length < frames.length ? frames.filter((frame) => !localizers.includes(frame)) : frames;
  if (real !== frames) localizers.forEach((frame) => notes.push(`${frame.name}: left out, a localizer`));
  const stack = oneStack(stacksOf(real), notes);
  stack.sort((a, b) => a.height - b.height || (a.name < b.name ? -1 : 1));
  checkEven(stack);
  return stack;
}

function stacksOf(frames) {
  const stacks = [];
  for (const frame of frames) {
    const home = stacks.find(([first]) => frame.series === first.series && onOneGrid(frame, first));
    if (home) home.push(frame);
    else stacks.push([frame]);
  }
  return stacks;
}

function oneStack(stacks, notes) {
  if (stacks.length === 1) return stacks[0];
  const whole = stacks.filter((stack) => stack.length >= LEAST);
  const alone = stacks.filter((stack) => stack.length < LEAST).flat();
  if (whole.length !== 1) refuse(`${stacks.length} scans or planes among the files; expected one series; drop one at a time`);
  const [first] = whole[0];
  for (const frame of alone) {
    if (frame.series === first.series && areParallel(frame, first))
      refuse(`${frame.name}: differs in size from the other slices of its series; remove it`);
    notes.push(`${frame.name}: left out, of another plane or series`);
  }
  return whole[0];
}

function areParallel(a, b) {
  return a.directions.flat().every((value, n) => Math.abs(value - b.directions.flat()[n]) < SAME);
}

function onOneGrid(a, b) {
  const pixels = a.pixel.every((size, n) => Math.abs(size - b.pixel[n]) <= SAME * b.pixel[n]);
  return a.rows === b.rows && a.columns === b.columns && pixels && areParallel(a, b);
}

function checkEven(stack) {
  const steps = stack.slice(1).map((frame, n) => frame.height - stack[n].height);
  const copy = steps.findIndex((step) => step < AT_ONE_PLACE * Math.min(...stack[0].pixel));
  if (copy >= 0)
    refuse(`${stack[copy].name} and ${stack[copy + 1].name} lie at one place; expected each position once; drop one phase, echo or repeat`);
  if (stack.length < LEAST) return;
  const sorted = [...steps].sort((a, b) => a - b);
  const usual = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  const wide = steps.findIndex((step) => step > 1.5 * usual);
  if (wide >= 0)
    refuse(`slices are missing between ${stack[wide].name} and ${stack[wide + 1].name}; add the missing slices`);
  const worst = Math.max(...offGrid(stack));
  if (worst > OFF_GRID)
    refuse(`slices are not evenly spaced: one lies ${worst.toFixed(2)} voxels beside the even grid; ${ELSEWHERE}`);
}

// Voxel to LPS mm of frames in order, as rows; the step from slice to slice as it is.
function ownAffine(stack) {
  const [first, last] = [stack[0], stack[stack.length - 1]];
  const step = first.normal.map((value, axis) =>
    stack.length > 1 ? (last.position[axis] - first.position[axis]) / (stack.length - 1) : value * first.thickness,
  );
  const row = (axis) => [first.directions[0][axis] * first.pixel[0], first.directions[1][axis] * first.pixel[1], step[axis], first.position[axis]];
  return [row(0), row(1), row(2), [0, 0, 0, 1]];
}

function affineOf(stack) {
  return product(LPS_TO_RAS, ownAffine(stack));
}

// Distance in voxels of every frame from where the affine puts it.
function offGrid(stack) {
  const affine = ownAffine(stack);
  const [x, y, z] = [0, 1, 2].map((n) => [0, 1, 2].map((row) => affine[row][n]));
  const volume = dot(cross(x, y), z);
  return stack.map((frame, n) => {
    const apart = frame.position.map((value, axis) => value - affine[axis][3] - n * z[axis]);
    const places = [dot(cross(y, z), apart), dot(cross(z, x), apart), dot(cross(x, y), apart)];
    return Math.max(...places.map((value) => Math.abs(value / volume)));
  });
}

// The slice's intensities, with its own slope; bits above and below those that are stored count for nothing.
function valuesOf({ name, bytes, data, rows, columns, slope, intercept }) {
  const { dataOffset, length } = data.elements.x7fe00010;
  const { allocated, stored, top } = bitsOf(data);
  const count = rows * columns;
  if (length < (count * allocated) / 8) refuse(`${name}: its pixels are cut short; copy it again`);
  const view = new DataView(bytes.buffer, bytes.byteOffset + dataOffset, length);
  const little = data.string("x00020010") !== BIG_ENDIAN;
  const read = { 8: (i) => view.getUint8(i), 16: (i) => view.getUint16(2 * i, little), 32: (i) => view.getUint32(4 * i, little) }[allocated];
  const signed = data.uint16("x00280103") === 1;
  const [above, shift] = [32 - top, 32 - stored];
  const out = new Float32Array(count);
  const round = allocated <= 16 ? Math.fround : (value) => value;
  const [factor, offset] = [round(slope), round(intercept)];
  for (let i = 0; i < count; i++) {
    const value = signed ? (read(i) << above) >> shift : (read(i) << above) >>> shift;
    out[i] = slope === 1 && intercept === 0 ? value : round(value * factor) + offset;
  }
  return out;
}
