/* weft_math_trig_f32.h: the trigonometric functions of float32 and their inverses; the second half of weft_math_f32.h,
 * which says what holds for both. */
#ifndef WEFT_MATH_TRIG_F32_H
#define WEFT_MATH_TRIG_F32_H

/* ---- trigonometric functions ------------------------------------------------------------------------ */

/* x - n pi/2: parts of pi/2 are subtracted one by one. The first product (without a fused multiply-add, where
 * parts have 11 bits, the first three products) and the difference it leaves are exact. weft_two_parts_f32_ gives
 * in *rest what rounding the last difference but one lost, with the last part: there the middle part has 12 bits
 * and n at most as many, so that their product is exact too. */
#if WEFT_FUSED_F32_
#define WEFT_SIN_LIMIT_F32_ 65536.0f
#define WEFT_TAN_LIMIT_F32_ 6000.0f
WEFT_LANE float weft_quarter_f32_(float n, float x) {
  x = weft_fma_f32(n, -1.57079625f, x);
  x = weft_fma_f32(n, -7.54978942e-08f, x);
  return weft_fma_f32(n, -5.39030253e-15f, x);
}
WEFT_LANE float weft_two_parts_f32_(float n, float x, float *rest) {
  x = weft_fma_f32(n, -1.57079625f, x);
  float r = weft_fma_f32(n, -7.54953362e-08f, x);
  *rest = weft_fma_f32(n, -2.56334407e-12f, weft_fma_f32(n, -7.54953362e-08f, x - r));
  return r;
}
#else
#define WEFT_SIN_LIMIT_F32_ 6000.0f
#define WEFT_TAN_LIMIT_F32_ 6000.0f
WEFT_LANE float weft_two_parts_f32_(float n, float x, float *rest) {
  x = (x - n * 1.5703125f) - n * 0.000483751297f;
  float p = n * 7.54953362e-08f, r = x - p;
  *rest = ((x - r) - p) - n * 2.56328292e-12f;
  return r;
}
WEFT_LANE float weft_quarter_f32_(float n, float x) {
  float rest, r = weft_two_parts_f32_(n, x, &rest);
  return r + rest;
}
#endif

/* r between -pi/4 and pi/4, of a quadrant counted in the low bits of k: sin(r + k pi/2) */
WEFT_LANE float weft_sin_poly_f32_(float r, uint32_t k) {
  float z = r * r, s = -0.000195078843f, c = 2.44321018e-05f; /* sin r: 2^-27.8; cos r: 2^-33 */
  s = weft_fma_f32(s, z, 0.00833210628f);
  s = weft_fma_f32(s, z, -0.166666538f);
  s = weft_fma_f32(r * z, s, r);
  c = weft_fma_f32(c, z, -0.00138873083f);
  c = weft_fma_f32(c, z, 0.0416666456f);
  c = weft_fma_f32(c, z, -0.5f);
  c = weft_fma_f32(c, z, 1.0f);
  return weft_frombits_f32(weft_bits_f32(k & 1u ? c : s) ^ ((k << 30) & 0x80000000u));
}
/* tan(r + rest + k pi/2), r between -pi/4 and pi/4: 2^-25.7 */
WEFT_LANE float weft_tan_poly_f32_(float r, float rest, uint32_t k) {
  float z = r * r, p = 0.00940335169f;
  p = weft_fma_f32(p, z, 0.00309088826f);
  p = weft_fma_f32(p, z, 0.0244472288f);
  p = weft_fma_f32(p, z, 0.0534068681f);
  p = weft_fma_f32(p, z, 0.13338846f);
  p = weft_fma_f32(p, z, 0.333331555f);
  p = weft_fma_f32(r * z, p, weft_fma_f32(rest, z, rest));
  float t = r + p, q = -1.0f / t;
  return k & 1u ? weft_fma_f32(q, q * ((r - t) + p), q) : t; /* -1 / (t + d) is q + q^2 d */
}

