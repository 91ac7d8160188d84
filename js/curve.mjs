/**
 * What the StrengthScheduler shows of a schedule: numbers in, SVG paths and short texts out. Nothing here touches a page.
 *
 * A payload holds `sigmas` (falling, closed by 0), `timesteps` of the same sigmas in 0…999, `strength`, `start_sigma`,
 * `start_timestep`, `snr_db` (null where infinite), `planned_calls`, `capped`, `sigma_max`, `family` ("VE" or "flow") and,
 * where the browser has worked it out without the model, `estimated`.
 */

const LAST_TIMESTEP = 999;
/** From this strength on, so much noise goes in that a model no longer sees where things were. */
const LAYOUT_LIMIT = 0.8;

/** How much of a noised picture is noise, 0…1: flow models mix by σ itself, the others add σ parts to one part. */
function noiseShare(sigma, family) {
  return family === "flow" ? sigma : sigma / (1 + sigma);
}

const places = (value) => Number(value.toFixed(2));
const percentAcross = (timestep) => places(100 * (1 - timestep / LAST_TIMESTEP));

/**
 * The paths of a schedule (or of none, null) in a box of 100 × 100: across, the timestep falls from 999 to 0; up is the
 * share of noise.
 *
 * start: where the schedule begins, in percent of the width; what lies before it is kept from the picture
 * line:  the noise that is left after each step
 * area:  the same, closed along the ground
 * steps: an upright for every model step
 */
export function paths(payload) {
  if (!payload?.sigmas.length) return { start: 0, line: "", area: "", steps: "" };
  const { sigmas, timesteps, family } = payload;
  const points = sigmas.map((sigma, index) => ({
    x: percentAcross(timesteps[index] ?? 0),
    y: places(100 * (1 - noiseShare(sigma, family))),
  }));
  const line = "M" + points.map(({ x, y }) => `${x} ${y}`).join("L");
  return {
    start: points[0].x,
    line,
    area: `${line}L100 100L${points[0].x} 100Z`,
    steps: points.slice(0, -1).map(({ x, y }) => `M${x} ${y}V100`).join(""),
  };
}

const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(1);
const counted = (count, name) => `${count} ${name}${count === 1 ? "" : "s"}`;

/** Where the schedule enters: `t 599 → 0 · σ 2.28 · SNR −7.2 dB`. */
function entryText({ start_timestep, start_sigma, snr_db }) {
  const ratio = snr_db === null ? "no signal left" : `SNR ${signed(snr_db)} dB`;
  return `t ${Math.round(start_timestep)} → 0 · σ ${start_sigma.toPrecision(3)} · ${ratio}`;
}

/** What it costs: samplers like euler call the model once a step, and guidance (cfg above 1) doubles every call. */
function costText({ sigmas, planned_calls }) {
  const steps = counted(sigmas.length - 1, "step");
  return `${steps} · ${counted(planned_calls, "model call")} (${2 * planned_calls} with cfg > 1)`;
}

/** Warnings, each a sentence; most schedules have none. */
function notices({ strength, capped, sigma_max }) {
  const found = [];
  if (strength >= LAYOUT_LIMIT) found.push("From 0.8 on the layout will not survive.");
  if (capped) found.push(`Capped at σ ${sigma_max.toPrecision(3)}, this model's maximum.`);
  return found;
}

/** The texts beside the curve. `payload` is null where other nodes deliver the settings, so that only a run can tell. */
export function describe(payload) {
  if (payload === null) {
    return { entry: "Known after the first run", cost: "Other nodes deliver these settings", source: "", notices: [] };
  }
  const source = payload.estimated ? "Estimate for SD 1.5, until the first run" : "Exact, from the last run";
  if (payload.sigmas.length === 0) {
    return { entry: "Strength 0: the picture stays as it is", cost: "No steps, no model calls", source, notices: [] };
  }
  return { entry: entryText(payload), cost: costText(payload), source, notices: notices(payload) };
}
