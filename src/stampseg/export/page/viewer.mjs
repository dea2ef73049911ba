// A scan with its mask: three planes of a volume, or a picture. Drawn on canvases, voxel by voxel.
import { doubtColours } from "./doubt.mjs";
import { percentilesOf } from "./percentiles.mjs";
import { edgesOf, placeWords } from "./place.mjs";
import { turned, wholeView } from "./view.mjs";

const DOUBT_OPACITY = 0.8; // whatever the mask's, so that its colours are those of the legend

// Axes run to the right, the front and the head; a plane shows them as radiologists look at them.
const PLANES = [
  { title: "Axial", across: 0, down: 1, through: 2, flips: [true, true] },
  { title: "Coronal", across: 0, down: 2, through: 1, flips: [true, true] },
  { title: "Sagittal", across: 1, down: 2, through: 0, flips: [true, true] },
];
const PICTURE = [{ title: "Picture", across: 2, down: 1, through: 0, flips: [false, false] }];

export class Viewer {
  // `root`: an element for the panes; `colours`: of each class, [red, green, blue]; `onPlace(found)`: is told of the
  // crosshair of a volume, where it is in words (null where the file does not say), the value there, and the class.
  constructor(root, colours, onPlace) {
    Object.assign(this, { root, colours, onPlace, opacity: 0.5, hidden: new Set(), scan: null, mask: null, doubt: null });
    Object.assign(this, { showsDoubt: false, doubtColours: doubtColours(colours.length) });
  }

  show(scan) {
    this.scan = scan;
    [this.mask, this.doubt] = [null, null];
    this.hidden.clear();
    this.view = turned(wholeView(scan.shape, scan.strides), scan.turn);
    this.spacing = [0, 1, 2].map((axis) => scan.spacing[scan.turn.findIndex(([target]) => target === axis)]);
    this.place = this.view.shape.map((n) => n >> 1);
    this.window = limitsOf(scan);
    this.panes = (scan.isPicture ? PICTURE : PLANES).map((plane) => this.paneOf(plane));
    this.root.replaceChildren(...this.panes.map((pane) => pane.element));
    this.root.classList.toggle("single", scan.isPicture);
    this.draw();
  }

  // Shows a mask and goes to where most of it lies; `doubt` may be null.
  setMask(mask, doubt) {
    [this.mask, this.doubt] = [mask, doubt];
    const counts = this.view.shape.map((n) => new Uint32Array(n));
    this.eachMarked((at) => at.forEach((where, axis) => counts[axis][where]++));
    this.place = counts.map((found, axis) => {
      const most = Math.max(...found);
      return most ? found.indexOf(most) : this.place[axis];
    });
    this.draw();
  }

  eachMarked(call) {
    const { shape, strides, offset } = this.view;
    for (let i = 0; i < shape[0]; i++)
      for (let j = 0; j < shape[1]; j++)
        for (let k = 0; k < shape[2]; k++)
          if (this.mask[offset + i * strides[0] + j * strides[1] + k * strides[2]]) call([i, j, k]);
  }

  paneOf(plane) {
    const { shape } = this.view;
    const element = document.createElement("figure");
    const stage = document.createElement("div");
    const canvas = document.createElement("canvas");
    const [width, height] = [shape[plane.across], shape[plane.down]];
    Object.assign(canvas, { width, height, tabIndex: 0 });
    canvas.style.aspectRatio = `${width * this.spacing[plane.across]} / ${height * this.spacing[plane.down]}`;
    canvas.setAttribute("role", "img");
    stage.className = "stage";
    stage.append(canvas);
    const pane = { ...plane, element, canvas, width, height };
    element.append(stage);
    if (!this.scan.isPicture) this.addControls(pane, stage);
    return pane;
  }

  // A crosshair, and a slider through the slices.
  addControls(pane, stage) {
    const caption = document.createElement("figcaption");
    const [label, slider] = ["label", "input"].map((kind) => document.createElement(kind));
    pane.words = document.createElement("span");
    pane.lines = ["across", "down"].map((kind) => {
      const line = document.createElement("i");
      line.className = kind;
      return line;
    });
    const last = this.view.shape[pane.through] - 1;
    Object.assign(slider, { type: "range", min: 0, max: last, step: 1 });
    slider.addEventListener("input", () => this.move(pane.through, Number(slider.value)));
    pane.slider = slider;
    label.append(pane.words, slider);
    caption.append(label);
    stage.append(...pane.lines, ...(this.scan.affine ? letters(pane) : []));
    pane.element.append(caption);
    this.listen(pane);
  }

