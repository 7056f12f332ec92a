// What is drawn on the canvases, and where the truth's outlines run.

export const channels = colour => [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16));

/** The picture, with the attention of a patch as its brightness if there is one: links of each pixel's patch in [0, 1], or null. */
export function paintPicture(canvas, colours, links) {
  const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height);
  for (let i = 0, to = 0; i < colours.length / 3; i++, to += 4) {
    const light = links ? 0.12 + 0.88 * Math.sqrt(links(i)) : 1;
    for (let c = 0; c < 3; c++) picture.data[to + c] = colours[3 * i + c] * light;
    picture.data[to + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

/** The mask in the colours of the classes; where a label is below 0, the picture in pale grey. */
export function paintLabels(canvas, labels, palette, colours) {
  const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height);
  for (let i = 0, to = 0; i < labels.length; i++, to += 4) {
    const colour = palette[labels[i]], grey = 150 + 0.12 * (colours[3 * i] + colours[3 * i + 1] + colours[3 * i + 2]);
    for (let c = 0; c < 3; c++) picture.data[to + c] = colour ? colour[c] : grey;
    picture.data[to + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

/** A map from black at its low end to white at its high one; without a map, mid-grey. */
export function paintMap(canvas, map, ends) {
  const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height);
  for (let i = 0, to = 0; to < picture.data.length; i++, to += 4) {
    picture.data.fill(map ? 255 * (map[i] - ends[0]) / (ends[1] - ends[0] || 1) : 128, to, to + 3);
    picture.data[to + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

/** The borders between the areas of a label map, as the path of an SVG with one unit a pixel. */
export function outlines(labels, [H, W]) {
  const parts = [];
  for (let y = 0; y < H; y++) for (let x = 0; x < W; x++) {
    const here = labels[y * W + x];
    if (x + 1 < W && labels[y * W + x + 1] !== here) parts.push(`M${x + 1} ${y}v1`);
    if (y + 1 < H && labels[(y + 1) * W + x] !== here) parts.push(`M${x} ${y + 1}h1`);
  }
  return parts.join("");
}

/** For each label that has room for a name: [label, y, x] of the pixel deepest inside it, in shares of the picture. */
export function middles(labels, [H, W], room = 7) {
  const depth = new Int16Array(H * W), best = new Map();
  const from = (y, x, here) => (y < 0 || x < 0 || y >= H || x >= W || labels[y * W + x] !== here ? 0 : depth[y * W + x]);
  for (let y = 0; y < H; y++) for (let x = 0; x < W; x++) {
    const here = labels[y * W + x];
    depth[y * W + x] = 1 + Math.min(from(y - 1, x, here), from(y, x - 1, here), from(y - 1, x - 1, here), from(y - 1, x + 1, here));
  }
  for (let y = H - 1; y >= 0; y--) for (let x = W - 1; x >= 0; x--) {
    const at = y * W + x, here = labels[at];
    depth[at] = Math.min(depth[at], 1 + Math.min(from(y + 1, x, here), from(y, x + 1, here), from(y + 1, x + 1, here), from(y + 1, x - 1, here)));
    if (here >= 0 && depth[at] >= room && depth[at] > (best.get(here)?.depth ?? 0)) best.set(here, { depth: depth[at], y: (y + 0.5) / H, x: (x + 0.5) / W });
  }
  const deepest = [...best].sort((a, b) => b[1].depth - a[1].depth), apart = (p, q) => Math.abs(p.y - q.y) > 0.09 || Math.abs(p.x - q.x) > 0.3;
  const free = deepest.filter(([, p], i) => deepest.slice(0, i).every(([, q]) => apart(p, q)));  // where two names would meet, the larger area's
  return free.map(([label, { y, x }]) => [label, y, x]);
}
