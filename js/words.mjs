/** The report of a run in words, a part of every panel of a node that works. */

/** The part of a panel's HTML that the words stand in. */
export const WORDS = '<div data-part="words" role="status"></div>';

/** Shows the lines that the server sends of a run; `before` stands there until the first one. */
export function say(panel, lines, before = "") {
  const elements = (lines ?? [before]).map((line) => Object.assign(document.createElement("div"), { textContent: line }));
  panel.querySelector('[data-part="words"]').replaceChildren(...elements);
}
