/* weft_math_f32.h: elementary functions of float32, part of weft_scalar.h.
 *
 * Every function is arithmetic, operations on bits and selections, without branches, so a C compiler turns a loop
 * over one into vectors of whatever width it has, and the bits are the same for all of them. All intermediate
 * values are float and int32_t (pow: double), so lanes keep one width. No function of the C library is called but
 * those that are one instruction (fabs, sqrt, rint).
 *
 * sin, cos, tan, sinh, cosh, log, log2, log10, log1p, exp2, erfc, cbrt and pow are three functions each:
 * weft_sin_fast_f32 is right where weft_sin_is_hard_f32 is 0; weft_sin_f32 is right everywhere, and has the bits of the
 * fast one where that serves. Only the complete sin, cos and tan have branches.
 *
 * Polynomials are minimax fits by kernels/math_coefficients.py; their intervals and errors stand beside them. The
 * method throughout is argument reduction with constants split in two or more (Cody & Waite, Software Manual for
 * the Elementary Functions, 1980; Muller, Elementary Functions, 2016); other sources stand at the function. A
 * comment such as "[-1, 1], 2^-27" gives the interval of the argument and the relative error in the result.
 */
#ifndef WEFT_MATH_F32_H
#define WEFT_MATH_F32_H

#if defined(__CUDACC__) || defined(__FMA__) || defined(__FP_FAST_FMAF)
#define WEFT_FUSED_F32_ 1
#else
#define WEFT_FUSED_F32_ 0
#endif

#define WEFT_MAGIC_F32_ 12582912.0f /* 1.5 * 2^23: t = x + it holds rint(x) in its low bits, t - it is rint(x) */
#define WEFT_LN2_HI_F32_ 0.693115234f /* 12 bits: times an exponent exact */
#define WEFT_LN2_LO_F32_ 3.19461833e-05f
#define WEFT_LOG2E_F32_ 1.44269502f

WEFT_LANE float weft_magnitude_f32_(float x) { return weft_frombits_f32(weft_bits_f32(x) & 0x7fffffffu); }
/* y >= 0 (or NaN) with the sign of x */
WEFT_LANE float weft_signed_f32_(float y, float x) {
  return weft_frombits_f32(weft_bits_f32(y) | (weft_bits_f32(x) & 0x80000000u));
}
/* the smaller of y >= 0 and a constant; a constant for a NaN. The compilers make one instruction of it. */
WEFT_LANE float weft_at_most_f32_(float y, float most) {
  uint32_t u = weft_bits_f32(y), m = weft_bits_f32(most);
  return weft_frombits_f32(u < m ? u : m);
}
WEFT_LANE float weft_flip_f32_(float y, float x) {
  return weft_frombits_f32(weft_bits_f32(y) ^ (weft_bits_f32(x) & 0x80000000u));
}

/* ---- exponentials ---------------------------------------------------------------------------------- */

/* (exp(r) - 1 - r) / r^2 and exp(r) - 1: [-log(2)/2, log(2)/2], 2^-28 of exp(r) */
WEFT_LANE float weft_exp_tail_f32_(float r) {
  float p = 0.0013820054f;
  p = weft_fma_f32(p, r, 0.00836868305f);
  p = weft_fma_f32(p, r, 0.0416682735f);
  p = weft_fma_f32(p, r, 0.166665211f);
  p = weft_fma_f32(p, r, 0.49999994f);
  return p;
}
WEFT_LANE float weft_exp_poly_f32_(float r) { return weft_fma_f32(r * r, weft_exp_tail_f32_(r), r); }
/* exp(r) - 1: [-log(2)/2, log(2)/2], 2^-26.1 of itself */
WEFT_LANE float weft_expm1_poly_f32_(float r) {
  float p = 0.00139378593f;
  p = weft_fma_f32(p, r, 0.00836654566f);
  p = weft_fma_f32(p, r, 0.0416664369f);
  p = weft_fma_f32(p, r, 0.166665435f);
  p = weft_fma_f32(p, r, 0.5f);
  return weft_fma_f32(r * r, p, r);
}

/* y 2^n for t = n + 254 + WEFT_MAGIC_F32_, n between -252 and 253, by two factors: 2^n itself may be no float */
WEFT_LANE float weft_scale_f32_(float y, float t) {
  uint32_t u = weft_bits_f32(t), h = u >> 1;
  return y * weft_frombits_f32(h << 23) * weft_frombits_f32((u - h) << 23);
}

