// The page's modules in Node, without a browser: a case in JSON, what they make of it as JSON.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, input, output] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${folder}/${name}.mjs`));
const bytesOf = (path) => new Uint8Array(readFileSync(path));

// Logits of each class from the values of a window, as `scores` of test_page_modules.py has them.
function scorerOf({ plan, weights }) {
  const count = plan.patch_size.reduce((product, n) => product * n, 1);
  return async (window) => {
    const scores = new Float32Array(plan.classes * count);
    for (let k = 0; k < plan.classes; k++)
      for (let i = 0; i < count; i++) {
        let sum = weights[k].bias;
        for (let c = 0; c < plan.in_channels; c++) sum += weights[k].channels[c] * window[c * count + i];
        scores[k * count + i] = sum + weights[k].wave * Math.sin(i / 7);
      }
    return scores;
  };
}

async function madeOf({ files, shape, affine }) {
  const { scan, picture } = await load("volume");
  const channels = files.map((file) => new Float32Array(bytesOf(file).buffer));
  return affine ? scan("case", shape, affine, channels, {}) : picture("case", ...shape, channels, {});
}

const jobs = {
  async segment({ plan, postprocess, weights, volume, confidence }) {
    const { liftedPlan } = await load("plan");
    const { segment } = await load("segment");
    const lifted = liftedPlan(plan);
    const model = { plan: lifted, postprocess };
    const found = await segment(await madeOf(volume), model, scorerOf({ plan: lifted, weights }), { confidence });
    return { ...found, mask: [...found.mask], doubt: found.doubt && [...found.doubt] };
  },

  async remarks({ plan, volume }) {
    const { liftedPlan } = await load("plan");
    const { remarks } = await load("likeness");
    return remarks(await madeOf(volume), liftedPlan(plan));
  },

  async scale({ count }) {
    const { colourOf } = await load("doubt");
    return Array.from({ length: count }, (_, n) => colourOf(n / (count - 1)));
  },

  async words({ numbers, shares }) {
    const { digits, percent } = await load("words");
    return { digits: numbers.map((n) => [3, 4, 6].map((count) => digits(n, count))), percent: shares.map(percent) };
  },

  // A file as it is read; of volumes also a mask of it, written.
  async read({ files, mask }) {
    const { readFiles } = await load("files");
    const { niftiOf } = await load("nifti");
    const readers = JSON.parse(process.env.PACKAGES ?? "{}");
    const decode = readers.png && (await import(pathToFileURL(readers.png))).decode;
    const parse = readers.dicom && (await import(pathToFileURL(readers.dicom))).default.parseDicom;
    const given = files.map((file) => ({ name: file.split("/").pop(), bytes: bytesOf(file) }));
    const volume = await readFiles(given, { parseDicom: parse, decodePng: decode });
    if (mask) writeFileSync(mask, niftiOf(volume, Uint8Array.from(volume.channels[0], (value) => (value > 0 ? 1 : 0))));
    const { shape, spacing, affine, channels, notes } = volume;
    return { shape, spacing, affine, notes, channels: channels.map((values) => [...values]) };
  },

  async percentiles({ values, shares }) {
    const { percentilesOf } = await load("percentiles");
    return percentilesOf(new Float32Array(values), shares);
  },

  // A folder within a folder, as a browser gives what is dropped: its entries in parts.
  async drop({ files }) {
    const { droppedFiles } = await load("dropping");
    const file = (name) => ({ isFile: true, file: (found) => found(new File([name], name)) });
    const folder = (entries) => ({
      createReader: () => ({ readEntries: (found) => found(entries.splice(0, 2)) }),
    });
    const inner = folder(files.slice(1).map(file));
    const items = [{ webkitGetAsEntry: () => folder([file(files[0]), inner]) }];
    return (await droppedFiles({ items, files: [] })).map(({ name, bytes }) => [name, bytes.length]);
  },

  async turn({ affines, code }) {
    const { turnTo } = await load("affine");
    return affines.map((affine) => turnTo(affine, code));
  },
};

async function done({ job, ...given }) {
  try {
    return { result: await jobs[job](given) };
  } catch (error) {
    if (error.constructor.name !== "Refusal") throw error;
    return { refused: error.message };
  }
}

const cases = JSON.parse(readFileSync(input, "utf8"));
const results = [];
for (const one of cases) results.push(await done(one));
writeFileSync(output, JSON.stringify(results));
