/**
 * What the VariationBatch shows of its run. Nothing here touches a page.
 *
 * The server sends `total`, how many variations the run makes, and `items`, those that are finished from `place` of the
 * list on, each with `seed` (a text), `strength` and `image` (a file on the server, or null).
 */

/** The sheet with a message of the server taken in; what starts at place 0 starts anew. */
export function merged(sheet, { total, place, items }) {
  return { total, items: [...(place ? sheet.items.slice(0, place) : []), ...items] };
}

/** The line above the sheet; `sheet` is null before the first run. */
export function summary(sheet) {
  if (sheet === null) return "The variations appear here, each with its seed";
  const { total, items } = sheet;
  if (items.length < total) return `${items.length} of ${total} finished`;
  return `${total === 1 ? "1 variation" : `${total} variations`} · click one to copy its seed`;
}
