"use strict";
// Which view is shown follows the address, so that a link, the back button and a bookmark all work.

const homeTitle = document.title;
let leftAt = null;

function route() {
  const name = decodeURIComponent(location.hash.slice(1));
  const row = rowById.get(name);
  const wasCandidate = document.getElementById("overview").hidden;
  if (row && !wasCandidate) leftAt = window.scrollY;
  document.getElementById("overview").hidden = Boolean(row);
  document.getElementById("candidate").hidden = !row;
  if (row) return showCandidate(row);
  document.title = homeTitle;
  clearPanels();
  document.getElementById("candidate").replaceChildren();
  if (wasCandidate) fitCharts();
  // whoever comes back from a candidate finds the table as it was left
  if (wasCandidate && leftAt !== null && (name === "" || name === "candidates")) return window.scrollTo(0, leftAt);
  document.getElementById(name)?.scrollIntoView();
}

function onKey(event) {
  if (event.target.closest("input, select, canvas") || event.ctrlKey || event.metaKey || event.altKey) return;
  const row = rowById.get(decodeURIComponent(location.hash.slice(1)));
  if (event.key === "/" && !row) {
    event.preventDefault();
    document.getElementById("filter").focus();
  }
  if (!row) return;
  const rows = table.rows.includes(row) ? table.rows : record.rows;
  const other = { ArrowLeft: rows[rows.indexOf(row) - 1], ArrowRight: rows[rows.indexOf(row) + 1] }[event.key];
  if (other) location.hash = other.id;
  if (event.key === "Escape") location.hash = "candidates";
}

buildTable();
if (record.charts.length) buildCharts();
drawWinners();
window.addEventListener("hashchange", route);
document.addEventListener("keydown", onKey);
route();
document.documentElement.dataset.ready = "yes";