  listen(pane) {
    const { canvas } = pane;
    const step = (by) => this.move(pane.through, this.place[pane.through] + by);
    const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
    canvas.addEventListener("keydown", (event) => {
      if (!(event.key in steps)) return;
      event.preventDefault();
      step(steps[event.key]);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      step(Math.sign(event.deltaY));
    }, { passive: false });
    const point = (event) => {
      if (event.buttons) this.point(pane, event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight);
    };
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("pointermove", point);
  }

  // Puts the crosshair at a place of a pane, from 0 to 1 across and down.
  point(pane, x, y) {
    const [across, down] = [x, y].map((share, n) => (pane.flips[n] ? 1 - share : share));
    this.place[pane.across] = this.within(pane.across, Math.floor(across * pane.width));
    this.place[pane.down] = this.within(pane.down, Math.floor(down * pane.height));
    this.draw();
  }

  move(axis, to) {
    this.place[axis] = this.within(axis, to);
    this.draw();
  }

  within(axis, place) {
    return Math.min(Math.max(place, 0), this.view.shape[axis] - 1);
  }

  draw() {
    if (!this.scan) return;
    for (const pane of this.panes) this.drawPane(pane);
    if (!this.scan.isPicture) this.onPlace(this.atCrosshair());
  }

  atCrosshair() {
    const { offset, strides } = this.view;
    const voxel = this.place.reduce((sum, at, axis) => sum + at * strides[axis], offset);
    const words = this.scan.affine ? placeWords(this.place, this.scan) : null;
    return { words, value: this.scan.channels[0][voxel], label: this.mask ? this.mask[voxel] : null };
  }

  drawPane(pane) {
    const context = pane.canvas.getContext("2d");
    const pixels = context.createImageData(pane.width, pane.height);
    const { offset, strides } = this.view;
    const base = offset + this.place[pane.through] * strides[pane.through];
    let next = 0;
    for (let y = 0; y < pane.height; y++)
      for (let x = 0; x < pane.width; x++, next += 4) {
        const across = pane.flips[0] ? pane.width - 1 - x : x;
        const down = pane.flips[1] ? pane.height - 1 - y : y;
        this.paint(pixels.data, next, base + across * strides[pane.across] + down * strides[pane.down]);
      }
    context.putImageData(pixels, 0, 0);
    this.tell(pane);
  }

  paint(data, next, place) {
    const { channels } = this.scan;
    const [low, high] = this.window;
    const [colour, share] = this.overlayAt(place);
    for (let n = 0; n < 3; n++) {
      const level = (channels[channels.length === 3 ? n : 0][place] - low) / (high - low);
      const grey = Math.min(Math.max(level, 0), 1) * 255;
      data[next + n] = share ? grey * (1 - share) + colour[n] * share : grey;
    }
    data[next + 3] = 255;
  }

  // The colour of doubt, where it is shown, or of the mask; and its opacity.
  overlayAt(place) {
    const doubt = this.showsDoubt && this.doubt ? this.doubtColours[this.doubt[place]] : null;
    if (doubt) return [doubt, DOUBT_OPACITY];
    const value = this.mask ? this.mask[place] : 0;
    return value && !this.hidden.has(value) ? [this.colours[value], this.opacity] : [null, 0];
  }

  tell(pane) {
    const count = this.view.shape[pane.through];
    const words = this.scan.isPicture ? this.scan.name : `${pane.title} slice ${this.place[pane.through] + 1} of ${count}`;
    pane.canvas.setAttribute("aria-label", words);
    if (!pane.slider) return;
    pane.words.textContent = words;
    pane.slider.value = this.place[pane.through];
    const share = (axis, size, flip) => (100 * (flip ? size - this.place[axis] - 0.5 : this.place[axis] + 0.5)) / size;
    pane.lines[0].style.left = `${share(pane.across, pane.width, pane.flips[0])}%`;
    pane.lines[1].style.top = `${share(pane.down, pane.height, pane.flips[1])}%`;
  }
}

// At the edges of a plane, the sides of the person.
function letters(pane) {
  return edgesOf(pane).map((letter, n) => {
    const made = document.createElement("b");
    made.className = ["left", "right", "top", "bottom"][n];
    made.textContent = letter;
    return made;
  });
}

// The values that are shown black and white.
export function limitsOf(scan) {
  const [values] = scan.channels;
  if (scan.isPicture && scan.channels.every((channel) => channel.every((value) => value <= 255))) return [0, 255];
  const [low, high] = percentilesOf(values, [0.5, 99.5]);
  return [low, high > low ? high : low + 1];
}
