// The explorer: a picture, the mask before and after, and every choice between as a control.
import { Page } from "./refine.js";
import { load, receive, unpack } from "./data.js";
import { RANGES, STAGES, initial, parse, settings, write } from "./state.js";
import { channels, middles, outlines, paintLabels, paintPicture } from "./draw.js";

const MODES = {  // name, what it asks, its lesson
  path: ["Optimal path", "What does it cost to spread a class evenly over the picture, along the attention?", "method/05_optimal_path.html"],
  velocity: ["Maximum velocity", "How long does a patch take to settle while a class spreads along the attention?", "method/06_maximum_velocity.html"],
  fused: ["Both, fused", "The mean of optimal path and maximum velocity, each stretched to [0, 1].", "method/09_measures.html"],
  contrast: ["Contrast vote", "Our own step, not in the paper: each class against its own mean, then a vote along the attention. It selects nothing.", "method/11_contrast_vote.html"],
  vote: ["Kernel vote", "A control: one product with the kernel of the optimal path.", "method/09_measures.html"],
  kl: ["KL divergence", "The paper’s baseline: each patch’s share of the divergence from uniform. It reads no attention.", "method/05_optimal_path.html"],
  alone: ["Selection alone", "A control: selection and softmax, nothing else.", "method/09_measures.html"],
};
const SLIDERS = { threshold: "Threshold", eps: "Smoothness ε", iterations: "Iterations", tau: "Tolerance τ" };
const HINT = "Point at the picture: where the patch’s attention goes stays bright. Tap or use the arrow keys.";
const percent = value => (Number.isNaN(value) ? "–" : (100 * value).toFixed(1));  // no pixel of the truth was asked about

