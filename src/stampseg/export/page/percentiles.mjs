// Exact percentiles of many values without sorting them: two passes over the halves of their bits.

// Numbers that are ordered as the float32 values are.
function keysOf(values) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return (index) => (bits[index] ^ (bits[index] >>> 31 ? 0xffffffff : 0x80000000)) >>> 0;
}

function valueOf(key) {
  const bits = new Uint32Array([key >>> 31 ? key ^ 0x80000000 : ~key]);
  return new Float32Array(bits.buffer)[0];
}

// Where the value of a rank is in a histogram: its bin and its rank within it.
function find(counts, rank) {
  let bin = 0;
  for (; rank >= counts[bin]; bin++) rank -= counts[bin];
  return [bin, rank];
}

function histogram(count, key, upper) {
  const counts = new Uint32Array(65536);
  for (let i = 0; i < count; i++) {
    const value = key(i);
    if (upper === null) counts[value >>> 16]++;
    else if (value >>> 16 === upper) counts[value & 0xffff]++;
  }
  return counts;
}

// The percentile q of float32 values, linear between the two nearest.
export function percentilesOf(values, shares) {
  const key = keysOf(values);
  const upper = histogram(values.length, key, null);
  const lower = new Map();
  const ranked = (rank) => {
    const [bin, rest] = find(upper, rank);
    if (!lower.has(bin)) lower.set(bin, histogram(values.length, key, bin));
    const [low] = find(lower.get(bin), rest);
    return valueOf(bin * 65536 + low);
  };
  return shares.map((share) => {
    const place = (share / 100) * (values.length - 1);
    const first = Math.floor(place);
    const [low, high] = [ranked(first), ranked(Math.min(first + 1, values.length - 1))];
    const apart = Math.fround(high - low);
    return place - first >= 0.5 ? high - apart * (1 - (place - first)) : low + apart * (place - first);
  });
}