WEFT_LANE float weft_exp_f32(float x) {
  float t = weft_fma_f32(x, WEFT_LOG2E_F32_, WEFT_MAGIC_F32_ + 254.0f);
  float n = t - (WEFT_MAGIC_F32_ + 254.0f);
  float r = weft_fma_f32(n, -WEFT_LN2_HI_F32_, x);
  r = weft_fma_f32(n, -WEFT_LN2_LO_F32_, r);
  float y = weft_scale_f32_(1.0f + weft_exp_poly_f32_(r), t);
  y = x > 89.0f ? WEFT_INF_f32 : y;
  return x < -104.0f ? 0.0f : y;
}

/* 2^r, |r| <= 1/2: 2^-28 */
WEFT_LANE float weft_exp2_poly_f32_(float r) {
  float p = 0.000154628637f;
  p = weft_fma_f32(p, r, 0.00133909856f);
  p = weft_fma_f32(p, r, 0.00961806253f);
  p = weft_fma_f32(p, r, 0.0555035956f);
  p = weft_fma_f32(p, r, 0.240226507f);
  p = weft_fma_f32(p, r, 0.693147182f);
  return weft_fma_f32(p, r, 1.0f);
}
WEFT_LANE int32_t weft_exp2_is_hard_f32(float x) {
  return -((int32_t)weft_bits_f32(weft_magnitude_f32_(x)) > 0x42fa0000); /* 125 */
}
WEFT_LANE float weft_exp2_fast_f32(float x) {
  float t = x + (WEFT_MAGIC_F32_ + 127.0f), r = x - (t - (WEFT_MAGIC_F32_ + 127.0f));
  return weft_exp2_poly_f32_(r) * weft_frombits_f32(weft_bits_f32(t) << 23);
}
WEFT_LANE float weft_exp2_f32(float x) {
  float t = x + (WEFT_MAGIC_F32_ + 254.0f), r = x - (t - (WEFT_MAGIC_F32_ + 254.0f));
  float y = weft_scale_f32_(weft_exp2_poly_f32_(r), t);
  y = x > 129.0f ? WEFT_INF_f32 : y;
  return x < -151.0f ? 0.0f : y;
}

/* exp(x) where x <= 0 or NaN, with its bits; 2^64 times it is a normal float where it is not 0 */
WEFT_LANE float weft_exp_nonpositive_f32(float x) {
  const float magic = WEFT_MAGIC_F32_ + 191.0f; /* 127 + 64 */
  x = x < -105.0f ? -105.0f : x;
  float t = weft_fma_f32(x, WEFT_LOG2E_F32_, magic), n = t - magic;
  float r = weft_fma_f32(n, -WEFT_LN2_HI_F32_, x);
  r = weft_fma_f32(n, -WEFT_LN2_LO_F32_, r);
  float s = weft_frombits_f32(weft_bits_f32(t) << 23);
  return weft_fma_f32(weft_exp_poly_f32_(r), s, s) * 5.42101086e-20f; /* 2^-64 */
}

WEFT_LANE float weft_expm1_f32(float x) {
  const float magic = WEFT_MAGIC_F32_ + 126.0f; /* half of 2^n: n may be 128 */
  float a = x < -18.0f ? -18.0f : x;
  float t = weft_fma_f32(a, WEFT_LOG2E_F32_, magic), n = t - magic;
  float r = weft_fma_f32(n, -WEFT_LN2_HI_F32_, a);
  r = weft_fma_f32(n, -WEFT_LN2_LO_F32_, r);
  float s = weft_frombits_f32(weft_bits_f32(t) << 23);
  float y = 2.0f * weft_fma_f32(weft_expm1_poly_f32_(r), s, s - 0.5f);
  y = x > 89.0f ? WEFT_INF_f32 : y;
  return weft_magnitude_f32_(x) < 2.9802322e-08f ? x : y; /* 2^-25: also denormals and -0 */
}

/* Up to 0.7 a polynomial, above 1 - 2 / (exp(2a) + 1), where errors of exp count half and less: a shorter polynomial of
 * 2^r serves, to 2^-23.3. */
