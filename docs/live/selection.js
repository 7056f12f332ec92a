// Early rejection, non-maximum suppression, and each class as a distribution over its patches: dotseg/method/logits.py,
// and the words of a background as in dotseg/method/background.py. Logits are a list of rows, one Float64Array a class.

/** Softmax of scale * x; -Infinity weighs nothing, and a list of nothing else gives zeros. */
export function softmax(x, scale = 1) {
  let peak = -Infinity, sum = 0;
  for (const value of x) peak = Math.max(peak, value);
  const weights = x.map(value => (peak === -Infinity ? 0 : Math.exp(scale * (value - peak))));
  for (const weight of weights) sum += weight;
  return weights.map(weight => weight / Math.max(sum, 1));
}

/** The values of all rows at patch i. */
export function column(rows, i) {
  return Float64Array.from(rows, row => row[i]);
}

/** Where a list is largest; the first of several, and -1 if nothing is above -Infinity. */
export function argmax(x) {
  let best = -1;
  for (let i = 0; i < x.length; i++) if (x[i] > (best < 0 ? -Infinity : x[best])) best = i;
  return best;
}

/** The classes that win the arg max of at least one patch (Algorithm 1, line 2), in order. */
export function rejectEarly(rows) {
  const winners = new Set(rows[0].map((_, i) => argmax(column(rows, i))));
  return [...rows.keys()].filter(c => winners.has(c));
}

/** How sure each patch is of each class; classes of one group are not rivals, and share their sum. */
export function confidence(rows, scale, groups = rows.map((_, c) => c)) {
  const sure = rows.map(row => new Float64Array(row.length));
  for (let i = 0; i < rows[0].length; i++) {
    const share = softmax(column(rows, i), scale), sums = new Map();
    share.forEach((p, c) => sums.set(groups[c], (sums.get(groups[c]) ?? 0) + p));
    groups.forEach((group, c) => { sure[c][i] = Math.min(1, sums.get(group)); });
  }
  return sure;
}

/** -Infinity for each class of which a patch is less than `threshold` sure (Algorithm 1, line 3: NMS). */
export function suppressNonMaxima(rows, threshold, scale, groups) {
  const sure = confidence(rows, scale, groups);
  return rows.map((row, c) => row.map((value, i) => (sure[c][i] < threshold ? -Infinity : value)));
}

/** The q-quantile of a list, between neighbours by straight lines. */
export function quantile(x, q) {
  const sorted = Float64Array.from(x).sort(), at = q * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

/** Let each patch of the background go to the words that it prefers clearly enough; 19 of 20 such patches stay. */
export function settleWords(rows, threshold, scale) {
  const share = rows.map(row => new Float64Array(row.length)), highest = [];
  for (let i = 0; i < rows[0].length; i++) {
    const among = softmax(column(rows, i), scale);
    among.forEach((p, c) => { share[c][i] = p; });
    if (rows.some(row => row[i] > -Infinity)) highest.push(Math.max(...among));
  }
  if (!highest.length) return rows;
  const lowered = Math.min(threshold, quantile(highest, 1 - 1 / 20));
  return rows.map((row, c) => row.map((value, i) => (share[c][i] >= lowered ? value : -Infinity)));
}

/** Early rejection and suppression; the first `words` rows are the background's. Gives rows and the classes they are of. */
export function select(logits, threshold, scale, words = 0) {
  const kept = rejectEarly(logits), rows = kept.map(c => logits[c]);
  const groups = words ? kept.map(c => Math.max(0, c - words + 1)) : undefined;
  let sure = suppressNonMaxima(rows, threshold, scale, groups);
  const first = kept.filter(c => c < words).length;
  if (first) sure = [...settleWords(sure.slice(0, first), threshold, scale), ...sure.slice(first)];
  const alive = [...sure.keys()].filter(c => sure[c].some(value => value > -Infinity));
  if (!alive.length) return { rows, kept };  // nobody is sure of anything: suppression is undone
  return { rows: alive.map(c => sure[c]), kept: alive.map(c => kept[c]) };
}
