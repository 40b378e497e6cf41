"use strict";
// The winners' crystals, drawn small and still: the view of the candidate turns them.

function drawWinners() {
  for (const place of document.querySelectorAll(".winner .sight")) {
    const row = rowById.get(place.dataset.row);
    const crystal = row && record.crystals[row.crystal];
    if (!crystal) {
      place.append(make("p", { class: "quiet" }, row?.kind === "composition" ? "A formula without a structure." : "Not drawn here; the run folder holds its CIF."));
      continue;
    }
    const canvas = make("canvas", { role: "img", "aria-label": `Crystal structure of ${row.formula}` });
    const symbols = [...new Set(crystal.sites.flatMap((site) => site[3].map(([symbol]) => symbol)))];
    place.append(make("a", { href: `#${row.id}`, title: "turn it in its own view" }, canvas),
      make("div", { class: "legend" }, symbols.map((s) => make("span", { class: "key" },
        make("i", { class: "dot", style: `background:${record.elements[s].color}` }), s))));
    new CrystalView(canvas, crystal, { polyhedra: true, bonds: true, ionBonds: false, cell: true });
  }
}
