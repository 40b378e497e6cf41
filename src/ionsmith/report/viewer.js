"use strict";
// Draws a crystal on a plain canvas, far things first: no WebGL, so it prints and works on any machine.

const BALL = 0.42; // drawn radius as a share of the covalent radius
const VACANT = "#ffffff";
const COMPASS = 50; // strip at the bottom kept for the axes, pixel

function rotation(axis, angle) {
  const c = Math.cos(angle), s = Math.sin(angle);
  if (axis === "x") return [[1, 0, 0], [0, c, -s], [0, s, c]];
  if (axis === "y") return [[c, 0, s], [0, 1, 0], [-s, 0, c]];
  return [[c, -s, 0], [s, c, 0], [0, 0, 1]];
}

const times = (A, B) => A.map((row) => [0, 1, 2].map((k) => row[0] * B[0][k] + row[1] * B[1][k] + row[2] * B[2][k]));
const apply = (A, v) => A.map((row) => dot(row, v));

function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function blend(hex, other, share) {
  const [a, b] = [rgb(hex), rgb(other)];
  return `rgb(${a.map((x, k) => Math.round(x + (b[k] - x) * share)).join()})`;
}

function translucent(hex, alpha) {
  return `rgba(${rgb(hex).join()},${alpha})`;
}

class CrystalView {
  constructor(canvas, crystal, options) {
    this.canvas = canvas;
    this.crystal = crystal;
    this.options = options;
    this.scene = buildScene(crystal, record.ion);
    this.zoom = 1;
    this.points = [...this.scene.atoms.map((atom) => atom.at), ...this.scene.edges.flat()].map((p) => minus(p, this.scene.centre));
    this.extent = Math.max(...this.points.map(norm)) + 0.6;
    this.home();
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  home() {
    const lengths = this.crystal.cell.map(norm);
    const order = [0, 1, 2].sort((i, j) => lengths[i] - lengths[j]);
    // a long cell lies across the frame; a compact one stands on its a-b face
    const flat = lengths[order[2]] > 1.4 * lengths[order[0]];
    this.turn = times(rotation("x", 0.2), times(rotation("y", -0.32), flat ? this.along(order[0], order[1]) : this.along(0, 2)));
    this.zoom = 1;
    this.draw();
  }

  // The orientation that looks along a lattice vector, with another one upright.
  along(axis, upright) {
    const unit = (v) => v.map((x) => x / norm(v));
    const z = unit(this.crystal.cell[axis]);
    const x = unit(cross(this.crystal.cell[upright], z));
    return [x, cross(z, x), z];
  }

  look(axis) {
    this.turn = this.along(axis, (axis + 2) % 3);
    this.draw();
  }

  rotate(dx, dy) {
    this.turn = times(times(rotation("y", dx), rotation("x", dy)), this.turn);
    this.draw();
  }

  scaleBy(factor) {
    this.zoom = Math.min(8, Math.max(0.4, this.zoom * factor));
    this.draw();
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.grip = [event.clientX, event.clientY];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.grip) return;
      this.rotate((event.clientX - this.grip[0]) * 0.009, (event.clientY - this.grip[1]) * 0.009);
      this.grip = [event.clientX, event.clientY];
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (this.grip = null));
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey) return; // a page that scrolls must keep scrolling
      event.preventDefault();
      this.scaleBy(Math.exp(-event.deltaY * 0.0015));
    }, { passive: false });
    const moves = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, -0.12], ArrowDown: [0, 0.12] };
    canvas.addEventListener("keydown", (event) => {
      if (moves[event.key]) this.rotate(...moves[event.key]);
      else if (event.key === "+" || event.key === "=") this.scaleBy(1.15);
      else if (event.key === "-") this.scaleBy(1 / 1.15);
      else if (event.key === "0") this.home();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  draw() {
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const look = getComputedStyle(canvas);
    this.paper = look.getPropertyValue("--paper").trim();
    this.ink = look.getPropertyValue("--ink").trim();
    this.size = [width, height];
    this.scale = this.fit(width, height) * this.zoom;
    const spots = this.scene.atoms.map((atom) => this.project(atom.at));
    const pieces = [...this.cellPieces(), ...this.atomPieces(spots)];
    if (this.options.bonds) pieces.push(...this.bondPieces(spots));
    if (this.options.polyhedra) pieces.push(...this.facePieces(spots));
    pieces.sort((a, b) => a.depth - b.depth);
    for (const piece of pieces) piece.paint(pen);
    this.compass(pen);
  }

  // Pixels per angstrom that fill the frame in the present orientation, with room for the outermost atoms.
  fit(width, height) {
    const turned = this.points.map((point) => apply(this.turn, point));
    const reach = (k) => Math.max(...turned.map((point) => Math.abs(point[k]))) + 0.9;
    return Math.min(width / 2 / reach(0), (height - COMPASS) / 2 / reach(1), 38);
  }

  project(point) {
    const [x, y, z] = apply(this.turn, minus(point, this.scene.centre));
    return [this.size[0] / 2 + x * this.scale, (this.size[1] - COMPASS) / 2 - y * this.scale, z];
  }

  haze(depth) {
    return 0.34 * Math.min(1, Math.max(0, 0.5 - depth / (1.6 * this.extent)));
  }

  cellPieces() {
    if (!this.options.cell) return [];
    const parts = 8;
    return this.scene.edges.flatMap(([from, to]) => {
      const point = (t) => this.project(from.map((x, k) => x + (to[k] - x) * t));
      return Array.from({ length: parts }, (_, n) => {
        const [a, b] = [point(n / parts), point((n + 1) / parts)];
        const depth = (a[2] + b[2]) / 2;
        return { depth, paint: (pen) => stroke(pen, a, b, blend(this.ink, this.paper, 0.35 + this.haze(depth)), 1.1) };
      });
    });
  }

  radius(atom) {
    return record.elements[atom.occupants[0][0]].radius * BALL * this.scale;
  }

  color(atom) {
    return record.elements[atom.occupants[0][0]].color;
  }

  bondPieces(spots) {
    const width = Math.max(1.5, 0.14 * this.scale);
    return this.scene.bonds.flatMap(([i, j]) => {
      const mine = [this.scene.atoms[i], this.scene.atoms[j]];
      if (!this.options.ionBonds && mine.some((atom) => atom.occupants[0][0] === record.ion)) return [];
      const middle = [0, 1, 2].map((k) => (spots[i][k] + spots[j][k]) / 2);
      return [i, j].map((end, n) => {
        const depth = (spots[end][2] + middle[2]) / 2;
        const color = blend(this.color(mine[n]), this.paper, 0.1 + this.haze(depth));
        return {
          depth,
          paint: (pen) => {
            stroke(pen, spots[end], middle, blend(this.color(mine[n]), "#000000", 0.45), width + 1.2);
            stroke(pen, spots[end], middle, color, width);
          },
        };
      });
    });
  }

  facePieces(spots) {
    return this.scene.polyhedra.flatMap(({ centre, faces }) => {
      const color = this.color(this.scene.atoms[centre]);
      return faces.map((face) => {
        const corners = face.map((n) => spots[n]);
        const depth = corners.reduce((sum, c) => sum + c[2], 0) / 3;
        return { depth, paint: (pen) => polygon(pen, corners, translucent(color, 0.3), translucent(color, 0.75)) };
      });
    });
  }

  atomPieces(spots) {
    return this.scene.atoms.map((atom, n) => ({
      depth: spots[n][2],
      paint: (pen) => this.ball(pen, atom, spots[n]),
    }));
  }

  ball(pen, atom, [x, y, z]) {
    const r = this.radius(atom);
    let from = -Math.PI / 2;
    const filled = atom.occupants.reduce((sum, [, amount]) => sum + amount, 0);
    const shares = [...atom.occupants.map(([symbol, amount]) => [record.elements[symbol].color, amount])];
    if (filled < 0.995) shares.push([VACANT, 1 - filled]);
    for (const [color, amount] of shares) {
      const to = from + 2 * Math.PI * Math.min(1, amount);
      pen.beginPath();
      if (shares.length > 1) pen.moveTo(x, y);
      pen.arc(x, y, r, from, to);
      pen.fillStyle = color;
      pen.fill();
      from = to;
    }
    const light = pen.createRadialGradient(x - 0.35 * r, y - 0.4 * r, 0.05 * r, x, y, r);
    light.addColorStop(0, "rgba(255,255,255,.7)");
    light.addColorStop(0.45, "rgba(255,255,255,.05)");
    light.addColorStop(1, "rgba(0,0,0,.34)");
    disc(pen, x, y, r, light);
    disc(pen, x, y, r, translucent(this.paper, this.haze(z)));
    pen.strokeStyle = "rgba(0,0,0,.55)";
    pen.lineWidth = 0.8;
    pen.stroke();
  }

  compass(pen) {
    const origin = [36, this.size[1] - 32];
    pen.font = "italic 13px Georgia, 'Liberation Serif', serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    ["a", "b", "c"].forEach((name, k) => {
      const way = apply(this.turn, this.crystal.cell[k]);
      const length = norm(way);
      const tip = [origin[0] + (22 * way[0]) / length, origin[1] - (22 * way[1]) / length];
      stroke(pen, origin, tip, this.ink, 1.4);
      pen.fillStyle = this.ink;
      pen.fillText(name, origin[0] + ((tip[0] - origin[0]) * 31) / 22, origin[1] + ((tip[1] - origin[1]) * 31) / 22);
    });
  }
}

function stroke(pen, from, to, style, width) {
  pen.beginPath();
  pen.moveTo(from[0], from[1]);
  pen.lineTo(to[0], to[1]);
  pen.strokeStyle = style;
  pen.lineWidth = width;
  pen.stroke();
}

function polygon(pen, corners, fill, line) {
  pen.beginPath();
  corners.forEach(([x, y], n) => (n ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
  pen.fillStyle = fill;
  pen.fill();
  pen.strokeStyle = line;
  pen.lineWidth = 0.6;
  pen.stroke();
}

function disc(pen, x, y, r, style) {
  pen.beginPath();
  pen.arc(x, y, r, 0, 2 * Math.PI);
  pen.fillStyle = style;
  pen.fill();
}
