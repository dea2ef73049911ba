// Intensities of a case in the network's units, as the plan says.
import { percentilesOf } from "./percentiles.mjs";
import { filledHoles } from "./pieces.mjs";

const LEAST = 1e-8; // a deviation or range below it counts as this

// Channels (Float32Array each, of `shape`) are changed in place.
export function normalise(channels, shape, plan, isPicture) {
  const inside = plan.normalizations.includes("mean-std-mask") ? filledMask(channels, shape, isPicture) : null;
  channels.forEach((values, channel) => {
    const scheme = plan.normalizations[channel];
    if (scheme === "ct") windowed(values, plan.ct[channel]);
    else if (scheme === "mean-std") standardise(values, null);
    else if (scheme === "mean-std-mask") standardise(values, inside);
    else if (scheme === "mean-std-nonzero") standardise(values, values.map((value) => (value !== 0 ? 1 : 0)));
    else if (scheme === "min-max") spread(values);
    else zscore(values);
  });
}

// Voxels that are not 0 in every channel, with the holes among them.
function filledMask(channels, shape, isPicture) {
  const filled = new Uint8Array(channels[0].length);
  for (const values of channels) for (let i = 0; i < values.length; i++) if (values[i] !== 0) filled[i] = 1;
  return filledHoles(filled, shape, isPicture ? [0] : []);
}

function windowed(values, window) {
  scale(values, window.low, window.high, window.mean, Math.max(window.std, LEAST));
}

function spread(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  scale(values, low, high, low, Math.max(high - low, LEAST));
}

// Mean 0 and deviation 1 of the values inside, the others as they are.
function standardise(values, inside) {
  const chosen = inside === null ? values : values.filter((_, i) => inside[i]);
  if (!chosen.length) return;
  scale(chosen, -Infinity, Infinity, ...moments(chosen, -Infinity, Infinity));
  if (inside === null) return;
  let next = 0;
  for (let i = 0; i < values.length; i++) if (inside[i]) values[i] = chosen[next++];
}

function zscore(values) {
  let [low, high] = percentilesOf(values, [0.5, 99.5]);
  if (high <= low) { // next to all has one value, as around a few bright spots
    for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  const [mean, deviation] = moments(values, low, high);
  scale(values, low - (high - low), high + (high - low), mean, deviation);
}

// Mean and deviation of the values limited to low and high.
function moments(values, low, high) {
  const [least, most] = [Math.fround(low), Math.fround(high)];
  const limited = (value) => Math.min(Math.max(value, least), most);
  let [total, square] = [0, 0];
  for (let i = 0; i < values.length; i++) total += limited(values[i]);
  const mean = total / values.length;
  for (let i = 0; i < values.length; i++) square += (limited(values[i]) - mean) ** 2;
  return [mean, Math.max(Math.sqrt(square / values.length), LEAST)];
}

// (values limited to low and high, minus centre) / unit, each step in float32.
function scale(values, low, high, centre, unit) {
  const [least, most, middle, one] = [low, high, centre, unit].map(Math.fround);
  for (let i = 0; i < values.length; i++)
    values[i] = Math.fround(Math.min(Math.max(values[i], least), most) - middle) / one;
}
