// NRRD in one file, raw or packed by gzip: scalar volumes of three axes.
import { product } from "./affine.mjs";
import { isPacked, unpacked } from "./gzip.mjs";
import { ELSEWHERE, refuse } from "./refusal.mjs";
import { readValues } from "./values.mjs";
import { checkSize, scan } from "./volume.mjs";
import { sizeOf } from "./view.mjs";

const TYPES = {
  "signed char": "int8", int8: "int8", int8_t: "int8", uchar: "uint8", "unsigned char": "uint8", uint8: "uint8", uint8_t: "uint8",
  short: "int16", "short int": "int16", "signed short": "int16", "signed short int": "int16", int16: "int16", int16_t: "int16",
  ushort: "uint16", "unsigned short": "uint16", "unsigned short int": "uint16", uint16: "uint16", uint16_t: "uint16",
  int: "int32", "signed int": "int32", int32: "int32", int32_t: "int32",
  uint: "uint32", "unsigned int": "uint32", uint32: "uint32", uint32_t: "uint32",
  float: "float32", double: "float64",
};
// Signs that lead from a space to RAS.
const SPACES = {
  "left-posterior-superior": [-1, -1, 1], lps: [-1, -1, 1],
  "right-anterior-superior": [1, 1, 1], ras: [1, 1, 1],
  "left-anterior-superior": [-1, 1, 1], las: [-1, 1, 1],
};
// Of axes along which voxels lie in space; others hold several values of a voxel.
const DOMAINS = ["domain", "space", "time", "none", "???"];
const MILLIMETRES = ["mm", "millimeter", "millimeters", "millimetre", "millimetres", "???", "none"];

export async function readNrrd(bytes, name) {
  const { fields, start } = headerOf(bytes, name);
  const type = TYPES[fields.type];
  const shape = numbers(fields.sizes);
  if (!type) refuse(`${name}: values of type ${fields.type}; expected whole or real numbers`);
  if (Number(fields.dimension) !== 3 || shape.length !== 3)
    refuse(`${name}: ${fields.dimension} axes; this page reads NRRD of three; ${ELSEWHERE}`);
  checkKinds(fields, name);
  checkSize(name, shape, 1);
  const data = await content(bytes.subarray(start), fields, name);
  const little = fields.endian !== "big";
  const values = readValues(data, { type, start: 0, count: sizeOf(shape), little, name });
  return scan(name, shape, affineOf(fields, name), [values], { kind: "nrrd" });
}

function headerOf(bytes, name) {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 1 << 16));
  const end = /\r?\n\r?\n/.exec(text);
  if (!text.startsWith("NRRD") || !end) refuse(`${name}: not a NRRD file, whatever its name says; save it again`);
  const fields = {};
  for (const line of text.slice(0, end.index).split(/\r?\n/)) {
    const found = /^([^#:]+):\s(.*)$/.exec(line);
    if (!found) continue;
    const field = found[1].replace(/\s/g, "").toLowerCase(); // `byteskip` is `byte skip`, to ITK as well
    if (field in fields) refuse(`${name}: says ${field} twice; expected each field once; save it again`);
    fields[field] = found[2].trim();
  }
  if ("datafile" in fields) refuse(`${name}: its voxels are in another file; save it as one .nrrd`);
  return { fields, start: end.index + end[0].length };
}

function checkKinds(fields, name) {
  if (!("kinds" in fields)) return;
  const kinds = fields.kinds.toLowerCase().split(/\s+/);
  const other = kinds.find((kind) => !DOMAINS.includes(kind));
  if (other) refuse(`${name}: an axis of the kind ${other}; expected three of space; ${ELSEWHERE}`);
  if (kinds.length !== 3) refuse(`${name}: kinds of ${kinds.length} axes; expected three; mend the header`);
}

async function content(bytes, fields, name) {
  if ([fields.lineskip, fields.byteskip].some((skip) => Number(skip ?? 0) !== 0))
    refuse(`${name}: skips bytes before its voxels; save it again without`);
  const encoding = (fields.encoding ?? "").toLowerCase();
  if (encoding === "raw") return bytes;
  if (["gzip", "gz"].includes(encoding) && isPacked(bytes)) return unpacked(bytes, name);
  return refuse(`${name}: packed as ${fields.encoding}; expected raw or gzip; save it again`);
}

function numbers(text) {
  return (text ?? "").trim().split(/[\s,]+/).map(Number);
}

const vectors = (text) => [...(text ?? "").matchAll(/\(([^)]*)\)/g)].map((found) => numbers(found[1]));

function affineOf(fields, name) {
  const others = [...(fields.spaceunits ?? "").matchAll(/"([^"]*)"|(\S+)/g)]
    .map((found) => found[1] ?? found[2])
    .filter((unit) => !MILLIMETRES.includes(unit.toLowerCase()));
  if (others.length) refuse(`${name}: its space units are ${others[0]}; expected mm; write it anew with its spacing in mm`);
  const signs = SPACES[(fields.space ?? "").toLowerCase()];
  const directions = vectors(fields.spacedirections);
  if (!signs || directions.length !== 3)
    refuse(`${name}: does not say where its voxels lie (space, space directions); ${ELSEWHERE}`);
  const [origin] = [...vectors(fields.spaceorigin), [0, 0, 0]];
  const own = [0, 1, 2].map((row) => [...directions.map((axis) => axis[row]), origin[row]]);
  const turn = [0, 1, 2].map((row) => [0, 1, 2].map((n) => (n === row ? signs[row] : 0)));
  return [...product(turn, own), [0, 0, 0, 1]];
}
