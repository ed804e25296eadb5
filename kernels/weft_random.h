/* weft_random.h: Philox4x32-10 and what is drawn from it, as pure functions of (key, draw number, element index).
 *
 * Element i of draw `hi` owns one counter block {i low, i high, hi low, hi high}; the key's words are {low, high}.
 *   uniform_f32  the top 24 bits of word 0, times 2^-24
 *   uniform_f64  the top 53 bits of words 0 (high) and 1 (low), times 2^-53
 *   normal_f64   Box-Muller, the cosine branch: radius from words 0 and 1 as (53 bits + 1) * 2^-53, which is never 0,
 *                angle from words 2 and 3
 *   normal_f32   normal_f64 rounded to float
 *
 * log, cos and sin are polynomials in double with nothing but +, -, *, / and sqrt, each rounded on its own (no fma), so
 * a draw has the same bits on every target; philox_reference.py is the same text in NumPy.
 */
#ifndef WEFT_RANDOM_H
#define WEFT_RANDOM_H
#include "weft_scalar.h"

/* CUDA: intrinsics that no compiler flag contracts. C: -ffp-contract=off. */
#ifdef __CUDACC__
#define WEFT_ADD_(a, b) __dadd_rn(a, b)
#define WEFT_MUL_(a, b) __dmul_rn(a, b)
#define WEFT_SQRT_(a) __dsqrt_rn(a)
#define WEFT_FLOOR_(a) floor(a)
#else
#define WEFT_ADD_(a, b) ((a) + (b))
#define WEFT_MUL_(a, b) ((a) * (b))
#define WEFT_SQRT_(a) __builtin_sqrt(a)
#define WEFT_FLOOR_(a) __builtin_floor(a)
#endif

