"use strict";
// The view of one candidate: crystal, values beside measurements, the score by target, and all that was recorded.

const options = { polyhedra: true, bonds: true, ionBonds: false, cell: true };

function card(heading, ...content) {
  const kept = content.flat().filter(Boolean);
  return kept.length ? make("section", { class: "card" }, make("h2", {}, heading), kept) : null;
}

function showCandidate(row) {
  const rows = table.rows.includes(row) ? table.rows : record.rows;
  const place = rows.indexOf(row);
  const link = (label, other, words) => other
    ? make("a", { class: "button", href: `#${other.id}`, title: words }, label)
    : make("span", { class: "button off" }, label);
  const facts = row.facts || {};
  const panel = document.getElementById("candidate");
  clearPanels();
  panel.replaceChildren(
    make("nav", { class: "steps", "aria-label": "Candidates" },
      make("a", { class: "button", href: "#candidates" }, "← All candidates"),
      make("span", { class: "gap" }),
      link("Previous", rows[place - 1], "left arrow key"), link("Next", rows[place + 1], "right arrow key")),
    make("header", {},
      make("p", { class: "eyebrow" }, row.rank ? `Rank ${row.rank} of ${record.rows.length.toLocaleString("en")}` : row.input),
      make("h1", { tabindex: "-1" }, title(row)),
      make("p", { class: "subtitle" },
        make("span", { class: `badge ${standing(row)}` }, outcomeWords(row)),
        said(row).map((text) => make("span", {}, text)),
        facts.doi ? doiLink(facts.doi) : null),
      row.note ? make("p", { class: `verdict ${row.status}` }, inWords(row.note)) : null),
    make("div", { class: "pair" }, structureCard(row),
      make("div", { class: "stack" }, valuesCard(row), scoreCard(row))),
    make("div", { class: "both" }, verdictCard("Why it is here", row.reasons, "for"), verdictCard("What could be wrong", row.doubts, "against")),
    make("div", { class: "panels" }, panelCards(row)),
    make("div", { class: "columns" }, neighboursCard(row), originCard(row), detailCards(row)));
  const canvas = panel.querySelector("canvas");
  if (canvas) attachView(canvas, row);
  drawPanels(row);
  document.title = `${row.label} · ionsmith`;
  window.scrollTo(0, 0);
  panel.querySelector("h1").focus({ preventScroll: true });
}

function verdictCard(heading, lines, kind) {
  return lines ? card(heading, make("ul", { class: `lines ${kind}` }, lines.map((line) => make("li", {}, sentence(line))))) : null;
}

function doiLink(doi, words) {
  const name = String(doi).replace(/^https?:\/\/(dx\.)?doi\.org\//i, "");
  // only what looks like a DOI becomes a link; a click is the reader's own request
  if (!/^10\.\d{4,9}\/\S+$/.test(name)) return make("span", { class: "doi" }, name);
  return make("a", { class: "doi", rel: "noreferrer", target: "_blank", href: `https://doi.org/${encodeURI(name)}`, title: name }, words || `doi ${name}`);
}

function structureCard(row) {
  const crystal = record.crystals[row.crystal];
  if (!crystal) {
    const reasons = {
      large: "The cell is too large to draw here; the run folder holds its CIF.",
      rank: `Only the first ${record.crystals.length} crystals are carried by this page; the run folder holds this one.`,
    };
    const kinds = { composition: "A formula without a structure: nothing to draw.", unreadable: "This input could not be read as a material." };
    return card("Structure", make("p", { class: "quiet" }, reasons[row.left_out] || kinds[row.kind] || "No crystal structure."));
  }
  const symbols = [...new Set(crystal.sites.flatMap((site) => site[3].map(([symbol]) => symbol)))];
  const partial = crystal.sites.some((site) => site[3].length > 1 || site[3][0][1] < 0.995);
  const { lengths, angles, volume } = cellParameters(crystal.cell);
  const three = (numbers, digits) => numbers.map((x) => x.toFixed(digits)).join(", ");
  return make("section", { class: "card structure" },
    make("h2", {}, "Structure"),
    make("canvas", { tabindex: "0", role: "img", "aria-label": `Crystal structure of ${row.formula}; arrow keys rotate, plus and minus zoom, 0 resets` }),
    make("div", { class: "legend" }, symbols.map((s) => make("span", { class: "key" },
      make("i", { class: "dot", style: `background:${record.elements[s].color}` }), `${s} `, make("small", {}, record.elements[s].name)))),
    partial ? make("p", { class: "quiet" }, "Partly filled sites are drawn as pie charts; white is the empty share.") : null,
    make("div", { class: "controls" }),
    make("dl", { class: "facts" },
      fact("a, b, c", `${three(lengths, 3)} Å`), fact("α, β, γ", `${three(angles, 2)}°`),
      fact("Volume", `${volume.toFixed(1)} Å³`), fact("Sites", String(crystal.sites.length))));
}

function fact(name, ...content) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, content));
}

