// In what an image is unlike the training scans: voxel size, extent and, of CT, values. What it looks like
// (turned, zoomed, offset) only `stampseg predict` sees.
import { percentilesOf } from "./percentiles.mjs";
import { oriented, turnOf } from "./prepare.mjs";
import { digits, sizeText } from "./words.mjs";

const SAMPLES = 100000; // values that percentiles are taken of, at most
const FACTOR = 1.6; // beyond the training scans' range
const VALUE_SHARE = 0.25; // of the training scans' whole range of values, that others may lie beyond it
const MOST_LOW = 500; // Hounsfield units that the lowest values may lie beyond it
const NOTHING = -1024; // Hounsfield units below which there is no matter, only padding

export function remarks(volume, plan) {
  const known = plan.scans;
  if (!known) return [];
  const real = plan.spatial_dims === 3 ? [0, 1, 2] : [1, 2];
  const turn = turnOf(volume, plan);
  const [spacing, shape] = [volume.spacing, volume.shape].map((values) => oriented(values, turn));
  const [sizes, extent] = [real.map((a) => spacing[a]), real.map((a) => spacing[a] * shape[a])];
  const [unit, noun] = volume.isPicture ? ["px", "pixel"] : ["mm", "voxel"];
  const found = [];
  if (volume.channels.every((values) => values.every((value) => value === volume.channels[0][0])))
    found.push(`every ${noun} has the value ${volume.channels[0][0]}`);
  if (beyond(sizes, known.spacing)) found.push(`${noun}s of ${sizeText(sizes)} ${unit} (trained on ${inWords(known.spacing)})`);
  if (beyond(extent, known.extent))
    found.push(`${sizeText(extent)} ${unit} in extent (trained on ${inWords(known.extent)})`);
  if (plan.normalizations.includes("ct") && known.values.length) found.push(...unusualValues(volume, known.values));
  return found;
}

function unusualValues(volume, known) {
  const seen = sampled(volume);
  const [least, most] = [known[0][0], known[2][1]];
  const room = VALUE_SHARE * (most - least);
  const rooms = [Math.min(room, MOST_LOW), room, room];
  const usual = seen.every((value, n) => value >= known[n][0] - rooms[n] && value <= known[n][1] + room);
  if (usual) return [];
  const [low, middle, high] = seen.map((value) => digits(value, 4));
  return [
    `values of ${low} to ${high}, middle ${middle} (trained on ${digits(least, 4)} to ${digits(most, 4)}, middle ` +
      `${digits(known[1][0], 4)} to ${digits(known[1][1], 4)})`,
  ];
}

function sampled(volume) {
  const size = volume.channels[0].length;
  const step = Math.ceil((size * volume.channels.length) / SAMPLES);
  const sample = [];
  for (let i = 0; i < size * volume.channels.length; i += step) sample.push(volume.channels[Math.floor(i / size)][i % size]);
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
