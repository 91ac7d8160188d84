import { api } from "../../scripts/api.js";

/** The address of a picture that a node has saved; `file` is what the server says of it. */
export function serverFile(file) {
  return api.apiURL(`/view?${new URLSearchParams(file)}`);
}
