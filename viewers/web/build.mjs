// Writes package data for the page: the script of others, their engine, their licences. Run by `make web`.
import { build } from "esbuild";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = here("../../src/stampseg/export/page/vendor/");
const engine = here("node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm");

const { metafile, outputFiles } = await build({
  entryPoints: [here("vendor.mjs")],
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  platform: "browser",
  format: "iife",
  globalName: "vendor",
  define: { "import.meta.url": "self.location.href" },
  legalComments: "none", // their licences are written whole, below
  logLevel: "warning",
});

// Names of the packages that are in the script.
const packages = [...new Set(Object.keys(metafile.inputs).flatMap((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []))];

// ONNX Runtime Web ships its licence in its repository only; MIT, as its package.json says.
const MIT = (owner) => `MIT License

Copyright (c) ${owner}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;
const OWNERS = { "onnxruntime-web": "Microsoft Corporation", "onnxruntime-common": "Microsoft Corporation" };

function licenceOf(name) {
  const folder = here(`node_modules/${name}/`);
  const { version, license } = JSON.parse(readFileSync(`${folder}package.json`, "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file && !(license === "MIT" && OWNERS[name])) throw new Error(`${name}: no licence found; look at it before it is shipped`);
  const text = file ? readFileSync(`${folder}${file}`, "utf8") : MIT(OWNERS[name]);
  return `${name} ${version} (${license})\n\n${text.trim()}`;
}

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
writeFileSync(`${target}vendor.js.gz`, gzipSync(outputFiles[0].contents, { level: 9 }));
writeFileSync(`${target}engine.wasm.gz`, gzipSync(readFileSync(engine), { level: 9 }));
// What is compiled into the engine beside ONNX Runtime's own code.
const within = "ONNX Runtime's engine holds code of others, named in its ThirdPartyNotices.txt: https://github.com/microsoft/onnxruntime/blob/main/ThirdPartyNotices.txt";

writeFileSync(`${target}licences.txt`, `${within}\n\n${"-".repeat(72)}\n\n${packages.sort().map(licenceOf).join(`\n\n${"-".repeat(72)}\n\n`)}\n`);
console.log(`written to src/stampseg/export/page/vendor: ${packages.join(", ")}`);
