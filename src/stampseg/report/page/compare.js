// Charts of a comparison, drawn anew when light turns to dark.
const drawn = new Map();

function drawAll() {
  for (const [name, specification] of Object.entries(run.charts)) {
    const place = byId(`chart-${name}`);
    if (drawn.has(name)) drawn.get(name).finalize();
    const view = viewIn(place, specification);
    drawn.set(name, view);
    view.runAsync();
  }
}

drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
