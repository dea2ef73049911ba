// Numbers in words.

// Of so many digits, but whole numbers and all before the point as they are.
export function digits(value, count) {
  const whole = Number.isInteger(value) || Math.abs(value) >= 10 ** count;
  return String(whole ? Math.round(value) : Number(value.toPrecision(count)));
}

export function sizeText(sizes, count = 3) {
  return sizes.map((n) => digits(n, count)).join(" x ");
}

export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
