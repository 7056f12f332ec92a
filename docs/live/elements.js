// What the explorer is made of: pages, panels, the walk, and the controls. Each tells the explorer what was asked for, by `go`.
import { PARTS, RANGES, STAGES, initial } from "./state.js";

export const MODES = {  // name, what it asks, its lesson
  path: ["Optimal path", "What does it cost to spread a class evenly over the picture, along the attention?", "method/05_optimal_path.html"],
  velocity: ["Maximum velocity", "How long does a patch take to settle while a class spreads along the attention?", "method/06_maximum_velocity.html"],
  fused: ["Both, fused", "The mean of optimal path and maximum velocity, each stretched to [0, 1].", "method/09_measures.html"],
  contrast: ["Contrast vote", "Our own step, not in the paper: each class against its own mean, then a vote along the attention. It selects nothing.", "method/11_contrast_vote.html"],
  vote: ["Kernel vote", "A control: one product with the kernel of the optimal path.", "method/09_measures.html"],
  kl: ["KL divergence", "The paper’s baseline: each patch’s share of the divergence from uniform. It reads no attention.", "method/05_optimal_path.html"],
  alone: ["Selection alone", "A control: selection and softmax, nothing else.", "method/09_measures.html"],
};
const SLIDERS = { threshold: "Threshold", eps: "Smoothness ε", iterations: "Iterations", tau: "Tolerance τ" };
const LOGARITHMIC = ["eps", "tau"];
const GROUPS = { page: "Page of the picture book", mode: "Measure", reading: "Reading of the plan" };

/** An element with properties, attributes (those with a dash, and role) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) key.includes("-") || key === "role" ? element.setAttribute(key, value) : element[key] = value;
  element.append(...children);
  return element;
}

/** An element that does something when it is clicked, changed or moved. */
function act(tag, event, properties, does, ...children) {
  const element = make(tag, properties, ...children);
  element.addEventListener(event, () => does(element));
  return element;
}

/** A group of radio buttons: [value, ...content] of each. */
function radios(explorer, field, className, options, change = value => ({ [field]: value })) {
  const group = make("div", { className, role: "radiogroup", "aria-label": GROUPS[field] });
  for (const [value, ...content] of options) {
    group.append(make("label", {}, act("input", "change", { type: "radio", name: `${explorer.name}-${field}`, value: String(value) }, () => explorer.go(change(value))), ...content));
  }
  return group;
}

/** One of the three pictures, with what stands above it, on it, and around the patch that is pointed at. */
function panel(kind, title, [H, W]) {
  const canvas = make("canvas", { width: W, height: H, role: "img", "aria-label": title }), lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  lines.setAttribute("viewBox", `0 0 ${W} ${H}`);
  lines.setAttribute("aria-hidden", "true");
  lines.innerHTML = "<path/><path/>";
  const names = make("div", { className: "dl-names", "aria-hidden": "true" }), mark = make("div", { className: "dl-mark", hidden: true });
  const frame = make("div", { className: "dl-frame" }, canvas, lines, names, mark), value = make("b"), about = make("span", { className: "dl-about" });
  const caption = make("div", { className: "dl-caption" }, make("span", { className: "dl-title" }, title), value, about);
  return { box: make("div", { className: `dl-panel dl-${kind}`, role: "group", "aria-label": title }, caption, frame), canvas, lines, names, mark, frame, value, about };
}

