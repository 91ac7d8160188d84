/**
 * What the inversion nodes say of an inversion: numbers in, short texts out. Nothing here touches a page.
 *
 * A payload holds `verdict` ({ level: good, fair or poor, text }), and either `grade` ({ latent_mse, latent_psnr }),
 * `residual` ({ picture }: the error expected at most), or `latent_mse` of each picture.
 */

const short = (value) => (value === 0 ? "0" : value.toExponential(1).replace("-", "−"));

/** The error, and where it is known from. */
function errorText({ grade, residual, latent_mse }) {
  if (grade) {
    const decibels = grade.latent_psnr === null ? "" : ` · ${grade.latent_psnr.toFixed(1)} dB`;
    return `Latent error ${short(grade.latent_mse)}${decibels} · measured`;
  }
  if (latent_mse) return latent_mse.length ? `Latent error ${short(Math.max(...latent_mse))} · measured` : "";
  return `Latent error ≤ ${short(residual.picture)} · grade measures it`;
}

/** The texts of the panel; `payload` is null before the first run. */
export function describe(payload) {
  if (payload === null) return { level: "", verdict: "Run once to see how well the picture comes back", error: "" };
  const { level, text } = payload.verdict;
  return { level, verdict: text, error: errorText(payload) };
}
