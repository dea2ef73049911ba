// The worker with its engine, started when there is something to segment.
import { bytesOf, textOf } from "./embedded.mjs";

const MOST_THREADS = 4; // of a small network more would wait for each other

// A worker whose engine runs, or that has said why it does not. `handlers`: of the kinds of its messages.
export async function startedWorker(about, handlers) {
  const [vendor, wasm, network] = await Promise.all(["vendor", "wasm", "network"].map(bytesOf));
  const url = URL.createObjectURL(new Blob([vendor, "\n", textOf("worker")], { type: "text/javascript" }));
  const start = { kind: "start", wasm, network, about };
  const threads = threadsHere();
  const several = threads > 1 ? await begun(url, { ...start, threads }, handlers, false) : null;
  return several ?? begun(url, { ...start, threads: 1 }, handlers, true);
}

// Browsers give several threads only to a page that a server isolates by its headers, and to no file.
function threadsHere() {
  return globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
}

// The worker; null where it does not start and is not the last that is tried.
function begun(url, start, handlers, isLast) {
  return new Promise((resolve) => {
    const made = new Worker(url);
    const failed = (error) => {
      if (isLast) handlers.error(error);
      else made.terminate();
      resolve(isLast ? made : null);
    };
    const broken = (event) => ({ words: `the page's own program failed: ${event.message}` });
    made.onerror = (event) => failed(broken(event));
    made.onmessage = ({ data }) => {
      if (data.kind !== "ready") return failed(data);
      made.onerror = (event) => handlers.error(broken(event));
      made.onmessage = (event) => handlers[event.data.kind](event.data);
      handlers.ready(data);
      resolve(made);
    };
    made.postMessage(start);
  });
}
