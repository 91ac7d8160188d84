/**
 * The schedule of a StrengthScheduler as Stable Diffusion 1.5 would run it, from the widgets alone.
 *
 * The node shows it until its first run: a browser holds no model, and most pictures are made with this schedule or one
 * close to it. After a run the server's own numbers take its place.
 */

const LAST_TIMESTEP = 999;
const upTo = (count) => Array.from({ length: count }, (_, index) => index);
const LOG_SIGMAS = logSigmas();

/** log σ at t = 0…999: betas run from 0.00085 to 0.012 evenly in their square root, σ² = (1 − ᾱ) / ᾱ. */
function logSigmas() {
  const [first, last] = [Math.sqrt(0.00085), Math.sqrt(0.012)];
  let signal = 1;
  return upTo(LAST_TIMESTEP + 1).map((timestep) => {
    signal *= 1 - (first + ((last - first) * timestep) / LAST_TIMESTEP) ** 2;
    return 0.5 * Math.log((1 - signal) / signal);
  });
}

/** σ at a timestep in 0…999, whole or not. */
export function sigmaAt(timestep) {
  const below = Math.min(Math.floor(timestep), LAST_TIMESTEP - 1);
  const share = timestep - below;
  return Math.exp(LOG_SIGMAS[below] * (1 - share) + LOG_SIGMAS[below + 1] * share);
}

/** The timestep in 0…999 whose σ this is; a σ outside the schedule gives its nearer end. */
export function timestepOf(sigma) {
  const wanted = Math.log(sigma);
  const above = LOG_SIGMAS.findIndex((value) => value >= wanted);
  if (above <= 0) return above === 0 ? 0 : LAST_TIMESTEP;
  return above - (LOG_SIGMAS[above] - wanted) / (LOG_SIGMAS[above] - LOG_SIGMAS[above - 1]);
}

const SIGMA_MIN = sigmaAt(0);
const SIGMA_MAX = sigmaAt(LAST_TIMESTEP);

const evenRows = (steps) => upTo(steps).map((index) => LAST_TIMESTEP * (1 - index / steps));

/** Schedulers that space their steps by timestep: the falling rows of the table, 0…999, that they take. */
const ROWS = {
  simple: (steps) => upTo(steps).map((index) => LAST_TIMESTEP - Math.floor((index * (LAST_TIMESTEP + 1)) / steps)),
  normal: (steps) => upTo(steps).map((index) => LAST_TIMESTEP * (steps > 1 ? 1 - index / (steps - 1) : 1)),
  beta: (steps) => {
    const rows = upTo(steps).map((index) => Math.round(LAST_TIMESTEP * betaQuantile(1 - index / steps)));
    return [...new Set(rows)];
  },
  ddim_uniform: (steps) => {
    const stride = Math.max(1, Math.floor((LAST_TIMESTEP + 1) / steps));
    return upTo(Math.ceil(LAST_TIMESTEP / stride)).map((index) => 1 + index * stride).reverse();
  },
};

/** σ on a scheduler that spaces its steps by σ; `share` runs from 0 at the start to 1 at the last step. */
const BY_SIGMA = {
  karras: (share, high, low) => (high ** (1 / 7) + share * (low ** (1 / 7) - high ** (1 / 7))) ** 7,
  exponential: (share, high, low) => high ** (1 - share) * low ** share,
  kl_optimal: (share, high, low) => Math.tan(Math.atan(high) + share * (Math.atan(low) - Math.atan(high))),
};

const BETA_BINS = 500;
const BETA_DENSITIES = upTo(BETA_BINS).map((bin) => Math.sin((Math.PI * (bin + 0.5)) / BETA_BINS) ** 0.2);
const BETA_TOTAL = BETA_DENSITIES.reduce((sum, density) => sum + density);

/** Quantile of the Beta(0.6, 0.6) distribution: x = sin²θ, and 2θ in 0…π has the density sin(2θ)^0.2. */
function betaQuantile(probability) {
  let left = probability * BETA_TOTAL;
  let bin = 0;
  while (bin < BETA_BINS && left > BETA_DENSITIES[bin]) left -= BETA_DENSITIES[bin++];
  const part = bin < BETA_BINS ? left / BETA_DENSITIES[bin] : 0;
  return Math.sin((Math.PI / 2) * ((bin + part) / BETA_BINS)) ** 2;
}

