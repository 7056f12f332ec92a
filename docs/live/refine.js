// The whole method on one page, as dotseg.refine: selection, measure, upsampling, labels. What a slider leaves alone is kept.
import { argmax, column, select, softmax } from "./selection.js";
import { alone, attentionCost, contrastVote, fitFactors, fused, gibbsKernel, kernelVote, klDiscrepancy, maximumVelocity, neighbourKernel, neighbourLinks, optimalPath } from "./measures.js";
import { bilateralWeights, claimPixels, confusion, iou, upsample, upsampledWinners, winners } from "./pixels.js";

/** A function that remembers, for each of its names, the last answer and what it was for. */
function memory() {
  const kept = new Map();
  return (name, key, make) => {
    if (kept.get(name)?.key !== key) kept.set(name, { key, value: make() });
    return kept.get(name).value;
  };
}

/** One page with what has been worked out of it. */
export class Page {
  /** logits: a row for each of the names; attention (n, n); image in [0, 1], colours the same in bytes; truth: the true class of each pixel. */
  constructor({ logits, attention, image, colours, truth, size, grid }) {
    Object.assign(this, { logits, attention, image, colours, truth, size, grid, n: grid[0] * grid[1], recall: memory() });
  }

  get weights() { return this.recall("jbu", 0, () => bilateralWeights(this.image, this.size, this.grid)); }
  upsampled(maps) { return upsample(maps, this.weights); }
  get cost() { return this.recall("cost", 0, () => attentionCost(this.attention, this.n)); }
  kernel(eps) { return this.recall("kernel", eps, () => gibbsKernel(this.cost, eps)); }
  chain(fits) { return this.recall("chain", fits, () => fitFactors(this.attention, this.n, fits)); }
  neighbours(s) {
    const links = this.recall("links", `${s.links} ${s.reach}`, () => neighbourLinks(this.attention, this.grid[1], s));
    return this.recall("neighbours", `${s.links} ${s.reach} ${s.eps}`, () => neighbourKernel(links, s.eps));
  }

  /** The rows of the logits that are asked about: words of the background, then the classes that are on. */
  rows({ on, background }) {
    const words = background ? this.logits.map((_, c) => c).filter(c => !on.includes(c)) : [];
    return { asked: [...words, ...on], words: words.length };
  }

  /** Algorithm 1, lines 2 and 3; `threshold` as given, so that a walk can raise it. */
  selected(s, { asked, words }) {
    return select(asked.map(c => this.logits[c]), s.threshold, s.scale, words);
  }

  /** The map of each class on the patches, after all iterations or steps or the first `progress`, and the rows they are of. */
  measured(s, progress = Infinity) {
    return this.recall(`measured ${s.mode}`, JSON.stringify([s, progress === Infinity ? null : progress]), () => this.measure(s, this.rows(s), progress));
  }

  measure(s, { asked, words }, progress) {
    if (s.mode === "logits") return { maps: asked.map(c => this.logits[c]), kept: [...asked.keys()] };
    if (s.mode === "contrast") {
      const scaled = asked.map(c => this.logits[c].map(value => s.scale * value));
      return { maps: contrastVote(scaled, this.neighbours(s), s.contrast), kept: [...asked.keys()] };
    }
    const { rows, kept } = this.selected(s, { asked, words }), f = rows.map(row => softmax(row, s.scale));
    const path = p => optimalPath(f, this.cost, this.kernel(p.eps), p.eps, Math.min(p.iterations, progress), p.reading);
    const velocity = v => maximumVelocity(f, this.chain(v.iterations), v.tau, Math.min(100, progress));
    const maps = {
      path: () => path(s), velocity: () => velocity(s), fused: () => fused(velocity(s.velocity), path(s.path)),
      kl: () => klDiscrepancy(f), vote: () => kernelVote(f, this.kernel(s.eps)), alone: () => alone(f),
    }[s.mode]();
    return { maps, kept };
  }

  /** Maps at patches or pixels -> for each place an index into `names`, those of the classes that are on, after a background if there is one. */
  labels(maps, kept, s, words) {
    if (s.background) return claimPixels(maps, kept, words, s.ownership);
    return winners(maps).map(at => kept[at]);
  }

  /** The truth in the same indices; -1 for what nobody asked about. */
  asked(s) {
    const at = new Map(s.on.map((c, i) => [c, i + (s.background ? 1 : 0)]));
    return Int16Array.from(this.truth, c => at.get(c) ?? (s.background ? 0 : -1));
  }

  /** The mask of these settings, and how right it is. */
  refine(s) {
    const rows = this.rows(s), { maps, kept } = this.measured(s);
    const labels = s.background ? this.labels(this.upsampled(maps), kept, s, rows.words) : upsampledWinners(maps, this.weights).map(at => kept[at]);
    return { maps, kept, labels, ...this.judge(labels, s) };
  }

  /** Intersection over union and the share of right pixels. */
  judge(labels, s) {
    return iou(confusion(this.asked(s), labels, s.on.length + (s.background ? 1 : 0)));
  }

  /** Each pixel has what its patch has. */
  spread(patches) {
    const [H, W] = this.size, [h, w] = this.grid;
    return patches.constructor.from({ length: H * W }, (_, p) => patches[Math.floor(Math.floor(p / W) * h / H) * w + Math.floor((p % W) * w / W)]);
  }

  /** The class that survives at each patch, or -1: what suppression leaves, or the surest class where it removes nothing. */
  survivors(s, rows) {
    const { rows: left, kept } = this.selected(s, rows), shift = s.background ? rows.words - 1 : 0;
    return Int16Array.from({ length: this.n }, (_, i) => {
      const at = argmax(column(left, i));
      return at < 0 ? -1 : Math.max(0, kept[at] - shift);
    });
  }
}
