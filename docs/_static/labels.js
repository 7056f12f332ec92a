document.addEventListener("DOMContentLoaded", () => {
  // The theme's arrow beside a section of the contents has no name: a screen reader would say "button" and no more.
  for (const arrow of document.querySelectorAll(".bd-sidebar-primary summary")) {
    arrow.setAttribute("aria-label", "Pages of " + arrow.closest("li").querySelector("a").textContent.trim());
  }
  // What is wider than its box says so, and the keys reach it.
  const watch = new ResizeObserver(entries => entries.forEach(({target: box}) => {
    const wide = box.clientWidth > 0 && box.scrollWidth > box.clientWidth + 1;
    wide ? box.tabIndex = 0 : box.removeAttribute("tabindex");
    if (box.hint) box.hint.hidden = !wide;
    else if (wide && box.matches(".text_html, pre") === false) {
      box.hint = document.createElement("p");
      box.hint.className = "sideways";
      box.hint.textContent = "Wider than the screen: swipe sideways \u2192";
      box.before(box.hint);
    }
  }));
  document.querySelectorAll(".cell_output:has(> img.wide), .pst-scrollable-table-container, .indextable, .cell_output pre, .cell_output .text_html").forEach(box => watch.observe(box));
});

// The current page stands in view in the contents, wherever they were scrolled to before.
const showCurrent = () => {
  const link = [...document.querySelectorAll(".bd-links li.current > a")].pop(), box = link?.closest(".bd-sidebar-primary, dialog");
  if (!box || !box.clientHeight) return;
  const [seen, frame] = [link.getBoundingClientRect(), box.getBoundingClientRect()];
  if (seen.top < frame.top + 40 || seen.bottom > Math.min(frame.bottom, innerHeight) - 40) {
    box.scrollTop += seen.top - frame.top - Math.min(box.clientHeight, innerHeight) / 2;
  }
};
addEventListener("load", showCurrent);
// On a phone they open in a dialog.
addEventListener("click", event => event.target.closest(".primary-toggle") && setTimeout(() => {
  [...document.querySelectorAll(".bd-links li.current > a")].pop()?.scrollIntoView({block: "center"});
}, 200), true);  // before the theme's own, which ends the event
// A displayed equation that is wider than its box is set smaller, down to 0.6 of its size; beyond that it scrolls, from its beginning.
const fitEquations = () => {
  for (const box of document.querySelectorAll('mjx-container[display="true"]')) {
    box.style.fontSize = "";
    const frame = box.parentElement, own = parseFloat(getComputedStyle(box).fontSize);
    for (let size = 1; size > 0.6; size -= 0.05) {
      box.style.fontSize = `${own * size}px`;
      const ends = [...box.querySelectorAll("svg")].map(part => part.getBoundingClientRect());
      if (Math.max(...ends.map(end => end.right)) - Math.min(...ends.map(end => end.left)) <= frame.clientWidth) break;
    }
    box.scrollLeft = frame.scrollLeft = -frame.scrollWidth;  // a numbered equation scrolls from its right end
  }
};
addEventListener("load", () => window.MathJax?.startup?.promise.then(() => {
  let width = 0;  // a change of height alone, as when a fold opens, changes nothing here
  new ResizeObserver(([{contentRect}]) => contentRect.width !== width && (width = contentRect.width, fitEquations())).observe(document.querySelector("main"));
}));
