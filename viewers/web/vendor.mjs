// What the page's worker uses of others, as one script: the global `vendor`.
export * as ort from "onnxruntime-web/wasm";
export { default as dicom } from "dicom-parser";
export { decode as decodePng, encode as encodePng } from "fast-png";
