import { api } from "../../scripts/api.js";

/** The address of a small picture that a node has saved in ComfyUI's folder for temporary files, by its name. */
export function smallPicture(filename) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, type: "temp" })}`);
}
