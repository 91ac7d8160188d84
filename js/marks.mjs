/** The marked cells of a grid as people write them, "1, 5..7". Nothing here touches a page. */

const MOST_CELLS = 256;

/** The numbers of the marked cells, rising; words that are no numbers are passed over. */
export function markedCells(text) {
  const cells = new Set();
  for (const word of text.split(/[,;\n]/)) {
    const range = /^\s*(\d+)(?:\s*\.\.\s*(\d+))?\s*$/.exec(word);
    if (!range) continue;
    const first = Number(range[1]);
    const last = Math.min(Number(range[2] ?? first), first + MOST_CELLS);
    for (let cell = first; cell <= last; cell++) cells.add(cell);
  }
  return [...cells].sort((one, other) => one - other);
}

/** The text with one cell's mark set, or taken away where it was set. */
export function toggled(text, cell) {
  const marked = markedCells(text);
  const others = marked.filter((one) => one !== cell);
  const now = others.length < marked.length ? others : [...marked, cell].sort((one, other) => one - other);
  return now.join(", ");
}

/** The line above the sheet, by the number of cells on it (0 before the first run) and the marked ones among them. */
export function summary(cells, marked) {
  if (cells === 0) return "The sheet appears here; click the cells you like best";
  if (marked === 0) return "Click the cells you like best";
  return `${marked} marked · run again and the report counts them; nothing is sampled again`;
}
