/**
 * What a panel shows of pictures before and after. Nothing here touches a page.
 *
 * A payload holds `words` (lines), `first` (the place of the pair to begin with, from the end where it is negative) and
 * `pairs`, each with `name`, `before`, `after` and `difference` (files on the server) and `largest`, the difference in
 * 0…1 that is white in the last one.
 */

/** The place of the pair to show: that of the same name as before, or the one to begin with. */
export function placeOf({ pairs, first }, name) {
  const same = pairs.findIndex((pair) => pair.name === name);
  return same >= 0 ? same : pairs.indexOf(pairs.at(first));
}

/** What the brightest spot of the difference is worth. */
export function caption({ largest }) {
  if (largest === 0) return "No difference at all";
  const share = 100 * largest;
  return `White: ${share < 1 ? share.toFixed(1) : Math.round(share)} % different · black: equal`;
}
