// The measures of dotseg/method: how much each patch speaks for each class. f is a list of rows, one distribution over the n
// patches for each class; attention is one Float64Array of n * n numbers, row = query.

const most = x => x.reduce((a, b) => Math.max(a, b), -Infinity);

/** x divided by its largest value; zeros stay zeros. */
const relative = x => { const top = Math.max(most(x), Number.MIN_VALUE); return x.map(value => value / top); };

/** y = x M for one row x of n numbers, over the places where x is not 0. */
export function rowTimes(x, matrix) {
  const n = x.length, y = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const factor = x[i];
    if (factor !== 0) for (let j = 0, at = i * n; j < n; j++) y[j] += factor * matrix[at + j];
  }
  return y;
}

/** The sum of a[at + j] x[j]: four sums side by side, for one after another each addition would wait for the last. */
export function dot(a, at, x) {
  const n = x.length, even = n - (n % 4);
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (let j = 0; j < even; j += 4) {
    s0 += a[at + j] * x[j]; s1 += a[at + j + 1] * x[j + 1]; s2 += a[at + j + 2] * x[j + 2]; s3 += a[at + j + 3] * x[j + 3];
  }
  for (let j = even; j < n; j++) s0 += a[at + j] * x[j];
  return s0 + s1 + s2 + s3;
}

/** y = M x for one column x of n numbers. */
export function timesColumn(matrix, x) {
  const y = new Float64Array(x.length);
  for (let i = 0; i < y.length; i++) y[i] = dot(matrix, i * y.length, x);
  return y;
}

/** Each patch's share of KL(f || 1/n), with 0 log 0 = 0. */
export function klDiscrepancy(f) {
  return f.map(row => row.map(p => (p > 0 ? p * Math.log(p * row.length) : 0)));
}

/** Attention divided by its row's maximum. */
export function links(attention, n) {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) out.set(relative(attention.subarray(i * n, (i + 1) * n)), i * n);
  return out;
}

/** What it costs to move mass from patch to patch: 1 - attention / its row's maximum. */
export const attentionCost = (attention, n) => links(attention, n).map(link => 1 - link);

/** K = exp(-cost / eps). */
export const gibbsKernel = (cost, eps) => cost.map(c => Math.exp(-c / eps));

/** The factors of the optimal plan diag(mu) K diag(nu) from one class to the uniform distribution: Eq. 22 from nu = 1. */
export function sinkhorn(kernel, mass, iterations) {
  const n = mass.length, places = [...mass.keys()].filter(i => mass[i] > 0);
  const mu = new Float64Array(n), nu = new Float64Array(n).fill(1);
  for (let l = 0; l < iterations; l++) {
    const arriving = new Float64Array(n);
    for (const i of places) {  // where there is no mass, mu is 0
      const at = i * n, factor = mass[i] / dot(kernel, at, nu);
      mu[i] = factor;
      for (let j = 0; j < n; j++) arriving[j] += factor * kernel[at + j];
    }
    for (let j = 0; j < n; j++) nu[j] = 1 / (n * arriving[j]);
  }
  return { mu, nu };
}

/** Minus what arriving at each patch costs ("cost"), or minus the price of a patch ("potential"), for each class. */
export function optimalPath(f, cost, kernel, eps, iterations, reading) {
  const n = f[0].length, priced = reading === "cost" ? kernel.map((k, at) => k * cost[at]) : null;
  return f.map(mass => {
    const { mu, nu } = sinkhorn(kernel, mass, iterations);
    if (priced) return rowTimes(mu, priced).map((sum, j) => -n * sum * nu[j]);
    let gauge = 0;  // sum f (alpha / eps - ln f) is brought to 0
    mass.forEach((p, i) => { if (p > 0) gauge += p * Math.log(mu[i] / p); });
    return nu.map(value => -eps * (Math.log(value) + gauge));
  });
}

/** Proportional fitting: factors of the rows and columns after which the links are doubly stochastic. */
export function fitFactors(attention, n, iterations) {
  const matrix = links(attention, n).map(link => Math.max(link, 1e-12));
  let columns = new Float64Array(n).fill(1), rows = timesColumn(matrix, columns).map(sum => 1 / sum);
  for (let l = 0; l < iterations; l++) {
    columns = rowTimes(rows, matrix).map(sum => 1 / sum);
    rows = timesColumn(matrix, columns).map(sum => 1 / sum);
  }
  return { rows, matrix, columns };
}