function attachView(canvas, row) {
  const crystal = record.crystals[row.crystal];
  const drawn = new CrystalView(canvas, crystal, options);
  const toggle = (name, label) => make("label", {}, make("input", { type: "checkbox", checked: options[name],
    onchange: (event) => { options[name] = event.target.checked; drawn.draw(); } }), label);
  const press = (label, words, action) => make("button", { type: "button", title: words, onclick: action }, label);
  const name = (row.formula || "crystal").replace(/[^A-Za-z0-9.]/g, "");
  canvas.parentElement.querySelector(".controls").append(
    make("span", { class: "group" }, ["a", "b", "c"].map((axis, k) => press(axis, `look along ${axis}`, () => drawn.look(k))), press("Reset", "first orientation", () => drawn.home())),
    make("span", { class: "group" }, toggle("polyhedra", "Polyhedra"), toggle("bonds", "Bonds"), toggle("ionBonds", `${record.ion} bonds`), toggle("cell", "Cell")),
    make("span", { class: "group" },
      make("a", { class: "button", id: "cif", ...download(`${name}.cif`, "chemical/x-cif", cifText(row, crystal)) }, "Download CIF"),
      press("Save picture", "PNG", () => make("a", { download: `${name}.png`, href: canvas.toDataURL("image/png") }).click())));
}

function valuesCard(row) {
  const named = quantities.filter((q) => row.values[q.name] || q.wanted || row.measured?.[q.name]);
  const extra = Object.values(record.other_quantities).filter((q) => row.measured?.[q.name] && !named.some((n) => n.name === q.name));
  const shown = [...named, ...extra];
  if (!shown.length) return card("Values", make("p", { class: "quiet" }, "No quantity was computed for this input."));
  const measured = shown.some((q) => row.measured?.[q.name]);
  const wanted = shown.some((q) => q.wanted);
  return make("section", { class: "card" }, make("h2", {}, "Values"),
    make("div", { class: "scroll" }, make("table", { class: "values" },
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Quantity"), make("th", { scope: "col", class: "num" }, "Computed"),
        measured ? make("th", { scope: "col", class: "num" }, "Measured") : null,
        wanted ? make("th", { scope: "col" }, "Wanted") : null, make("th", { scope: "col" }, "Method"))),
      make("tbody", {}, shown.map((q) => valueRow(row, q, measured, wanted))))),
    measured ? make("p", { class: "quiet" }, "Measured values are those that the source of this candidate states.") : null);
}

function measuredCell(fact) {
  return fact ? [fact[1], fact[2] ? make("small", {}, doiLink(fact[2], "source")) : null] : "–";
}

function valueRow(row, q, measured, wanted) {
  const value = row.values[q.name];
  const verdict = value ? VERDICTS[value[4]] : "unknown";
  return make("tr", {},
    make("th", { scope: "row" }, q.label, q.unit ? make("small", {}, q.unit) : null),
    make("td", { class: "num" }, value ? value[1] : "–"),
    measured ? make("td", { class: "num" }, measuredCell(row.measured?.[q.name])) : null,
    wanted ? make("td", { class: "wanted" }, q.wanted ? [q.wanted, make("small", {}, icon(verdict, `target ${verdict}`), verdict)] : "") : null,
    make("td", {}, value ? record.methods[value[2]] : make("span", { class: "quiet" }, "not computed"),
      value && value[3] === 0 ? make("small", { class: "outside" }, icon("flag", "warning"), "out of domain") : null,
      value && value[3] === 1 ? make("small", {}, "in domain") : null));
}

function scoreCard(row) {
  const lines = Object.entries(row.checks || {});
  if (!lines.length) return null;
  const verdict = (name) => (row.values[name] ? VERDICTS[row.values[name][4]] : "unknown");
  return card(row.score === undefined ? "Target by target" : `Score ${row.score.toFixed(2)}, target by target`,
    make("ul", { class: "checks" }, lines.map(([name, line]) => make("li", {}, icon(verdict(name), verdict(name)), make("span", {}, inWords(line))))));
}

function neighboursCard(row) {
  if (!Array.isArray(row.neighbours) || !row.neighbours.length) return null;
  const known = row.neighbours.filter((n) => n && typeof n === "object");
  const cell = (value) => (typeof value === "number" ? value.toFixed(2).replace("-", "−") : value ?? "–");
  return card("Nearest known materials",
    make("p", { class: "quiet" }, "What the model learned from that is most like this candidate."),
    make("div", { class: "scroll" }, make("table", { class: "values" },
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Material"), make("th", { scope: "col", class: "num" }, "Measured"),
        make("th", { scope: "col", class: "num" }, "Distance"), make("th", { scope: "col" }, "Source"))),
      make("tbody", {}, known.map((n) => make("tr", {}, make("th", { scope: "row" }, withSubscripts(String(n.formula ?? ""))),
        make("td", { class: "num" }, cell(n.value)), make("td", { class: "num" }, cell(n.distance)), make("td", {}, n.doi ? doiLink(n.doi) : "–")))))));
}

