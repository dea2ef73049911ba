// What all parts share: the run's data, the round that is shown, and small makers of elements.
const run = JSON.parse(document.getElementById("run").textContent);
const watchers = [];
let shown = 0;

const byId = (id) => document.getElementById(id);
const fixed = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function make(tag, attributes, text) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function makeSvg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  return element;
}

// A page that was opened from a file may have no clipboard: its text is then selected and copied as by hand.
function startCopy() {
  const button = byId("copy"), code = byId("command");
  const say = (words) => { button.textContent = words; setTimeout(() => { button.textContent = "Copy"; }, 2000); };
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      say("Copied");
    } catch {
      getSelection().selectAllChildren(code);
      say(document.execCommand("copy") ? "Copied" : "Press Ctrl+C");
    }
  });
}

// Show a round, by its place in the list; everything that depends on it is told.
function showRound(place) {
  shown = Math.max(0, Math.min(run.rounds.length - 1, place));
  for (const watcher of watchers) watcher(run.rounds[shown], run.rounds[shown - 1] || null);
}

function showNumber(number) {
  const place = run.rounds.findIndex((round) => round.number === number);
  if (place >= 0) showRound(place);
}