/** An element with properties, attributes (those with a dash, and role) and children. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) key.includes("-") || key === "role" ? element.setAttribute(key, value) : element[key] = value;
  element.append(...children);
  return element;
}

class Explorer {
  /** root: the element that it fills; key: what its state is called in the address, or null. */
  constructor(root, manifest, base, key) {
    Object.assign(this, { root, manifest, base, key, hover: null, loaded: new Map(), name: `${key ?? "live"}-${Math.random().toString(36).slice(2, 8)}` });
    this.start = parse(root.dataset.state ?? "", manifest);
    this.state = this.asked() ?? this.start;
    this.palette = manifest.colours.map(channels);
    this.build();
    window.addEventListener("hashchange", () => { const asked = this.asked(); if (asked) this.go(asked, false); });
    this.go({}, false);
  }

  /** The state that the address asks for, if it does. */
  asked() {
    const [key, text] = location.hash.slice(1).split(/:(.*)/s);
    return this.key && key === this.key ? parse(text, this.manifest) : null;
  }

  // ---- what is on the screen

  build() {
    const { manifest } = this;
    this.controls = { pages: this.radios("page", manifest.pages.map(({ seed, title, thumb }) => [seed, make("img", { src: thumb, alt: "", width: 48, height: 48 }), make("span", {}, title)])) };
    this.controls.pages.className = "dl-pages";
    this.why = make("p", { className: "dl-why" });
    this.panels = { picture: this.panel("picture", "Picture"), before: this.panel("before", "Before"), after: this.panel("after", "After") };
    this.point(this.panels.picture.frame);
    this.say = make("output", { className: "dl-say", role: "status" });
    this.note = make("p", { className: "dl-note" });
    const { picture, before, after } = this.panels, panels = make("div", { className: "dl-panels" }, picture.box, this.say, before.box, after.box);
    const controls = make("div", { className: "dl-controls" }, this.measure(), this.names());
    this.root.replaceChildren(this.controls.pages, this.why, panels, this.walk(), controls, this.note);
    this.root.classList.add("dl");
    this.root.setAttribute("role", "region");
    this.root.setAttribute("aria-label", "Live segmentation");
  }

  /** A group of radio buttons: [value, ...content] of each. */
  radios(field, options) {
    const about = { page: "Page of the picture book", mode: "Measure", reading: "Reading of the plan" }[field];
    const group = make("div", { role: "radiogroup", "aria-label": about });
    for (const [value, ...content] of options) {
      const input = make("input", { type: "radio", name: `${this.name}-${field}`, value: String(value) });
      input.addEventListener("change", () => this.go(field === "mode" ? { mode: value, eps: null, iterations: null, tau: null, reading: null, step: null } : { [field]: value }));
      group.append(make("label", {}, input, ...content));
    }
    return group;
  }

  panel(kind, title) {
    const [H, W] = this.manifest.size, canvas = make("canvas", { width: W, height: H, role: "img", "aria-label": title });
    const mark = make("div", { className: "dl-mark", hidden: true }), frame = make("div", { className: "dl-frame" }, canvas, mark);
    const lines = document.createElementNS("http://www.w3.org/2000/svg", "svg"), value = make("b"), about = make("span", { className: "dl-about" });
    lines.setAttribute("viewBox", `0 0 ${W} ${H}`);
    lines.setAttribute("aria-hidden", "true");
    lines.innerHTML = "<path/><path/>";
    frame.insertBefore(lines, mark);
    const head = make("div", { className: "dl-caption" }, make("span", { className: "dl-title" }, title), value, about);
    const names = make("div", { className: "dl-names", "aria-hidden": "true" });
    frame.insertBefore(names, mark);
    return { box: make("div", { className: `dl-panel dl-${kind}`, role: "group", "aria-label": title }, head, frame), names, canvas, mark, frame, lines, value, about };
  }

  /** The slider from logits to pixels, with a button for each stage. */
  walk() {
    const slider = make("input", { type: "range", min: 0, max: 36, step: 1, "aria-label": "Stage of the method" });
    let keyed = false;  // a key goes on to the next stop, a pointer to the nearest
    slider.addEventListener("keydown", () => { keyed = true; });
    slider.addEventListener("pointerdown", () => { keyed = false; });
    slider.addEventListener("input", () => this.go(this.stop(Number(slider.value), keyed)));
    const stages = make("div", { className: "dl-stages" });
    for (const stage of STAGES) {
      const button = make("button", { type: "button", value: stage, textContent: stage });
      button.addEventListener("click", () => this.go({ stage, step: null }));
      stages.append(button);
    }
    Object.assign(this.controls, { slider, stages });
    return make("div", { className: "dl-walk" }, slider, stages);
  }

  /** The measure and its settings. */
  measure() {
    this.controls.modes = this.radios("mode", Object.entries(MODES).map(([mode, [title]]) => [mode, title]));
    this.controls.modes.className = "dl-pills";
    this.controls.reading = this.radios("reading", [["cost", "cost of arriving"], ["potential", "price of a patch"]]);
    this.controls.reading.className = "dl-pills dl-small";
    this.about = make("p", { className: "dl-about" });
    const sliders = make("div", { className: "dl-sliders" });
    for (const [field, title] of Object.entries(SLIDERS)) {
      const log = field === "eps" || field === "tau", [low, high] = RANGES[field].map(value => (log ? Math.log10(value) : value));
      const input = make("input", { type: "range", id: `${this.name}-${field}`, min: low, max: high, step: field === "iterations" ? 1 : log ? 0.02 : 0.01 }), value = make("span", { "aria-hidden": "true" });  // the slider itself tells it
      input.addEventListener("input", () => this.go({ [field]: log ? Number((10 ** Number(input.value)).toPrecision(3)) : Number(input.value) }));
      this.controls[field] = { input, value, log, box: make("div", { className: "dl-slider" }, make("label", { htmlFor: input.id, textContent: title }), input, value) };
      sliders.append(this.controls[field].box);
    }
    return make("div", {}, make("div", { className: "dl-head" }, "Measure"), this.controls.modes, this.about, sliders, this.controls.reading);
  }

  /** The names of the classes, and what else is asked for. */
  names() {
    const chips = make("div", { className: "dl-chips", role: "group", "aria-label": "Class names" });
    this.controls.chips = this.manifest.classes.map((name, c) => {
      const chip = make("button", { type: "button" }, make("i"), name);
      chip.style.setProperty("--colour", this.manifest.colours[c]);
      chip.addEventListener("click", () => {
        const on = this.state.on.includes(c) ? this.state.on.filter(other => other !== c) : [...this.state.on, c].sort((a, b) => a - b);
        if (on.length) this.go({ on });
      });
      return chip;
    });
    chips.append(...this.controls.chips);
    const button = (text, on) => { const made = make("button", { type: "button", className: "dl-link", textContent: text }); made.addEventListener("click", () => this.go(on())); return made; };
    const check = (field, text) => {
      const input = make("input", { type: "checkbox" });
      input.addEventListener("change", () => this.go({ [field]: input.checked }));
      this.controls[field] = input;
      return make("label", {}, input, text);
    };
    const present = () => ({ on: initial(this.manifest).on.filter(c => this.page.truth.includes(c)) });
    return make("div", {}, make("div", { className: "dl-head" }, "Class names"), chips,
      make("div", { className: "dl-row" }, button("all names", () => ({ on: initial(this.manifest).on })), button("only what is on this page", present)),
      make("div", { className: "dl-row" }, check("background", "The rest is background"), check("truth", "Outline the truth")),
      make("div", { className: "dl-row" }, button("Start again", () => ({ ...this.start, page: this.state.page }))));
  }

  /** Pointer, touch and keys choose a patch of the picture. */
  point(frame) {
    const [h, w] = this.manifest.grid, clip = (at, n) => Math.max(0, Math.min(n - 1, Math.floor(at)));
    const under = event => {
      const box = frame.getBoundingClientRect();
      return [clip((event.clientY - box.top) / box.height * h, h), clip((event.clientX - box.left) / box.width * w, w)];
    };
    Object.assign(frame, { tabIndex: 0 });
    frame.setAttribute("role", "application");
    frame.setAttribute("aria-label", `The picture, ${h} by ${w} patches. The arrow keys choose a patch, Escape lets go of it.`);
    frame.addEventListener("pointermove", event => { if (event.pointerType === "mouse" || event.buttons) { this.hover = under(event); this.show(); } });
    frame.addEventListener("pointerleave", () => { this.hover = null; this.show(); });
    frame.addEventListener("click", event => {
      const patch = under(event), same = String(patch) === String(this.state.patch);
      if (same) this.hover = null;
      this.go({ patch: same ? null : patch });
    });
    frame.addEventListener("keydown", event => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key], at = this.state.patch;
      if (!step && event.key !== "Escape") return;
      event.preventDefault();
      this.go({ patch: step ? (at ? [clip(at[0] + step[0], h), clip(at[1] + step[1], w)] : [h / 2, w / 2]) : null });
    });
  }

  // ---- what happens

  /** Change the state and show it; `touched` if the reader did, for then the address says it too. */
  async go(change, touched = true) {
    this.state = { ...this.state, ...change };
    if (touched && this.key) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => history.replaceState(null, "", `#${this.key}:${write(this.state, this.manifest)}`), 200);
    }
    const seed = this.state.page;
    try {
      if (!this.loaded.has(seed)) this.loaded.set(seed, load(seed, this.base).then(bytes => unpack(bytes, this.manifest)).then(parts => Object.assign(new Page(parts), { colours: parts.colours })));
      const page = await this.loaded.get(seed);
      if (seed !== this.state.page) return;
      this.page = page;
      this.changed = true;
      this.show();
    } catch (error) {
      this.loaded.delete(seed);
      this.say.textContent = `${error.message} Copy the whole site, or open it from its address.`;
      this.root.classList.add("dl-failed");
    }
  }

  /** Draw, once before the next frame. */
  show() {
    if (this.page && !this.frame) this.frame = requestAnimationFrame(() => { this.frame = null; this.draw(); });
  }

  /** The stops of the slider: [place, stage, step]. Spreading has one for each step that is shown. */
  stops() {
    const s = settings(this.state, this.manifest), shown = [1, 2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200], selects = s.mode !== "contrast";
    const last = s.mode === "path" ? s.iterations : s.mode === "velocity" ? this.settling(s) : 1;
    const steps = [...shown.filter(step => step < last), last], n = 12;  // n: places from one stage to the next
    return [[0, "logits", null], ...(selects ? [[n, "selection", null]] : []), ...steps.map((step, i) => [n + Math.round((i + 1) / steps.length * n), "spreading", step === last ? null : step]), [3 * n, "pixels", null]];
  }

  /** The number of steps after which every patch of the chain has settled. */
  settling(s) {
    return this.page.recall("settling", JSON.stringify(s), () => Math.floor(Math.max(...this.page.measured(s, this.page.rows(s)).maps.map(map => Math.max(...map)))));
  }

  /** The stop that a place of the slider stands for. */
  stop(place, keyed) {
    const stops = this.stops(), now = stops.indexOf(this.current(stops));
    let at = stops.reduce((best, [other], i) => (Math.abs(other - place) < Math.abs(stops[best][0] - place) ? i : best), 0);
    if (keyed && at === now && place !== stops[now][0]) at = Math.max(0, Math.min(stops.length - 1, now + Math.sign(place - stops[now][0])));
    return { stage: stops[at][1], step: stops[at][2] };
  }

  /** The stop that the state is at. */
  current(stops) {
    const same = stops.filter(([, stage]) => stage === this.state.stage);
    if (!same.length) return stops[0];  // selection, of a measure that does not select
    return same.find(([, , step]) => step !== null && this.state.step !== null && step >= this.state.step) ?? same.at(-1);
  }

  /** What the after panel shows at a stage: labels of the pixels, their score, and what it is called. */
  result(s, [, stage, step]) {
    const page = this.page, rows = page.rows(s);
    if (stage === "pixels") {
      const found = page.refine(s);
      return { ...found, called: MODES[s.mode][0] };
    }
    if (stage === "selection") {
      const patches = page.survivors(s, rows), left = patches.reduce((sum, label) => sum + (label >= 0), 0);
      return { labels: page.spread(patches), called: `${left} of ${page.n} patches are sure`, patches };
    }
    const { maps, kept } = page.measured(stage === "logits" ? this.raw(s) : s, rows, step ?? Infinity);
    const labels = page.spread(page.labels(maps, kept, stage === "logits" ? this.raw(s) : s, rows.words));
    const count = s.mode === "velocity" ? `step ${step ?? this.settling(s)}` : `iteration ${step ?? s.iterations}`;
    const called = stage === "logits" ? "logits on patches" : ["path", "velocity"].includes(s.mode) ? count : `${MODES[s.mode][0]} on patches`;
    return { labels, called, ...page.judge(labels, s) };
  }

  raw(s) { return { ...s, mode: "logits", ownership: this.manifest.modes.logits.ownership }; }

  draw() {
    if (this.changed) {
      const began = performance.now(), s = settings(this.state, this.manifest);
      this.at = this.current(this.stops());
      this.after = this.result(s, this.at);
      this.root.dataset.ms = (performance.now() - began).toFixed(2);
      const before = this.page.recall("before", JSON.stringify([s.on, s.background]), () => this.page.refine(this.raw(s))), same = before === this.before;
      this.before = before;
      this.called = [...(s.background ? ["background"] : []), ...s.on.map(c => this.manifest.classes[c])];
      const palette = [...(s.background ? [[0, 0, 0]] : []), ...s.on.map(c => this.palette[c])];
      for (const [panel, found, called] of [...(same ? [] : [[this.panels.before, before, "raw logits"]]), [this.panels.after, this.after, this.after.called]]) {
        paintLabels(panel.canvas, found.labels, palette, this.page.colours);
        this.caption(panel, found, called);
      }
      this.describe(s);
      this.sync(s);
      this.changed = false;
      this.root.dataset.frame = (performance.now() - began).toFixed(2);
    }
    this.drawPatch();
  }

  /** The patch that is pointed at or kept, on all three panels, and what is said of it. */
  drawPatch() {
    const patch = this.hover ?? this.state.patch, [h, w] = this.manifest.grid, [H, W] = this.manifest.size, page = this.page;
    if (String(patch) + this.state.page === this.drawn) return this.tell(patch);
    this.drawn = String(patch) + this.state.page;
    for (const { mark } of Object.values(this.panels)) {
      mark.hidden = !patch;
      if (patch) Object.assign(mark.style, { top: `${100 * patch[0] / h}%`, left: `${100 * patch[1] / w}%`, width: `${100 / w}%`, height: `${100 / h}%` });
    }
    const row = patch && page.cost.subarray((patch[0] * w + patch[1]) * page.n);
    paintPicture(this.panels.picture.canvas, page.colours, patch && (i => 1 - row[Math.floor(Math.floor(i / W) * h / H) * w + Math.floor((i % W) * w / W)]));
    this.tell(patch);
  }

  tell(patch) {
    const [h, w] = this.manifest.grid, [H, W] = this.manifest.size;
    let text = HINT;
    if (patch) {
      const middle = Math.floor((patch[0] + 0.5) * H / h) * W + Math.floor((patch[1] + 0.5) * W / w), name = labels => this.called[labels[middle]] ?? "left out";
      text = `Row ${patch[0] + 1}, column ${patch[1] + 1}. Truth: ${this.manifest.classes[this.page.truth[middle]]}. Before: ${name(this.before.labels)}. After: ${name(this.after.labels)}.`;
    }
    if (this.say.textContent !== text) this.say.textContent = text;
  }

  /** What stands above a mask and on it, and what a screen reader is told of it. */
  caption({ value, about, canvas, names }, found, called) {
    const counts = new Map();
    for (const label of found.labels) counts.set(label, (counts.get(label) ?? 0) + 1);
    const shares = [...counts].sort((a, b) => b[1] - a[1]).map(([label, count]) => `${this.called[label] ?? "left out"} ${Math.round(100 * count / found.labels.length)} %`);
    value.textContent = found.mean === undefined ? "" : `IoU ${percent(found.mean)}`;
    value.title = "Mean over the classes that are there or are found, in per cent";
    about.textContent = found.right === undefined ? called : `${called}, ${percent(found.right)} % of pixels right`;
    canvas.setAttribute("aria-label", `Mask, ${called}: ${shares.join(", ")}`);
    names.replaceChildren(...middles(found.labels, this.page.size).map(([label, y, x]) => {
      const name = make("span", {}, this.called[label]);
      Object.assign(name.style, { top: `${100 * y}%`, left: `${100 * x}%` });
      return name;
    }));
  }

  /** What is on the page, and the outlines of the truth. */
  describe(s) {
    const { picture, before, after } = this.panels, there = this.manifest.classes.filter((_, c) => this.page.truth.includes(c)).join(", ");
    picture.about.textContent = there;
    picture.canvas.setAttribute("aria-label", `A page of the picture book with ${there}`);
    const path = this.page.recall("outlines", JSON.stringify([s.on, s.background]), () => outlines(this.page.asked(s), this.page.size));
    for (const { lines } of [before, after]) {
      lines.toggleAttribute("hidden", !this.state.truth);
      for (const line of lines.children) if (line.getAttribute("d") !== path) line.setAttribute("d", path);
    }
  }

  /** Bring every control to the state. */
  sync(s) {
    const { controls, state, manifest } = this, own = manifest.modes[s.mode], found = new Set(this.after.labels);
    for (const [group, value] of [[controls.pages, state.page], [controls.modes, s.mode], [controls.reading, s.reading]]) {
      for (const input of group.querySelectorAll("input")) input.checked = input.value === String(value);
    }
    const { title: headline, why } = manifest.pages.find(({ seed }) => seed === state.page);
    this.why.replaceChildren(make("b", {}, `${headline}. `), why);
    const [title, question, lesson] = MODES[s.mode];
    this.about.replaceChildren(`${question} `, make("a", { href: new URL(`../../${lesson}`, this.base).href, textContent: "How it works", "aria-label": `How it works: ${title}` }));
    for (const field of Object.keys(SLIDERS)) {
      const { input, value, log, box } = controls[field], number = s[field];
      box.hidden = field === "threshold" ? s.mode === "contrast" : !(field in own);
      if (box.hidden) continue;
      input.value = log ? Math.log10(number) : number;
      value.textContent = String(Number(number.toPrecision(3)));
      input.setAttribute("aria-valuetext", value.textContent);
    }
    controls.reading.hidden = !("reading" in own);
        controls.slider.value = this.at[0];
    controls.slider.setAttribute("aria-valuetext", `${this.at[1]}: ${this.after.called}`);
    for (const button of controls.stages.children) {
      button.disabled = button.value === "selection" && s.mode === "contrast";
      button.setAttribute("aria-pressed", String(button.value === this.at[1]));
    }
    controls.chips.forEach((chip, c) => {
      chip.setAttribute("aria-pressed", String(state.on.includes(c)));
      chip.classList.toggle("dl-found", found.has(state.on.indexOf(c) + (s.background ? 1 : 0)) && state.on.includes(c));
    });
    controls.background.checked = state.background;
    controls.truth.checked = state.truth;
    this.note.textContent = `Worked out in your browser, in ${Math.round(Number(this.root.dataset.ms))} ms.`;
  }
}

/** Fill every element of the class dotseg-live, once it is about to be seen. The first one's state is in the address, as #live:mode=path. */
export function fill(manifest, base) {
  const all = [...document.querySelectorAll(".dotseg-live")];
  const seen = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      new Explorer(target, manifest, base, all.indexOf(target) ? `live-${all.indexOf(target) + 1}` : "live");
    }
  }, { rootMargin: "400px" });
  all.forEach(root => seen.observe(root));
  const asked = all[location.hash.startsWith("#live-") ? parseInt(location.hash.slice(6), 10) - 1 : 0];
  if (location.hash.startsWith("#live") && asked) asked.scrollIntoView();
}
