// From patches to pixels: joint bilateral upsampling (dotseg/method/upsampling.py), the class of each pixel, and how right it is.
import { dot } from "./measures.js";

/** The mean colour of each cell; the picture's sides are whole multiples of the grid's. Colours in [0, 1], 3 numbers a pixel. */
export function areaAverage(image, [H, W], [h, w]) {
  const means = new Float64Array(h * w * 3), a = H / h, b = W / w;
  for (let y = 0; y < H; y++) for (let x = 0; x < W; x++) for (let c = 0; c < 3; c++) {
    means[(Math.floor(y / a) * w + Math.floor(x / b)) * 3 + c] += image[(y * W + x) * 3 + c] / (a * b);
  }
  return means;
}

/** Eq. 23's weights: for each pixel the shares of the (2 radius + 1)^2 cells around its own; cells outside the picture have 0. */
export function bilateralWeights(image, [H, W], [h, w], sigmaS2 = 1, sigmaR2 = 0.1, radius = 2) {
  const side = 2 * radius + 1, window = side * side, means = areaAverage(image, [H, W], [h, w]);
  const cells = new Int32Array(h * w * window).fill(-1), weights = new Float64Array(H * W * window);
  for (let cy = 0; cy < h; cy++) for (let cx = 0; cx < w; cx++) for (let m = 0; m < window; m++) {
    const y = cy + Math.floor(m / side) - radius, x = cx + (m % side) - radius;
    if (y >= 0 && y < h && x >= 0 && x < w) cells[(cy * w + cx) * window + m] = y * w + x;
  }
  for (let y = 0; y < H; y++) for (let x = 0; x < W; x++) {
    const cell = Math.floor((2 * y + 1) * h / (2 * H)) * w + Math.floor((2 * x + 1) * w / (2 * W));
    const py = (y + 0.5) * h / H - 0.5, px = (x + 0.5) * w / W - 0.5, at = (y * W + x) * window;
    let sum = 0;
    for (let m = 0; m < window; m++) {
      const q = cells[cell * window + m];
      if (q < 0) continue;
      let colour = 0;
      for (let c = 0; c < 3; c++) colour += (image[(y * W + x) * 3 + c] - means[q * 3 + c]) ** 2;
      const place = (py - Math.floor(q / w)) ** 2 + (px - (q % w)) ** 2;
      sum += weights[at + m] = Math.exp(-place / sigmaS2 - colour / sigmaR2);
    }
    for (let m = 0; m < window; m++) weights[at + m] /= sum;
  }
  return { weights, cells, window, size: [H, W], grid: [h, w] };
}

/** Bring maps on patches to pixels with the weights of `bilateralWeights`. */
export function upsample(maps, { weights, cells, window, size: [H, W], grid: [h, w] }) {
  const a = H / h, b = W / w, near = new Float64Array(window);
  return maps.map(map => {
    const out = new Float64Array(H * W);
    for (let cell = 0; cell < h * w; cell++) {
      for (let m = 0; m < window; m++) near[m] = map[Math.max(0, cells[cell * window + m])];  // what is outside weighs 0
      const top = Math.floor(cell / w) * a, left = (cell % w) * b;
      for (let y = top; y < top + a; y++) for (let x = left; x < left + b; x++) {
        out[y * W + x] = dot(weights, (y * W + x) * window, near);
      }
    }
    return out;
  });
}

/** The row whose map is highest at each pixel, as winners(upsample(maps, ...)), but without what cannot win: a pixel's number lies within its window's. */
export function upsampledWinners(maps, { weights, cells, window, size: [H, W], grid: [h, w] }) {
  const a = H / h, b = W / w, out = new Int16Array(H * W), near = maps.map(() => new Float64Array(window));
  for (let cell = 0; cell < h * w; cell++) {
    const low = maps.map(() => Infinity), high = maps.map(() => -Infinity);
    maps.forEach((map, c) => {
      for (let m = 0; m < window; m++) {
        const q = cells[cell * window + m], value = q < 0 ? 0 : map[q];
        near[c][m] = value;
        if (q >= 0 && value < low[c]) low[c] = value;
        if (q >= 0 && value > high[c]) high[c] = value;
      }
    });
    const floor = Math.max(...low), able = [...maps.keys()].filter(c => high[c] >= floor), top = Math.floor(cell / w) * a, left = (cell % w) * b;
    for (let y = top; y < top + a; y++) for (let x = left; x < left + b; x++) {
      let best = able[0], most = -Infinity;
      for (const c of able.length > 1 ? able : []) {
        const value = dot(weights, (y * W + x) * window, near[c]);
        if (value > most) { most = value; best = c; }
      }
      out[y * W + x] = best;
    }
  }
  return out;
}

/** The row whose map is highest at each place; a tie goes to the first. */
export function winners(maps) {
  return Int16Array.from(maps[0], (_, i) => {
    let best = 0;
    for (let c = 1; c < maps.length; c++) if (maps[c][i] > maps[best][i]) best = c;
    return best;
  });
}

/** Label 0: background, for what a word wins or no class owns; 1, 2, ...: the classes after the first `words` rows. */
export function claimPixels(scores, kept, words, ownership) {
  const low = scores.map(map => map.reduce((x, y) => Math.min(x, y))), high = scores.map(map => map.reduce((x, y) => Math.max(x, y)));
  return winners(scores).map((at, i) => {
    const owned = scores[at][i] - low[at] >= ownership * (high[at] - low[at]);
    return owned ? Math.max(0, kept[at] - words + 1) : 0;
  });
}

/** Counts of true and predicted classes, row = truth; a truth below 0 is left out. */
export function confusion(truth, labels, k) {
  const counts = Array.from({ length: k }, () => new Int32Array(k));
  truth.forEach((t, i) => { if (t >= 0) counts[t][labels[i]] += 1; });
  return counts;
}

/** Intersection over union of each class that occurs or is predicted (else NaN), their mean, and the share of right pixels. */
export function iou(counts) {
  const sum = x => x.reduce((a, b) => a + b, 0);
  const each = counts.map((row, c) => row[c] / (sum(row) + sum(counts.map(other => other[c])) - row[c]));
  const known = each.filter(value => !Number.isNaN(value)), all = sum(counts.map(sum));
  return { each, mean: sum(known) / known.length, right: sum(counts.map((row, c) => row[c])) / all };
}