WEFT_LANE float weft_sin_fast_f32(float x) {
  float a = weft_magnitude_f32_(x), t = weft_fma_f32(a, 0.636619747f, WEFT_MAGIC_F32_); /* 2/pi */
  return weft_flip_f32_(weft_sin_poly_f32_(weft_quarter_f32_(t - WEFT_MAGIC_F32_, a), weft_bits_f32(t)), x);
}
WEFT_LANE float weft_cos_fast_f32(float x) {
  float a = weft_magnitude_f32_(x), t = weft_fma_f32(a, 0.636619747f, WEFT_MAGIC_F32_);
  return weft_sin_poly_f32_(weft_quarter_f32_(t - WEFT_MAGIC_F32_, a), weft_bits_f32(t) + 1u);
}
WEFT_LANE float weft_tan_fast_f32(float x) {
  float a = weft_magnitude_f32_(x), t = weft_fma_f32(a, 0.636619747f, WEFT_MAGIC_F32_);
  float rest, r = weft_two_parts_f32_(t - WEFT_MAGIC_F32_, a, &rest);
  return weft_flip_f32_(weft_tan_poly_f32_(r, rest, weft_bits_f32(t)), x);
}
WEFT_LANE int32_t weft_sin_is_hard_f32(float x) {
  return weft_magnitude_f32_(x) > WEFT_SIN_LIMIT_F32_;
}
WEFT_LANE int32_t weft_cos_is_hard_f32(float x) { return weft_sin_is_hard_f32(x); }
WEFT_LANE int32_t weft_tan_is_hard_f32(float x) { return weft_magnitude_f32_(x) > WEFT_TAN_LIMIT_F32_; }

/* |x| = r + k pi/2, k mod 4, for finite |x| >= 4096: the 24 bits of x times those 96 bits of 1/pi that count (Payne and
 * Hanek, Radian reduction for trigonometric functions, 1983). */
WEFT_FN double weft_huge_quarter_f32_(float x, uint32_t *k) {
  /* 1/pi in words of 32 bits, after a word of the integer part */
  const uint32_t inverse[8] = {0u,          0x517cc1b7u, 0x27220a94u, 0xfe13abe8u,
                               0xfa9a6ee0u, 0x6db14accu, 0x9e21c820u, 0xff28b1d5u};
  uint32_t u = weft_bits_f32(x) & 0x7fffffffu, first = (u >> 23) - 150u + 31u, w[3];
  uint64_t m = (u & 0x007fffffu) | 0x00800000u;
  for (uint32_t i = 0; i < 3; i++) {
    uint64_t two = (uint64_t)inverse[(first >> 5) + i] << 32 | inverse[(first >> 5) + i + 1u];
    w[i] = (uint32_t)(two >> (32u - (first & 31u)));
  }
  uint64_t middle = m * w[1] + (m * w[2] >> 32);
  uint64_t v = ((m * w[0] + (middle >> 32)) << 32) | (middle & 0xffffffffu); /* |x| / (pi/2) mod 4, times 2^62 */
  *k = (uint32_t)((v + ((uint64_t)1 << 61)) >> 62);
  return (double)(int64_t)(v << 2) * 8.5153039502163860e-20; /* pi/2 / 2^64 */
}

WEFT_FN float weft_sin_f32(float x) {
  if (!weft_sin_is_hard_f32(x) || weft_magnitude_f32_(x) == WEFT_INF_f32) return weft_sin_fast_f32(x);
  uint32_t k;
  double r = weft_huge_quarter_f32_(x, &k);
  return weft_flip_f32_(weft_sin_poly_f32_((float)r, k), x);
}
WEFT_FN float weft_cos_f32(float x) {
  if (!weft_cos_is_hard_f32(x) || weft_magnitude_f32_(x) == WEFT_INF_f32) return weft_cos_fast_f32(x);
  uint32_t k;
  double r = weft_huge_quarter_f32_(x, &k);
  return weft_sin_poly_f32_((float)r, k + 1u);
}
WEFT_FN float weft_tan_f32(float x) {
  if (!weft_tan_is_hard_f32(x) || weft_magnitude_f32_(x) == WEFT_INF_f32) return weft_tan_fast_f32(x);
  uint32_t k;
  double r = weft_huge_quarter_f32_(x, &k);
  float high = (float)r;
  return weft_flip_f32_(weft_tan_poly_f32_(high, (float)(r - (double)high), k), x);
}

/* ---- inverse trigonometric functions ------------------------------------------------------------------ */

