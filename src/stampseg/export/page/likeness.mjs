// In what an image is unlike the training scans: voxel size, extent and, of CT, values; else what it looks like.
import { turnTo } from "./affine.mjs";
import { strange } from "./appearance.mjs";
import { percentilesOf } from "./percentiles.mjs";
import { oriented, turnOf } from "./prepare.mjs";
import { eachVoxel, sizeOf, turned, wholeView } from "./view.mjs";
import { digits, rangeText, sizeText } from "./words.mjs";

const SAMPLES = 25000; // values that percentiles are taken of, at most
const FACTOR = 1.6; // beyond the training scans' range
const VALUE_SHARE = 0.25; // of the training scans' whole range of values, that others may lie beyond it
const MOST_LOW = 500; // Hounsfield units that the lowest values may lie beyond it
const MOST_VALUES = 16; // of an image that looks like a label
const NOTHING = -1024; // Hounsfield units below which there is no matter, only padding

export function remarks(volume, plan) {
  const known = plan.scans;
  if (!known) return [];
  const real = plan.spatial_dims === 3 ? [0, 1, 2] : [1, 2];
  const turn = turnOf(volume, plan);
  const [spacing, shape] = [volume.spacing, volume.shape].map((values) => oriented(values, turn));
  const [sizes, extent] = [real.map((a) => spacing[a]), real.map((a) => spacing[a] * shape[a])];
  const [unit, noun] = volume.isPicture ? ["px", "pixel"] : ["mm", "voxel"];
  const [[first]] = volume.channels;
  const found = [];
  if (volume.channels.every((values) => values.every((value) => value === first)))
    found.push(`every ${noun} has the value ${digits(first, 6)}`);
  else found.push(...asOfALabel(volume, plan));
  if (beyond(sizes, known.spacing)) found.push(`${noun}s of ${sizeText(sizes)} ${unit} (trained on ${inWords(known.spacing)})`);
  if (beyond(extent, known.extent))
    found.push(`${sizeText(extent)} ${unit} in extent (trained on ${inWords(known.extent)})`);
  const isCt = plan.normalizations.includes("ct");
  if (isCt && known.values.length) found.push(...unusualValues(volume, known.values));
  if (found.length || !known.appearance) return found; // which say the same in other words
  return strange(uprightOf(volume, real), known.appearance, !isCt);
}

// An image of no more values than labels have, whole ones, where training scans had others.
function asOfALabel({ channels }, plan) {
  const [seen, most] = [new Set(), Math.min(plan.label_values.length, MOST_VALUES)];
  for (const values of channels)
    for (const value of values) if (seen.add(value).size > most) return [];
  const usual = plan.scans.values.flat();
  if ([...seen].some((value) => value % 1 !== 0) || usual.every((value) => seen.has(value))) return [];
  const values = [...seen].sort((a, b) => a - b).map((value) => digits(value, 6));
  return [`only the values ${values.join(", ")}, as a mask has: is it a label in place of a scan?`];
}

// Along the axes that training scans are measured on.
function uprightOf(volume, real) {
  const turn = volume.affine ? turnTo(volume.affine, "RAS") : [[0, 1], [1, 1], [2, 1]];
  const view = turned(wholeView(volume.shape, volume.strides), turn);
  return { channels: volume.channels, view, spacing: oriented(volume.spacing, turn), real };
}

function unusualValues(volume, known) {
  const seen = sampled(volume);
  const [least, most] = [known[0][0], known[2][1]];
  const room = VALUE_SHARE * (most - least);
  const rooms = [Math.min(room, MOST_LOW), room, room];
  const usual = seen.every((value, n) => value >= known[n][0] - rooms[n] && value <= known[n][1] + rooms[n]);
  if (usual) return [];
  const [low, middle, high] = seen;
  return [
    `values of ${rangeText(low, high)}, middle ${digits(middle, 4)} (trained on ${rangeText(least, most)}, middle ` +
      `${rangeText(...known[1])})`,
  ];
}

// Values at even steps, the last axis of the file fastest.
function sampled({ channels, shape, strides }) {
  const size = sizeOf(shape);
  const step = Math.ceil((size * channels.length) / SAMPLES);
  const sample = [];
  channels.forEach((values, channel) =>
    eachVoxel(wholeView(shape, strides), (place, number) => {
      if ((channel * size + number) % step === 0) sample.push(values[place]);
    }),
  );
  const seen = sample.filter((value) => value >= NOTHING);
  return percentilesOf(new Float32Array(seen.length ? seen : sample), [1, 50, 99]);
}

function beyond(sizes, ranges) {
  return sizes.some((size, axis) => !(size >= ranges[axis][0] / FACTOR && size <= ranges[axis][1] * FACTOR));
}

function inWords(ranges) {
  const [low, high] = [0, 1].map((end) => sizeText(ranges.map((range) => range[end])));
  return low === high ? low : `${low} to ${high}`;
}
