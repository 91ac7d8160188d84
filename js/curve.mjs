/**
 * What the StrengthScheduler shows of a schedule: numbers in, SVG paths and short texts out. Nothing here touches a page.
 *
 * A payload is what the server works out (core/curve.py): `points` and `ground` ("timestep share,…", the plan and the
 * model's whole schedule), the settings, `start_sigma`, `start_timestep`, `noise_share`, `snr_db` (null where infinite),
 * `planned_calls`, `capped`, `sigma_max`; from the pack's route also `strengths`, `layout_lost`, `layout_limit`.
 */

const LAST_TIMESTEP = 999;

/** What becomes of a picture, by the share of noise below which it is so. */
const OUTLOOKS = [
  [0.3, "Only the finest texture changes"],
  [0.5, "Texture and grain; light retouching"],
  [0.66, "Materials, colors, single objects; the composition stays"],
  [0.835, "Another style; large shapes stay"],
  [0.93, "A new layout; rough colors stay"],
  [Infinity, "Next to nothing of your picture stays"],
];

const places = (value) => Number(value.toFixed(2));

/** Pairs of numbers in a box of 100 × 100: across, the timestep falls from 999 to 0; up is the share of noise. */
function corners(text) {
  const pairs = text ? text.split(",").map((pair) => pair.split(" ").map(Number)) : [];
  return pairs.map(([timestep, share]) => [places(100 * (1 - timestep / LAST_TIMESTEP)), places(100 * (1 - share))]);
}

const drawn = (points) => (points.length > 0 ? "M" + points.map((point) => point.join(" ")).join("L") : "");

/**
 * The paths of a payload (or of none, null), and its `start`: [across, down] in percent, null where there is none.
 *
 * ground: the model's whole schedule
 * line:   the noise that is left after each step
 * area:   the same, closed along the ground
 * steps:  an upright for every model step
 */
export function paths(payload) {
  const points = corners(payload?.points);
  const line = drawn(points);
  const start = points[0] ?? null;
  return {
    start,
    ground: drawn(corners(payload?.ground)),
    line,
    area: line && `${line}L100 100L${start[0]} 100Z`,
    steps: points.slice(0, -1).map(([x, y]) => `M${x} ${y}V100`).join(""),
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
function costText({ planned_calls }) {
  const steps = counted(planned_calls, "step");
  return `${steps} · ${counted(planned_calls, "model call")} (${2 * planned_calls} with cfg > 1)`;
}

/** What else would start there; `denoise` is the number for a field, null where a text says it all. */
function equalText({ measure, strengths }) {
  if (measure === "steps") {
    return { equal: strengths ? `= strength ${strengths.timestep.toFixed(2)} by timestep` : "", denoise: null };
  }
  return { equal: "= stock denoise", denoise: strengths?.steps ?? null };
}

/** Warnings, each a sentence; most schedules have none. Under a mask a new layout is often what is wanted. */
function notices({ layout_lost, layout_limit, capped, sigma_max }, masked) {
  const found = [];
  const remedy = layout_limit ? `set strength below ${layout_limit.toFixed(2)}` : "lower the strength";
  if (layout_lost && !masked) found.push(`Expect a new layout. To keep yours, ${remedy}.`);
  if (capped) found.push(`Capped at σ ${sigma_max.toPrecision(3)}, this model's maximum.`);
  return found;
}

/** Where the numbers come from: the last `run`, its `model` under other settings, or neither. */
function sourceText({ origin, model }) {
  if (origin === "run") return "From the last run";
  return origin === "model" ? `For the model of the last run (${model})` : "Estimate for SD 1.5; run once for your model";
}

/**
 * The texts beside the curve. `payload` is null where other nodes deliver the settings, so that only a run can tell; one
 * with nothing but an `error` says why there is no curve.
 */
export function describe(payload, masked) {
  const nothing = { headline: "", entry: "", cost: "", equal: "", denoise: null, source: "", notices: [] };
  if (payload === null) return { ...nothing, headline: "Known after the first run", entry: "Other nodes deliver these settings" };
  if (payload.error) return { ...nothing, headline: "No curve", entry: payload.error };
  const source = sourceText(payload);
  if (payload.planned_calls === 0) return { ...nothing, headline: "Nothing changes", entry: "No steps, no model calls", source };
  return {
    headline: OUTLOOKS.find(([limit]) => payload.noise_share < limit)[1],
    entry: entryText(payload),
    cost: costText(payload),
    ...equalText(payload),
    source,
    notices: notices(payload, masked),
  };
}
