// The page: what is dropped goes to a worker, what the worker finds is shown.
import { gradient, LEAST_DOUBT, mostDoubt } from "./doubt.mjs";
import { droppedFiles, readAll } from "./dropping.mjs";
import { textOf } from "./embedded.mjs";
import { startedWorker } from "./engine.mjs";
import { structuresOf } from "./regions.mjs";
import { Viewer } from "./viewer.mjs";
import { counted, digits, percent } from "./words.mjs";

// Of classes in turn: told apart by people who see colours differently as well.
const COLOURS = [[230, 97, 1], [0, 158, 230], [0, 170, 110], [230, 190, 0], [204, 95, 160], [120, 90, 230], [150, 220, 70], [200, 30, 60]];

const about = JSON.parse(textOf("about"));
const find = (id) => document.getElementById(id);
const colourOf = (value) => COLOURS[(value - 1) % COLOURS.length];
const colours = about.plan.label_names.map((_, value) => (value ? colourOf(value) : [0, 0, 0]));
const viewer = new Viewer(find("panes"), colours, showPlace);
// A calibration of an older measure is good for nothing: the form then hides the tick and what belongs to it.
const expectsDice = !find("confidence").closest("[hidden]");
const isPicture = about.plan.spatial_dims === 2;
let worker = null;
let running = false;
let turn = 0; // counts what was dropped: only the last is segmented

const handlers = {
  ready({ threads }) {
    const how = ": browsers give a page more only where a server sends it with the headers COOP and COEP";
    find("threads").textContent = `The engine runs on ${counted(threads, "thread")}${crossOriginIsolated ? "" : how}.`;
  },

  scan({ scan }) {
    find("result").hidden = false;
    viewer.show(scan);
    showTools();
    say(`${scan.name}: segmenting`);
  },

  progress({ done, total }) {
    find("progress").value = done / total;
    find("progress").textContent = `${done} of ${total}`;
  },

  mask({ mask, doubt, labels, seconds, dropped, remarks, flags, notes }) {
    setRunning(false);
    viewer.setMask(mask, doubt);
    find("doubts").hidden = !doubt;
    showLabels(labels);
    const [volume] = [viewer.scan];
    const found = labels.some((label) => label.voxels);
    say(`${volume.name}: segmented in ${digits(seconds, 2)} s${found ? "" : "; nothing was found: the mask is empty"}`);
    const strays = `${counted(dropped, "stray piece")} left out`;
    const isTold = !dropped || flags.some((words) => words.startsWith(strays));
    const holds = labels.some(({ expected }) => expected) ? "; an expected Dice holds of images like those alone" : "";
    const told = [
      ...notes,
      ...(isTold ? [] : [strays]),
      ...(remarks.length ? [`this image is unlike those the model was trained on: ${remarks.join("; ")}${holds}`] : []),
      ...(flags.length ? [`this mask is unlike the training labels: ${flags.join("; ")}`] : []),
    ];
    find("remarks").replaceChildren(...told.map((words) => element("li", words)));
    find("download").disabled = false;
  },

  file({ name, bytes }) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes]));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  },

  error({ words, of }) {
    setRunning(false);
    if (of !== "download") clear(); // a scan that is refused was shown when it had been read
    say(words, true);
  },
};

function element(kind, words = "") {
  const made = document.createElement(kind);
  made.textContent = words;
  return made;
}

function say(words, isError = false) {
  find("status").textContent = words;
  find("status").classList.toggle("error", isError);
}

function setRunning(value) {
  running = value;
  find("progress").hidden = !value;
  find("stop").hidden = !value;
  find("progress").value = 0;
}

// A worker that is busy is ended: there is no other way to stop it.
async function take(reading) {
  stop();
  clear();
  setRunning(true);
  say("reading");
  const own = turn;
  try {
    const files = await reading;
    if (own !== turn) return;
    worker ??= startedWorker(about, handlers);
    const confidence = expectsDice && find("confidence").checked;
    (await worker).postMessage({ kind: "segment", files, confidence });
  } catch (error) {
    if (own === turn) handlers.error({ words: `the files cannot be read: ${error.message}` });
  }
}

function stop() {
  turn++;
  if (running && worker) worker.then((made) => made.terminate());
  if (running) worker = null;
  setRunning(false);
}