/** Pointer, touch and keys choose a patch of the picture: `hover(patch)` while the pointer is there, `go({ patch })` to keep one. */
function point(explorer, frame) {
  const [h, w] = explorer.manifest.grid, clip = (at, n) => Math.max(0, Math.min(n - 1, Math.floor(at)));
  const under = event => {
    const box = frame.getBoundingClientRect();
    return [clip((event.clientY - box.top) / box.height * h, h), clip((event.clientX - box.left) / box.width * w, w)];
  };
  frame.tabIndex = 0;
  frame.setAttribute("role", "application");
  frame.setAttribute("aria-label", `The picture, ${h} by ${w} patches. The arrow keys choose a patch, Escape releases it.`);
  frame.addEventListener("pointermove", event => { if (event.pointerType === "mouse" || event.buttons) explorer.point(under(event)); });
  frame.addEventListener("pointerleave", () => explorer.point(null));
  frame.addEventListener("click", event => {
    const patch = under(event), same = String(patch) === String(explorer.state.patch);
    if (same) explorer.point(null);
    explorer.go({ patch: same ? null : patch });
  });
  frame.addEventListener("keydown", event => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key], at = explorer.state.patch;
    if (!step && event.key !== "Escape") return;
    event.preventDefault();
    explorer.go({ patch: step ? (at ? [clip(at[0] + step[0], h), clip(at[1] + step[1], w)] : [h / 2, w / 2]) : null });
  });
}

/** The slider from logits to pixels, with a button for each stage. */
function walk(explorer) {
  let keyed = false;  // a key goes on to the next stop, a pointer to the nearest
  const slider = act("input", "input", { type: "range", min: 0, max: 36, step: 1, "aria-label": "Stage of the method" }, input => explorer.go(explorer.stop(Number(input.value), keyed)));
  slider.addEventListener("keydown", () => { keyed = true; });
  slider.addEventListener("pointerdown", () => { keyed = false; });
  const stages = make("div", { className: "dl-stages" }, ...STAGES.map(stage => act("button", "click", { type: "button", value: stage, textContent: stage }, () => explorer.go({ stage, step: null }))));
  return { slider, stages, box: make("div", { className: "dl-walk" }, slider, stages) };
}

/** A slider of one setting, with its value beside it. */
function setting(explorer, field) {
  const log = LOGARITHMIC.includes(field), [min, max] = RANGES[field].map(value => (log ? Math.log10(value) : value)), step = field === "iterations" ? 1 : log ? 0.02 : 0.01;
  const change = input => explorer.go({ [field]: log ? Number((10 ** Number(input.value)).toPrecision(3)) : Number(input.value) });
  const input = act("input", "input", { type: "range", id: `${explorer.name}-${field}`, min, max, step }, change), value = make("span", { "aria-hidden": "true" });  // the slider itself tells it
  return { input, value, log, box: make("div", { className: "dl-slider" }, make("label", { htmlFor: input.id, textContent: SLIDERS[field] }), input, value) };
}

/** The names of the classes as buttons: the last one that is on stays on. */
function chips(explorer) {
  return explorer.manifest.classes.map((name, c) => {
    const chip = act("button", "click", { type: "button" }, () => {
      const { on } = explorer.state, next = on.includes(c) ? on.filter(other => other !== c) : [...on, c].sort((a, b) => a - b);
      if (next.length) explorer.go({ on: next });
    }, make("i"), name);
    chip.style.setProperty("--colour", explorer.manifest.colours[c]);
    return chip;
  });
}

