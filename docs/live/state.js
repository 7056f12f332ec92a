// The state of an explorer, as text in an address or in data-state, and the settings of the method that follow from it.

export const STAGES = ["logits", "selection", "spreading", "pixels"];
export const PARTS = { steps: Math.floor, level: score => score - Math.floor(score) };  // of a score of the maximum velocity
export const RANGES = { threshold: [0, 1], eps: [0.01, 1], iterations: [1, 200], tau: [0.01, 1] };  // what the sliders reach, and an address may ask for

/** The state in which nothing was touched. */
export function initial({ pages, classes, threshold }) {
  const all = classes.map((_, c) => c);
  return { page: pages[0].seed, mode: "path", on: all, background: false, threshold, eps: null, iterations: null, tau: null, reading: null, stage: "pixels", step: null, patch: null, truth: false, show: null, part: null };
}

const within = (text, [low, high]) => (text === null || text === "" || !Number.isFinite(Number(text)) ? null : Math.min(high, Math.max(low, Number(text))));

/** Text such as "mode=velocity&tau=0.5&stage=selection" -> a state; what it does not say, or says wrongly, is as at first. */
export function parse(text, manifest) {
  const said = new URLSearchParams(text), first = initial(manifest), pick = (key, among) => (among.includes(said.get(key)) ? said.get(key) : first[key]);
  const patch = (said.get("patch") ?? "").split(",").map(Number), names = (said.get("classes") ?? "").split(",");
  const on = first.on.filter(c => names.includes(manifest.classes[c]));
  const state = {
    ...first, mode: pick("mode", Object.keys(manifest.modes).filter(mode => mode !== "logits")), stage: pick("stage", STAGES), reading: pick("reading", ["cost", "potential"]), part: pick("part", Object.keys(PARTS)),
    page: manifest.pages.find(page => String(page.seed) === said.get("page"))?.seed ?? first.page, on: on.length ? on : first.on,
    background: said.get("background") === "1", truth: said.get("truth") === "1",
  };
  for (const [key, range] of Object.entries(RANGES)) state[key] = within(said.get(key), range) ?? first[key];
  if (state.iterations !== null) state.iterations = Math.round(state.iterations);
  if (manifest.classes.includes(said.get("show"))) state.show = manifest.classes.indexOf(said.get("show"));
  if (Number(said.get("step")) >= 1) state.step = Math.round(Number(said.get("step")));
  if (patch.length === 2 && patch.every((at, axis) => Number.isInteger(at) && at >= 0 && at < manifest.grid[axis])) state.patch = patch;
  return state;
}

/** The text that `parse` reads, with what differs from the beginning. */
export function write(state, manifest) {
  const first = initial(manifest), said = [];
  for (const key of ["page", "mode", "threshold", "eps", "iterations", "tau", "reading", "stage", "step", "part"]) if (state[key] !== first[key]) said.push(`${key}=${state[key]}`);
  if (state.on.length < first.on.length) said.push(`classes=${state.on.map(c => manifest.classes[c]).join(",")}`);
  for (const key of ["background", "truth"]) if (state[key]) said.push(`${key}=1`);
  if (state.show !== null) said.push(`show=${manifest.classes[state.show]}`);
  if (state.patch) said.push(`patch=${state.patch.join(",")}`);
  return said.join("&");
}

/** What `Page` needs: the preset's settings of the measure, with what was moved. */
export function settings(state, manifest) {
  const own = manifest.modes[state.mode], s = { mode: state.mode, on: state.on, background: state.background, threshold: state.threshold, scale: manifest.scale, ...own };
  for (const key of ["eps", "iterations", "tau", "reading"]) if (key in own && state[key] !== null) s[key] = state[key];
  return s;
}
