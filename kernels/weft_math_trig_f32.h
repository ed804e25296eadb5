/* weft_math_trig_f32.h: the trigonometric functions of float32 and their inverses; the second half of weft_math_f32.h,
 * which says what holds for both. */
#ifndef WEFT_MATH_TRIG_F32_H
#define WEFT_MATH_TRIG_F32_H

/* ---- trigonometric functions ------------------------------------------------------------------------ */

/* x - n pi/2 = r - *lost, with twice these constants x - n pi: parts of pi/2 are subtracted one by one. The first
 * product (without a fused multiply-add, where parts have 11 bits, the first three products) and the difference it
 * leaves are exact; so is the last product but one, as n has at most 12 bits where *lost is asked for. No -0 becomes +0
 * on the way. */
#if WEFT_FUSED_F32_
#define WEFT_SIN_LIMIT_F32_ 65536.0f
#define WEFT_TAN_LIMIT_F32_ 6000.0f
WEFT_LANE float weft_minus_halves_f32_(float n, float x) {
  x = weft_fma_f32(n, -3.1415925f, x);
  x = weft_fma_f32(n, -1.50995788e-07f, x);
  return weft_fma_f32(n, -1.07806051e-14f, x);
}
WEFT_LANE float weft_minus_quarters_f32_(float n, float x, float *lost) {
  x = weft_fma_f32(n, -1.57079625f, x);
  float s = weft_fma_f32(n, -7.54953362e-08f, x), r = weft_fma_f32(n, -2.56334407e-12f, s);
  *lost = weft_fma_f32(n, 2.56334407e-12f, weft_fma_f32(n, 7.54953362e-08f, s - x) + (r - s));
  return r;
}
#else
#define WEFT_SIN_LIMIT_F32_ 6000.0f
#define WEFT_TAN_LIMIT_F32_ 6000.0f
#define WEFT_MINUS_QUARTERS_F32_(UNIT)                                                          \
  x = (x - n * (UNIT * 1.5703125f)) - n * (UNIT * 0.000483751297f);                             \
  float p = n * (UNIT * 7.54953362e-08f), q = n * (UNIT * 2.56334407e-12f), s = x - p, r = s - q; \
  float more = ((s - x) + p) + ((r - s) + q);
WEFT_LANE float weft_minus_halves_f32_(float n, float x) {
  WEFT_MINUS_QUARTERS_F32_(2.0f)
  return r - more;
}
WEFT_LANE float weft_minus_quarters_f32_(float n, float x, float *lost) {
  WEFT_MINUS_QUARTERS_F32_(1.0f)
  *lost = more;
  return r;
}
#endif
#define WEFT_1_PI_F32_ 0.318309873f

/* sin(r + k pi), r between -pi/2 and pi/2: 2^-27, by a polynomial in r^2 - 5/4, so that the largest r^2 is rounded
 * less; at r = 0 it comes to a positive float next to nothing, so that r + r times it is r there, -0 too. */
WEFT_LANE float weft_sin_poly_f32_(float r, uint32_t k) {
  float v = weft_fma_f32(r, r, -1.25f), p = 2.60102843e-06f;
  p = weft_fma_f32(p, v, -0.000185064186f);
  p = weft_fma_f32(p, v, 0.00761464098f);
  p = weft_fma_f32(p, v, -0.14674215f);
  p = weft_fma_f32(p, v, -0.195693374f);
  return weft_frombits_f32(weft_bits_f32(weft_fma_f32(p, r, r)) ^ k << 31);
}
/* tan(r - lost + k pi/2), r between -pi/4 and pi/4: r / Q, where Q is r / tan r, a polynomial in r^2 - 431/1024 (2^-27,
 * at 0 just 1), or for an odd k the other way round. What was lost goes into its argument: the bits make some -2.1 / r;
 * times the slope of Q, which is near -1/3, that is most of the right correction, times Q, for both. */
WEFT_LANE float weft_tan_quotient_f32_(float r, float lost, uint32_t k) {
  float v = weft_fma_f32(lost, weft_frombits_f32(0xff7fffffu - weft_bits_f32(r)), weft_fma_f32(r, r, -0.420898438f));
  float q = -0.000249612262f;
  q = weft_fma_f32(q, v, -0.00251415884f);
  q = weft_fma_f32(q, v, -0.0251370762f);
  q = weft_fma_f32(q, v, -0.3532314f);
  q = weft_fma_f32(q, v, 0.855598986f);
  uint32_t odd = k << 31, turned = (uint32_t)((int32_t)odd >> 31), above = weft_bits_f32(r), below = weft_bits_f32(q);
  uint32_t swap = (above ^ below) & turned;
  float y = weft_frombits_f32(above ^ swap) / weft_frombits_f32(below ^ swap);
  return weft_frombits_f32(weft_bits_f32(y) ^ odd);
}

