import { api } from "../../scripts/api.js";

/** The address of a picture that a node has saved; `place` is what the server says of it. */
export function serverFile(place) {
  return api.apiURL(`/view?${new URLSearchParams(place)}`);
}