WEFT_LANE float weft_tanh_f32(float x) {
  const float magic = WEFT_MAGIC_F32_ + 127.0f;
  float a = weft_magnitude_f32_(x), z = a * a;
  float p = -0.00514045823f; /* [0, 0.7], 2^-26 */
  p = weft_fma_f32(p, z, 0.0200943332f);
  p = weft_fma_f32(p, z, -0.0535599627f);
  p = weft_fma_f32(p, z, 0.133291319f);
  p = weft_fma_f32(p, z, -0.333331913f);
  p = weft_fma_f32(a * z, p, a);
  float d = weft_at_most_f32_(a, 10.0f);
  float t = weft_fma_f32(d, 2.0f * WEFT_LOG2E_F32_, magic), r = weft_fma_f32(d, 2.0f * WEFT_LOG2E_F32_, magic - t);
  float s = weft_frombits_f32(weft_bits_f32(t) << 23), e = 0.00134136213f;
  e = weft_fma_f32(e, r, 0.00967165735f);
  e = weft_fma_f32(e, r, 0.055502817f);
  e = weft_fma_f32(e, r, 0.240222394f);
  e = weft_fma_f32(e, r, 0.693147242f);
  float q = 1.0f - 2.0f / weft_fma_f32(weft_fma_f32(e, r, 1.0f), s, 1.0f);
  return weft_signed_f32_(a >= 0.7f ? q : p, x); /* p for a NaN */
}

/* x between least < 0 and most > 0, by integers; anything for a NaN. By choices of floats gcc makes three times as much
 * of it. */
WEFT_LANE float weft_between_f32_(float x, float least, float most) {
  uint32_t u = weft_bits_f32(x), low = weft_bits_f32(least), high = weft_bits_f32(most);
  u = u < low ? u : low;
  return weft_frombits_f32((int32_t)u < (int32_t)high ? u : high);
}

/* 1 / (1 + exp(-x)), both parts of the quotient times 2^-64: then exp(-x) is a normal float for all x that count */
WEFT_LANE float weft_sigmoid_f32(float x) {
  const float magic = WEFT_MAGIC_F32_ + 63.0f; /* 127 - 64 */
  float a = weft_between_f32_(x, -105.0f, 30.0f);
  float t = weft_fma_f32(a, -WEFT_LOG2E_F32_, magic), n = t - magic;
  float r = weft_fma_f32(n, -WEFT_LN2_HI_F32_, -a);
  r = weft_fma_f32(n, -WEFT_LN2_LO_F32_, r);
  float s = weft_frombits_f32(weft_bits_f32(t) << 23);
  float y = 5.42101086e-20f / (weft_fma_f32(weft_exp_poly_f32_(r), s, s) + 5.42101086e-20f);
  return x != x ? x : y;
}

/* With x = n log 2 + r both follow from C = cosh r and S = sinh r, which are the even and the odd part of exp(r):
 * sinh x = C sinh(n log 2) + S cosh(n log 2), cosh x likewise; the hyperbolic functions of n log 2 are sums of
 * powers of two. For n = 0 sinh x = S exactly. Here c = C - 1 and s = S; t - magic is n. */
