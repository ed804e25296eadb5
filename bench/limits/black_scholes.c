/* Prices of calls and puts: two divisions and a root, a logarithm of a quotient of positive normal numbers, two normal
 * distributions. */
#include "limits.h"

#define RISK_FREE 0.03f
#define VOLATILITY 0.25f

typedef struct {
  int64_t n;
  const float *spot, *strike, *years;
  float *call, *put;
} job;

/* The normal distribution, x >= 0: 1 - 2^-R(x), below 0 that 2^-R; no branch near 0, where only the absolute error
 * counts (of R 2^-27 in the result: a least maximum on [0, 5.6], found by Lawson's weighted least squares). */
static inline float normal(float x) {
  const float magic = WEFT_MAGIC_F32_ + 127.0f;
  float d = at_most_f32(weft_magnitude_f32_(x), 5.6f), q = 2.77205527e-06f;
  q = q * d - 3.86208230e-05f;
  q = q * d + 0.000182547956f;
  q = q * d + 0.000145869257f;
  q = q * d - 0.00707547041f;
  q = q * d + 0.0525050275f;
  q = q * d + 0.459204912f;
  q = q * d + 1.15110576f;
  q = q * d + 1.0f;
  float t = magic - q, h = weft_exp2_poly_f32_((magic - t) - q) * weft_frombits_f32(weft_bits_f32(t) << 23);
  return x < 0 ? h : 1.0f - h;
}

static void body(void *arg, int64_t begin, int64_t end, int worker) {
  const job *j = arg;
  const float *RESTRICT spot = j->spot, *RESTRICT strike = j->strike, *RESTRICT years = j->years;
  float *RESTRICT call = j->call, *RESTRICT put = j->put;
  const float drift = RISK_FREE + 0.5f * VOLATILITY * VOLATILITY;
  (void)worker;
  end = at_most(end * LINE, j->n);
  for (int64_t from = begin * LINE; from < end; from += STRIP) {
    const int64_t to = at_most(from + STRIP, end);
    for (int64_t i = from + AHEAD; j->n > FAR && i < from + AHEAD + STRIP; i += LINE) {
      __builtin_prefetch(spot + i);
      __builtin_prefetch(strike + i);
      __builtin_prefetch(years + i);
      __builtin_prefetch(call + i, 1);
      __builtin_prefetch(put + i, 1);
    }
    for (int64_t i = from; i < to; i++) {
      float s = spot[i], k = strike[i], t = years[i];
      float spread = VOLATILITY * __builtin_sqrtf(t);
      float d1 = (weft_log_fast_f32(s / k) + drift * t) / spread, d2 = d1 - spread;
      float paid = k * exp_of(-at_most_f32(RISK_FREE * t, 87.0f));
      float c = s * normal(d1) - paid * normal(d2);
      call[i] = c;
      put[i] = c - s + paid;
    }
  }
}

FULL void limit_black_scholes(
    int64_t n, const float *spot, const float *strike, const float *years, float *call, float *put) {
  job j = {n, spot, strike, years, call, put};
  share(n, 100, body, &j);
}