WEFT_LANE float weft_sin_fast_f32(float x) {
  float t = weft_fma_f32(x, WEFT_1_PI_F32_, WEFT_MAGIC_F32_);
  return weft_sin_poly_f32_(weft_minus_halves_f32_(t - WEFT_MAGIC_F32_, x), weft_bits_f32(t));
}
/* sin(|x| + pi/2) */
WEFT_LANE float weft_cos_fast_f32(float x) {
  float a = weft_magnitude_f32_(x), t = weft_fma_f32(a, WEFT_1_PI_F32_, 0.5f) + WEFT_MAGIC_F32_;
  return weft_sin_poly_f32_(weft_minus_halves_f32_((t - WEFT_MAGIC_F32_) - 0.5f, a), weft_bits_f32(t));
}
WEFT_LANE float weft_tan_fast_f32(float x) {
  float t = weft_fma_f32(x, 2.0f * WEFT_1_PI_F32_, WEFT_MAGIC_F32_);
  float lost, r = weft_minus_quarters_f32_(t - WEFT_MAGIC_F32_, x, &lost);
  return weft_tan_quotient_f32_(r, lost, weft_bits_f32(t));
}
WEFT_LANE int32_t weft_sin_is_hard_f32(float x) {
  return -((int32_t)weft_bits_f32(weft_magnitude_f32_(x)) > (int32_t)weft_bits_f32(WEFT_SIN_LIMIT_F32_));
}
WEFT_LANE int32_t weft_cos_is_hard_f32(float x) { return weft_sin_is_hard_f32(x); }
WEFT_LANE int32_t weft_tan_is_hard_f32(float x) {
  return -((int32_t)weft_bits_f32(weft_magnitude_f32_(x)) > (int32_t)weft_bits_f32(WEFT_TAN_LIMIT_F32_));
}

/* |x| / (2 pi), its fraction in units of 2^-64, for finite |x| >= 4096: the 24 bits of x times those 96 bits of 1/pi
 * that count (Payne and Hanek, Radian reduction for trigonometric functions, 1983). */
WEFT_FN uint64_t weft_turns_f32_(float x) {
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
  return ((m * w[0] + (middle >> 32)) << 32) | (middle & 0xffffffffu);
}
/* What is left of v, in units of 2^-64 of a turn, beyond the nearest of `parts` (a power of two) marks, as an angle;
 * the mark's number in *k. */
WEFT_FN double weft_beyond_f32_(uint64_t v, uint32_t parts, uint32_t *k) {
  uint64_t most = ~(uint64_t)0 / parts, half = most / 2 + 1;
  *k = (uint32_t)((v + half) / (most + 1));
  return (double)(int64_t)(v * parts) * 3.4061215800865545e-19 / parts; /* 2 pi / 2^64 */
}

WEFT_FN float weft_sin_f32(float x) {
  if (!weft_sin_is_hard_f32(x) || !(weft_magnitude_f32_(x) < WEFT_INF_f32)) return weft_sin_fast_f32(x);
  uint32_t k;
  double r = weft_beyond_f32_(weft_turns_f32_(x), 2, &k);
  return weft_flip_f32_(weft_sin_poly_f32_((float)r, k), x);
}
WEFT_FN float weft_cos_f32(float x) {
  if (!weft_cos_is_hard_f32(x) || !(weft_magnitude_f32_(x) < WEFT_INF_f32)) return weft_cos_fast_f32(x);
  uint32_t k;
  double r = weft_beyond_f32_(weft_turns_f32_(x) + ((uint64_t)1 << 62), 2, &k);
  return weft_sin_poly_f32_((float)r, k);
}
WEFT_FN float weft_tan_f32(float x) {
  if (!weft_tan_is_hard_f32(x) || !(weft_magnitude_f32_(x) < WEFT_INF_f32)) return weft_tan_fast_f32(x);
  uint32_t k;
  double r = weft_beyond_f32_(weft_turns_f32_(x), 4, &k);
  float high = (float)r;
  return weft_flip_f32_(weft_tan_quotient_f32_(high, (float)((double)high - r), k), x);
}

/* ---- inverse trigonometric functions ------------------------------------------------------------------ */

/* (asin(s) - s) / s^3, z = s^2: [0, 1/2], 2^-27.6 of asin */
WEFT_LANE float weft_asin_poly_f32_(float z) {
  float p = 0.0421583056f;
  p = weft_fma_f32(p, z, 0.0241847783f);
  p = weft_fma_f32(p, z, 0.0454691499f);
  p = weft_fma_f32(p, z, 0.0749530941f);
  return weft_fma_f32(p, z, 0.166667521f);
}
/* For a = |x| above 1/2 asin a = pi/2 - 2 asin(sqrt((1 - a) / 2)): *z is the lesser of a^2 and (1 - a) / 2, the
 * argument squared, or negative; the result has all bits set above 1/2. */
