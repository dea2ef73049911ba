// Packing by the browser's own streams.
import { refuse } from "./refusal.mjs";

async function through(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

const ENDING = 9; // zeros with which a member may end by itself: sum and length, and a byte where it is empty

export async function unpacked(bytes, name) {
  const found = (await memberOf(bytes)) ?? (await membersOf(bytes));
  return found ?? refuse(`${name}: its gzip stream is damaged; copy the file again`);
}

// One member, or null: browsers take nothing behind its end.
async function memberOf(bytes) {
  try {
    return await through(bytes, new DecompressionStream("gzip"));
  } catch {
    return null;
  }
}

// Several members, each of which may be followed by zeros; null where they do not join without a gap. The
// length and the sum that end a member say whether it was cut where it ends.
async function membersOf(bytes) {
  const parts = [];
  const starts = [...startsIn(bytes), bytes.length];
  let start = 0;
  for (const end of starts) {
    const part = await paddedMember(bytes.subarray(start, end));
    if (!part) continue; // a start by chance, within packed bytes
    parts.push(part);
    start = end;
  }
  if (start < bytes.length) return null;
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

// Where a member may begin, but for the first.
function startsIn(bytes) {
  const starts = [];
  for (let at = bytes.indexOf(0x1f, 1); at > 0; at = bytes.indexOf(0x1f, at + 1))
    if (bytes[at + 1] === 0x8b && bytes[at + 2] === 8 && bytes[at + 3] < 32) starts.push(at);
  return starts;
}

// A member, with zeros behind it or without; it may end with some itself.
async function paddedMember(bytes) {
  let last = bytes.length;
  while (last && bytes[last - 1] === 0) last--;
  const most = Math.min(last + ENDING, bytes.length);
  for (let end = last; end <= most; end++) {
    const found = await memberOf(bytes.subarray(0, end));
    if (found) return found;
  }
  return null;
}

export function packed(bytes) {
  return through(bytes, new CompressionStream("gzip"));
}

export function isPacked(bytes) {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}
