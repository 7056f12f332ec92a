// What is drawn on the canvases, and where the truth's outlines run.

export const channels = colour => [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16));

/** Give a canvas one colour a pixel: colour(pixel) -> [red, green, blue]. */
function paint(canvas, colour) {
  const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height);
  for (let i = 0; i < canvas.width * canvas.height; i++) {
    const [r, g, b] = colour(i);
    picture.data[4 * i] = r; picture.data[4 * i + 1] = g; picture.data[4 * i + 2] = b; picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

/** The picture, with the attention of a patch as its brightness if there is one: links of each pixel's patch in [0, 1], or null. */
export function paintPicture(canvas, colours, links) {
  paint(canvas, i => {
    const light = links ? 0.12 + 0.88 * Math.sqrt(links(i)) : 1;
    return [colours[3 * i] * light, colours[3 * i + 1] * light, colours[3 * i + 2] * light];
  });
}

/** The mask in the colours of the classes; where a label is below 0, the picture in pale grey. */
export function paintLabels(canvas, labels, palette, colours) {
  paint(canvas, i => {
    if (labels[i] >= 0) return palette[labels[i]];
    const grey = 150 + (0.3 * colours[3 * i] + 0.59 * colours[3 * i + 1] + 0.11 * colours[3 * i + 2]) * 0.36;
    return [grey, grey, grey];
  });
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
