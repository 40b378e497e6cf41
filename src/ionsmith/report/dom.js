"use strict";
// What the other scripts share: the record, small makers of elements, and one place for trouble.

const record = JSON.parse(document.getElementById("record").textContent);
const quantities = record.quantities;
const rowById = new Map(record.rows.map((row) => [row.id, row]));

window.addEventListener("error", (event) => {
  const box = document.getElementById("trouble");
  box.hidden = false;
  box.textContent = `This page ran into a problem and may be incomplete: ${event.message}`;
});

// Text only ever enters the page as text nodes, so a file name can never become markup.
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

function withSubscripts(formula) {
  const parts = formula.split(/((?<=[A-Za-z)\]])\d+(?:\.\d+)?)/);
  return make("span", { class: "formula" }, parts.map((part, i) => (i % 2 ? make("sub", {}, part) : part)));
}

// Subscripts only in words that are formulas: a space group or log10 stays as it is.
function sentence(text) {
  const formula = (word) => /^[(]*[A-Z][A-Za-z0-9.()]*\d[A-Za-z0-9.()]*[,.;:)]*$/.test(word);
  return text.split(" ").flatMap((word, n) => [n ? " " : "", formula(word) && !text.startsWith("Symmetry") ? withSubscripts(word) : word]);
}

function title(row) {
  return row.formula && row.kind !== "molecule" ? withSubscripts(row.label) : row.label;
}

// Name and family as the source states them, each once and only where they add to the formula.
function said(row) {
  const facts = row.facts || {};
  return [...new Set([facts.name, facts.family])].filter((text) => text && text !== row.label);
}

const SVG = "http://www.w3.org/2000/svg";

function drawing(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const SHAPES = {
  met: "M3 8.5 6.5 12 13 4.5",
  missed: "M4 4 12 12 M12 4 4 12",
  unknown: "M4 8 H12",
  flag: "M8 2.5 14.5 13.5 H1.5 Z M8 6.5 V9.7 M8 11.4 V11.9",
};

// The shape carries the meaning; colour only repeats it.
function icon(kind, words) {
  const image = drawing("svg", { viewBox: "0 0 16 16", class: `icon ${kind}`, role: "img", "aria-label": words });
  image.append(drawing("path", { d: SHAPES[kind] }));
  return image;
}

const VERDICTS = { 1: "met", 0: "missed", "-1": "unknown" };

function standing(row) {
  return row.status === "ok" && row.feasible ? "feasible" : row.status;
}

function stageName(stage) {
  return record.stages[stage] || stage;
}

// The record names a quantity by its key; a reader knows it by its label.
function inWords(line) {
  const named = quantities.find((q) => line.startsWith(`${q.name} `));
  return (named ? named.label + line.slice(named.name.length) : line).replace(/(^|\s)-(?=\d)/g, "$1−");
}

function download(name, type, text) {
  return { download: name, href: `data:${type};charset=utf-8,${encodeURIComponent(text)}` };
}