/* asin(s) - s, z = s^2: [0, 1/2], 2^-27.6 */
WEFT_LANE float weft_asin_poly_f32_(float s, float z) {
  float p = 0.0421583056f;
  p = weft_fma_f32(p, z, 0.0241847783f);
  p = weft_fma_f32(p, z, 0.0454691499f);
  p = weft_fma_f32(p, z, 0.0749530941f);
  p = weft_fma_f32(p, z, 0.166667521f);
  return s * z * p;
}
/* Above 1/2 by asin a = pi/2 - 2 asin(sqrt((1 - a) / 2)) */
WEFT_LANE float weft_asin_f32(float x) {
  float a = weft_magnitude_f32_(x), h = weft_fma_f32(a, -0.5f, 0.5f);
  int above = a > 0.5f;
  float z = above ? h : a * a, s = above ? WEFT_LIBM(sqrtf)(h) : a, p = weft_asin_poly_f32_(s, z);
  float y = 1.57079637f - (s + s), lost = (1.57079637f - y) - (s + s);
  y += lost - (p + p + 4.37113883e-08f);
  return weft_signed_f32_(above ? y : s + p, x);
}
WEFT_LANE float weft_acos_f32(float x) {
  float a = weft_magnitude_f32_(x), h = weft_fma_f32(a, -0.5f, 0.5f);
  int above = a > 0.5f;
  float z = above ? h : a * a, s = above ? WEFT_LIBM(sqrtf)(h) : x, p = weft_asin_poly_f32_(s, z);
  float y = (1.57079637f - s) - (p + 4.37113883e-08f), twice = 2.0f * (s + p);
  float far = (3.14159274f - (s + s)) - (p + p + 8.74227766e-08f);
  return above ? (x < 0 ? far : twice) : y;
}

/* atan(t) - t: [0, 1], 2^-28 */
WEFT_LANE float weft_atan_poly_f32_(float t) {
  float z = t * t, p = -0.00178265269f;
  p = weft_fma_f32(p, z, 0.0108681899f);
  p = weft_fma_f32(p, z, -0.0310964305f);
  p = weft_fma_f32(p, z, 0.0578810945f);
  p = weft_fma_f32(p, z, -0.0839929879f);
  p = weft_fma_f32(p, z, 0.109508798f);
  p = weft_fma_f32(p, z, -0.142640159f);
  p = weft_fma_f32(p, z, 0.199985296f);
  p = weft_fma_f32(p, z, -0.333332986f);
  return t * z * p;
}
/* Above 1 by atan a = pi/2 + atan(-1 / a) */
WEFT_LANE float weft_atan_f32(float x) {
  uint32_t u = weft_bits_f32(x) & 0x7fffffffu, one = 0x3f800000u, above = (uint32_t)((int32_t)(one - u) >> 31);
  float t = weft_frombits_f32(u < one ? u : one) / weft_frombits_f32(u < one ? one : u);
  t = weft_frombits_f32(weft_bits_f32(t) | (above & 0x80000000u));
  float y = weft_frombits_f32(above & 0x3fc90fdbu) + t; /* pi/2 = 1.57079637 - 4.37113883e-08 */
  return weft_signed_f32_(y + (weft_atan_poly_f32_(t) - weft_frombits_f32(above & 0x333bbd2eu)), x);
}
WEFT_LANE float weft_atan2_f32(float y, float x) {
  uint32_t u = weft_bits_f32(y) & 0x7fffffffu, v = weft_bits_f32(x) & 0x7fffffffu;
  uint32_t above = (uint32_t)((int32_t)(v - u) >> 31), left = (uint32_t)((int32_t)weft_bits_f32(x) >> 31);
  uint32_t greater = u < v ? v : u;
  float low = weft_frombits_f32(u < v ? u : v), high = weft_frombits_f32(greater > 1u ? greater : 1u); /* not 0 */
  float t = low == high ? 1.0f : low / high; /* also for two infinities */
  t = weft_frombits_f32(weft_bits_f32(t) ^ ((left ^ above) & 0x80000000u));
  left &= ~above; /* pi = 3.14159274 - 8.74227766e-08 there, its half where above */
  float far = weft_frombits_f32((above & 0x3fc90fdbu) | (left & 0x40490fdbu));
  float rest = weft_frombits_f32((above & 0x333bbd2eu) | (left & 0x33bbbd2eu));
  return weft_flip_f32_((far + t) + (weft_atan_poly_f32_(t) - rest), y);
}

#endif
