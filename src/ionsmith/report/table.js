"use strict";
// The ranked table: only one page of rows is ever in the document, so thousands stay fast.

const view = { sort: null, descending: false, text: "", standing: "all", page: 0, size: 25 };
const LAST = Number.POSITIVE_INFINITY;

const ranked = record.rows.some((row) => row.rank !== undefined);
const scored = record.rows.some((row) => row.score !== undefined);

const columns = [
  { id: "place", label: ranked ? "Rank" : "No.", value: (row, n) => row.rank ?? n + 1, cell: placeCell },
  { id: "material", label: "Material", value: (row) => row.label.toLowerCase(), cell: materialCell },
  { id: "outcome", label: "Outcome", value: (row) => ["feasible", "ok", "rejected", "failed"].indexOf(standing(row)), cell: outcomeCell },
  ...(scored ? [{ id: "score", label: "Score", value: (row) => row.score ?? null, cell: scoreCell, numeric: true, highFirst: true }] : []),
  ...quantities.map((q) => ({
    id: q.name, label: q.label, unit: q.unit, wanted: q.wanted, method: onlyMethod(q.name), numeric: true, highFirst: q.better === "high",
    value: (row) => row.values[q.name]?.[0] ?? null, cell: (row) => valueCell(row, q),
  })),
];

// A method that all values of a column share is said once, in the head.
function onlyMethod(name) {
  const used = new Set(record.rows.filter((row) => row.values[name]).map((row) => row.values[name][2]));
  return used.size === 1 ? record.methods[[...used][0]] : null;
}

record.rows.forEach((row, n) => {
  row.order = n;
  const facts = row.facts || {};
  row.haystack = [row.formula, row.label, facts.name, facts.family, facts.doi, row.input, row.note, row.key].join(" ").toLowerCase();
});

function placeCell(row) {
  return make("td", { class: "place" }, String(row.rank ?? row.order + 1));
}

function materialCell(row) {
  const under = said(row).join(" · ") || row.input;
  return make("th", { scope: "row", class: "material" },
    make("a", { href: `#${row.id}` }, title(row)),
    under === row.label ? null : make("small", { title: row.input }, under));
}

function outcomeWords(row) {
  const kind = standing(row);
  if (kind === "feasible") return "Meets every target";
  if (kind === "rejected") return `Rejected: ${stageName(row.stage).toLowerCase()}`;
  if (kind === "failed") return `Failed: ${stageName(row.stage).toLowerCase()}`;
  const wanted = quantities.filter((q) => q.wanted);
  if (!wanted.length) return "Answered";
  const verdicts = wanted.map((q) => (row.values[q.name] ? VERDICTS[row.values[q.name][4]] : "unknown"));
  const count = (kind) => verdicts.filter((v) => v === kind).length;
  const parts = [count("missed") && `misses ${count("missed")}`, count("unknown") && `${count("unknown")} unknown`].filter(Boolean);
  const text = `${parts.join(", ")} of ${wanted.length}`;
  return text[0].toUpperCase() + text.slice(1);
}

function outcomeCell(row) {
  return make("td", { class: "outcome" },
    make("span", { class: `badge ${standing(row)}` }, outcomeWords(row)),
    row.known ? make("small", {}, `known as ${row.known}`) : null,
    row.note ? make("small", { class: "reason", title: row.note }, inWords(row.note)) : null);
}

function scoreCell(row) {
  if (row.score === undefined) return make("td", { class: "num empty" }, "–");
  const meter = make("i", { class: "meter", "aria-hidden": "true" }, make("i", { style: `width:${Math.round(100 * row.score)}%` }));
  return make("td", { class: "num" }, row.score.toFixed(2), meter);
}

function valueCell(row, q) {
  const value = row.values[q.name];
  const fact = row.measured?.[q.name];
  const note = fact ? make("small", {}, `measured ${fact[1]}`) : null;
  if (!value) return make("td", { class: "num empty" }, make("span", {}, "–"), note);
  const [, text, method, domain, verdict] = value;
  const tip = `${record.methods[method]}${q.unit ? `, ${q.unit}` : ""}${q.wanted ? `; wanted ${q.wanted}` : ""}`;
  return make("td", { class: "num", title: tip },
    make("span", { class: "value" }, q.wanted ? icon(VERDICTS[verdict], `target ${VERDICTS[verdict]}`) : null, text),
    columnMethod(q.name) ? null : make("small", {}, record.methods[method]),
    domain === 0 ? make("small", { class: "outside" }, icon("flag", "warning"), "out of domain") : null,
    note);
}

const columnMethod = (name) => columns.find((column) => column.id === name).method;

