/* weft_math_erf_f32.h: the error functions of float32; a part of weft_math_f32.h, which says what holds for all. */
#ifndef WEFT_MATH_ERF_F32_H
#define WEFT_MATH_ERF_F32_H

/* ---- the error function ----------------------------------------------------------------------------- */

/* erf(x) / x - 1, z = x^2: [0, 0.93], 2^-25.8 */
WEFT_LANE float weft_erf_poly_f32_(float z) {
  float p = -0.000595897087f;
  p = weft_fma_f32(p, z, 0.00498725241f);
  p = weft_fma_f32(p, z, -0.0267629158f);
  p = weft_fma_f32(p, z, 0.112817302f);
  p = weft_fma_f32(p, z, -0.376124889f);
  return weft_fma_f32(p, z, 0.128379151f);
}
/* Up to 0.93 by that, above 1 - 2^-P(x) */
WEFT_LANE float weft_erf_f32(float x) {
  const float magic = WEFT_MAGIC_F32_ + 127.0f;
  float a = weft_magnitude_f32_(x), p = weft_fma_f32(weft_erf_poly_f32_(a * a), a, a);
  float b = weft_at_most_f32_(a, 3.95f), q = -0.000280987646f; /* [0.93, 3.95], 2^-29 */
  q = weft_fma_f32(q, b, 0.00437385589f);
  q = weft_fma_f32(q, b, -0.032000538f);
  q = weft_fma_f32(q, b, 0.149804249f);
  q = weft_fma_f32(q, b, 0.919416428f);
  q = weft_fma_f32(q, b, 1.62679875f);
  q = weft_fma_f32(q, b, 0.000304932561f);
  float t = magic - q, s = weft_frombits_f32(weft_bits_f32(t) << 23);
  q = weft_fma_f32(weft_exp2_poly_f32_((magic - t) - q), -s, 1.0f);
  return weft_signed_f32_(a >= 0.93f ? q : p, x); /* p for a NaN */
}

/* erfc(a) = d 2^(P - a^2 / log 2) for 0 <= a <= 10.1, with d = 1 / (a + 9/4) and a polynomial P in d (after a form of
 * Schonfelder, Chebyshev expansions for the error and related functions, 1978), without 2^n; *scale - magic is n.
 * What rounding lost in a^2 goes into the exponent, and so does what it lost in d, times the slope of P and log d
 * together, which is nearly a line. P allows for what the float WEFT_LOG2E_F32_ is not. */
