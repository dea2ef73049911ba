// The table of cases, the galleries, and the slices of one case.
const COLOURS = ["#56b4e9", "#e69f00", "#2fd19f", "#f0e442", "#e48fc0", "#ff7a3c", "#5aa9ff"];
let openCase = 0;

const labelColour = (label) => COLOURS[(label - 1) % COLOURS.length];

// One slice as a picture with outlines over it, in true proportions.
function sliceSvg(view, slice, words) {
  const svg = makeSvg("svg", {
    viewBox: `0 0 ${view.width * unitsAcross(view)} ${view.height}`,
    role: "img",
    "aria-label": words,
  });
  const stretched = makeSvg("g", { transform: `scale(${unitsAcross(view)} 1)` });
  stretched.append(makeSvg("image", {
    href: slice.picture, width: view.width, height: view.height, preserveAspectRatio: "none",
  }));
  for (const lines of slice.outlines) {
    for (const part of ["prediction", "reference"]) {
      if (!lines[part]) continue;
      // a dark rim keeps a line visible on any stain, and a dashed one on a line of its own colour
      stretched.append(makeSvg("path", { class: `${part} rim`, d: lines[part] }));
      stretched.append(makeSvg("path", { class: part, d: lines[part], stroke: labelColour(lines.label) }));
    }
  }
  svg.append(stretched);
  return svg;
}

// How much wider than high a pixel of the picture is.
function unitsAcross(view) {
  return (view.ratio * view.height) / view.width;
}

function showSlice(place) {
  const found = run.cases[openCase], view = found.view, slice = view.slices[place];
  const words = view.slices.length > 1 ? `${view.plane} slice ${slice.index + 1} of ${view.depth}` : "";
  const svg = sliceSvg(view, slice, `${found.id} ${words}: ${found.of === "unlabelled" ? "" : "reference and "}prediction outlined`);
  const compass = ["left", "right", "above", "below"].map((side, i) =>
    make("span", { class: `compass ${side}`, "aria-hidden": "true" }, view.compass[i] || ""));
  byId("canvas").replaceChildren(svg, ...compass);
  byId("canvas").style.setProperty("--widest", `${Math.round(Math.min(680, 520 * view.ratio))}px`);
  byId("slice").value = place;
  byId("slice").setAttribute("aria-valuetext", words);
  byId("slice-words").textContent = words;
}

function showCase(place) {
  openCase = place;
  const found = run.cases[place], view = found.view;
  const without = found.of === "unlabelled" ? "without a label" : "no label in this case";
  byId("stage-title").textContent = `${found.id} · ${found.dice === null ? without : `Dice ${fixed(found.dice, 3)}`}`;
  byId("slice").max = view.slices.length - 1;
  byId("slice-controls").hidden = view.slices.length < 2;
  byId("slice-controls").style.display = view.slices.length < 2 ? "none" : "";
  document.querySelectorAll(".gallery button").forEach((button, i) => {
    button.setAttribute("aria-current", String(i === place));
  });
  byId("planes").replaceChildren(...(view.others || []).map((plane) => {
    const words = `${plane.plane} slice ${plane.slices[0].index + 1} of ${plane.depth}`;
    const figure = make("figure"), frame = make("span", { class: "frame" });
    frame.append(sliceSvg(plane, plane.slices[0], `${found.id} ${words}`));
    figure.append(frame, make("figcaption", {}, words));
    return figure;
  }));
  showSlice(view.start);
}

function fillGallery() {
  run.cases.forEach((found, place) => {
    const view = found.view, entry = make("li"), button = make("button", { type: "button" });
    const frame = make("span", { class: "frame" });
    frame.append(sliceSvg(view, view.slices[view.start], ""));
    frame.firstChild.setAttribute("aria-hidden", "true");
    button.append(frame);
    if (found.of !== "unlabelled") button.append(make("strong", {}, fixed(found.dice, 3)));
    button.append(make("span", {}, found.id));
    button.addEventListener("click", () => {
      showCase(place);
      byId("stage").scrollIntoView({ block: "nearest" });
    });
    entry.append(button);
    document.querySelector(`.gallery[data-of="${found.of}"]`).append(entry);
  });
}

function fillLegend() {
  const dashes = "background: repeating-linear-gradient(90deg, var(--quiet) 0 5px, transparent 5px 8px)";
  for (const [words, style] of [["reference", dashes], ["prediction", "background: var(--quiet)"]]) {
    if (!byId(`show-${words}`)) continue;
    const entry = make("li", {}, words);
    entry.prepend(make("i", { style }));
    byId("legend").append(entry);
  }
  run.labels.forEach((name, i) => {
    const entry = make("li", {}, name), swatch = make("i");
    swatch.style.background = labelColour(i + 1);
    entry.prepend(swatch);
    byId("legend").append(entry);
  });
}

// Rows without a value stay at the end, whichever way is sorted.
function sortTable(table, header) {
  const column = header.cellIndex, numbers = header.dataset.sort === "number";
  const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const valueOf = (row) => {
    const cell = row.cells[column];
    if (!cell) return null;
    if (!numbers) return cell.textContent.trim();
    return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => {
    const x = valueOf(a), y = valueOf(b);
    if (x === null || y === null) return (x === null) - (y === null);
    return direction * (numbers ? x - y : x.localeCompare(y, "en", { numeric: true }));
  };
  for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
}

function startCases() {
  for (const table of document.querySelectorAll("table.sortable")) {
    for (const header of table.tHead.rows[0].cells) {
      header.querySelector("button").addEventListener("click", () => sortTable(table, header));
    }
  }
  if (!run.cases.length) return;
  byId("viewer").hidden = false;
  fillGallery();
  fillLegend();
  byId("slice").addEventListener("input", () => showSlice(Number(byId("slice").value)));
  for (const part of ["reference", "prediction"]) {
    const box = byId(`show-${part}`);
    if (!box) continue; // scans without labels have no reference
    box.addEventListener("change", () => byId("viewer").classList.toggle(`hide-${part}`, !box.checked));
  }
  for (const button of document.querySelectorAll("[data-case]")) {
    button.addEventListener("click", () => {
      showCase(run.cases.findIndex((found) => found.id === button.dataset.case));
      byId("stage").scrollIntoView({ block: "nearest" });
      byId("stage").focus({ preventScroll: true });
    });
  }
  showCase(0);
}