function chosenRows() {
  const needles = view.text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = record.rows.filter((row) =>
    (view.standing === "all" || standing(row) === view.standing) && needles.every((needle) => row.haystack.includes(needle)));
  const column = columns.find((c) => c.id === view.sort);
  if (!column) return rows;
  const sign = view.descending ? -1 : 1;
  const keyed = rows.map((row) => [column.value(row, row.order), row]);
  keyed.sort(([a, x], [b, y]) => {
    if (a === null || b === null) return (a === null ? LAST : 0) - (b === null ? LAST : 0) || x.order - y.order; // unknown last, both ways
    return (a < b ? -sign : a > b ? sign : 0) || x.order - y.order;
  });
  return keyed.map(([, row]) => row);
}

function sortBy(column) {
  if (view.sort === column.id) view.descending = !view.descending;
  else [view.sort, view.descending] = [column.id, Boolean(column.highFirst)];
  view.page = 0;
  refresh();
}

function headCell(column) {
  const active = view.sort === column.id;
  return make("th", { scope: "col", class: column.numeric ? "num" : "", "aria-sort": active ? (view.descending ? "descending" : "ascending") : "none" },
    make("button", { type: "button", onclick: () => sortBy(column) }, column.label,
      make("span", { class: "arrow", "aria-hidden": "true" }, active ? (view.descending ? "▼" : "▲") : "↕")),
    column.unit ? make("small", {}, column.unit) : null,
    column.method ? make("small", { title: "method of every value in this column" }, column.method) : null);
}

const table = {};

function buildTable() {
  const counts = { all: record.rows.length };
  for (const row of record.rows) counts[standing(row)] = (counts[standing(row)] || 0) + 1;
  const targeted = quantities.some((q) => q.wanted);
  const names = { all: "All", feasible: "Meets every target", ok: targeted ? "Misses or lacks some" : "Answered", rejected: "Rejected", failed: "Failed" };
  const chips = Object.keys(names).filter((kind) => kind === "all" || counts[kind]).map((kind) =>
    make("button", { type: "button", class: "chip", "data-kind": kind, onclick: () => { view.standing = kind; view.page = 0; refresh(); } },
      names[kind], make("b", {}, counts[kind].toLocaleString("en"))));
  const box = make("input", { type: "search", id: "filter", placeholder: "Filter by formula, element, family, file, reason", "aria-label": "Filter the table",
    oninput: (event) => { view.text = event.target.value; view.page = 0; refresh(); } });
  table.chips = chips;
  table.head = make("tr");
  table.body = make("tbody");
  table.foot = make("div", { class: "pager" });
  document.getElementById("table").replaceChildren(
    make("div", { class: "tools" }, box, make("div", { class: "chips", role: "group", "aria-label": "Show" }, chips)),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of candidates" },
      make("table", { class: "candidates" }, make("thead", {}, table.head), table.body)),
    table.foot);
  refresh();
}

function refresh() {
  const rows = chosenRows();
  table.rows = rows;
  const pages = Math.max(1, Math.ceil(rows.length / view.size));
  view.page = Math.min(view.page, pages - 1);
  const first = view.page * view.size;
  const shown = rows.slice(first, first + view.size);
  const focused = table.head.contains(document.activeElement) ? [...table.head.children].findIndex((th) => th.contains(document.activeElement)) : -1;
  table.head.replaceChildren(...columns.map(headCell));
  if (focused >= 0) table.head.children[focused].querySelector("button").focus();
  table.body.replaceChildren(...shown.map((row) => make("tr", { class: standing(row) }, columns.map((column) => column.cell(row)))));
  if (!shown.length) {
    const words = record.rows.length ? "No candidate matches the filter." : "The run had no input.";
    table.body.replaceChildren(make("tr", {}, make("td", { class: "nothing", colspan: columns.length }, words)));
  }
  for (const chip of table.chips) chip.setAttribute("aria-pressed", String(chip.dataset.kind === view.standing));
  pager(rows.length, first, shown.length, pages);
}

function pager(total, first, shown, pages) {
  const go = (page) => () => { view.page = page; refresh(); };
  const step = (label, page, off) => make("button", { type: "button", disabled: off, onclick: go(page) }, label);
  const sizes = make("select", { "aria-label": "Rows per page", onchange: (event) => { view.size = Number(event.target.value); view.page = 0; refresh(); } },
    [25, 50, 100, 250].map((n) => make("option", { value: n, selected: n === view.size }, `${n} rows`)));
  table.foot.replaceChildren(
    make("span", { role: "status" }, total ? `${first + 1}–${first + shown} of ${total.toLocaleString("en")}` : ""),
    ...(pages > 1 ? [step("← Previous", view.page - 1, view.page === 0), step("Next →", view.page + 1, view.page === pages - 1)] : []),
    ...(record.rows.length > 25 ? [sizes] : []));
}

// Paper has no pages to click: print the first rows of the current order.
window.addEventListener("beforeprint", () => { table.kept = [view.size, view.page]; [view.size, view.page] = [200, 0]; refresh(); });
window.addEventListener("afterprint", () => { [view.size, view.page] = table.kept; refresh(); });
