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

function drawChart(name, specification) {
  const place = byId(`chart-${name}`);
  if (!place) return;
  if (views.has(name)) views.get(name).finalize();
  const view = new vega.View(vega.parse(specification, inkOfPage()), {
    renderer: "svg",
    container: place,
    hover: true,
    logLevel: vega.Error,
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
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
  watchers.push((round) => {
    for (const view of views.values()) view.signal("current", round.number).runAsync();
    for (const button of document.querySelectorAll("#rounds [data-round]")) {
      button.closest("tr").classList.toggle("current", Number(button.dataset.round) === round.number);
    }
  });
}