/** The linear-quadratic ladder: half the steps spend 2.5 % of the noise, the others the rest, faster and faster. */
function linearQuadratic(steps, high) {
  if (steps === 1) return [high];
  const threshold = 0.025;
  const straight = Math.floor(steps / 2);
  const bent = steps - straight;
  const excess = straight - threshold * steps;
  const square = excess / (straight * bent ** 2);
  const slope = threshold / straight - (2 * excess) / bent ** 2;
  const spent = (index) =>
    index < straight ? (index * threshold) / straight : square * (index ** 2 + straight ** 2) + slope * index;
  return upTo(steps).map((index) => high * (1 - spent(index)));
}

/** Falling sigmas from `high` on, without the closing 0. Schedulers of other packs count as evenly spaced. */
function ladder(scheduler, steps, high) {
  if (high <= SIGMA_MIN) return upTo(steps).map((index) => high * (1 - index / steps));
  if (scheduler === "linear_quadratic") return linearQuadratic(steps, high);
  if (scheduler in BY_SIGMA) {
    return upTo(steps).map((index) => BY_SIGMA[scheduler](steps > 1 ? index / (steps - 1) : 0, high, SIGMA_MIN));
  }
  const start = timestepOf(high);
  return (ROWS[scheduler] ?? evenRows)(steps).map((row) => sigmaAt((start * row) / LAST_TIMESTEP));
}

/** A ladder brought to exactly `steps` sigmas that begin at `start`, as the server does it: even steps in log σ. */
function repaired(sigmas, steps, start) {
  if (steps === 1) return [start];
  const levels = sigmas.map(Math.log);
  const [first, last] = [levels[0], levels.at(-1)];
  return upTo(steps).map((index) => {
    const place = (index * (levels.length - 1)) / (steps - 1);
    const below = Math.min(Math.floor(place), levels.length - 2);
    const level = levels[below] + (levels[below + 1] - levels[below]) * (place - below);
    return Math.exp(last + ((level - last) * (Math.log(start) - last)) / (first - last));
  });
}

/** The sigma at which a strength within 0…1 enters, in the measures `timestep` and `noise`. */
function startSigma(measure, strength) {
  if (measure === "timestep") return sigmaAt(strength * LAST_TIMESTEP);
  return Math.min(strength / (1 - strength), SIGMA_MAX);
}

/** The steps that will run: as many as the widget says, or the share of them that the strength leaves. */
export function executedSteps({ steps, strength, step_count }) {
  if (strength <= 0) return 0;
  return step_count === "proportional" ? Math.max(1, Math.floor(steps * strength + 1e-6)) : steps;
}

/** The sigmas of these widget values on Stable Diffusion 1.5, without the closing 0; none at strength 0. */
function estimatedSigmas(settings) {
  const { scheduler, steps, strength, measure, step_count } = settings;
  const count = executedSteps(settings);
  if (count === 0) return [];
  if (measure !== "steps") {
    const start = startSigma(measure, strength);
    return repaired(ladder(scheduler, count, start), count, start);
  }
  // What stock `denoise` does: only the end of a longer schedule is run.
  const whole = step_count === "exact" ? Math.floor(steps / strength) : steps;
  return ladder(scheduler, whole, SIGMA_MAX).slice(-count);
}

/** The payload that the server would send after a run, as far as the widgets can tell. */
export function estimate(settings) {
  const sigmas = estimatedSigmas(settings);
  const start = sigmas[0] ?? 0;
  return {
    ...settings,
    sigmas: sigmas.length > 0 ? [...sigmas, 0] : [],
    timesteps: sigmas.length > 0 ? [...sigmas.map(timestepOf), 0] : [],
    start_sigma: start,
    start_timestep: sigmas.length > 0 ? timestepOf(start) : 0,
    snr_db: start > 0 ? -20 * Math.log10(start) : null,
    planned_calls: sigmas.length,
    capped: settings.measure === "noise" && settings.strength > SIGMA_MAX / (1 + SIGMA_MAX),
    sigma_max: SIGMA_MAX,
    family: "VE",
    estimated: true,
  };
}