function clear() {
  find("result").hidden = true;
  find("download").disabled = true;
  find("doubts").hidden = true;
  find("labels").replaceChildren();
  find("remarks").replaceChildren();
}

function showPlace({ words, value, label }) {
  const what = about.plan.in_channels > 1 ? "value of the first channel" : "value";
  find("place").textContent = [
    `At the crosshair: ${words ?? "the file does not say where it lies, nor which side is left"}`,
    `${what} ${digits(value, 4)}`,
    ...(label === null ? [] : [structuresOf(about.plan).find(({ written }) => written === label)?.name ?? "no label"]),
  ].join("; ");
}

function showLabels(labels) {
  find("labels").replaceChildren(...labels.map(labelRow));
  find("expected-note").hidden = !labels.some(({ words }) => words);
}

function labelRow({ name, value, voxels, size, words }) {
  const row = element("tr");
  const box = Object.assign(element("input"), { type: "checkbox", checked: true });
  box.addEventListener("change", () => {
    viewer.hidden[box.checked ? "delete" : "add"](value);
    viewer.draw();
  });
  const swatch = element("i");
  swatch.className = "swatch";
  swatch.style.background = `rgb(${colourOf(value).join(" ")})`;
  const label = element("label");
  label.append(box, swatch, element("span", name));
  const head = element("th");
  head.scope = "row";
  head.append(label);
  const amount = isPicture ? `${voxels.toLocaleString("en")} px` : `${(size / 1000).toFixed(size < 10000 ? 3 : 1)} ml`;
  row.append(head, element("td", amount));
  if (expectsDice) row.append(element("td", words ?? "not known"));
  return row;
}

// Sliders of darkest and brightest value, over the range of what is shown.
function showTools() {
  const [low, high] = viewer.window;
  for (const [n, id] of ["darkest", "brightest"].entries()) {
    const slider = find(id);
    const [least, most] = [low - (high - low) / 2, high + (high - low) / 2];
    Object.assign(slider, { min: least, max: most, step: (high - low) / 200, value: viewer.window[n] });
  }
}

function setWindow() {
  const [low, high] = ["darkest", "brightest"].map((id) => Number(find(id).value));
  viewer.window = [low, Math.max(high, low + (Number(find("darkest").step) || 1))];
  viewer.draw();
}

function listenToDrops() {
  const zone = document.body;
  const over = (value) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", value);
  };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    take(droppedFiles(event.dataTransfer));
  });
}

function listenToButtons() {
  for (const id of ["files", "folder"]) {
    find(id).addEventListener("change", () => {
      const chosen = [...find(id).files];
      find(id).value = "";
      if (chosen.length) take(readAll(chosen));
    });
    find(`choose-${id}`).addEventListener("click", () => find(id).click());
  }
  find("stop").addEventListener("click", () => {
    stop();
    say("stopped");
  });
  find("download").addEventListener("click", async () => (await worker).postMessage({ kind: "download" }));
  find("opacity").addEventListener("input", () => {
    viewer.opacity = Number(find("opacity").value) / 100;
    viewer.draw();
  });
  for (const id of ["darkest", "brightest"]) find(id).addEventListener("input", setWindow);
  listenToDoubt();
}

function listenToDoubt() {
  if (!expectsDice) find("confidence").checked = false;
  find("scale").style.background = gradient();
  find("least-doubt").textContent = percent(LEAST_DOUBT);
  find("most-doubt").textContent = percent(mostDoubt(about.plan.label_values.length));
  const show = () => {
    viewer.showsDoubt = find("doubt").checked;
    find("legend").hidden = !viewer.showsDoubt;
    viewer.draw();
  };
  find("doubt").addEventListener("change", show);
  show(); // browsers keep ticks when a page is loaded anew
}

// Without what it needs the page says so, and takes nothing.
function isAble() {
  const able = [globalThis.WebAssembly, globalThis.Worker, globalThis.DecompressionStream].every(Boolean);
  if (!able) say("this browser is too old for this page; it needs Chrome or Edge 103, Firefox 113, Safari 16.4, or newer", true);
  return able;
}

if (isAble()) {
  listenToDrops();
  listenToButtons();
}