function originCard(row) {
  const more = Object.entries(row.more || {}).map(([name, value]) => fact(readable(name), /doi$/.test(name) ? doiLink(value) : display(value), /temperature$/.test(name) ? " K" : ""));
  return card("Where it comes from",
    make("dl", { class: "facts" },
      fact("Source", row.source), row.input ? fact("Input", row.input) : null, fact("Last stage", stageName(row.stage)),
      row.seconds ? fact("Computing time", `${row.seconds} s`) : null, row.known ? fact("Known as", row.known) : null,
      more, fact("Key", make("code", {}, row.key)), row.parents ? fact("Made from", make("code", {}, row.parents.join(", "))) : null),
    row.notes ? [make("h3", {}, "What was decided on the way"), make("ol", {}, row.notes.map((note) => make("li", {}, note)))] : null);
}

const UNITS = [[/_?eV_per_atom$/i, "eV/atom"], [/_eV$/i, "eV"], [/_angstrom$/i, "Å"], [/_gpa$/i, "GPa"], [/_K$/, "K"], [/_V$/, "V"], [/_percent$/i, "%"]];

function readable(name) {
  const unit = UNITS.find(([tail]) => tail.test(name));
  const text = (unit ? name.replace(unit[0], "") : name).replace(/_/g, " ").trim();
  return text[0].toUpperCase() + text.slice(1) + (unit ? ` (${unit[1]})` : "");
}

const simple = (value) => value === null || typeof value !== "object";
const short = (value) => simple(value) || (Array.isArray(value) && value.every(simple) && !isCurve(value));
const isCurve = (value) => Array.isArray(value) && value.length >= 8 && value.every((x) => typeof x === "number");

function detailCards(row) {
  const entries = Object.entries(row.details || {});
  return [...entries.filter(([, value]) => !short(value)).map(([name, value]) => card(readable(name), display(value))),
    card("Further details", singles(entries.filter(([, value]) => short(value))))];
}

function singles(entries) {
  return entries.length ? make("dl", { class: "facts" }, entries.map(([name, value]) => fact(readable(name), display(value)))) : null;
}

function display(value) {
  if (value === true || value === false) return value ? "yes" : "no";
  if (typeof value === "number") return String(Number(value.toPrecision(4))).replace("-", "−");
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return displayList(value);
  if (typeof value === "object" && Object.values(value).every(simple) && Object.keys(value).every((k) => k.length < 4)) {
    return Object.entries(value).map(([k, v]) => `${k} ${display(v)}`).join(", ");
  }
  if (typeof value === "object") return make("dl", { class: "facts" }, Object.entries(value).map(([k, v]) => fact(readable(k), display(v))));
  return String(value).replace(/(\d)-$/, "$1−"); // a charge
}

function displayList(list) {
  if (isCurve(list)) return sparkline(list);
  if (list.every(simple)) return list.map(display).join(", ");
  if (list.every((x) => Array.isArray(x) && x.every(simple))) return list.map((x) => `(${x.map(display).join(", ")})`).join(", ");
  if (!list.every((x) => x && !simple(x) && !Array.isArray(x))) return make("ul", {}, list.map((x) => make("li", {}, display(x))));
  const keys = [...new Set(list.flatMap((x) => Object.keys(x)))];
  const cell = (key, x) => (key === "formula" && typeof x === "string" ? withSubscripts(x) : display(x));
  return make("div", { class: "scroll" }, make("table", { class: "values" },
    make("thead", {}, make("tr", {}, keys.map((key) => make("th", { scope: "col" }, readable(key))))),
    make("tbody", {}, list.map((x) => make("tr", {}, keys.map((key) => make("td", {}, cell(key, x[key]))))))));
}

function sparkline(numbers) {
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const [width, height] = [320, 90];
  const x = (n) => 4 + (n / (numbers.length - 1)) * (width - 8);
  const y = (v) => height - 6 - ((v - low) / (high - low || 1)) * (height - 12);
  const path = numbers.map((v, n) => `${n ? "L" : "M"}${x(n).toFixed(1)} ${y(v).toFixed(1)}`).join(" ");
  const words = `${numbers.length} points, from ${display(low)} to ${display(high)}`;
  return make("div", { class: "spark" },
    drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words }, drawing("path", { d: path })),
    make("small", {}, words));
}
