// Stored values of a file -> float32 numbers, whatever their type and byte order.
import { refuse } from "./refusal.mjs";

export const TYPES = {
  uint8: [1, "getUint8"],
  int8: [1, "getInt8"],
  uint16: [2, "getUint16"],
  int16: [2, "getInt16"],
  uint32: [4, "getUint32"],
  int32: [4, "getInt32"],
  float32: [4, "getFloat32"],
  float64: [8, "getFloat64"],
  uint64: [8, "getBigUint64"],
  int64: [8, "getBigInt64"],
};

// `count` values from byte `start`, every `step`-th.
export function readValues(bytes, { type, start, count, step = 1, first = 0, little, slope = 1, intercept = 0, name }) {
  const [size, method] = TYPES[type];
  if (start + size * ((count - 1) * step + first + 1) > bytes.byteLength)
    refuse(`${name}: the header promises more voxels than the file has; it is cut short; copy it again`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float32Array(count);
  const scaled = slope !== 1 || intercept !== 0;
  for (let i = 0, place = start + first * size; i < count; i++, place += step * size) {
    const value = Number(view[method](place, little));
    out[i] = scaled ? value * slope + intercept : value;
  }
  return out;
}
