// The bytes of a page, and the numbers in them: the counterpart of `pack` in docs/livepage.py.

/** bytes (zlib) -> { image, truth, logits, attention } as `Page` takes them, and `colours`, the picture's bytes. */
export async function unpack(bytes, { size: [H, W], grid: [h, w], classes }) {
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(plain).arrayBuffer(), n = h * w, pixels = H * W;
  const colours = new Uint8Array(buffer.slice(0, 3 * pixels));
  for (let i = 3; i < colours.length; i++) if (i % (3 * W) > 2) colours[i] += colours[i - 3];  // they are differences along a row
  const words = new DataView(buffer, 4 * pixels);
  const logits = classes.map((_, c) => Float64Array.from({ length: n }, (_, i) => words.getInt16(2 * (c * n + i), true) / 32767));
  return {
    colours, image: Float64Array.from(colours, value => value / 255), truth: new Uint8Array(buffer, 3 * pixels, pixels), logits,
    attention: Float64Array.from(new Uint8Array(buffer, 4 * pixels + 2 * n * classes.length), value => value / 255),
    size: [H, W], grid: [h, w],
  };
}

const waiting = new Map();  // seed -> { promise, resolve }

/** What a page's script calls: its bytes in base64. */
export function receive(seed, text) {
  waiting.get(seed).resolve(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)));
}

/** The bytes of a page, by a script beside this one, since a file:// address cannot be fetched. */
export function load(seed, base) {
  if (!waiting.has(seed)) {
    const entry = {};
    entry.promise = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      Object.assign(entry, { resolve });
      script.onerror = () => { waiting.delete(seed); reject(new Error(`The data of page ${seed} could not be read: ${script.src}`)); };
      script.src = new URL(`${seed}.js`, base);
      document.head.append(script);
    });
    waiting.set(seed, entry);
  }
  return waiting.get(seed).promise;
}
