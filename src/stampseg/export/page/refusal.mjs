// What cannot be segmented, in words for the person who dropped it.
export class Refusal extends Error {}

export const ELSEWHERE = "segment it with `stampseg predict`, or save it as .nii.gz";

export function refuse(words) {
  throw new Refusal(words);
}
