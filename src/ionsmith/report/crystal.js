"use strict";
// Geometry of a crystal: which atoms, bonds and polyhedra to draw, and its CIF. No drawing here.

const ANIONS = new Set(["O", "S", "Se", "Te", "F", "Cl", "Br", "I", "N"]);
const EDGE = 0.004; // fractional distance at which an atom counts as lying on the cell boundary

function toCartesian(cell, f) {
  return [0, 1, 2].map((k) => f[0] * cell[0][k] + f[1] * cell[1][k] + f[2] * cell[2][k]);
}

function neighboursOf(crystal) {
  const lists = crystal.sites.map(() => []);
  for (const [i, j, a, b, c] of crystal.bonds) {
    lists[i].push([j, a, b, c]);
    lists[j].push([i, -a, -b, -c]);
  }
  return lists;
}

const head = (site) => site[3][0][0];

function isCentre(crystal, lists, i, ion) {
  const symbol = head(crystal.sites[i]);
  const around = lists[i];
  if (symbol === ion || symbol === "H" || ANIONS.has(symbol) || around.length < 4 || around.length > 6) return false;
  return around.every(([j]) => ANIONS.has(head(crystal.sites[j])));
}

// All images of the sites inside or on the boundary of the cell, plus the anions that complete its polyhedra.
function buildScene(crystal, ion) {
  const lists = neighboursOf(crystal);
  const atoms = [];
  const index = new Map();
  const add = (i, step) => {
    const key = [i, ...step].join();
    if (!index.has(key)) {
      const site = crystal.sites[i];
      index.set(key, atoms.length);
      atoms.push({ site: i, step, occupants: site[3], at: toCartesian(crystal.cell, step.map((n, k) => site[k] + n)) });
    }
    return index.get(key);
  };
  crystal.sites.forEach((site, i) => {
    const choices = [0, 1, 2].map((k) => (site[k] < EDGE ? [0, 1] : site[k] > 1 - EDGE ? [0, -1] : [0]));
    for (const a of choices[0]) for (const b of choices[1]) for (const c of choices[2]) add(i, [a, b, c]);
  });
  const polyhedra = [];
  const inside = atoms.length;
  for (let n = 0; n < inside; n++) {
    const atom = atoms[n];
    if (!isCentre(crystal, lists, atom.site, ion)) continue;
    const corners = lists[atom.site].map(([j, ...by]) => add(j, by.map((m, k) => m + atom.step[k])));
    polyhedra.push({ centre: n, faces: hull(corners.map((c) => atoms[c].at)).map((face) => face.map((f) => corners[f])) });
  }
  const bonds = [];
  atoms.forEach((atom, n) => {
    for (const [j, ...by] of lists[atom.site]) {
      const other = index.get([j, ...by.map((m, k) => m + atom.step[k])].join());
      if (other !== undefined && other > n) bonds.push([n, other]);
    }
  });
  return { atoms, bonds, polyhedra, edges: cellEdges(crystal.cell), centre: toCartesian(crystal.cell, [0.5, 0.5, 0.5]) };
}

function cellEdges(cell) {
  const corner = (bits) => toCartesian(cell, bits);
  const edges = [];
  for (const axis of [0, 1, 2]) {
    for (const u of [0, 1]) for (const v of [0, 1]) {
      const from = [0, 0, 0];
      from[(axis + 1) % 3] = u;
      from[(axis + 2) % 3] = v;
      const to = from.slice();
      to[axis] = 1;
      edges.push([corner(from), corner(to)]);
    }
  }
  return edges;
}

const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const norm = (a) => Math.hypot(a[0], a[1], a[2]);

// Triangles of the convex hull of a handful of points: those with every other point on one side.
function hull(points) {
  const faces = [];
  for (let i = 0; i < points.length; i++) for (let j = i + 1; j < points.length; j++) for (let k = j + 1; k < points.length; k++) {
    const normal = cross(minus(points[j], points[i]), minus(points[k], points[i]));
    if (norm(normal) < 1e-6) continue;
    const sides = points.map((p) => dot(normal, minus(p, points[i])) / norm(normal));
    if (sides.every((s) => s < 0.05) || sides.every((s) => s > -0.05)) faces.push([i, j, k]);
  }
  return faces;
}

function cellParameters(cell) {
  const lengths = cell.map(norm);
  const angle = (u, v) => (Math.acos(dot(cell[u], cell[v]) / lengths[u] / lengths[v]) * 180) / Math.PI;
  return { lengths, angles: [angle(1, 2), angle(0, 2), angle(0, 1)], volume: Math.abs(dot(cell[0], cross(cell[1], cell[2]))) };
}

function cifText(row, crystal) {
  const { lengths, angles } = cellParameters(crystal.cell);
  const amounts = {};
  for (const site of crystal.sites) for (const [symbol, amount] of site[3]) amounts[symbol] = (amounts[symbol] || 0) + amount;
  const lines = [`data_${row.formula.replace(/[^A-Za-z0-9.]/g, "") || "crystal"}`];
  lines.push(`_chemical_formula_sum '${Object.entries(amounts).map(([symbol, n]) => symbol + Number(n.toFixed(4))).join(" ")}'`);
  ["a", "b", "c"].forEach((axis, k) => lines.push(`_cell_length_${axis} ${lengths[k].toFixed(5)}`));
  ["alpha", "beta", "gamma"].forEach((name, k) => lines.push(`_cell_angle_${name} ${angles[k].toFixed(5)}`));
  lines.push("_symmetry_space_group_name_H-M 'P 1'", "_symmetry_Int_Tables_number 1");
  lines.push("loop_", " _symmetry_equiv_pos_as_xyz", " 'x, y, z'", "loop_");
  for (const name of ["label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy"]) lines.push(` _atom_site_${name}`);
  crystal.sites.forEach((site, i) => {
    site[3].forEach(([symbol, amount]) => {
      const place = site.slice(0, 3).map((x) => x.toFixed(5)).join(" ");
      lines.push(` ${symbol}${i + 1} ${symbol} ${place} ${amount}`);
    });
  });
  return lines.join("\n") + "\n";
}
