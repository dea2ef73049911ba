// Class scores back onto the case's own grid, row by row as they become final.
import { applyMap, lowPassMap } from "./resampling.mjs";
import { boxed, turned, wholeView } from "./view.mjs";
import { roundHalfEven } from "./words.mjs";

// Fills a mask, and margins where they are asked for, that lie in memory as the source does.
// Margins tell of each voxel by how much its score is above that of the background, from 0 to 255.
export class Restorer {
  constructor(volume, geometry, classes, axis, withMargins) {
    const size = volume.shape[0] * volume.shape[1] * volume.shape[2];
    this.mask = classes > 256 ? new Uint16Array(size) : new Uint8Array(size);
    this.margins = withMargins ? new Uint8Array(size) : null;
    this.classes = classes;
    this.order = [axis, ...[0, 1, 2].filter((other) => other !== axis)];
    const view = boxed(turned(wholeView(volume.shape, volume.strides), geometry.turn), geometry.box);
    this.offset = view.offset;
    this.strides = this.order.map((a) => view.strides[a]);
    this.from = this.order.map((a) => geometry.shape[a]);
    this.to = this.order.map((a) => geometry.boxShape[a]);
    this.maps = this.order.map((_, n) => (this.from[n] === this.to[n] ? null : lowPassMap(this.from[n], this.to[n])));
    this.kept = new Map();
    this.done = 0;
  }

  // Takes the scores of the next row (classes x other axes).
  add(row, scores) {
    this.kept.set(row, this.acrossMapped(scores));
    const [map] = this.maps;
    for (; this.done < this.to[0] && (map ? map.last[this.done] : this.done + 1) <= row + 1; this.done++) {
      this.fill(this.done, this.combined(this.done));
    }
    const needed = this.done >= this.to[0] ? Infinity : map ? map.first[this.done] : this.done;
    for (const old of this.kept.keys()) if (old < needed) this.kept.delete(old);
  }

  // What each class is above the background, on the crop's own grid across the rows.
  acrossMapped(scores) {
    const area = this.from[1] * this.from[2];
    let above = new Float32Array((this.classes - 1) * area);
    for (let i = 0; i < above.length; i++) above[i] = scores[area + i] - scores[i % area];
    const [, first, second] = this.maps;
    if (first) above = applyMap(above, first, this.classes - 1, this.from[2]);
    if (second) above = applyMap(above, second, (this.classes - 1) * this.to[1], 1);
    return above;
  }

  combined(row) {
    const [map] = this.maps;
    if (!map) return this.kept.get(row);
    const out = new Float32Array((this.classes - 1) * this.to[1] * this.to[2]);
    map.weights[row].forEach((weight, t) => {
      const source = this.kept.get(map.first[row] + t);
      for (let i = 0; i < out.length; i++) out[i] += weight * source[i];
    });
    return out;
  }

  // The first of equal scores wins.
  fill(row, above) {
    const [h, w] = [this.to[1], this.to[2]];
    for (let j = 0; j < h; j++)
      for (let k = 0; k < w; k++) {
        let [best, top] = [0, 0];
        for (let value = 1; value < this.classes; value++) {
          const score = above[((value - 1) * h + j) * w + k];
          if (score > top) [best, top] = [value, score];
        }
        const place = this.offset + row * this.strides[0] + j * this.strides[1] + k * this.strides[2];
        this.mask[place] = best;
        if (this.margins) this.margins[place] = roundHalfEven(255 * Math.min(top, 1));
      }
  }
}
