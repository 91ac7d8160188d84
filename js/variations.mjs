/**
 * What the VariationBatch shows of its run. Nothing here touches a page.
 *
 * The server sends `total`, how many variations the run makes, and `items`, those that are finished from `first` of the
 * list on, each with its `name`, `seed` (a text), `strength` and `image` (a file on the server, or null). Once the run is
 * over it also sends `words` (lines) and `first_seed`.
 */

const FEW = 4;

/** The sheet with a message of the server taken in; what starts at 0 starts anew. */
export function merged(sheet, { first, items, ...rest }) {
  return { ...rest, items: [...(first ? sheet.items.slice(0, first) : []), ...items] };
}

/** The lines above the sheet; `sheet` is null before the first run. */
export function lines(sheet) {
  if (sheet === null) return ["The variations appear here, each with its seed"];
  return sheet.words ?? [`${sheet.items.length} of ${sheet.total} finished`];
}

/** How many columns show all of a few pictures at once; 0 for many, which scroll. */
export function columns(total) {
  return total > FEW ? 0 : Math.min(2, total);
}