/** Everything on the screen; the controls and panels by their names. */
export function build(explorer) {
  const { manifest, root } = explorer, all = initial(manifest).on;
  const link = (textContent, change) => act("button", "click", { type: "button", className: "dl-link", textContent }, () => explorer.go(change()));
  const check = field => act("input", "change", { type: "checkbox" }, input => explorer.go({ [field]: input.checked }));
  const anew = mode => ({ mode, eps: null, iterations: null, tau: null, reading: null, step: null });
  const made = {
    pages: radios(explorer, "page", "dl-pages", manifest.pages.map(({ seed, title, thumb }) => [seed, make("img", { src: thumb, alt: title, width: 64, height: 64 })])),
    modes: radios(explorer, "mode", "dl-pills", Object.entries(MODES).map(([mode, [title]]) => [mode, title]), anew),
    reading: radios(explorer, "reading", "dl-pills dl-small", [["cost", "cost of arriving"], ["potential", "price of a patch"]]),
    settings: Object.fromEntries(Object.keys(SLIDERS).map(field => [field, setting(explorer, field)])),
    why: make("p", { className: "dl-why" }), say: make("output", { className: "dl-say" }), question: make("p", { className: "dl-question" }), note: make("p", { className: "dl-note" }),
    panels: Object.fromEntries(["Picture", "Before", "After"].map(title => [title.toLowerCase(), panel(title.toLowerCase(), title, manifest.size)])),
    walk: walk(explorer), chips: chips(explorer), background: check("background"), truth: check("truth"),
    show: act("select", "change", {}, input => { const [show, part = null] = input.value.split(" "); explorer.go({ show: show === "" ? null : Number(show), part }); }),
  };
  const { picture, before, after } = made.panels, row = (...children) => make("div", { className: "dl-row" }, ...children), head = title => make("div", { className: "dl-head" }, title);
  point(explorer, picture.frame);
  const measure = make("div", {}, head("Measure"), made.modes, made.question, make("div", { className: "dl-sliders" }, ...Object.values(made.settings).map(({ box }) => box)), made.reading);
  const names = make("div", {}, head("Class names"), make("div", { className: "dl-chips", role: "group", "aria-label": "Class names" }, ...made.chips),
    row(link("all names", () => ({ on: all })), link("only what is on this page", () => ({ on: all.filter(c => explorer.page.truth.includes(c)) }))),
    row(make("label", {}, made.background, "The rest is background"), make("label", {}, made.truth, "Outline the truth"), make("label", {}, "After shows", made.show)),
    row(link("Start again", () => ({ ...explorer.start, page: explorer.state.page }))));
  root.replaceChildren(made.pages, made.why, make("div", { className: "dl-panels" }, picture.box, made.say, before.box, after.box), made.walk.box, make("div", { className: "dl-controls" }, measure, names), made.note);
  root.classList.add("dl");
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", "Live segmentation");
  return made;
}

/** Bring every control to the state: s, its settings; at, the stop of the walk; found, what the after panel holds. */
export function sync({ made, state, manifest, base }, s, [place, stage], found) {
  for (const [group, value] of [[made.pages, state.page], [made.modes, s.mode], [made.reading, s.reading]]) {
    for (const input of group.querySelectorAll("input")) input.checked = input.value === String(value);
  }
  const own = manifest.modes[s.mode], [title, question, lesson] = MODES[s.mode], { title: headline, why } = manifest.pages.find(({ seed }) => seed === state.page);
  made.why.replaceChildren(make("b", {}, `${headline}. `), why);
  made.question.replaceChildren(`${question} `, make("a", { href: new URL(`../../${lesson}`, base).href, textContent: "How it works", "aria-label": `How it works: ${title}` }));
  for (const [field, { input, value, log, box }] of Object.entries(made.settings)) {
    box.hidden = field === "threshold" ? s.mode === "contrast" : !(field in own);
    if (box.hidden) continue;
    input.value = log ? Math.log10(s[field]) : s[field];
    value.textContent = String(Number(s[field].toPrecision(3)));
    input.setAttribute("aria-valuetext", value.textContent);
  }
  made.reading.hidden = !("reading" in own);
  made.walk.slider.value = place;
  made.walk.slider.setAttribute("aria-valuetext", `${stage}: ${found.called}`);
  for (const button of made.walk.stages.children) {
    button.disabled = button.value === "selection" && s.mode === "contrast";
    button.setAttribute("aria-pressed", String(button.value === stage));
  }
  const there = new Set(found.labels);
  made.chips.forEach((chip, c) => {
    const on = state.on.includes(c);
    chip.setAttribute("aria-pressed", String(on));
    chip.classList.toggle("dl-found", on && there.has(state.on.indexOf(c) + (s.background ? 1 : 0)));
  });
  made.background.checked = state.background;
  made.truth.checked = state.truth;
  const views = ["", ...(s.mode === "velocity" ? Object.keys(PARTS) : [])];
  made.show.replaceChildren(new Option("the mask", ""), ...state.on.flatMap(c => views.map(part => new Option(`the ${part || "map"} of ${manifest.classes[c]}`, `${c} ${part}`.trim()))));
  made.show.value = state.show === null ? "" : `${state.show} ${views.includes(state.part) ? state.part : ""}`.trim();
}
