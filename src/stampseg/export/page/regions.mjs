// Structures that a mask is measured by: the classes, or regions made of several, which may lie within one another.

const HALF = 0.5; // probability above which a voxel is of a region

// Of each its name, its classes, and the class that its voxels are written as.
export function structuresOf(plan) {
  if (plan.regions.length) return plan.regions;
  return plan.label_names.slice(1).map((name, index) => ({ name, classes: [index + 1], written: index + 1 }));
}

// Probabilities (classes x area) -> those of the regions (regions x area).
export function totals(probabilities, area, regions) {
  const found = new Float32Array(regions.length * area);
  regions.forEach(({ classes }, n) => {
    for (const value of classes)
      for (let i = 0; i < area; i++) found[n * area + i] += probabilities[value * area + i];
  });
  return found;
}

// Class of a voxel from the probabilities of the regions: those that are likely write over each other, in order.
export function decided(likely, area, i, regions) {
  let found = 0;
  for (let n = 0; n < regions.length; n++) if (likely[n * area + i] > HALF) found = regions[n].written;
  return found;
}
