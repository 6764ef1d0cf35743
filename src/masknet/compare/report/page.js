"use strict";
(() => {
  const root = document.documentElement;
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  // The colours are the page's variables, so that dark, light and paper need no new drawing.
  const [text, soft, line] = ["var(--text)", "var(--soft)", "var(--line)"];
  const config = {
    background: "transparent",
    font: "system-ui, sans-serif",
    view: { stroke: "transparent" },
    axis: { labelColor: text, titleColor: text, gridColor: line, domainColor: soft, tickColor: soft, labelFontSize: 11 },
    legend: { labelColor: text, titleColor: text, labelLimit: 160, symbolLimit: 40 },
    text: { color: text },
  };
  for (const [id, spec] of Object.entries(specs)) {
    const whole = { ...spec, width: "container", autosize: { type: "fit-x", contains: "padding" } };
    vegaEmbed(`#${id}`, whole, { actions: false, renderer: "svg", config });
  }

  // What a cell is sorted by: the number that it begins with, or its text.
  function key(cell) {
    const number = parseFloat(cell.dataset.value ?? cell.textContent.replaceAll(",", ""));
    return Number.isNaN(number) ? cell.textContent : number;
  }

  for (const table of document.querySelectorAll("table")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, place) => {
      heading.querySelector("button").addEventListener("click", () => {
        const rising = heading.getAttribute("aria-sort") === "descending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows].filter((row) => !row.classList.contains("gone"));
        rows.sort((a, b) => {
          const [x, y] = [key(a.cells[place]), key(b.cells[place])];
          if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
          const order = typeof x === "number" ? x - y : x.localeCompare(y);
          return rising ? order : -order;
        });
        table.tBodies[0].prepend(...rows);
      });
    });
  }

  document.getElementById("looks").addEventListener("click", () => {
    const isDark = root.dataset.looks ? root.dataset.looks === "dark" : dark.matches;
    root.dataset.looks = isDark ? "light" : "dark";
  });
})();
