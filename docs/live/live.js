// The explorer: a picture, the mask before and after, and every choice between as a control.
import { Page } from "./refine.js";
import { load, unpack } from "./data.js";
import { PARTS, parse, settings, write } from "./state.js";
import { channels, middles, outlines, paintLabels, paintMap, paintPicture } from "./draw.js";
import { MODES, build, make, sync } from "./elements.js";

const HINT = "Point at a patch: what it attends to stays bright. You can also tap, or use the arrow keys.";
const PLACES = 12;  // of the slider, from one stage to the next
const STEPS = [1, 2, 3, 5, 8, 13, 20, 32, 50, 80, 125];  // that are stops of the slider
const percent = value => (Number.isNaN(value) ? "–" : (100 * value).toFixed(1));  // no pixel of the truth was asked about

class Explorer {
  /** root: the element that it fills; key: what its state is called in the address. */
  constructor(root, manifest, base, key) {
    Object.assign(this, { root, manifest, base, key, name: key, hover: null, loaded: new Map(), start: parse(root.dataset.state ?? "", manifest) });
    this.state = this.asked() ?? this.start;
    this.palette = manifest.colours.map(channels);
    this.made = build(this);
    window.addEventListener("hashchange", () => { const asked = this.asked(); if (asked) { this.go(asked, false); root.scrollIntoView(); } });
    this.go({}, false);
  }

  /** The state that the address asks for, if it does. */
  asked() {
    const [key, text] = location.hash.slice(1).split(/:(.*)/s);
    return key === this.key ? parse(text, this.manifest) : null;
  }

