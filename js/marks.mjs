/**
 * The marked cells of a grid, by the names of their values: "strength 0.6, cfg 4 | strength 0.9, cfg 4". Nothing here
 * touches a page.
 *
 * A payload holds `names` of the cells, row by row, the headings `rows` and `columns`, and `typed`: what stood in the
 * inputs of these names.
 */

const SEPARATOR = "|";

/** The names of the marked cells. */
export function markedCells(text) {
  const names = text.split(SEPARATOR).map((name) => name.trim());
  return [...new Set(names.filter(Boolean))];
}

/** The text with one cell's mark set, or taken away where it was set. */
export function toggled(text, name) {
  const marked = markedCells(text);
  const others = marked.filter((one) => one !== name);
  return (others.length < marked.length ? others : [...marked, name]).join(` ${SEPARATOR} `);
}

/** Whether other values are typed now than those that the sheet was made of; `values` are by the names of inputs. */
export function isStale({ typed }, values) {
  return Object.entries(typed).some(([name, text]) => values[name] !== undefined && values[name] !== text);
}

const plural = (count) => `${count} mark${count === 1 ? "" : "s"}`;

/** The headings with most marks first, and how many each has. */
function tally(headings, places) {
  const counts = headings.map((heading, place) => [heading, places.filter((one) => one === place).length]);
  const known = counts.filter(([, count]) => count > 0).sort((one, other) => other[1] - one[1]);
  return known.map(([heading, count]) => `${heading} × ${count}`).join(", ");
}

/** The line below the sheet: how the marks are spread over the values. `payload` is null before the first run. */
export function summary(payload, text, stale) {
  if (payload === null) return "The sheet appears here; click the cells you like best";
  const marked = markedCells(text);
  const cells = marked.map((name) => payload.names.indexOf(name)).filter((cell) => cell >= 0);
  const elsewhere = marked.length - cells.length;
  const { rows, columns } = payload;
  const spread = [
    tally(rows, cells.map((cell) => Math.floor(cell / columns.length))),
    tally(columns, cells.map((cell) => cell % columns.length)),
  ];
  const parts = [
    cells.length > 0 ? `${plural(cells.length)}: ${spread.join("; ")}` : "Click the cells you like best",
    ...(elsewhere > 0 ? [`${plural(elsewhere)} on values that are not here`] : []),
    ...(stale ? ["the values have changed: run again"] : []),
  ];
  return parts.join(" · ");
}