typedef struct { float c, s, t; } weft_hyperbolic_f32_;
WEFT_LANE weft_hyperbolic_f32_ weft_sinhcosh_f32_(float x, float magic) {
  weft_hyperbolic_f32_ h;
  h.t = weft_fma_f32(x, WEFT_LOG2E_F32_, magic);
  float n = h.t - magic, r = weft_fma_f32(n, -WEFT_LN2_HI_F32_, x);
  r = weft_fma_f32(n, -WEFT_LN2_LO_F32_, r);
  float z = r * r;
  float p = 0.000199740811f; /* [0, log(2)/2], 2^-34 */
  p = weft_fma_f32(p, z, 0.00833317544f);
  p = weft_fma_f32(p, z, 0.166666672f);
  h.s = weft_fma_f32(r * z, p, r);
  float q = 0.00139354379f; /* [0, log(2)/2], 2^-33 */
  q = weft_fma_f32(q, z, 0.0416664593f);
  q = weft_fma_f32(q, z, 0.5f);
  h.c = q * z;
  return h;
}
/* e and f are 2^n and 2^-n times what makes the powers of two floats. */
WEFT_LANE float weft_sinh_join_f32_(weft_hyperbolic_f32_ h, float e, float f) {
  float d = e - f;
  return d + weft_fma_f32(h.s, e + f, h.c * d);
}
WEFT_LANE float weft_cosh_join_f32_(weft_hyperbolic_f32_ h, float e, float f) {
  return e + weft_fma_f32(h.s, e - f, weft_fma_f32(h.c, e + f, f));
}
/* hard: 2^n times 2^-1 is no float */
WEFT_LANE int32_t weft_sinh_is_hard_f32(float x) {
  return -((int32_t)weft_bits_f32(weft_magnitude_f32_(x)) > 0x42ae0000); /* 87 */
}
WEFT_LANE int32_t weft_cosh_is_hard_f32(float x) { return weft_sinh_is_hard_f32(x); }
WEFT_LANE float weft_sinh_fast_f32(float x) {
  weft_hyperbolic_f32_ h = weft_sinhcosh_f32_(x, WEFT_MAGIC_F32_ + 126.0f);
  uint32_t up = weft_bits_f32(h.t) << 23;
  float y = weft_sinh_join_f32_(h, weft_frombits_f32(up), weft_frombits_f32(0x7e000000u - up));
  return weft_signed_f32_(y, x); /* a zero's */
}
WEFT_LANE float weft_cosh_fast_f32(float x) {
  weft_hyperbolic_f32_ h = weft_sinhcosh_f32_(weft_magnitude_f32_(x), WEFT_MAGIC_F32_ + 126.0f);
  uint32_t up = weft_bits_f32(h.t) << 23;
  return weft_cosh_join_f32_(h, weft_frombits_f32(up), weft_frombits_f32(0x7e000000u - up));
}
/* half of the result, as n may be 129; 2^-n / 4, or 0 where it is next to nothing */
WEFT_LANE float weft_sinh_f32(float x) {
  float a = weft_magnitude_f32_(x);
  weft_hyperbolic_f32_ h = weft_sinhcosh_f32_(weft_at_most_f32_(a, 89.5f), WEFT_MAGIC_F32_ + 125.0f);
  int32_t up = (int32_t)(weft_bits_f32(h.t) << 23), down = 0x7d000000 - up;
  float f = weft_frombits_f32((uint32_t)(down > 0 ? down : 0));
  float y = 2.0f * weft_sinh_join_f32_(h, weft_frombits_f32((uint32_t)up), f);
  return weft_bits_f32(a) - 0x39800000u > 0x46000000u ? x : weft_signed_f32_(y, x); /* below 2^-12, and NaN */
}
WEFT_LANE float weft_cosh_f32(float x) {
  float a = weft_magnitude_f32_(x);
  weft_hyperbolic_f32_ h = weft_sinhcosh_f32_(a > 89.5f ? 89.5f : a, WEFT_MAGIC_F32_ + 125.0f);
  int32_t up = (int32_t)(weft_bits_f32(h.t) << 23), down = 0x7d000000 - up;
  float f = weft_frombits_f32((uint32_t)(down > 0 ? down : 0));
  return 2.0f * weft_cosh_join_f32_(h, weft_frombits_f32((uint32_t)up), f);
}

/* ---- logarithms ------------------------------------------------------------------------------------- */

/* (log(1 + f) - f) / f^2 and log(1 + f): [sqrt(1/2) - 1, sqrt(2) - 1], 2^-27.8 */
WEFT_LANE float weft_log_tail_f32_(float f) {
  float p = -0.0761903226f;
  p = weft_fma_f32(p, f, 0.129127607f);
  p = weft_fma_f32(p, f, -0.132479519f);
  p = weft_fma_f32(p, f, 0.14180848f);
  p = weft_fma_f32(p, f, -0.1660842f);
  p = weft_fma_f32(p, f, 0.20002006f);
  p = weft_fma_f32(p, f, -0.250016093f);
  p = weft_fma_f32(p, f, 0.333333254f);
  return weft_fma_f32(p, f, -0.499999881f);
}
WEFT_LANE float weft_log_poly_f32_(float f) { return weft_fma_f32(f * f, weft_log_tail_f32_(f), f); }

