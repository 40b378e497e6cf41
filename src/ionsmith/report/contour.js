"use strict";
// Surfaces of equal value of a field on a periodic grid in any cell, so that the level can follow a slider.

// The six tetrahedra of a cube around its long diagonal, as corner numbers (bit 0: a, bit 1: b, bit 2: c).
const TETRAHEDRA = [[0, 1, 3, 7], [0, 3, 2, 7], [0, 2, 6, 7], [0, 6, 4, 7], [0, 4, 5, 7], [0, 5, 1, 7]];

function gridValues(grid) {
  if (!grid.decoded) {
    const bytes = Uint8Array.from(atob(grid.values), (letter) => letter.charCodeAt(0));
    grid.decoded = Float32Array.from(bytes, (byte) => grid.low + (byte / 255) * (grid.high - grid.low));
  }
  return grid.decoded;
}

// Triangles on which the field has the level; marching tetrahedra over the closed cell.
function surfaceAt(grid, level) {
  const [n0, n1, n2] = grid.shape;
  const values = gridValues(grid);
  const mesh = { x: [], y: [], z: [], i: [], j: [], k: [] };
  const known = new Map();
  const value = (a, b, c) => values[((a % n0) * n1 + (b % n1)) * n2 + (c % n2)];
  const number = (a, b, c) => (a * (n1 + 1) + b) * (n2 + 1) + c;
  const total = (n0 + 1) * (n1 + 1) * (n2 + 1);
  const cut = (p, q) => {
    const [first, second] = p.id < q.id ? [p, q] : [q, p];
    const key = first.id * total + second.id;
    if (!known.has(key)) {
      const t = (level - first.value) / (second.value - first.value);
      const f = [0, 1, 2].map((d) => (first.at[d] + t * (second.at[d] - first.at[d])) / grid.shape[d]);
      const [x, y, z] = toCartesian(grid.lattice, f);
      known.set(key, mesh.x.length);
      mesh.x.push(x);
      mesh.y.push(y);
      mesh.z.push(z);
    }
    return known.get(key);
  };
  // all triangles face the side of higher values, so that light falls on a surface evenly
  const face = (a, b, c, way) => {
    const at = (n) => [mesh.x[n], mesh.y[n], mesh.z[n]];
    const turned = dot(cross(minus(at(b), at(a)), minus(at(c), at(a))), toCartesian(grid.lattice, way)) < 0;
    mesh.i.push(a);
    mesh.j.push(turned ? c : b);
    mesh.k.push(turned ? b : c);
  };
  const corners = new Array(8);
  for (let a = 0; a < n0; a++) for (let b = 0; b < n1; b++) for (let c = 0; c < n2; c++) {
    let below = 0;
    for (let n = 0; n < 8; n++) below += value(a + (n & 1), b + ((n >> 1) & 1), c + (n >> 2)) < level ? 1 : 0;
    if (below === 0 || below === 8) continue;
    for (let n = 0; n < 8; n++) {
      const at = [a + (n & 1), b + ((n >> 1) & 1), c + (n >> 2)];
      corners[n] = { at, id: number(...at), value: value(...at) };
    }
    for (const tetrahedron of TETRAHEDRA) march(tetrahedron.map((n) => corners[n]), level, grid.shape, cut, face);
  }
  return mesh;
}

function march(four, level, shape, cut, face) {
  const inside = four.filter((p) => p.value < level), outside = four.filter((p) => p.value >= level);
  if (!inside.length || !outside.length) return;
  const way = minus(outside[0].at, inside[0].at).map((step, d) => step / shape[d]);
  if (inside.length === 1 || inside.length === 3) {
    const [alone, others] = inside.length === 1 ? [inside[0], outside] : [outside[0], inside];
    face(cut(alone, others[0]), cut(alone, others[1]), cut(alone, others[2]), way);
  } else if (inside.length === 2) {
    const [p, q] = inside, [r, s] = outside;
    const [pr, ps, qr, qs] = [cut(p, r), cut(p, s), cut(q, r), cut(q, s)];
    face(pr, ps, qr, way);
    face(ps, qr, qs, way);
  }
}

function contour(trace) {
  return { ...trace, ...surfaceAt(trace.meta.grid, trace.meta.level) };
}

function levelSlider(place, figure, trace) {
  const { grid, level, unit } = trace.meta;
  const index = figure.data.indexOf(trace);
  const words = make("output", {});
  const say = (x) => { words.textContent = `${x.toFixed(2).replace("-", "−")} ${unit}`; };
  let waiting = 0;
  const follow = (event) => {
    const wanted = Number(event.target.value);
    say(wanted);
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => {
      const mesh = surfaceAt(grid, wanted);
      Plotly.restyle(place, Object.fromEntries(Object.entries(mesh).map(([name, list]) => [name, [list]])), [index]);
    });
  };
  say(level);
  const top = Math.min(grid.high * 0.99, Math.max(3 * level, 0.5));
  return make("div", { class: "controls" }, make("label", { class: "level" }, trace.meta.label,
    make("input", { type: "range", min: grid.low + 0.01 * (grid.high - grid.low), max: top, step: (top - grid.low) / 200, value: level, oninput: follow }), words));
}