/* Written out: a loop inside the loop over elements would keep that from being one over vectors. */
#define WEFT_PHILOX_ROUND_(n)                                                                            \
  p = (uint64_t)c0 * 0xD2511F53u, q = (uint64_t)c2 * 0xCD9E8D57u;                                        \
  c0 = (uint32_t)(q >> 32) ^ c1 ^ (key[0] + n##u * 0x9E3779B9u), c1 = (uint32_t)q;                       \
  c2 = (uint32_t)(p >> 32) ^ c3 ^ (key[1] + n##u * 0xBB67AE85u), c3 = (uint32_t)p;

WEFT_FN void weft_philox(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4]) {
  uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];
  uint64_t p, q;
  WEFT_PHILOX_ROUND_(0) WEFT_PHILOX_ROUND_(1) WEFT_PHILOX_ROUND_(2) WEFT_PHILOX_ROUND_(3) WEFT_PHILOX_ROUND_(4)
  WEFT_PHILOX_ROUND_(5) WEFT_PHILOX_ROUND_(6) WEFT_PHILOX_ROUND_(7) WEFT_PHILOX_ROUND_(8) WEFT_PHILOX_ROUND_(9)
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

WEFT_FN void weft_philox_block(uint64_t key, uint64_t hi, uint64_t i, uint32_t out[4]) {
  uint32_t k[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
  uint32_t c[4] = {(uint32_t)i, (uint32_t)(i >> 32), (uint32_t)hi, (uint32_t)(hi >> 32)};
  weft_philox(k, c, out);
}

WEFT_FN uint32_t weft_random_u32(uint64_t key, uint64_t hi, uint64_t i) {
  uint32_t w[4];
  weft_philox_block(key, hi, i, w);
  return w[0];
}
WEFT_FN uint64_t weft_random_u64(uint64_t key, uint64_t hi, uint64_t i) {
  uint32_t w[4];
  weft_philox_block(key, hi, i, w);
  return (uint64_t)w[0] << 32 | w[1];
}

/* n up to 2^53 as a double, exactly: not every vector unit converts 64-bit integers. */
WEFT_FN double weft_double_of_(uint64_t n) {
  double high = weft_frombits_f64(n >> 32 | 0x4530000000000000ull); /* 2^84 + 2^32 (n >> 32) */
  double low = weft_frombits_f64((n & 0xffffffffull) | 0x4330000000000000ull); /* 2^52 + the rest */
  return WEFT_ADD_(WEFT_ADD_(high, -(0x1p84 + 0x1p52)), low);
}

WEFT_FN float weft_uniform_f32(uint64_t key, uint64_t hi, uint64_t i) {
  return (float)(int32_t)(weft_random_u32(key, hi, i) >> 8) * 5.9604644775390625e-08f;
}
WEFT_FN double weft_uniform_f64(uint64_t key, uint64_t hi, uint64_t i) {
  return WEFT_MUL_(weft_double_of_(weft_random_u64(key, hi, i) >> 11), 1.1102230246251565e-16);
}

/* Horner's step, two roundings */
#define WEFT_HORNER_(p, x, c) WEFT_ADD_(WEFT_MUL_(p, x), c)

/* log of a normal positive double: x = m * 2^e with m in [sqrt(1/2), sqrt 2), log m = 2 artanh((m-1)/(m+1)) */
WEFT_FN double weft_exact_log(double x) {
  uint64_t u = weft_bits_f64(x) - 0x3fe6a09e667f3bcdull; /* of sqrt(1/2) */
  double e = WEFT_ADD_(weft_frombits_f64((u >> 52 ^ 0x800) | 0x4330000000000000ull), -(0x1p52 + 2048));
  double m = weft_frombits_f64((u & 0xfffffffffffffull) + 0x3fe6a09e667f3bcdull);
  double s = WEFT_ADD_(m, -1.0) / WEFT_ADD_(m, 1.0), z = WEFT_MUL_(s, s);
  double p = 1.0 / 23;
  p = WEFT_HORNER_(p, z, 1.0 / 21);
  p = WEFT_HORNER_(p, z, 1.0 / 19);
  p = WEFT_HORNER_(p, z, 1.0 / 17);
  p = WEFT_HORNER_(p, z, 1.0 / 15);
  p = WEFT_HORNER_(p, z, 1.0 / 13);
  p = WEFT_HORNER_(p, z, 1.0 / 11);
  p = WEFT_HORNER_(p, z, 1.0 / 9);
  p = WEFT_HORNER_(p, z, 1.0 / 7);
  p = WEFT_HORNER_(p, z, 1.0 / 5);
  p = WEFT_HORNER_(p, z, 1.0 / 3);
  double t = WEFT_ADD_(s, s), r = WEFT_ADD_(t, WEFT_MUL_(WEFT_MUL_(t, z), p));
  /* e times the high part of ln 2 is exact */
  return WEFT_ADD_(WEFT_MUL_(e, 6.93147180369123816490e-01), WEFT_ADD_(r, WEFT_MUL_(e, 1.90821492927058770002e-10)));
}

/* sin and cos of y * pi/2 for |y| <= 1/2 */
WEFT_FN double weft_exact_sin_quarter(double y) {
  double x = WEFT_MUL_(y, 1.5707963267948966), z = WEFT_MUL_(x, x);
  double p = 1.0 / 355687428096000;
  p = WEFT_HORNER_(p, z, -1.0 / 1307674368000);
  p = WEFT_HORNER_(p, z, 1.0 / 6227020800);
  p = WEFT_HORNER_(p, z, -1.0 / 39916800);
  p = WEFT_HORNER_(p, z, 1.0 / 362880);
  p = WEFT_HORNER_(p, z, -1.0 / 5040);
  p = WEFT_HORNER_(p, z, 1.0 / 120);
  p = WEFT_HORNER_(p, z, -1.0 / 6);
  return WEFT_ADD_(x, WEFT_MUL_(WEFT_MUL_(x, z), p));
}
WEFT_FN double weft_exact_cos_quarter(double y) {
  double x = WEFT_MUL_(y, 1.5707963267948966), z = WEFT_MUL_(x, x);
  double p = 1.0 / 20922789888000;
  p = WEFT_HORNER_(p, z, -1.0 / 87178291200);
  p = WEFT_HORNER_(p, z, 1.0 / 479001600);
  p = WEFT_HORNER_(p, z, -1.0 / 3628800);
  p = WEFT_HORNER_(p, z, 1.0 / 40320);
  p = WEFT_HORNER_(p, z, -1.0 / 720);
  p = WEFT_HORNER_(p, z, 1.0 / 24);
  return WEFT_ADD_(1.0, WEFT_MUL_(z, WEFT_HORNER_(p, z, -0.5)));
}

/* cos and sin of 2 pi u for u in [0, 1): the nearest quarter turn q is exact, and so is the rest. Both polynomials are
 * computed: a loop of draws is one over vectors then, and which one counts is as good as random. */
WEFT_FN double weft_exact_quarters_(double u, uint64_t *q) {
  double v = WEFT_MUL_(u, 4.0), n = WEFT_FLOOR_(WEFT_ADD_(v, 0.5));
  *q = weft_bits_f64(WEFT_ADD_(n, 0x1p52));
  return WEFT_ADD_(v, -n);
}
WEFT_FN double weft_exact_choice_(uint64_t sine, uint64_t negative, double y) {
  uint64_t m = 0 - sine, s = weft_bits_f64(weft_exact_sin_quarter(y)), c = weft_bits_f64(weft_exact_cos_quarter(y));
  return weft_frombits_f64(((s & m) | (c & ~m)) ^ negative << 63);
}
WEFT_FN double weft_exact_cos_turn(double u) {
  uint64_t q;
  double y = weft_exact_quarters_(u, &q);
  return weft_exact_choice_(q & 1, (q + 1) >> 1 & 1, y);
}
WEFT_FN double weft_exact_sin_turn(double u) {
  uint64_t q;
  double y = weft_exact_quarters_(u, &q);
  return weft_exact_choice_(~q & 1, q >> 1 & 1, y);
}

WEFT_FN double weft_normal_f64(uint64_t key, uint64_t hi, uint64_t i) {
  uint32_t w[4];
  weft_philox_block(key, hi, i, w);
  double a = WEFT_MUL_(weft_double_of_((((uint64_t)w[0] << 32 | w[1]) >> 11) + 1), 1.1102230246251565e-16);
  double b = WEFT_MUL_(weft_double_of_(((uint64_t)w[2] << 32 | w[3]) >> 11), 1.1102230246251565e-16);
  return WEFT_MUL_(WEFT_SQRT_(WEFT_MUL_(-2.0, weft_exact_log(a))), weft_exact_cos_turn(b));
}
WEFT_FN float weft_normal_f32(uint64_t key, uint64_t hi, uint64_t i) { return (float)weft_normal_f64(key, hi, i); }

#endif