/* x = 2^e (1 + f), for positive normal x */
WEFT_LANE float weft_log_split_f32_(float x, float *e) {
  uint32_t u = weft_bits_f32(x), k = u - 0x3f3504f3u; /* sqrt(1/2) */
  *e = (float)((int32_t)k >> 23);
  return weft_frombits_f32(u - (k & 0xff800000u)) - 1.0f;
}
/* x made normal: times 2^23 if it is denormal; *e is what to add to the exponent */
WEFT_LANE float weft_normal_f32_(float x, float *e) {
  int tiny = x < 1.17549435e-38f;
  *e = tiny ? -23.0f : 0.0f;
  return x * (tiny ? 8388608.0f : 1.0f);
}
/* the logarithm of 0, below 0, of infinity and NaN; y elsewhere */
WEFT_LANE float weft_log_special_f32_(float x, float y) {
  float below = x == 0 ? -WEFT_INF_f32 : WEFT_NAN_f32;
  y = x < WEFT_INF_f32 ? y : x;
  return x <= 0 ? below : y;
}
WEFT_LANE int32_t weft_log_is_hard_f32(float x) { return -(int32_t)(weft_bits_f32(x) - 0x00800000u >= 0x7f000000u); }

/* One float serves for log 2: it lies within 2^-28 of it. */
#define WEFT_LN2_F32_ 0.693147182f
WEFT_LANE float weft_log_fast_f32(float x) {
  float e, f = weft_log_split_f32_(x, &e);
  return weft_fma_f32(e, WEFT_LN2_F32_, weft_log_poly_f32_(f));
}
WEFT_LANE float weft_log_f32(float x) {
  float d, e, f = weft_log_split_f32_(weft_normal_f32_(x, &d), &e);
  return weft_log_special_f32_(x, weft_fma_f32(e + d, WEFT_LN2_F32_, weft_log_poly_f32_(f)));
}

/* The fast log2 and log10 take 2^(2 - e) and f = 2^(2 - e) x - 4, so that infinity and NaN come out as they are.
 * *e is 2^23 times e; hard is what is below 2^-124, or negative. */
WEFT_LANE float weft_log_ratio_f32_(float x, int32_t *e) {
  *e = (int32_t)((weft_bits_f32(x) - 0x3f3504f3u) & 0xff800000u); /* sqrt(1/2) */
  return weft_fma_f32(x, weft_frombits_f32(0x40800000u - (uint32_t)*e), -4.0f);
}
WEFT_LANE int32_t weft_log2_is_hard_f32(float x) { return -((int32_t)weft_bits_f32(x) < 0x01800000); }
WEFT_LANE int32_t weft_log10_is_hard_f32(float x) { return weft_log2_is_hard_f32(x); }

/* e + log2(1 + f/4): [sqrt(1/2) - 1, sqrt(2) - 1], 2^-25.1 */
WEFT_LANE float weft_log2_join_f32_(float e, float f) {
  float p = 4.79828884e-07f;
  p = weft_fma_f32(p, f, -3.15510579e-06f);
  p = weft_fma_f32(p, f, 1.31527595e-05f);
  p = weft_fma_f32(p, f, -5.83538094e-05f);
  p = weft_fma_f32(p, f, 0.00028120348f);
  p = weft_fma_f32(p, f, -0.00140898628f);
  p = weft_fma_f32(p, f, 0.00751420297f);
  p = weft_fma_f32(p, f, -0.045084212f);
  p = weft_fma_f32(p, f, 0.360673755f);
  return weft_fma_f32(p, f, e);
}
WEFT_LANE float weft_log2_fast_f32(float x) {
  int32_t e;
  float f = weft_log_ratio_f32_(x, &e);
  return weft_log2_join_f32_((float)(e >> 23), f);
}
WEFT_LANE float weft_log2_f32(float x) {
  float d, e, f = weft_log_split_f32_(weft_normal_f32_(x, &d), &e);
  return weft_log_special_f32_(x, weft_log2_join_f32_(e + d, 4.0f * f));
}

/* e log10(2) + log10(1 + f/4), the latter in the same manner: 2^-24.4; log10(2) in two parts, the first times e exact.
 * e here is 2^23 times as large, and so are the parts smaller. */
WEFT_LANE float weft_log10_join_f32_(float e, float f) {
  float p = 1.36560701e-07f;
  p = weft_fma_f32(p, f, -9.54375651e-07f);
  p = weft_fma_f32(p, f, 4.01295028e-06f);
  p = weft_fma_f32(p, f, -1.75668993e-05f);
  p = weft_fma_f32(p, f, 8.45658506e-05f);
  p = weft_fma_f32(p, f, -0.000424139755f);
  p = weft_fma_f32(p, f, 0.00226204074f);
  p = weft_fma_f32(p, f, -0.0135717019f);
  p = weft_fma_f32(p, f, 0.108573616f);
  return weft_fma_f32(e, 3.5885023e-08f, weft_fma_f32(f, p, e * 5.48963435e-13f));
}
WEFT_LANE float weft_log10_fast_f32(float x) {
  int32_t e;
  float f = weft_log_ratio_f32_(x, &e);
  return weft_log10_join_f32_((float)e, f);
}
WEFT_LANE float weft_log10_f32(float x) {
  float d, e, f = weft_log_split_f32_(weft_normal_f32_(x, &d), &e);
  return weft_log_special_f32_(x, weft_log10_join_f32_(8388608.0f * (e + d), 4.0f * f));
}

