// What was dropped -> one scan in memory.
import { isDicom, readDicom } from "./dicom.mjs";
import { isPacked, unpacked } from "./gzip.mjs";
import { readNifti } from "./nifti.mjs";
import { readNrrd } from "./nrrd.mjs";
import { isJpeg, isPng, readJpeg, readPng } from "./picture.mjs";
import { refuse } from "./refusal.mjs";

const KINDS = "NIfTI (.nii, .nii.gz), NRRD, a DICOM series, PNG or JPEG";

// `files`: {name, bytes}; `readers`: {parseDicom, decodePng} of the packages that read those.
export async function readFiles(files, readers) {
  const real = files.filter(({ name }) => !/^(\.|DICOMDIR$|Thumbs\.db$)/.test(name));
  if (!real.length) refuse(`nothing to read; expected ${KINDS}`);
  if (real.some(isDicom)) return readDicom(real, readers.parseDicom);
  if (real.length > 1) refuse(`${real.length} files; expected one scan: ${KINDS}; drop one at a time`);
  return readOne(real[0], readers);
}

async function readOne({ name, bytes }, readers) {
  if (isPng(bytes)) return readPng(bytes, name, readers.decodePng);
  if (isJpeg(bytes)) return readJpeg(bytes, name);
  if (/\.nii(\.gz)?$/i.test(name)) return readNifti(isPacked(bytes) ? await unpacked(bytes, name) : bytes, name);
  if (/\.nrrd$/i.test(name)) return readNrrd(bytes, name);
  return refuse(`${name}: not a kind of file that this page reads; expected ${KINDS}`);
}

// `scan.nii.gz` -> `scan_mask.nii.gz`, `photo.jpg` -> `photo_mask.png`.
export function maskName(volume) {
  const stem = volume.name.replace(/\.(nii(\.gz)?|nrrd|png|jpe?g|dcm)$/i, "").replace(/\s+/g, "_");
  return `${stem}_mask.${volume.isPicture ? "png" : "nii.gz"}`;
}
