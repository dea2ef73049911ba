// Packing by the browser's own streams.
import { refuse } from "./refusal.mjs";

async function through(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

export async function unpacked(bytes, name) {
  try {
    return await through(bytes, new DecompressionStream("gzip"));
  } catch {
    return refuse(`${name}: its gzip stream is damaged; copy the file again`);
  }
}

export function packed(bytes) {
  return through(bytes, new CompressionStream("gzip"));
}

export function isPacked(bytes) {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}
