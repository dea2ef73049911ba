// The worker: reads what was dropped, segments it, and writes the mask. It talks by messages with the page.
import { readFiles, maskName } from "./files.mjs";
import { packed } from "./gzip.mjs";
import { niftiOf } from "./nifti.mjs";
import { pngOf } from "./picture.mjs";
import { liftedPlan } from "./plan.mjs";
import { turnTo } from "./affine.mjs";
import { refuse, Refusal } from "./refusal.mjs";
import { segment } from "./segment.mjs";

const { ort, dicom, decodePng, encodePng } = vendor; // of others: the script before this one
const readers = { parseDicom: (bytes) => dicom.parseDicom(bytes), decodePng };
const PATIENCE = 30000; // ms for the engine's threads to start; then it is tried without them
const state = {};

const handlers = {
  async start({ wasm, network, about, threads }) {
    state.plan = liftedPlan(about.plan);
    state.postprocess = about.postprocess;
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.numThreads = threads;
    if (threads > 1) ort.env.wasm.initTimeout = PATIENCE;
    state.session = await ort.InferenceSession.create(network, { executionProviders: ["wasm"] });
    postMessage({ kind: "ready", threads: ort.env.wasm.numThreads }); // the engine takes what it was given down to 1
  },

  async segment({ files, confidence }) {
    if (!state.session) refuse("the engine cannot be started in this browser; try another, or use `stampseg predict`");
    const start = performance.now();
    state.found = null;
    const volume = await readFiles(files, readers);
    postMessage({ kind: "scan", scan: shownOf(volume) });
    const progress = paced((done, total) => postMessage({ kind: "progress", done, total }));
    const found = await segment(volume, state, scorerOf(state), { confidence, onWindow: progress });
    state.found = { volume, labels: withValues(found.mask, state.plan.label_values) };
    const { mask, doubt, dropped, remarks, flags, labels } = found;
    const seconds = (performance.now() - start) / 1000;
    postMessage({ kind: "mask", mask, doubt, dropped, remarks, flags, labels, seconds, notes: volume.notes });
  },

  async download() {
    const { volume, labels } = state.found;
    const bytes = volume.isPicture ? pngOf(volume, labels, encodePng) : await packed(niftiOf(volume, labels));
    postMessage({ kind: "file", name: maskName(volume), bytes });
  },
};

// A window (channels x patch) -> logits (classes x patch).
function scorerOf({ session, plan }) {
  const size = plan.patch_size.slice(3 - plan.spatial_dims);
  const expected = [1, plan.classes, ...size].join(" x ");
  return async (window) => {
    const { scores } = await session.run({ image: new ort.Tensor("float32", window, [1, plan.in_channels, ...size]) });
    const found = scores.dims.join(" x ");
    if (found !== expected) throw new Error(`the network gives scores of ${found}, its plan needs ${expected}`);
    const values = Float32Array.from(scores.data);
    scores.dispose();
    return values;
  };
}

// Tells at most ten times a second.
function paced(tell) {
  let last = 0;
  return (done, total) => {
    const now = performance.now();
    if (now - last < 100 && done < total) return;
    last = now;
    tell(done, total);
  };
}

// What the page draws: the channels, and how the axes turn to right, front and head.
function shownOf({ name, shape, strides, spacing, affine, channels, isPicture, isPlaced }) {
  const turn = affine ? turnTo(affine, "RAS") : [[0, 1], [1, 1], [2, 1]];
  const shown = isPicture ? channels : channels.slice(0, 1);
  return { name, shape, strides, spacing, channels: shown, isPicture, turn, affine: isPlaced ? affine : null };
}

// Class indices -> the values that the training masks had.
function withValues(mask, values) {
  const most = Math.max(...values);
  // Codes of colours have more bits than whole numbers of four bytes.
  const kind = most < 256 ? Uint8Array : most < 65536 ? Uint16Array : most < 2 ** 32 ? Uint32Array : Float64Array;
  return kind.from(mask, (value) => values[value]);
}

function wordsOf(error) {
  if (error instanceof Refusal) return error.message;
  if (error instanceof RangeError) return "the browser has not enough memory for this scan; use `stampseg predict`";
  return `something went wrong: ${error.message ?? error}; reload the page, or use \`stampseg predict\``;
}

// One message after the other, in their order.
function listen() {
  let last = Promise.resolve();
  onmessage = ({ data }) => {
    last = last.then(() => handlers[data.kind](data)).catch((error) => postMessage({ kind: "error", of: data.kind, words: wordsOf(error) }));
  };
}

// The engine starts its threads from the script that it is in, which is this one, and speaks with them itself.
if (!self.name.startsWith("em-pthread")) listen();
