// Vega's charts: told which round is shown, drawn anew when light turns to dark.
const views = new Map();

function inkOfPage() {
  const quiet = colour("--quiet"), line = colour("--line");
  return {
    background: null,
    font: "system-ui, sans-serif",
    axis: { labelColor: quiet, titleColor: quiet, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 12, titleFontSize: 12 },
    legend: { labelColor: colour("--ink"), titleColor: quiet, labelFontSize: 12 },
    view: { stroke: null },
  };
}

// What a point says, beside the pointer.
function showTip(handler, event, item, values) {
  const tip = byId("tip");
  tip.hidden = !values;
  if (!values) return;
  tip.textContent = Object.entries(values).map(([name, value]) => `${name}: ${value}`).join("\n");
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
  tip.style.top = `${Math.max(4, event.clientY - box.height - 10)}px`;
}

// The arrow keys go from round to round while a chart has the focus.
function listenToKeys(place) {
  place.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    showRound(shown + step);
  });
}

function drawChart(name, specification) {
  const place = byId(`chart-${name}`);
  if (!place) return;
  if (views.has(name)) views.get(name).finalize();
  const view = new vega.View(vega.parse(specification, inkOfPage()), {
    renderer: "svg",
    container: place,
    hover: true,
    logLevel: vega.Error,
    tooltip: showTip,
  });
  view.signal("ink", colour("--ink")).signal("accent", colour("--accent"));
  if (run.rounds.length) view.signal("current", run.rounds[shown].number);
  view.addEventListener("click", (event, item) => {
    if (item && item.datum && typeof item.datum.round === "number") showNumber(item.datum.round);
  });
  views.set(name, view);
  view.runAsync();
}

function drawCharts() {
  for (const [name, specification] of Object.entries(run.charts)) drawChart(name, specification);
}

function startCharts() {
  drawCharts();
  for (const place of document.querySelectorAll(".chart")) listenToKeys(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
  watchers.push((round) => {
    for (const view of views.values()) view.signal("current", round.number).runAsync();
    for (const button of document.querySelectorAll("#rounds [data-round]")) {
      button.closest("tr").classList.toggle("current", Number(button.dataset.round) === round.number);
    }
  });
}
