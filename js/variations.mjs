/**
 * What the VariationBatch shows of its run. Nothing here touches a page.
 *
 * The server sends `total`, how many variations the run makes, and `items`, those that are finished from `first` of the
 * list on, each with `seed` (a text), `strength` and `image` (a file on the server, or null).
 */

/** The sheet with a message of the server taken in; what starts at 0 starts anew. */
export function merged(sheet, { total, first, items }) {
  return { total, items: [...(first ? sheet.items.slice(0, first) : []), ...items] };
}

/** The line above the sheet; `sheet` is null before the first run. */
export function summary(sheet) {
  if (sheet === null) return "The variations appear here, each with its seed";
  const { total, items } = sheet;
  if (items.length < total) return `${items.length} of ${total} finished`;
  return `${total === 1 ? "1 variation" : `${total} variations`} · click one to copy its seed`;
}
