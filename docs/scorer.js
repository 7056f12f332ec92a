// How the search ranks: what the index names first, then titles; lessons and how-tos before the reference and the lists.
var Scorer = {
  score: result => {
    const [docname, title, anchor, descr, score, filename, kind] = result;
    const list = /^(reference\/|changelog|references|symbols|gallery|tutorials\/paper)/.test(docname);
    if (kind === "index" && !list) result[2] = "";  // the page itself, so that it is not listed twice
    return (list ? 0.4 * score : score + 10) + (kind === "index" && !list ? 100 : 0);
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: {0: 15, 1: 5, 2: -5},
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
