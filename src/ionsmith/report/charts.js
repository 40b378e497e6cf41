"use strict";
// Figures come ready from Python; here they are put on the page, and the target map follows the reader's choice.

const SETTINGS = {
  responsive: true, displaylogo: false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  toImageButtonOptions: { format: "svg", filename: "ionsmith" },
};

function plot(chart, figure) {
  const place = document.getElementById(`chart-${chart.id}`);
  // the height from Python is the least; a frame beside a taller one fills its row
  const { height, ...layout } = figure.layout;
  place.style.minHeight = `${height}px`;
  Plotly.react(place, figure.data, { ...layout, autosize: true }, SETTINGS);
  place.removeAllListeners?.("plotly_click");
  place.on("plotly_click", (event) => {
    const target = event.points[0].customdata;
    if (rowById.has(target)) location.hash = target;
  });
}

function buildCharts() {
  for (const chart of record.charts) {
    if (chart.id === "map") mapControls(chart);
    if (chart.choices?.length > 1) choiceControls(chart);
    plot(chart, chart.figure);
  }
  fitCharts();
}

// Frames in a row grow with the tallest, and hidden ones have no size: measure again.
function fitCharts() {
  for (const place of document.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(place);
}

function choiceControls(chart) {
  const figures = [chart.figure, ...chart.others];
  document.getElementById(`chart-${chart.id}`).before(make("div", { class: "controls" }, make("label", {}, "Axes ", make("select", {
    onchange: (event) => plot(chart, figures[event.target.value]),
  }, chart.choices.map((label, n) => make("option", { value: n }, label))))));
}

function mapControls(chart) {
  const label = (name) => quantities.find((q) => q.name === name).label;
  const choice = (axis, words) => make("label", {}, words, make("select", {
    onchange: (event) => { chart[axis] = event.target.value; plot(chart, mapFigure(chart)); },
  }, chart.names.map((name) => make("option", { value: name, selected: name === chart[axis] }, label(name)))));
  document.getElementById("chart-map").before(make("div", { class: "controls" }, choice("x", "Across "), choice("y", "Up ")));
}

function mapFigure(chart) {
  const known = (name) => quantities.find((q) => q.name === name);
  const rows = record.rows.filter((row) => row.values[chart.x] && row.values[chart.y]).slice(0, chart.most);
  const safe = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const hover = (row) => [`<b>${safe(row.label)}</b>`, ...[chart.x, chart.y].map((name) =>
    `${known(name).label}: ${row.values[name][1]} ${known(name).unit} (${safe(record.methods[row.values[name][2]])})`)].join("<br>");
  const data = chart.classes.map((kind) => [kind, rows.filter((row) => !kind.kind || standing(row) === kind.kind)])
    .filter(([, group]) => group.length)
    .map(([kind, group]) => ({
      type: "scatter", mode: "markers", name: kind.label,
      x: group.map((row) => row.values[chart.x][0]), y: group.map((row) => row.values[chart.y][0]),
      customdata: group.map((row) => row.id), text: group.map(hover), hovertemplate: "%{text}<extra></extra>",
      marker: { color: kind.color, symbol: kind.symbol, size: kind.symbol === "circle" ? 10 : 8, line: { width: 1.5 } },
    }));
  const layout = structuredClone(chart.figure.layout);
  layout.annotations = rows.length ? [] : [{ text: "No candidate has both values.", showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }];
  const spans = ["x", "y"].map((axis) => span(rows.map((row) => row.values[chart[axis]][0]), known(chart[axis])));
  ["x", "y"].forEach((axis, k) => {
    const q = known(chart[axis]);
    Object.assign(layout[`${axis}axis`], { title: { ...layout[`${axis}axis`].title, text: q.unit ? `${q.label}, ${q.unit}` : q.label }, range: spans[k] });
  });
  layout.shapes = box(known(chart.x), known(chart.y), spans);
  return { data, layout };
}

function span(means, q) {
  const sorted = means.slice().sort((a, b) => a - b);
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const trimmed = sorted.length > 20 ? [at(0.02), at(0.98)] : [sorted[0], sorted[sorted.length - 1]];
  const ends = [...trimmed, q.min, q.max].filter((x) => x !== undefined);
  if (!ends.length) return [0, 1];
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const margin = 0.1 * (high - low) || 0.1 * Math.abs(high) || 1;
  return [low - margin, high + margin];
}

function box(across, up, spans) {
  if (!across.wanted && !up.wanted) return [];
  const [[x0, x1], [y0, y1]] = [across, up].map((q, k) => {
    const far = 2 * (spans[k][1] - spans[k][0]);
    return [q.min ?? spans[k][0] - far, q.max ?? spans[k][1] + far];
  });
  return [{ type: "rect", layer: "below", x0, x1, y0, y1, fillcolor: "rgba(0,114,178,.09)", line: { color: "#0072b2", width: 1, dash: "dot" } }];
}
