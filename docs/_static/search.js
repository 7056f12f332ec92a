// The excerpt below a result is the passage of the page that holds most of the words, not the theme's buttons.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  Search.makeSearchSummary = (html, words, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html"), article = page.querySelector("article.bd-article");
    if (!article) return null;
    article.querySelectorAll(".headerlink, script, style, .toctree-wrapper, .notebook").forEach(part => part.remove());
    const target = anchor ? page.getElementById(anchor.slice(1)) : null;
    const section = target?.matches("section") ? target : article;
    const passages = [...section.querySelectorAll("p, li, dd, td"), ...section.querySelectorAll("pre")]  // prose before code
      .map(part => part.textContent.replace(/\\[()[\]]/g, "").replace(/\s+/g, " ").trim()).filter(text => text.length > 20);
    const held = text => [...words].filter(word => text.toLowerCase().includes(word.toLowerCase())).length;
    const best = Math.max(0, ...passages.map(held));
    const text = passages.find(passage => held(passage) === best);
    if (!text) return null;
    const at = Math.max(0, Math.min(...[...words].map(word => text.toLowerCase().indexOf(word.toLowerCase())).filter(i => i >= 0)) - 120) || 0;
    const from = at > 0 && at < text.length ? text.indexOf(" ", at) + 1 : 0, summary = document.createElement("p");
    summary.className = "context";
    const cut = from + 240 < text.length, shown = text.slice(from, from + 240);
    summary.textContent = (from ? "\u2026 " : "") + (cut ? shown.replace(/\s\S*$/, " \u2026") : shown);
    return summary;
  };
});
