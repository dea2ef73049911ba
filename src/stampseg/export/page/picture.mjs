// Pictures: PNG by its own bytes, JPEG by the browser; masks written as PNG.
import { ELSEWHERE, refuse } from "./refusal.mjs";
import { checkSize, picture } from "./volume.mjs";

const XMP = "http://ns.adobe.com/xap/1.0/\0"; // how such a segment of a JPEG begins
const COLOUR = 2 ** 40; // labels from here on are the code of a colour

export const isPng = (bytes) => bytes[0] === 0x89 && bytes[1] === 0x50;
export const isJpeg = (bytes) => bytes[0] === 0xff && bytes[1] === 0xd8;

// `decode`: of the package fast-png.
export function readPng(bytes, name, decode) {
  const chunks = chunksOf(bytes);
  if (chunks.has("acTL")) refuse(`${name}: holds several frames; expected one; save each as a file of its own`);
  if (chunks.has("eXIf") && known(orientationOf(chunks.get("eXIf"))) !== 1) refuse(turnedWords(name, "EXIF"));
  let found;
  try {
    found = decode(bytes);
  } catch (error) {
    return refuse(`${name}: cannot be read (${error.message}); the file is damaged; save it again`);
  }
  const { width, height, depth, palette } = found;
  checkSize(name, [1, height, width], 1);
  if (depth < 8 && bytes[28]) refuse(`${name}: is interlaced, of ${depth} bits; save it again without`);
  const data = depth < 8 ? spread(found) : found.data;
  const scale = depth < 8 ? 255 / (2 ** depth - 1) : 1; // as Pillow spreads few bits over 8
  const channels = palette ? resolved(data, palette) : split(data, found.channels, width * height, scale);
  return picture(name, height, width, channels, { kind: "png" });
}

// Grey or colours without transparency.
function split(data, count, size, scale) {
  return Array.from({ length: count < 3 ? 1 : 3 }, (_, channel) => {
    const values = new Float32Array(size);
    for (let i = 0; i < size; i++) values[i] = data[i * count + channel] * scale;
    return values;
  });
}

// Pixels of fewer than 8 bits, one a byte; each row begins with a byte of its own.
function spread({ data, width, height, depth }) {
  const line = Math.ceil((width * depth) / 8);
  return Uint8Array.from({ length: width * height }, (_, i) => {
    const bit = (i % width) * depth;
    const byte = data[Math.floor(i / width) * line + (bit >> 3)];
    return (byte >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
  });
}

// The colours of a palette, black beyond its end as by Pillow; one channel where all of them are grey.
function resolved(data, palette) {
  const grey = palette.every(([red, green, blue]) => red === green && red === blue);
  const colour = (index, channel) => palette[index]?.[channel] ?? 0;
  const values = (channel) => Float32Array.from(data, (index) => colour(index, channel));
  return Array.from({ length: grey ? 1 : 3 }, (_, channel) => values(channel));
}

function chunksOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = new Map();
  for (let place = 8; place + 8 <= bytes.length; ) {
    const length = view.getUint32(place);
    const type = String.fromCharCode(...bytes.subarray(place + 4, place + 8));
    if (!found.has(type)) found.set(type, bytes.subarray(place + 8, place + 8 + length));
    place += 12 + length;
  }
  return found;
}

const turnedWords = (name, where) =>
  `${name}: is stored turned (its ${where} orientation); save it upright, or ${ELSEWHERE}`;
const known = (orientation) => (orientation >= 1 && orientation <= 8 ? orientation : 1);

// EXIF's orientation of the TIFF structure that holds it; null where it says none.
function orientationOf(tiff) {
  if (tiff.length < 8) return null;
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  const little = tiff[0] === 0x49;
  const start = view.getUint32(4, little);
  if (start + 2 > tiff.length) return null;
  for (let n = 0; n < view.getUint16(start, little); n++) {
    const entry = start + 2 + 12 * n;
    if (entry + 12 > tiff.length) return null;
    if (view.getUint16(entry, little) === 274) return view.getUint16(entry + 8, little);
  }
  return null;
}

export async function readJpeg(bytes, name) {
  const count = checkJpeg(bytes, name);
  let bitmap;
  try {
    const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
    bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }), options);
  } catch {
    return refuse(`${name}: the browser cannot read it; the file is damaged; save it again`);
  }
  const { width, height } = bitmap;
  checkSize(name, [1, height, width], count);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const channels = split(data, 4, width * height, 1).slice(0, count);
  return picture(name, height, width, channels, { kind: "png" });
}

// Walks over the segments before the pixels; returns 1 of a grey picture, 3 of one in colour.
function checkJpeg(bytes, name) {
  let count = null;
  let exif = null;
  let xmp = null;
  for (const { marker, data } of segmentsOf(bytes)) {
    if (isFrame(marker)) count ??= data[5];
    if (marker !== 0xe1) continue;
    const text = textOf(data);
    if (text.startsWith("Exif")) exif ??= orientationOf(data.subarray(6));
    else if (text.startsWith(XMP)) xmp = text;
  }
  if (count === null) refuse(`${name}: damaged before its pixels; save it again`);
  if (count !== 1 && count !== 3)
    refuse(`${name}: ${count} colours (CMYK?); expected grey or RGB; save it again`);
  if (known(exif ?? 1) !== 1) refuse(turnedWords(name, "EXIF"));
  const said = /tiff:Orientation(?:="|>)([0-9])/.exec(xmp ?? "");
  // `predict` turns by it where EXIF says nothing, and browsers do not.
  if (exif === null && said && known(Number(said[1])) !== 1) refuse(turnedWords(name, "XMP"));
  return count;
}

const isFrame = (marker) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
const textOf = (data) => new TextDecoder("latin1").decode(data);

// Of a JPEG, to where its pixels begin.
function* segmentsOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let place = 2; place + 10 < bytes.length && bytes[place] === 0xff; ) {
    const marker = bytes[place + 1];
    if (marker === 0xff) { // may fill the space before a segment
      place++;
      continue;
    }
    const end = place + 2 + view.getUint16(place + 2);
    if (marker === 0xda) return;
    yield { marker, data: bytes.subarray(place + 4, end) };
    place = end;
  }
}

// Labels (rows x columns) as PNG: grey of 8 or 16 bits, or the colours that they code. `encode`: of fast-png.
export function pngOf(volume, labels, encode) {
  const [, height, width] = volume.shape;
  const most = labels.reduce((a, b) => Math.max(a, b), 0);
  if (most < 65536) {
    const [data, depth] = most < 256 ? [Uint8Array.from(labels), 8] : [Uint16Array.from(labels), 16];
    return encode({ width, height, data, depth, channels: 1 });
  }
  if (most < COLOUR || most >= COLOUR + 2 ** 24) refuse(`PNG holds labels to 65535, and not ${most}`);
  const data = new Uint8Array(3 * labels.length);
  labels.forEach((label, i) => {
    for (const [n, shift] of [16, 8, 0].entries()) data[3 * i + n] = label >= COLOUR ? (label >>> shift) & 255 : label;
  });
  return encode({ width, height, data, depth: 8, channels: 3 });
}
