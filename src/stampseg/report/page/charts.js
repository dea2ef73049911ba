// Vega's charts: told which round is shown, drawn anew when light turns to dark.
const views = new Map();

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
  const view = viewIn(place, specification);
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