/** The step at which each patch settles in the chain, plus its level there as a share of its class's highest. */
export function maximumVelocity(f, { rows, matrix, columns }, tau, maxSteps = 100) {
  return f.map(mass => {
    const n = mass.length, steps = new Float64Array(n), settled = new Uint8Array(n);
    let x = relative(mass), level = x, moving = n;
    for (let l = 0; l < maxSteps && moving; l++) {
      const before = x;
      x = rowTimes(before.map((value, i) => value * rows[i]), matrix).map((sum, j) => sum * columns[j]);
      const seen = x;
      level = level.map((value, i) => (settled[i] ? value : seen[i]));
      for (let i = 0; i < n; i++) {
        if (settled[i]) continue;
        steps[i] += 1;
        if (Math.abs(x[i] - before[i]) <= tau) { settled[i] = 1; moving -= 1; }
      }
    }
    return relative(level).map((share, i) => steps[i] + 0.999 * share);
  });
}

/** One product of f with the kernel of the optimal path. */
export const kernelVote = (f, kernel) => f.map(row => rowTimes(row, kernel));

/** Each class divided by its maximum: selection and softmax alone. */
export const alone = f => f.map(relative);

/** Maps stretched to [0, 1] over all classes and patches. */
export function unitRange(maps) {
  const low = Math.min(...maps.map(row => Math.min(...row))), high = Math.max(...maps.map(most));
  return maps.map(row => row.map(value => (value - low) / Math.max(high - low, Number.MIN_VALUE)));
}

/** The mean of two sets of maps, each stretched to [0, 1]. */
export function fused(one, other) {
  const [a, b] = [unitRange(one), unitRange(other)];
  return a.map((row, c) => row.map((value, i) => (value + b[c][i]) / 2));
}

/** How far each patch is linked to each other, in [0, 1]: attention, capped, made symmetric, believed only nearby. */
export function neighbourLinks(attention, width, { links: share, reach }) {
  const n = Math.sqrt(attention.length), height = n / width, top = Math.max(1, Math.round(share * n)) - 1;
  const link = new Float64Array(n * n), out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = attention.subarray(i * n, (i + 1) * n), strongest = Math.max(Float64Array.from(row).sort()[n - 1 - top], Number.MIN_VALUE);
    for (let j = 0; j < n; j++) link[i * n + j] = Math.min(1, row[j] / strongest);
  }
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const dy = Math.floor(i / width) - Math.floor(j / width), dx = (i % width) - (j % width);
      const near = Math.exp(-(dy * dy + dx * dx) / Math.max(height, width) ** 2 / (2 * reach ** 2));
      out[i * n + j] = near * (link[i * n + j] + link[j * n + i]) / 2;
    }
  }
  return out;
}

/** How much each patch listens to each other; rows sum to 1. */
export function neighbourKernel(links, eps) {
  const n = Math.sqrt(links.length), kernel = links.map(link => Math.exp((link - 1) / eps));
  for (let i = 0; i < n; i++) {
    const row = kernel.subarray(i * n, (i + 1) * n), sum = row.reduce((a, b) => a + b, 0);
    for (let j = 0; j < n; j++) row[j] /= sum;
  }
  return kernel;
}

/** A softmax over the classes at each patch. */
function overClasses(rows) {
  const out = rows.map(row => new Float64Array(row.length));
  for (let i = 0; i < rows[0].length; i++) {
    let peak = -Infinity, sum = 0;
    for (const row of rows) peak = Math.max(peak, row[i]);
    for (let c = 0; c < rows.length; c++) sum += out[c][i] = Math.exp(rows[c][i] - peak);
    for (const row of out) row[i] /= sum;
  }
  return out;
}

/** Each class against its own mean, a vote along the attention, and a presence that neighbours confirm; logits times their scale. */
export function contrastVote(logits, kernel, contrast) {
  const n = logits[0].length, total = x => x.reduce((a, b) => a + b, 0);
  const judged = overClasses(logits).map((p, c) => {
    const heard = timesColumn(kernel, p), presence = total(p.map((value, i) => value * heard[i])) / Math.max(total(p), Number.MIN_VALUE);
    const voted = timesColumn(kernel, logits[c]), y = logits[c].map((value, i) => value + voted[i]), mean = total(y) / n;
    const spread = Math.max(Math.sqrt(total(y.map(value => (value - mean) ** 2)) / n), 1e-6);
    return y.map(value => contrast * (value - mean) / spread + Math.log(Math.max(presence, Number.MIN_VALUE)));
  });
  return overClasses(judged).map(row => timesColumn(kernel, row));
}

