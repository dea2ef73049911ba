// Class scores back onto the case's own grid, row by row as they become final.
import { decided, totals } from "./regions.mjs";
import { applyMap, lowPassMap } from "./resampling.mjs";
import { boxed, turned, wholeView } from "./view.mjs";
import { roundHalfEven } from "./words.mjs";

// Takes rows of figures of the working grid, brings them to the crop's own grid, and tells where these lie in arrays
// that lie in memory as the source does.
class Rows {
  constructor(volume, { turn, box, boxShape, shape }, axis, count) {
    const view = boxed(turned(wholeView(volume.shape, volume.strides), turn), box);
    const order = [axis, ...[0, 1, 2].filter((other) => other !== axis)];
    this.count = count;
    this.offset = view.offset;
    this.strides = order.map((a) => view.strides[a]);
    this.from = order.map((a) => shape[a]);
    this.to = order.map((a) => boxShape[a]);
    this.maps = order.map((_, n) => (this.from[n] === this.to[n] ? null : lowPassMap(this.from[n], this.to[n])));
    this.kept = new Map();
    this.done = 0;
  }

  // Takes the next row of all figures (count x other axes). Calls back with each voxel that is final: its place, all
  // figures (count x area), its number among the area's voxels, and the area.
  add(row, figures, call) {
    this.kept.set(row, this.acrossMapped(figures));
    const [map] = this.maps;
    for (; this.done < this.to[0] && (map ? map.last[this.done] : this.done + 1) <= row + 1; this.done++) {
      this.eachVoxel(this.done, this.combined(this.done), call);
    }
    const needed = this.done >= this.to[0] ? Infinity : map ? map.first[this.done] : this.done;
    for (const old of this.kept.keys()) if (old < needed) this.kept.delete(old);
  }

  acrossMapped(figures) {
    const [, first, second] = this.maps;
    if (first) figures = applyMap(figures, first, this.count, this.from[2]);
    if (second) figures = applyMap(figures, second, this.count * this.to[1], 1);
    return figures;
  }

  combined(row) {
    const [map] = this.maps;
    if (!map) return this.kept.get(row);
    const out = new Float32Array(this.count * this.to[1] * this.to[2]);
    map.weights[row].forEach((weight, t) => {
      const source = this.kept.get(map.first[row] + t);
      for (let i = 0; i < out.length; i++) out[i] += weight * source[i];
    });
    return out;
  }

  eachVoxel(row, figures, call) {
    const [, h, w] = this.to;
    const [first, second, third] = this.strides;
    for (let j = 0, i = 0; j < h; j++) {
      let place = this.offset + row * first + j * second;
      for (let k = 0; k < w; k++, i++, place += third) call(place, figures, i, h * w);
    }
  }
}

// From 0 to 255, of what goes from 0 to 1.
function asByte(share) {
  return roundHalfEven(255 * Math.min(Math.max(share, 0), 1));
}

// Fills a mask, and margins where a class is one piece. Margins tell of each voxel by how much its score is above that
// of the background; of regions there are none.
export class Restorer {
  constructor(volume, geometry, { classes, regions, one_piece }, axis) {
    const size = volume.shape[0] * volume.shape[1] * volume.shape[2];
    this.mask = classes > 256 ? new Uint16Array(size) : new Uint8Array(size);
    this.margins = one_piece.length ? new Uint8Array(size) : null;
    Object.assign(this, { classes, regions });
    this.rows = new Rows(volume, geometry, axis, regions.length || classes - 1);
  }

  // Takes the probabilities of the next row (classes x other axes).
  add(row, scores) {
    const { regions } = this;
    const area = scores.length / this.classes;
    if (regions.length) {
      const likely = totals(scores, area, regions);
      this.rows.add(row, likely, (place, found, i, size) => (this.mask[place] = decided(found, size, i, regions)));
      return;
    }
    const above = new Float32Array(this.rows.count * area); // what each is above the background
    for (let i = 0; i < above.length; i++) above[i] = scores[area + i] - scores[i % area];
    this.rows.add(row, above, (place, found, i, size) => this.fill(place, found, i, size));
  }

  // The first of equal scores wins.
  fill(place, above, i, area) {
    let [best, top] = [0, 0];
    for (let value = 1; value <= this.rows.count; value++) {
      const score = above[(value - 1) * area + i];
      if (score > top) [best, top] = [value, score];
    }
    this.mask[place] = best;
    if (this.margins) this.margins[place] = asByte(top);
  }
}

// Fills a map of doubt: 255 times how far the mean probability of the likeliest class is from 1.
export class Doubts {
  constructor(volume, geometry, classes, axis) {
    this.map = new Uint8Array(volume.shape[0] * volume.shape[1] * volume.shape[2]);
    this.classes = classes;
    this.rows = new Rows(volume, geometry, axis, 1);
  }

  // Takes the probabilities of the next row by several views (classes x other axes each).
  add(row, views) {
    const area = views[0].length / this.classes;
    const doubt = new Float32Array(area);
    for (let i = 0; i < area; i++) {
      let most = 0;
      for (let place = i; place < views[0].length; place += area) {
        let sum = 0;
        for (const view of views) sum += view[place];
        most = Math.max(most, sum / views.length);
      }
      doubt[i] = 1 - most;
    }
    this.rows.add(row, doubt, (place, found, i) => (this.map[place] = asByte(found[i])));
  }
}
