// The drawing of the network, its slider, and the table of its layers.
const WIDE = 1080, GAP = 9, TOP = 26, FULL = 132, DROP = 62, SHRINK = 0.74;
const blocks = new Map();
let shade = "kept";

function dense(layer) {
  return Math.max(layer.dense, 1);
}

function drawNetwork() {
  const layers = run.drawing.layers;
  if (!layers.length) return;
  const svg = byId("drawing");
  const gap = Math.max(2, Math.min(GAP, 380 / layers.length));
  const scale = (WIDE - 20 - gap * (layers.length - 1)) / layers.reduce((sum, layer) => sum + dense(layer), 0);
  let x = 10;
  const places = layers.map((layer) => {
    const width = Math.max(1.5, dense(layer) * scale);
    const height = FULL * SHRINK ** layer.level;
    const place = { x, width, height, y: TOP + layer.level * DROP + (FULL - height) / 2 };
    x += width + gap;
    return place;
  });
  const lowest = Math.max(...places.map((place) => place.y + place.height));
  svg.setAttribute("viewBox", `0 0 ${WIDE} ${Math.ceil(lowest) + 22}`);
  for (const [source, target] of run.drawing.links) svg.append(drawLink(places, layers, source, target));
  layers.forEach((layer, i) => drawBlock(svg, layer, places[i]));
}

// A neighbour is joined by a bent line, a skip by a dashed one above its blocks.
function drawLink(places, layers, source, target) {
  const from = places[source], to = places[target];
  const far = target > source + 1;
  const startX = from.x + from.width / 2, endX = to.x + to.width / 2;
  if (far) {
    const lift = Math.min(from.y, to.y) - 10;
    return makeSvg("path", {
      class: "link-line skip-line",
      d: `M${startX} ${from.y}V${lift}H${endX}V${to.y}`,
    });
  }
  const fromY = from.y + from.height / 2, toY = to.y + to.height / 2;
  return makeSvg("path", { class: "link-line", d: `M${startX} ${fromY}L${endX} ${toY}` });
}

function drawBlock(svg, layer, place) {
  const group = makeSvg("g");
  const ghost = makeSvg("rect", { class: "ghost", rx: 2, x: place.x, y: place.y, width: place.width, height: place.height });
  const block = makeSvg("rect", { class: "block", rx: 2, x: place.x, y: place.y, width: place.width, height: place.height });
  const words = makeSvg("text", { x: place.x + place.width / 2, y: place.y + place.height + 14 });
  const title = makeSvg("title");
  group.append(title, ghost, block, words);
  group.addEventListener("pointerenter", () => sayLayer(layer));
  svg.append(group);
  blocks.set(layer.name, { layer, place, block, words, title });
}

function sayLayer(layer) {
  byId("layer-words").textContent = layerWords(layer, run.rounds[shown]);
}

function layerWords(layer, round) {
  const parts = [`${layer.name}: ${widthOf(layer, round)} of ${layer.dense} channels`];
  if (round.removed[layer.name]) parts.push(`${round.removed[layer.name]} cut in this round`);
  if (layer.name in round.dropout) parts.push(`dropout ${fixed(round.dropout[layer.name], 3)}`);
  if (layer.name in round.scores) parts.push(`mean score ${fixed(round.scores[layer.name], 3)}`);
  return parts.join(", ");
}

function widthOf(layer, round) {
  return layer.name in round.widths ? round.widths[layer.name] : layer.dense;
}

// Between 0 and 1, of what the blocks are shaded by; null where the round does not know it.
function shadeOf(layer, round) {
  if (shade === "kept") return widthOf(layer, round) / dense(layer);
  const values = shade === "score" ? round.scores : round.dropout;
  const most = Math.max(...Object.values(values).filter((value) => value !== null), 0);
  const value = values[layer.name];
  return most > 0 && value !== undefined && value !== null ? value / most : null;
}

function paintNetwork(round) {
  for (const { layer, place, block, words, title } of blocks.values()) {
    const kept = widthOf(layer, round);
    const width = Math.max(1, (place.width * kept) / dense(layer));
    block.setAttribute("width", width);
    block.setAttribute("x", place.x + (place.width - width) / 2);
    const part = shadeOf(layer, round);
    block.style.fill = part === null
      ? "var(--line)"
      : `color-mix(in srgb, var(--accent) ${Math.round(22 + 78 * Math.min(1, part))}%, var(--card))`;
    block.classList.toggle("cut", Boolean(round.removed[layer.name]));
    words.textContent = place.width > 14 || blocks.size < 26 ? kept : "";
    title.textContent = layerWords(layer, round);
  }
  const total = run.drawing.layers.reduce((sum, layer) => sum + widthOf(layer, round), 0);
  const before = run.drawing.layers.reduce((sum, layer) => sum + layer.dense, 0);
  byId("drawing-title").textContent = `Round ${round.number}: ${total} of ${before} channels in ${blocks.size} layers`;
}

function paintLayers(round) {
  const body = byId("layers").tBodies[0];
  const rows = run.drawing.layers.map((layer) => {
    const row = make("tr");
    const kept = widthOf(layer, round), share = kept / dense(layer);
    row.append(make("th", { scope: "row" }, layer.name), make("td", { class: "number" }, `${kept} of ${layer.dense}`));
    const cell = make("td"), bar = make("span", { class: "kept", role: "img", "aria-label": `${Math.round(share * 100)}%` });
    const fill = make("span");
    fill.style.width = `${Math.min(100, share * 100)}%`;
    bar.append(fill);
    cell.append(bar);
    const cut = round.removed[layer.name] ? `−${round.removed[layer.name]}` : layer.cuttable ? "" : "fixed";
    row.append(cell, make("td", { class: "number" }, cut));
    row.append(make("td", { class: "number" }, fixed(round.dropout[layer.name], 3)));
    row.append(make("td", { class: "number" }, fixed(round.scores[layer.name], 3)));
    return row;
  });
  body.replaceChildren(...rows);
}

function roundWords(round) {
  const parts = [`Round ${round.number}`];
  if (round.event) parts.push(round.event);
  if (round.number === run.chosen) parts.push("chosen");
  if (round.steps !== null) parts.push(`step ${round.steps}`);
  if (round.parameters !== null) parts.push(`${round.parameters.toLocaleString("en")} parameters`);
  if (round.validation && round.validation.dice !== null) parts.push(`Dice ${fixed(round.validation.dice, 3)}`);
  return parts.join(" · ");
}

function startNetwork() {
  const slider = byId("round"), play = byId("play");
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶";
    play.setAttribute("aria-pressed", "false");
  };
  slider.addEventListener("input", () => {
    stop();
    showRound(Number(slider.value));
  });
  play.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (shown === run.rounds.length - 1) showRound(0);
    play.textContent = "❚❚";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      showRound(shown + 1);
      if (shown === run.rounds.length - 1) stop();
    }, 550);
  });
  for (const radio of document.querySelectorAll("input[name=shade]")) {
    radio.addEventListener("change", () => {
      shade = radio.value;
      paintNetwork(run.rounds[shown]);
    });
  }
  for (const button of document.querySelectorAll("[data-round]")) {
    button.addEventListener("click", () => {
      stop();
      showNumber(Number(button.dataset.round));
    });
  }
  drawNetwork();
  watchers.push((round) => {
    slider.value = shown;
    const words = roundWords(round);
    slider.setAttribute("aria-valuetext", words);
    byId("round-words").textContent = words;
    paintNetwork(round);
    paintLayers(round);
  });
}