WEFT_LANE float weft_erfc_core_f32_(float a, float magic, float *scale) {
  float high = a * a, sum = a + 2.25f, d = 1.0f / sum, left = a - (sum - 2.25f), t = d - 0.210111767f;
#if WEFT_FUSED_F32_
  float low = weft_fma_f32(a, a, -high), lost = weft_fma_f32(-d, left, weft_fma_f32(-d, sum, 1.0f));
#else
  float dh = weft_frombits_f32(weft_bits_f32(d) & 0xfffff000u), dl = d - dh;
  float sh = weft_frombits_f32(weft_bits_f32(sum) & 0xfffff000u), sl = sum - sh;
  float lost = (((1.0f - dh * sh) - (dh * sl + dl * sh)) - dl * sl) - d * left;
  float head = weft_frombits_f32(weft_bits_f32(a) & 0xfffff000u), tail = a - head;
  float low = ((head * head - high) + 2.0f * head * tail) + tail * tail;
#endif
  float m = weft_fma_f32(weft_fma_f32(t, -3.0f, high), -WEFT_LOG2E_F32_, magic), n = m - magic; /* r below is under 1 */
  /* P log 2 = t (4.625 log 2 + q): [0, 10.1], 2^-26; its even and its odd terms are two shorter chains. */
  float u = t * t, q = 263.730591f, o = -182.763901f;
  q = weft_fma_f32(q, u, -20.0178871f);
  o = weft_fma_f32(o, u, 38.8932571f);
  q = weft_fma_f32(q, u, 5.03560781f);
  o = weft_fma_f32(o, u, -8.26496124f);
  q = weft_fma_f32(q, u, -2.7962389f);
  o = weft_fma_f32(o, u, 2.04909134f);
  q = weft_fma_f32(q, u, -0.000141437034f);
  q = weft_fma_f32(o, t, q);
#if WEFT_FUSED_F32_
  float r = weft_fma_f32(high, -WEFT_LOG2E_F32_, -n);
#else
  float r = ((-high - n * WEFT_LN2_HI_F32_) - n * 3.19554383e-05f) * WEFT_LOG2E_F32_;
#endif
  float small = weft_fma_f32(q, t, weft_fma_f32(lost, weft_fma_f32(d, 3.65f, 0.907f), -low));
  r = weft_fma_f32(small, WEFT_LOG2E_F32_, weft_fma_f32(t, 4.625f, r));
  *scale = m;
  float p = 0.000154628637f; /* (2^r - 1) / r, as in weft_exp2_poly_f32_ */
  p = weft_fma_f32(p, r, 0.00133909856f);
  p = weft_fma_f32(p, r, 0.00961806253f);
  p = weft_fma_f32(p, r, 0.0555035956f);
  p = weft_fma_f32(p, r, 0.240226507f);
  p = weft_fma_f32(p, r, 0.693147182f);
  return weft_fma_f32(d * r, p, d);
}
/* g, or 2 - g where x is negative */
WEFT_LANE float weft_erfc_side_f32_(float g, float x) {
  float two = weft_frombits_f32((weft_bits_f32(x) >> 1) & 0x40000000u);
  return weft_magnitude_f32_(two - g);
}
/* hard: a denormal result, or nearly, or nearly 2; NaN */
WEFT_LANE int32_t weft_erfc_is_hard_f32(float x) {
  return -((int32_t)weft_bits_f32(weft_magnitude_f32_(x)) > 0x41100000); /* 9 */
}
WEFT_LANE float weft_erfc_fast_f32(float x) {
  float m, g = weft_erfc_core_f32_(weft_magnitude_f32_(x), WEFT_MAGIC_F32_, &m);
  return weft_erfc_side_f32_(weft_frombits_f32(weft_bits_f32(g) + (weft_bits_f32(m) << 23)), x);
}
WEFT_LANE float weft_erfc_f32(float x) {
  float a = weft_magnitude_f32_(x), m, g = weft_erfc_core_f32_(a > 10.1f ? 10.1f : a, WEFT_MAGIC_F32_ + 191.0f, &m);
  float s = weft_frombits_f32(weft_bits_f32(m) << 23); /* 2^(n + 64) */
  return weft_erfc_side_f32_(g * s * 5.42101086e-20f, x);
}

/* x times a polynomial in w = -log((1 - x) (1 + x)), and from 5 on in sqrt(w) (Giles, Approximating the erfinv
 * function, 2011). */
WEFT_LANE float weft_erfinv_f32(float x) {
  float e, f = weft_log_split_f32_((1.0f - x) * (1.0f + x), &e);
  float w = -weft_fma_f32(e, WEFT_LN2_F32_, weft_log_poly_f32_(f));
  float v = w - 2.5f, p = 2.81257115e-08f; /* [0, 5], 2^-23.3 */
  p = weft_fma_f32(p, v, 3.4333209e-07f);
  p = weft_fma_f32(p, v, -3.52422626e-06f);
  p = weft_fma_f32(p, v, -4.39367386e-06f);
  p = weft_fma_f32(p, v, 0.000218584857f);
  p = weft_fma_f32(p, v, -0.00125371316f);
  p = weft_fma_f32(p, v, -0.00417768303f);
  p = weft_fma_f32(p, v, 0.246640727f);
  p = weft_fma_f32(p, v, 1.50140941f);
  v = WEFT_LIBM(sqrtf)(w) - 3.0f;
  float q = -0.000210074606f; /* [5, 16], 2^-23.9 */
  q = weft_fma_f32(q, v, 0.000105609746f);
  q = weft_fma_f32(q, v, 0.00136434182f);
  q = weft_fma_f32(q, v, -0.00367716514f);
  q = weft_fma_f32(q, v, 0.00573114585f);
  q = weft_fma_f32(q, v, -0.00762198446f);
  q = weft_fma_f32(q, v, 0.0094406791f);
  q = weft_fma_f32(q, v, 1.00167418f);
  q = weft_fma_f32(q, v, 2.83297682f);
  float y = (w < 5.0f ? p : q) * x;
  float a = weft_magnitude_f32_(x);
  return a < 1.0f ? y : a == 1.0f ? weft_signed_f32_(WEFT_INF_f32, x) : WEFT_NAN_f32;
}

#endif
