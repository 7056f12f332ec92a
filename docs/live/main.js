// What the page runs. MANIFEST comes before, from docs/livepage.py.
globalThis.dotsegLive = { receive, unpack, load, Page, parse, settings, manifest: MANIFEST, base: document.currentScript.src };
addEventListener("DOMContentLoaded", () => fill(MANIFEST, dotsegLive.base));