  /** Change the state and show it; `touched` if the reader did, for then the address says it too. */
  async go(change, touched = true) {
    this.state = { ...this.state, ...change };
    if (touched) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => history.replaceState(null, "", `#${this.key}:${write(this.state, this.manifest)}`), 200);
    }
    const seed = this.state.page;
    try {
      if (!this.loaded.has(seed)) this.loaded.set(seed, load(seed, this.base).then(bytes => unpack(bytes, this.manifest)).then(parts => new Page(parts)));
      const page = await this.loaded.get(seed);
      if (seed !== this.state.page) return;
      Object.assign(this, { page, changed: true });
      this.show();
    } catch (error) {
      this.loaded.delete(seed);
      this.made.say.textContent = `${error.message} Copy the whole site, or open it from its address.`;
      this.root.classList.add("dl-failed");
    }
  }

  /** The pointer is over a patch, or over none. */
  point(patch) {
    this.hover = patch;
    this.show();
  }

  /** Draw, once before the next frame. */
  show() {
    if (this.page && !this.frame) this.frame = requestAnimationFrame(() => { this.frame = null; this.draw(); });
  }

  /** The stops of the slider: [place, stage, step]; spreading has several, the last without a step. */
  stops() {
    const s = settings(this.state, this.manifest), selection = s.mode === "contrast" ? [] : [[PLACES, "selection", null]];
    const last = s.mode === "path" ? s.iterations : s.mode === "velocity" ? this.settling(s) : 1, steps = [...STEPS.filter(step => step < last), null];
    return [[0, "logits", null], ...selection, ...steps.map((step, i) => [PLACES + Math.round((i + 1) / steps.length * PLACES), "spreading", step]), [3 * PLACES, "pixels", null]];
  }

  /** The number of steps after which every patch of the chain has settled. */
  settling(s) {
    return Math.floor(Math.max(...this.page.measured(s).maps.map(map => Math.max(...map))));
  }

  /** The stop that a place of the slider stands for: the nearest, but a key goes on from the present one. */
  stop(place, keyed) {
    const stops = this.stops(), now = stops.indexOf(this.current(stops)), far = stops.map(([other]) => Math.abs(other - place));
    let at = far.indexOf(Math.min(...far));
    if (keyed && at === now) at = Math.max(0, Math.min(stops.length - 1, now + Math.sign(place - stops[now][0])));
    return { stage: stops[at][1], step: stops[at][2] };
  }

  /** The stop that the state is at. */
  current(stops) {
    const same = stops.filter(([, stage]) => stage === this.state.stage);
    if (!same.length) return stops[0];  // selection, of a measure that does not select
    return same.find(([, , step]) => step !== null && this.state.step !== null && step >= this.state.step) ?? same.at(-1);
  }

  raw(s) { return { ...s, mode: "logits", ownership: this.manifest.modes.logits.ownership }; }

  /** What the after panel shows at a stop: labels of the pixels, how right they are, what they are called, and the map of a class. */
  result(s, [, stage, step]) {
    const { page } = this, rows = page.rows(s);
    if (stage === "selection") {
      const patches = page.survivors(s, rows), left = patches.reduce((sum, label) => sum + (label >= 0), 0);
      return { labels: page.spread(patches), called: `${left} of ${page.n} patches are sure` };
    }
    if (stage === "pixels") {
      const found = page.refine(s);
      return { ...found, called: MODES[s.mode][0], map: this.map(found, rows, map => page.upsampled([map])[0]) };
    }
    const asked = stage === "logits" ? this.raw(s) : s, found = page.measured(asked, step ?? Infinity), labels = page.spread(page.labels(found.maps, found.kept, asked, rows.words));
    const count = { path: `iteration ${step ?? s.iterations}`, velocity: `step ${step ?? (s.mode === "velocity" ? this.settling(s) : 0)}` }[s.mode];
    return { labels, called: stage === "logits" ? "logits on patches" : count ?? `${MODES[s.mode][0]} on patches`, ...page.judge(labels, s), map: this.map(found, rows, map => page.spread(map)) };
  }

  /** The part of the score that the map shows, if the measure has parts. */
  part() { return this.state.mode === "velocity" ? this.state.part : null; }

  /** The map of the class that is to be shown, at pixels; null if it was dropped, undefined if the mask is to be shown. */
  map({ maps, kept }, { asked }, spread) {
    const { show } = this.state, part = PARTS[this.part()];
    if (show === null || !this.state.on.includes(show)) return undefined;
    const at = kept.indexOf(asked.indexOf(show));
    return at < 0 ? null : spread(part ? maps[at].map(part) : maps[at]);
  }

  draw() {
    if (this.changed) {
      const began = performance.now(), s = settings(this.state, this.manifest), at = this.current(this.stops()), after = this.result(s, at);
      this.root.dataset.ms = (performance.now() - began).toFixed(2);
      const before = this.page.recall("before", JSON.stringify([s.on, s.background]), () => this.page.refine(this.raw(s))), { panels } = this.made;
      this.called = [...(s.background ? ["background"] : []), ...s.on.map(c => this.manifest.classes[c])];
      if (before !== this.before) this.mask(panels.before, before, "raw logits", s);
      this.mask(panels.after, after, after.called, s);
      Object.assign(this, { before, after, changed: false });
      this.describe(s);
      sync(this, s, at, after);
      this.made.note.textContent = `Computed in your browser, in ${Math.round(Number(this.root.dataset.ms))} ms.`;
      this.root.dataset.frame = (performance.now() - began).toFixed(2);
    }
    this.drawPatch();
  }

  /** A mask, or the map of a class in its place, with what stands above it and on it, and what a screen reader is told of it. */
  mask({ value, about, canvas, names }, found, called, s) {
    value.textContent = found.mean === undefined ? "" : `IoU ${percent(found.mean)}`;
    value.title = "Mean over the classes that are there or are found, in per cent";
    about.textContent = found.right === undefined ? called : `${called}, ${percent(found.right)} % of pixels right`;
    if (found.map !== undefined) return this.single(found.map, about, canvas, names);
    const counts = new Map();
    for (const label of found.labels) counts.set(label, (counts.get(label) ?? 0) + 1);
    const shares = [...counts].sort((a, b) => b[1] - a[1]).map(([label, count]) => `${this.called[label] ?? "left out"} ${Math.round(100 * count / found.labels.length)} %`);
    paintLabels(canvas, found.labels, [...(s.background ? [[0, 0, 0]] : []), ...s.on.map(c => this.palette[c])], this.page.colours);
    canvas.setAttribute("aria-label", `Mask, ${called}: ${shares.join(", ")}`);
    names.replaceChildren(...middles(found.labels, this.page.size).map(([label, y, x]) => {
      const name = make("span", {}, this.called[label]);
      Object.assign(name.style, { top: `${100 * y}%`, left: `${100 * x}%` });
      return name;
    }));
  }

  /** The map of one class, from dark to bright, or nothing of a class that was dropped. */
  single(map, about, canvas, names) {
    const name = [this.manifest.classes[this.state.show], this.part()].filter(Boolean).join(", "), ends = map && [Math.min(...map), Math.max(...map)];
    about.textContent = map ? `${name}: dark ${ends[0].toPrecision(3)}, bright ${ends[1].toPrecision(3)}`.replaceAll("-", "−") : `${name} was dropped`;
    canvas.setAttribute("aria-label", `Map of ${about.textContent}`);
    names.replaceChildren();
    paintMap(canvas, map, ends);
  }

  /** What is on the page, and the outlines of the truth. */
  describe(s) {
    const { picture, before, after } = this.made.panels, there = this.manifest.classes.filter((_, c) => this.page.truth.includes(c)).join(", ");
    picture.about.textContent = there;
    picture.canvas.setAttribute("aria-label", `A page of the picture book with ${there}`);
    const path = this.page.recall("outlines", JSON.stringify([s.on, s.background]), () => outlines(this.page.asked(s), this.page.size));
    for (const { lines } of [before, after]) {
      lines.toggleAttribute("hidden", !this.state.truth);
      for (const line of lines.children) if (line.getAttribute("d") !== path) line.setAttribute("d", path);
    }
  }

  /** The patch that is pointed at or kept, on all three panels, and its attention on the picture. */
  drawPatch() {
    const patch = this.hover ?? this.state.patch, [h, w] = this.manifest.grid, [H, W] = this.manifest.size, { page } = this, drawn = `${patch} ${this.state.page}`;
    if (drawn !== this.drawn) {
      for (const { mark } of Object.values(this.made.panels)) {
        mark.hidden = !patch;
        if (patch) Object.assign(mark.style, { top: `${100 * patch[0] / h}%`, left: `${100 * patch[1] / w}%`, width: `${100 / w}%`, height: `${100 / h}%` });
      }
      const row = patch && page.cost.subarray((patch[0] * w + patch[1]) * page.n);
      paintPicture(this.made.panels.picture.canvas, page.colours, patch && (i => 1 - row[Math.floor(Math.floor(i / W) * h / H) * w + Math.floor((i % W) * w / W)]));
      this.drawn = drawn;
    }
    const middle = patch && Math.floor((patch[0] + 0.5) * H / h) * W + Math.floor((patch[1] + 0.5) * W / w), named = labels => this.called[labels[middle]] ?? "left out";
    const text = patch ? `Row ${patch[0] + 1}, column ${patch[1] + 1}. Truth: ${this.manifest.classes[page.truth[middle]]}. Before: ${named(this.before.labels)}. After: ${named(this.after.labels)}.` : HINT;
    if (this.made.say.textContent !== text) this.made.say.textContent = text;
  }
}

/** Fill every element of the class dotseg-live, once it is about to be seen. The first one's state is in the address as #live:, the second's as #live-2:. */
export function fill(manifest, base) {
  const keys = new Map([...document.querySelectorAll(".dotseg-live")].map((root, i) => [root, i ? `live-${i + 1}` : "live"]));
  const seen = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      new Explorer(target, manifest, base, keys.get(target));
    }
  }, { rootMargin: "400px" });
  for (const [root, key] of keys) {
    seen.observe(root);
    if (location.hash.startsWith(`#${key}:`)) root.scrollIntoView();
  }
}
