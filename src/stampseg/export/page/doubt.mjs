// The colours of doubt. Their lightness rises evenly, and as far from one to the next by eye: a line in OKLab
// through violet, orange and yellow, which on a printout in grey, and to eyes that see colours differently, still rises.

export const LEAST_DOUBT = 0.05; // doubt below it is not shown
const STOPS = [[0.4, 0.12, -0.15], [0.66, 0.16, 0.09], [0.92, -0.03, 0.17]];

// [red, green, blue] of a share of the scale, 0 to 1.
export function colourOf(share) {
  const place = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1);
  const first = Math.min(Math.floor(place), STOPS.length - 2);
  return rgbOf(STOPS[first].map((value, n) => value + (STOPS[first + 1][n] - value) * (place - first)));
}

// Where the network knows nothing: all classes, the background among them, are as likely.
export function mostDoubt(classes) {
  return 1 - 1 / classes;
}

// Of each doubt in a map, 0 to 255; null where it is not shown.
export function doubtColours(classes) {
  const range = mostDoubt(classes) - LEAST_DOUBT;
  return Array.from({ length: 256 }, (_, value) =>
    value < LEAST_DOUBT * 255 ? null : colourOf((value / 255 - LEAST_DOUBT) / range),
  );
}

// The whole scale as CSS has it.
export function gradient() {
  const stops = Array.from({ length: 11 }, (_, n) => `rgb(${colourOf(n / 10).map(Math.round).join(" ")})`);
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

// From OKLab by the cones' answers to the sRGB of screens (https://bottosson.github.io/posts/oklab).
function rgbOf([light, a, b]) {
  const l = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (light - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((value) => {
    const inside = Math.min(Math.max(value, 0), 1);
    return 255 * (inside <= 0.0031308 ? 12.92 * inside : 1.055 * inside ** (1 / 2.4) - 0.055);
  });
}