/* 1 + x = 2^e (1 + f) for finite x > -1. f = 2^-e x + (2^-e - 1) rounds once, not at all for e = 0. e may be 128, so
 * *s is four times 2^-e. */
WEFT_LANE float weft_log1p_split_f32_(float x, float *e, float *s) {
  uint32_t k = weft_bits_f32(1.0f + x) - 0x3f3504f3u;
  *s = weft_frombits_f32(0x40800000u - (k & 0xff800000u));
  *e = (float)((int32_t)k >> 23);
  return weft_fma_f32(0.25f * x, *s, weft_fma_f32(0.25f, *s, -1.0f));
}
/* log(1 + x) + more log 2 */
WEFT_LANE float weft_log1p_core_f32_(float x, float more) {
  float e, s, f = weft_log1p_split_f32_(x, &e, &s);
  return weft_fma_f32(e + more, WEFT_LN2_F32_, weft_log_poly_f32_(f));
}
WEFT_LANE int32_t weft_log1p_is_hard_f32(float x) { return -!((x > -1.0f) & (x < 8.5070592e+37f)); }
WEFT_LANE float weft_log1p_fast_f32(float x) {
  uint32_t k = weft_bits_f32(1.0f + x) - 0x3f3504f3u;
  float s = weft_frombits_f32(0x3f800000u - (k & 0xff800000u)), f = weft_fma_f32(x, s, s - 1.0f);
  float y = weft_fma_f32((float)((int32_t)k >> 23), WEFT_LN2_F32_, weft_log_poly_f32_(f));
  return weft_signed_f32_(y, x); /* a zero's */
}
WEFT_LANE float weft_log1p_f32(float x) {
  float y = weft_log1p_core_f32_(x, 0.0f);
  y = x < WEFT_INF_f32 ? y : x;
  y = x <= -1.0f ? (x < -1.0f ? WEFT_NAN_f32 : -WEFT_INF_f32) : y;
  return weft_magnitude_f32_(x) < 2.9802322e-08f ? x : y; /* 2^-25: also denormals and -0 */
}

/* log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)) */
WEFT_LANE float weft_softplus_f32(float x) {
  float a = weft_magnitude_f32_(x);
  float z = weft_exp_nonpositive_f32(-a);
  int above = z > 0.41421356f;
  float f = above ? weft_fma_f32(z, 0.5f, -0.5f) : z;
  float y = weft_log_poly_f32_(f);
  y = above ? y + 0.693147182f : y;
  return (x < 0 ? 0.0f : x) + y;
}

/* With w = x + x^2 / (1 + sqrt(1 + x^2)), asinh x = log(1 + w); above 2^30 log(x) + log(2). */
WEFT_LANE float weft_asinh_f32(float x) {
  float a = weft_magnitude_f32_(x), z = a * a;
  int big = a > 1073741824.0f;
  float w = a + z / (1.0f + WEFT_LIBM(sqrtf)(1.0f + z));
  float y = weft_log1p_core_f32_(big ? a : w, big ? 1.0f : 0.0f);
  y = a < WEFT_INF_f32 ? y : a;
  return a < 0.000244140625f ? x : weft_signed_f32_(y, x);
}
/* With t = x - 1, acosh x = log(1 + t + sqrt(2 t + t^2)); what rounding this sum lost is added to f. */
WEFT_LANE float weft_acosh_f32(float x) {
  float t = x - 1.0f, root = WEFT_LIBM(sqrtf)(weft_fma_f32(t, t, t + t)), w = root + t;
  int big = x > 1073741824.0f;
  float lost = big ? 0.0f : t - (w - root), e, s, f = weft_log1p_split_f32_(big ? x : w, &e, &s);
  float y = f + weft_fma_f32(f * f, weft_log_tail_f32_(f), 0.25f * lost * s);
  y = weft_fma_f32(e + (big ? 1.0f : 0.0f), WEFT_LN2_F32_, y);
  y = x < WEFT_INF_f32 ? y : x;
  return x < 1.0f ? WEFT_NAN_f32 : y;
}

