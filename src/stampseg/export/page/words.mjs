// Numbers in words.

export function digits(value, count) {
  return String(Number(value.toPrecision(count)));
}

export function sizeText(sizes, count = 3) {
  return sizes.map((n) => (Number.isInteger(n) ? String(n) : digits(n, count))).join(" x ");
}

export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