WEFT_LANE uint32_t weft_asin_split_f32_(float a, float *z) {
  int32_t below = (int32_t)weft_bits_f32(a * a), above = (int32_t)weft_bits_f32(weft_fma_f32(a, -0.5f, 0.5f));
  *z = weft_frombits_f32((uint32_t)(above < below ? above : below));
  return -(uint32_t)((int32_t)weft_bits_f32(a) > 0x3f000000);
}
WEFT_LANE float weft_masked_f32_(float y, uint32_t mask) { return weft_frombits_f32(weft_bits_f32(y) & mask); }
/* pi/2 in two parts, so that the difference of the first is exact */
WEFT_LANE float weft_asin_f32(float x) {
  float a = weft_magnitude_f32_(x), z;
  uint32_t above = weft_asin_split_f32_(a, &z);
  float s = above ? WEFT_LIBM(sqrtf)(z) : a; /* which is the root but for what is too small to be squared */
  s += weft_masked_f32_(s, above);
  float p = weft_fma_f32(-(s * z), weft_asin_poly_f32_(z), weft_masked_f32_(0.99999994f, above));
  float y = (weft_masked_f32_(0.570796371f, above) - s) + p;
  return weft_signed_f32_(weft_magnitude_f32_(y), x);
}
WEFT_LANE float weft_acos_f32(float x) {
  float a = weft_magnitude_f32_(x), z;
  uint32_t above = weft_asin_split_f32_(a, &z), sign = weft_bits_f32(x) & 0x80000000u;
  float s = WEFT_LIBM(sqrtf)(z);
  s += weft_masked_f32_(s, above);
  float y = weft_fma_f32(s * z, weft_asin_poly_f32_(z), s);
  y = weft_frombits_f32(weft_bits_f32(y) ^ (sign ^ (~above & 0x80000000u)));
  return (1.57079637f - weft_frombits_f32((above & 0x3fc90fdbu) | sign)) + y;
}

/* (atan(t) - t) / t^3: [0, 1], 2^-25.8 of atan */
WEFT_LANE float weft_atan_poly_f32_(float z) {
  float p = 0.002919883f;
  p = weft_fma_f32(p, z, -0.0163645763f);
  p = weft_fma_f32(p, z, 0.0432062894f);
  p = weft_fma_f32(p, z, -0.0755174085f);
  p = weft_fma_f32(p, z, 0.106657878f);
  p = weft_fma_f32(p, z, -0.142110035f);
  p = weft_fma_f32(p, z, 0.199937671f);
  return weft_fma_f32(p, z, -0.333331525f);
}
/* far + atan t for -1 <= t <= 1, where far is 0, pi/2 or pi given as the float 0x3fc96800 or twice it: times one float
 * that is pi/2 to 2^-33, while the rounded product is off by 2^-24.4. */
WEFT_LANE float weft_atan_sum_f32_(uint32_t far, float t) {
  float z = t * t, p = weft_atan_poly_f32_(z), c = weft_frombits_f32(far);
#if WEFT_FUSED_F32_
  return weft_fma_f32(t * z, p, weft_fma_f32(c, 0.99829042f, t));
#else
  return (c * 0.99829042f + t) + (t * z * p - c * 2.77799e-08f);
#endif
}
/* Above 1 by atan a = pi/2 - atan(1 / a) */
WEFT_LANE float weft_atan_f32(float x) {
  int32_t u = (int32_t)(weft_bits_f32(x) & 0x7fffffffu), one = 0x3f800000;
  uint32_t above = -(uint32_t)(u > one);
  float t = weft_frombits_f32((uint32_t)(u < one ? u : one)) / weft_frombits_f32((uint32_t)(u < one ? one : u));
  return weft_signed_f32_(weft_magnitude_f32_(weft_atan_sum_f32_(above & 0x3fc96800u, -t)), x);
}
WEFT_LANE float weft_atan2_f32(float y, float x) {
  int32_t u = (int32_t)(weft_bits_f32(y) & 0x7fffffffu), v = (int32_t)(weft_bits_f32(x) & 0x7fffffffu);
  uint32_t above = -(uint32_t)(u > v), left = (uint32_t)((int32_t)weft_bits_f32(x) >> 31);
  int32_t greater = u < v ? v : u;
  float low = weft_frombits_f32((uint32_t)(u < v ? u : v));
  float high = weft_frombits_f32((uint32_t)(greater > 1 ? greater : 1)); /* not 0 */
  float t = low == high ? 1.0f : low / high; /* also for two infinities */
  t = weft_frombits_f32(weft_bits_f32(t) ^ ((left ^ above) & 0x80000000u));
  return weft_flip_f32_(weft_atan_sum_f32_((above & 0x3fc96800u) | (left & ~above & 0x40496800u), t), y);
}

#endif