/* With E = 2^e at most 1.7 times away from (1 + a) / (1 - a), s = ((1 + a) - E (1 - a)) / ((1 + a) + E (1 - a)):
 * atanh a = e log(2) / 2 + atanh s. For e = 0 s is a. */
WEFT_LANE float weft_atanh_f32(float x) {
  float a = weft_magnitude_f32_(x), u = 1.0f + a, v = 1.0f - a;
  uint32_t k = (weft_bits_f32(u) - weft_bits_f32(v) + 0x00200000u) & 0xff800000u;
  float scaled = weft_frombits_f32(weft_bits_f32(v) + k); /* E (1 - a) */
  /* what u and v lost */
  float rest = weft_fma_f32(-((1.0f - v) - a), weft_frombits_f32(k + 0x3f800000u), a - (u - 1.0f));
  float s = ((u - scaled) + rest) / (u + scaled), e = (float)((int32_t)k >> 23);
  s = k == 0 ? a : s;
  float z = s * s;
  float p = 0.131231412f; /* [-0.285, 0.285], 2^-30 */
  p = weft_fma_f32(p, z, 0.141440675f);
  p = weft_fma_f32(p, z, 0.200038403f);
  p = weft_fma_f32(p, z, 0.333333015f);
  float y = s + weft_fma_f32(s * z, p, e * (0.5f * WEFT_LN2_LO_F32_));
  y = weft_fma_f32(e, 0.5f * WEFT_LN2_HI_F32_, y);
  y = a < 1.0f ? y : a == 1.0f ? WEFT_INF_f32 : WEFT_NAN_f32;
  return weft_signed_f32_(y, x);
}

/* ---- powers ----------------------------------------------------------------------------------------- */

/* y (e + log2(1 + f)) in double: the error is far below what float shows. */
WEFT_LANE double weft_pow_exponent_f32_(float f, double e, float y) {
  double g = (double)f, p = -0.06971018863691035; /* log2(1 + f) / f: [sqrt(1/2) - 1, sqrt(2) - 1], 2^-38 */
  p = weft_fma_f64(p, g, 0.13249551735235826);
  p = weft_fma_f64(p, g, -0.13463647003326334);
  p = weft_fma_f64(p, g, 0.1302803657831248);
  p = weft_fma_f64(p, g, -0.14249797780366558);
  p = weft_fma_f64(p, g, 0.16021614792858915);
  p = weft_fma_f64(p, g, -0.1804367792317246);
  p = weft_fma_f64(p, g, 0.20610714955444809);
  p = weft_fma_f64(p, g, -0.24044643294928883);
  p = weft_fma_f64(p, g, 0.28853879511124059);
  p = weft_fma_f64(p, g, -0.36067379314453063);
  p = weft_fma_f64(p, g, 0.48089834880822446);
  p = weft_fma_f64(p, g, -0.72134752032750826);
  p = weft_fma_f64(p, g, 1.4426950408865649);
  return weft_fma_f64(p, g, e) * (double)y;
}
/* 2^(t - n) for n, t rounded to a whole number */
WEFT_LANE float weft_pow_rest_f32_(double t, float n) { return weft_exp2_poly_f32_((float)(t - (double)n)); }
/* The exponent for a normal |x|; anything for another. */
WEFT_LANE double weft_pow_normal_f32_(float x, float y) {
  uint32_t u = weft_bits_f32(weft_magnitude_f32_(x)), k = u - 0x3f3504f3u; /* sqrt(1/2) */
  float f = weft_frombits_f32(u - (k & 0xff800000u)) - 1.0f;
  return weft_pow_exponent_f32_(f, (double)((int32_t)k >> 23), y);
}
/* hard: |x| that no logarithm takes as it is, a result near the ends of the range, a NaN, |y| above 2^22 */
WEFT_LANE int32_t weft_pow_is_hard_f32(float x, float y) {
  float t = weft_magnitude_f32_((float)weft_pow_normal_f32_(x, y)), whole = (y + WEFT_MAGIC_F32_) - WEFT_MAGIC_F32_;
  int32_t far = -((int32_t)weft_bits_f32(t) > 0x42fa0000); /* 125 */
  far |= -((int32_t)weft_bits_f32(weft_magnitude_f32_(y)) > 0x4a800000);
  return weft_log_is_hard_f32(weft_magnitude_f32_(x)) | far | (((int32_t)weft_bits_f32(x) >> 31) & -(y != whole));
}
WEFT_LANE float weft_pow_fast_f32(float x, float y) {
  double t = weft_pow_normal_f32_(x, y);
  float m = (float)t + (WEFT_MAGIC_F32_ + 127.0f);
  float z = weft_pow_rest_f32_(t, m - (WEFT_MAGIC_F32_ + 127.0f)) * weft_frombits_f32(weft_bits_f32(m) << 23);
  uint32_t odd = weft_bits_f32(y + WEFT_MAGIC_F32_) << 31;
  return weft_frombits_f32(weft_bits_f32(z) ^ (odd & weft_bits_f32(x)));
}
WEFT_LANE float weft_pow_f32(float x, float y) {
  float a = weft_magnitude_f32_(x), d, e, f = weft_log_split_f32_(weft_normal_f32_(a, &d), &e);
  e = a < WEFT_INF_f32 ? e + d : a;
  e = a == 0 ? -WEFT_INF_f32 : e;
  double t = weft_pow_exponent_f32_(f, (double)e, y);
  float tf = (float)t, n = (tf + (WEFT_MAGIC_F32_ + 127.0f)) - (WEFT_MAGIC_F32_ + 127.0f);
  float m = weft_scale_f32_(weft_pow_rest_f32_(t, n), n + (WEFT_MAGIC_F32_ + 254.0f));
  m = tf > 129.0f ? WEFT_INF_f32 : m;
  m = tf < -151.0f ? 0.0f : m;
  m = ((a == 1.0f) | (y == 0)) ? 1.0f : m;
  float half = 0.5f * y;
  int whole = WEFT_LIBM(rintf)(y) == y, even = WEFT_LIBM(rintf)(half) == half;
  m = weft_frombits_f32(weft_bits_f32(m) | (weft_bits_f32(x) & ((whole & !even) ? 0x80000000u : 0u)));
  return ((x < 0) & (a < WEFT_INF_f32) & !whole) ? WEFT_NAN_f32 : m;
}

