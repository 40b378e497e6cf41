"use strict";
// Pictures of single stages in the candidate view, drawn when it opens and given up when it closes.

function panelCards(row) {
  const panels = row.panels || [];
  if (row.panels_left_out) return card("Pictures", make("p", { class: "quiet" }, "Only the first candidates of the table carry pictures; the run folder holds the numbers."));
  return panels.map((panel) => make("section", { class: "card panel" }, make("h2", {}, panel.title),
    (panel.text || []).map((part) => make("p", { class: "quiet" }, panel.formulas ? sentence(part) : part)),
    panel.figures ? make("div", { class: "figures" }, panel.figures.map(() => make("div", { class: "frame" }))) : null,
    panel.header ? panelTable(panel) : null));
}

function panelTable(panel) {
  const numeric = panel.header.map((_, n) => panel.rows.every((cells) => typeof cells[n] === "number" || cells[n] === "–"));
  const side = (n) => (numeric[n] ? { class: "num" } : {});
  return make("div", { class: "scroll" }, make("table", { class: "values" },
    make("thead", {}, make("tr", {}, panel.header.map((name, n) => make("th", { scope: "col", ...side(n) }, name)))),
    make("tbody", {}, (panel.rows || []).map((cells) => make("tr", {}, cells.map((cell, n) => make("td", side(n), panel.formulas && typeof cell === "string" ? sentence(cell) : display(cell))))))));
}

function drawPanels(row) {
  const frames = document.querySelectorAll("#candidate .panel .frame");
  (row.panels || []).flatMap((panel) => panel.figures || []).forEach((figure, n) => drawFigure(frames[n], figure));
}

function drawFigure(frame, figure) {
  const { height, ...layout } = figure.layout;
  const place = make("div", { class: "chart" });
  frame.append(place);
  place.style.minHeight = `${height || 420}px`;
  const solid = figure.data.some((trace) => trace.type === "mesh3d" || trace.type.endsWith("3d"));
  if (solid && !hasWebGl()) {
    place.style.minHeight = "0";
    place.append(make("p", { class: "quiet" }, "This browser has no WebGL, which the three-dimensional picture needs."));
    return;
  }
  const grids = figure.data.filter((trace) => trace.meta?.grid);
  const data = figure.data.map((trace) => (trace.meta?.grid ? contour(trace) : trace));
  const settings = solid ? { ...SETTINGS, toImageButtonOptions: { format: "png", scale: 2, filename: "ionsmith" } } : SETTINGS;
  Plotly.newPlot(place, data, { ...layout, autosize: true }, settings);
  grids.filter((trace) => trace.meta.slider).forEach((trace) => frame.append(levelSlider(place, figure, trace)));
}

let webGl;

function hasWebGl() {
  if (webGl === undefined) webGl = Boolean(document.createElement("canvas").getContext("webgl"));
  return webGl;
}

// Browsers keep only a few WebGL contexts: a view that is left must give its own back.
function clearPanels() {
  for (const place of document.querySelectorAll("#candidate .js-plotly-plot")) Plotly.purge(place);
}
