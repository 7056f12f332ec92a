// The theme's arrow beside a section of the contents has no name: a screen reader would say "button" and no more.
document.addEventListener("DOMContentLoaded", () => {
  for (const arrow of document.querySelectorAll(".bd-sidebar-primary summary")) {
    arrow.setAttribute("aria-label", "Pages of " + arrow.closest("li").querySelector("a").textContent.trim());
  }
  for (const box of document.querySelectorAll(".cell_output:has(> img.wide)")) {  // scrolls on a phone, so the keys must reach it
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});