/* A third of the bits of a, taken from a constant, are those of a^(-1/3) to a thirtieth (as Lomont, Fast inverse square
 * root, 2003, has it for the root); a polynomial in what is missing makes it 2^-14, a z^2 the cube root, and a step of
 * Newton with the residual a - y^3 gives the rest. */
WEFT_LANE float weft_cbrt_core_f32_(float a) {
  float bits = weft_fma_f32((float)(int32_t)weft_bits_f32(a), -0.333333343f, 1419907072.0f);
  float z = weft_frombits_f32((uint32_t)(int32_t)bits), h = weft_fma_f32(-(a * z), z * z, 1.0f);
  z = weft_fma_f32(z * h, weft_fma_f32(h, 0.222996086f, 0.33469528f), z); /* |h| < 0.104, 2^-14.3 */
  float z2 = z * z, y = a * z2, d = weft_fma_f32(-(y * y), y, a);
  return weft_fma_f32(d * z2, 0.333333343f, y);
}
/* hard: below 2^-100, where the residual may be denormal; zero, infinity, NaN */
WEFT_LANE int32_t weft_cbrt_is_hard_f32(float x) {
  return -(int32_t)(weft_bits_f32(weft_magnitude_f32_(x)) - 0x0d800000u >= 0x72000000u);
}
WEFT_LANE float weft_cbrt_fast_f32(float x) { return weft_signed_f32_(weft_cbrt_core_f32_(weft_magnitude_f32_(x)), x); }
WEFT_LANE float weft_cbrt_f32(float x) {
  float a = weft_magnitude_f32_(x);
  int tiny = a < 7.88860905e-31f; /* 2^-100; 2^72 and 2^-24 bring it up and back */
  float y = weft_cbrt_core_f32_(a * (tiny ? 4.72236648e+21f : 1.0f)) * (tiny ? 5.96046448e-08f : 1.0f);
  y = weft_bits_f32(a) - 1u >= 0x7f7fffffu ? a : y; /* zero, infinity, NaN */
  return weft_signed_f32_(y, x);
}

#include "weft_math_erf_f32.h"
#include "weft_math_trig_f32.h"

#endif
