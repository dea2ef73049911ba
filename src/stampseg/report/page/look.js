// How Vega's charts look in this page, in light and dark.
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

function viewIn(place, specification) {
  const view = new vega.View(vega.parse(specification, inkOfPage()), {
    renderer: "svg",
    container: place,
    hover: true,
    logLevel: vega.Error,
    tooltip: showTip,
  });
  return view.signal("ink", colour("--ink")).signal("accent", colour("--accent"));
}
