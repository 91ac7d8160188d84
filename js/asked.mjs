/** Questions to the pack's own addresses on the server. */

import { api } from "../../scripts/api.js";

/**
 * Asks the server under one of the pack's addresses; what is asked while an answer is awaited waits, and only the last of
 * it is asked then.
 *
 * answer: called with each question and what came of it, `{ error }` where it makes no sense
 */
export function lastAsked(address, answer) {
  let [next, busy] = [null, false];
  return async (question) => {
    next = question;
    if (busy) return;
    busy = true;
    while (next) {
      const now = next;
      next = null;
      answer(now, await ask(address, now));
    }
    busy = false;
  };
}

async function ask(address, question) {
  try {
    const body = JSON.stringify(question);
    return await (await api.fetchApi(`/img2img_studio/${address}`, { method: "POST", body })).json();
  } catch {
    return { error: "The server does not answer" };
  }
}
