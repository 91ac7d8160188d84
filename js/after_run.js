/** What the frontend does with a number after a run, where neither the user nor a workflow file says otherwise. */

import { app } from "../../scripts/app.js";

const AFTER_RUN = {
  DDIMInvert: { seed: "fixed" }, // or every edit of a picture would wait for the same inversion again
  Img2ImgFolderImage: { index: "increment" }, // the next picture
  Img2ImgStrengthGrid: { seed: "fixed" }, // marks are worth nothing on a sheet that changes with every run
};

app.registerExtension({
  name: "img2imgstudio.afterRun",
  nodeCreated(node) {
    for (const [name, value] of Object.entries(AFTER_RUN[node.comfyClass] ?? {})) {
      const control = node.widgets.find((widget) => widget.name === name)?.linkedWidgets?.[0];
      if (control) control.value = value;
    }
  },
});
