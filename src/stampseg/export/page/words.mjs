// Numbers in words, as Python writes them: of two that are as near, the even one.

export function roundHalfEven(value) {
  const down = Math.floor(value);
  if (value - down !== 0.5) return Math.round(value);
  return down % 2 ? down + 1 : down;
}

// Of so many digits, but whole numbers and all before the point as they are.
export function digits(value, count) {
  if (Number.isInteger(value) || Math.abs(value) >= 10 ** count) return String(roundHalfEven(value));
  const rounded = significant(value, count);
  return Math.abs(rounded) < 1e-4 ? rounded.toExponential().replace(/-(\d)$/, "-0$1") : String(rounded);
}

function significant(value, count) {
  const [mantissa, exponent] = value.toExponential(40).split("e"); // all digits that could make a tie
  const figures = mantissa.replace(/[-.]/g, "");
  const [kept, rest] = [Number(figures.slice(0, count)), figures.slice(count)];
  const half = "5".padEnd(rest.length, "0");
  const up = rest > half || (rest === half && kept % 2 === 1);
  return Math.sign(value) * Number(`${kept + (up ? 1 : 0)}e${Number(exponent) - count + 1}`);
}

export function percent(share) {
  const hundred = share * 100;
  return `${Math.abs(hundred % 1) === 0.5 ? roundHalfEven(hundred) : hundred.toFixed(0)}%`;
}

export function sizeText(sizes, count = 3) {
  return sizes.map((n) => digits(n, count)).join(" x ");
}

export function rangeText(low, high, count = 4) {
  return `${digits(low, count)} to ${digits(high, count)}`;
}

export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
