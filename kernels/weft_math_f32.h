/* weft_math_f32.h: elementary functions of float32, part of weft_scalar.h.
 *
 * Every function is arithmetic, operations on bits and selections, without branches, so a C compiler turns a loop over one
 * into vectors of whatever width it has, and the bits are the same for all of them. All intermediate values are float and
 * int32_t (pow: double), so lanes keep one width. No function of the C library is called but those that are one
 * instruction (fabs, sqrt, rint).
 *
 * sin, cos and tan are three functions each: weft_sin_fast_f32 is right where weft_sin_is_hard_f32 is 0;
 * weft_sin_f32 is right everywhere, and has the bits of the fast one where that serves.
 *
 * Polynomials are minimax fits by kernels/math_coefficients.py; their intervals and errors stand beside them. The method
 * throughout is argument reduction with constants split in two or more (Cody & Waite, Software Manual for the Elementary
 * Functions, 1980; Muller, Elementary Functions, 2016); other sources stand at the function. A comment such as
 * "[-1, 1], 2^-27" gives the interval of the argument and the relative error in the result.
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

WEFT_FN float weft_magnitude_f32_(float x) { return weft_frombits_f32(weft_bits_f32(x) & 0x7fffffffu); }
/* y >= 0 (or NaN) with the sign of x */
WEFT_FN float weft_signed_f32_(float y, float x) {
  return weft_frombits_f32(weft_bits_f32(y) | (weft_bits_f32(x) & 0x80000000u));
}
WEFT_FN float weft_flip_f32_(float y, float x) {
  return weft_frombits_f32(weft_bits_f32(y) ^ (weft_bits_f32(x) & 0x80000000u));
}

/* ---- exponentials ---------------------------------------------------------------------------------- */

/* exp(r) - 1: [-log(2)/2, log(2)/2], 2^-28 of exp(r) */
WEFT_FN float weft_exp_poly_f32_(float r) {
  float p = 0.0013820054f;
  p = weft_fma_f32(p, r, 0.00836868305f);
  p = weft_fma_f32(p, r, 0.0416682735f);
  p = weft_fma_f32(p, r, 0.166665211f);
  p = weft_fma_f32(p, r, 0.49999994f);
  return weft_fma_f32(r * r, p, r);
}
/* exp(r) - 1: [-log(2)/2, log(2)/2], 2^-26.1 of itself */
WEFT_FN float weft_expm1_poly_f32_(float r) {
  float p = 0.00139378593f;
  p = weft_fma_f32(p, r, 0.00836654566f);
  p = weft_fma_f32(p, r, 0.0416664369f);
  p = weft_fma_f32(p, r, 0.166665435f);
  p = weft_fma_f32(p, r, 0.5f);
  return weft_fma_f32(r * r, p, r);
}

/* y 2^n for t = n + 254 + WEFT_MAGIC_F32_, n between -252 and 253, by two factors: 2^n itself may be no float */
WEFT_FN float weft_scale_f32_(float y, float t) {
  uint32_t u = weft_bits_f32(t), h = u >> 1;
  return y * weft_frombits_f32(h << 23) * weft_frombits_f32((u - h) << 23);
}

WEFT_FN float weft_exp_f32(float x) {
  float t = weft_fma_f32(x, WEFT_LOG2E_F32_, WEFT_MAGIC_F32_ + 254.0f);
  float n = t - (WEFT_MAGIC_F32_ + 254.0f);
  float r = weft_fma_f32(n, -WEFT_LN2_HI_F32_, x);
  r = weft_fma_f32(n, -WEFT_LN2_LO_F32_, r);
  float y = weft_scale_f32_(1.0f + weft_exp_poly_f32_(r), t);
  y = x > 89.0f ? WEFT_INF_f32 : y;
  return x < -104.0f ? 0.0f : y;
}

WEFT_FN float weft_exp2_f32(float x) {
  float t = x + (WEFT_MAGIC_F32_ + 254.0f);
  float r = x - (t - (WEFT_MAGIC_F32_ + 254.0f));
  float p = 0.000154628637f; /* (2^r - 1) / r: [-1/2, 1/2], 2^-28 of 2^r */
  p = weft_fma_f32(p, r, 0.00133909856f);
  p = weft_fma_f32(p, r, 0.00961806253f);
  p = weft_fma_f32(p, r, 0.0555035956f);
  p = weft_fma_f32(p, r, 0.240226507f);
  p = weft_fma_f32(p, r, 0.693147182f);
  float y = weft_scale_f32_(weft_fma_f32(p, r, 1.0f), t);
  y = x > 129.0f ? WEFT_INF_f32 : y;
  return x < -151.0f ? 0.0f : y;
}

/* exp(x) for x <= 0, as (m, 2^64 c) with exp(x) = m c 2^-64: a product with m can round once. Right from -104 on. */
WEFT_FN float weft_exp_negative_f32_(float x) {
  const float magic = WEFT_MAGIC_F32_ + 191.0f; /* 127 + 64 */
  float t = weft_fma_f32(x, WEFT_LOG2E_F32_, magic), n = t - magic;
  float r = weft_fma_f32(n, -WEFT_LN2_HI_F32_, x);
  r = weft_fma_f32(n, -WEFT_LN2_LO_F32_, r);
  float s = weft_frombits_f32(weft_bits_f32(t) << 23);
  return weft_fma_f32(weft_exp_poly_f32_(r), s, s) * 5.42101086e-20f; /* 2^-64 */
}

WEFT_FN float weft_expm1_f32(float x) {
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

/* Up to 0.55 a polynomial, above 1 - 2 / (exp(2a) + 1) */
WEFT_FN float weft_tanh_f32(float x) {
  const float magic = WEFT_MAGIC_F32_ + 127.0f;
  float a = weft_magnitude_f32_(x), z = a * a;
  float p = -0.0062428494f; /* [0, 0.55], 2^-29 */
  p = weft_fma_f32(p, z, 0.021050714f);
  p = weft_fma_f32(p, z, -0.0538475476f);
  p = weft_fma_f32(p, z, 0.133325443f);
  p = weft_fma_f32(p, z, -0.333333164f);
  p = weft_fma_f32(a * z, p, a);
  float d = a > 10.0f ? 20.0f : a + a;
  float t = weft_fma_f32(d, WEFT_LOG2E_F32_, magic), n = t - magic;
  float r = weft_fma_f32(n, -WEFT_LN2_HI_F32_, d);
  r = weft_fma_f32(n, -WEFT_LN2_LO_F32_, r);
  float s = weft_frombits_f32(weft_bits_f32(t) << 23);
  float q = 1.0f - 2.0f / weft_fma_f32(weft_exp_poly_f32_(r), s, s + 1.0f);
  return weft_signed_f32_(a < 0.55f ? p : q, x);
}

WEFT_FN float weft_sigmoid_f32(float x) {
  float a = weft_magnitude_f32_(x);
  float z = weft_exp_negative_f32_(a > 105.0f ? -105.0f : -a);
  return (x < 0 ? z : 1.0f) / (1.0f + z);
}

/* With a = n log 2 + r both follow from C = cosh r and S = sinh r, which are the even and the odd part of exp(r):
 * sinh a = C sinh(n log 2) + S cosh(n log 2), cosh a likewise; the hyperbolic functions of n log 2 are sums of powers of
 * two. For n = 0 sinh a = S exactly. Here c = C - 1 and s = S; e and f are 2^n and 2^-n times 1/8, as n may be 129. */
typedef struct { float c, s, e, f; } weft_hyperbolic_f32_;
WEFT_FN weft_hyperbolic_f32_ weft_sinhcosh_f32_(float x) {
  const float magic = WEFT_MAGIC_F32_ + 125.0f;
  weft_hyperbolic_f32_ h;
  float a = weft_magnitude_f32_(x);
  a = a > 89.5f ? 89.5f : a;
  float t = weft_fma_f32(a, WEFT_LOG2E_F32_, magic), n = t - magic;
  float r = weft_fma_f32(n, -WEFT_LN2_HI_F32_, a);
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
  int32_t up = (int32_t)(weft_bits_f32(t) << 23), down = 0x7d000000 - up;
  h.e = weft_frombits_f32((uint32_t)up);
  h.f = weft_frombits_f32((uint32_t)(down > 0 ? down : 0));
  return h;
}
WEFT_FN float weft_sinh_f32(float x) {
  weft_hyperbolic_f32_ h = weft_sinhcosh_f32_(x);
  float d = h.e - h.f, y = 2.0f * (d + weft_fma_f32(h.s, h.e + h.f, h.c * d));
  return weft_magnitude_f32_(x) < 0.000244140625f ? x : weft_signed_f32_(y, x);
}
WEFT_FN float weft_cosh_f32(float x) {
  weft_hyperbolic_f32_ h = weft_sinhcosh_f32_(x);
  return 2.0f * (h.e + weft_fma_f32(h.s, h.e - h.f, weft_fma_f32(h.c, h.e + h.f, h.f)));
}

/* ---- logarithms ------------------------------------------------------------------------------------- */

/* log(1 + f) - f: [sqrt(1/2) - 1, sqrt(2) - 1], 2^-27 of log(1 + f) */
WEFT_FN float weft_log_poly_f32_(float f) {
  float p = -0.0763426349f;
  p = weft_fma_f32(p, f, 0.127613023f);
  p = weft_fma_f32(p, f, -0.131599143f);
  p = weft_fma_f32(p, f, 0.142017111f);
  p = weft_fma_f32(p, f, -0.166233987f);
  p = weft_fma_f32(p, f, 0.200012371f);
  p = weft_fma_f32(p, f, -0.250008196f);
  p = weft_fma_f32(p, f, 0.333333313f);
  p = weft_fma_f32(p, f, -0.5f);
  return f * f * p;
}

/* x = 2^e (1 + f), for positive finite x */
WEFT_FN float weft_log_split_f32_(float x, float *e) {
  int tiny = x < 1.17549435e-38f;
  uint32_t u = weft_bits_f32(tiny ? x * 8388608.0f : x), k = u - 0x3f3504f3u; /* sqrt(1/2) */
  *e = (float)((int32_t)k >> 23) - (tiny ? 23.0f : 0.0f);
  return weft_frombits_f32(u - (k & 0xff800000u)) - 1.0f;
}
/* the logarithm of 0, below 0, of infinity and NaN; y elsewhere */
WEFT_FN float weft_log_special_f32_(float x, float y) {
  y = x < WEFT_INF_f32 ? y : x;
  y = x < 0 ? WEFT_NAN_f32 : y;
  return x == 0 ? -WEFT_INF_f32 : y;
}

WEFT_FN float weft_log_f32(float x) {
  float e, f = weft_log_split_f32_(x, &e);
  float y = f + weft_fma_f32(e, WEFT_LN2_LO_F32_, weft_log_poly_f32_(f));
  return weft_log_special_f32_(x, weft_fma_f32(e, WEFT_LN2_HI_F32_, y));
}
WEFT_FN float weft_log2_f32(float x) {
  float e, f = weft_log_split_f32_(x, &e), c = weft_log_poly_f32_(f);
  float y = weft_fma_f32(f, 1.44269502f, weft_fma_f32(f, 1.92596303e-08f, c * 1.44269502f)); /* 1/log 2 in two parts */
  return weft_log_special_f32_(x, e + y);
}
WEFT_FN float weft_log10_f32(float x) {
  float e, f = weft_log_split_f32_(x, &e), c = weft_log_poly_f32_(f);
  c = weft_fma_f32(e, 4.60503907e-06f, c * 0.434294492f); /* log10(2) in two parts, times e exact */
  float y = weft_fma_f32(f, 0.434294492f, weft_fma_f32(f, -1.010305e-08f, c)); /* 1/log 10 in two parts */
  return weft_log_special_f32_(x, weft_fma_f32(e, 0.301025391f, y));
}

/* log(1 + x) + more log 2 for finite x > -1. With 1 + x about 2^e, f = 2^-e x + (2^-e - 1) rounds once, not at all for
 * e = 0. e may be 128, so four times 2^-e is used. */
WEFT_FN float weft_log1p_core_f32_(float x, float more) {
  uint32_t k = weft_bits_f32(1.0f + x) - 0x3f3504f3u;
  float s = weft_frombits_f32(0x40800000u - (k & 0xff800000u)), e = (float)((int32_t)k >> 23) + more;
  float f = weft_fma_f32(0.25f * x, s, weft_fma_f32(0.25f, s, -1.0f));
  float y = f + weft_fma_f32(e, WEFT_LN2_LO_F32_, weft_log_poly_f32_(f));
  return weft_fma_f32(e, WEFT_LN2_HI_F32_, y);
}
WEFT_FN float weft_log1p_f32(float x) {
  float y = weft_log1p_core_f32_(x, 0.0f);
  y = x < WEFT_INF_f32 ? y : x;
  y = x <= -1.0f ? (x < -1.0f ? WEFT_NAN_f32 : -WEFT_INF_f32) : y;
  return weft_magnitude_f32_(x) < 2.9802322e-08f ? x : y; /* 2^-25: also denormals and -0 */
}

/* log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)) */
WEFT_FN float weft_softplus_f32(float x) {
  float a = weft_magnitude_f32_(x);
  float z = weft_exp_negative_f32_(a > 105.0f ? -105.0f : -a);
  int above = z > 0.41421356f;
  float f = above ? weft_fma_f32(z, 0.5f, -0.5f) : z;
  float y = f + weft_log_poly_f32_(f);
  y = above ? y + 0.693147182f : y;
  return (x < 0 ? 0.0f : x) + y;
}

/* With w = x + x^2 / (1 + sqrt(1 + x^2)), asinh x = log(1 + w); above 2^30 log(x) + log(2). */
WEFT_FN float weft_asinh_f32(float x) {
  float a = weft_magnitude_f32_(x), z = a * a;
  int big = a > 1073741824.0f;
  float w = a + z / (1.0f + WEFT_LIBM(sqrtf)(1.0f + z));
  float y = weft_log1p_core_f32_(big ? a : w, big ? 1.0f : 0.0f);
  y = a < WEFT_INF_f32 ? y : a;
  return a < 0.000244140625f ? x : weft_signed_f32_(y, x);
}
/* With t = x - 1, acosh x = log(1 + t + sqrt(2 t + t^2)) */
WEFT_FN float weft_acosh_f32(float x) {
  float t = x - 1.0f;
  int big = x > 1073741824.0f;
  float w = t + WEFT_LIBM(sqrtf)(weft_fma_f32(t, t, t + t));
  float y = weft_log1p_core_f32_(big ? x : w, big ? 1.0f : 0.0f);
  y = x < WEFT_INF_f32 ? y : x;
  return x < 1.0f ? WEFT_NAN_f32 : y;
}

/* With E = 2^e at most 1.7 times away from (1 + a) / (1 - a), s = ((1 + a) - E (1 - a)) / ((1 + a) + E (1 - a)):
 * atanh a = e log(2) / 2 + atanh s. For e = 0 s is a. */
WEFT_FN float weft_atanh_f32(float x) {
  float a = weft_magnitude_f32_(x), u = 1.0f + a, v = 1.0f - a;
  uint32_t k = (weft_bits_f32(u) - weft_bits_f32(v) + 0x00200000u) & 0xff800000u;
  float scaled = weft_frombits_f32(weft_bits_f32(v) + k); /* E (1 - a) */
  float rest = weft_fma_f32(-((1.0f - v) - a), weft_frombits_f32(k + 0x3f800000u), a - (u - 1.0f)); /* lost in u and v */
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

/* exp2(y log2 x) with the logarithm and the product in double: their error is far below what float shows. */
WEFT_FN float weft_pow_f32(float x, float y) {
  float a = weft_magnitude_f32_(x), e, f = weft_log_split_f32_(a, &e);
  e = a < WEFT_INF_f32 ? e : a;
  e = a == 0 ? -WEFT_INF_f32 : e;
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
  double t = weft_fma_f64(p, g, (double)e) * (double)y;
  double n = (t + 6755399441055744.0) - 6755399441055744.0; /* 1.5 * 2^52: n is rint(t) */
  float r = (float)(t - n), tf = (float)t;
  float q = 0.000154628637f; /* as in exp2 */
  q = weft_fma_f32(q, r, 0.00133909856f);
  q = weft_fma_f32(q, r, 0.00961806253f);
  q = weft_fma_f32(q, r, 0.0555035956f);
  q = weft_fma_f32(q, r, 0.240226507f);
  q = weft_fma_f32(q, r, 0.693147182f);
  float m = weft_scale_f32_(weft_fma_f32(q, r, 1.0f), (float)n + (WEFT_MAGIC_F32_ + 254.0f));
  m = tf > 129.0f ? WEFT_INF_f32 : m;
  m = tf < -151.0f ? 0.0f : m;
  m = ((a == 1.0f) | (y == 0)) ? 1.0f : m;
  float half = 0.5f * y;
  int whole = WEFT_LIBM(rintf)(y) == y, even = WEFT_LIBM(rintf)(half) == half;
  m = weft_frombits_f32(weft_bits_f32(m) | (weft_bits_f32(x) & ((whole & !even) ? 0x80000000u : 0u)));
  return ((x < 0) & (a < WEFT_INF_f32) & !whole) ? WEFT_NAN_f32 : m;
}

/* |x| = 2^(3k) M, M between 1/2 and 4: z, a polynomial times 1, 2^(1/3) or 2^(-1/3), is M^(-1/3) to 2^-14, M z^2 the
 * cube root to 2^-13, and a Newton step with the residual M - y^3 the rest. */
WEFT_FN float weft_cbrt_f32(float x) {
  float a = weft_magnitude_f32_(x);
  int tiny = a < 1.17549435e-38f;
  uint32_t u = weft_bits_f32(tiny ? a * 16777216.0f : a);
  int32_t e = (int32_t)(u >> 23), k = (e * 171) >> 9, j = e - 3 * k - 1; /* k = e / 3, below 256 */
  float m = weft_frombits_f32((u & 0x007fffffu) | 0x3f800000u);
  float big = weft_frombits_f32(weft_bits_f32(m) + ((uint32_t)j << 23));
  float z = -0.0170190018f; /* m^(-1/3): [1, 2], 2^-17 */
  z = weft_fma_f32(z, m, 0.156071305f);
  z = weft_fma_f32(z, m, -0.597871959f);
  z = weft_fma_f32(z, m, 1.24378419f);
  z = weft_fma_f32(z, m, -1.56602764f);
  z = weft_fma_f32(z, m, 1.78105736f);
  z = z * (j < 0 ? 1.25992105f : j > 0 ? 0.793700526f : 1.0f);
  float z2 = z * z, y = big * z2;
  float d = weft_fma_f32(-(y * y), y, big);
  y = weft_fma_f32(d * z2, 0.333333343f, y);
  y = weft_frombits_f32(weft_bits_f32(y) + ((uint32_t)(k - (tiny ? 50 : 42)) << 23));
  y = ((a == 0) | !(a < WEFT_INF_f32)) ? a : y;
  return weft_signed_f32_(y, x);
}

/* ---- trigonometric functions ------------------------------------------------------------------------ */

/* r = x - n pi/2. Parts of pi/2 are subtracted; the first differences are exact. Without a fused multiply-add the parts
 * have 11 bits, so that their products are exact, and the range is smaller. The last part but one is rounded: *rest is what
 * that lost and the last part. */
#if WEFT_FUSED_F32_
#define WEFT_TRIG_LIMIT_F32_ 65536.0f
WEFT_FN float weft_quarters_f32_(float n, float x, float *rest) {
  x = weft_fma_f32(n, -1.57079625f, x);
  float p = n * 7.54978942e-08f, r = x - p;
  *rest = weft_fma_f32(n, -5.39030253e-15f, ((x - r) - p) - weft_fma_f32(n, 7.54978942e-08f, -p));
  return r;
}
WEFT_FN float weft_quarter_f32_(float n, float x) {
  x = weft_fma_f32(n, -1.57079625f, x);
  x = weft_fma_f32(n, -7.54978942e-08f, x);
  return weft_fma_f32(n, -5.39030253e-15f, x);
}
#else
#define WEFT_TRIG_LIMIT_F32_ 6000.0f
WEFT_FN float weft_quarters_f32_(float n, float x, float *rest) {
  x = (x - n * 1.5703125f) - n * 0.000483751297f;
  float p = n * 7.54953362e-08f, r = x - p;
  *rest = ((x - r) - p) - n * 2.56328292e-12f;
  return r;
}
WEFT_FN float weft_quarter_f32_(float n, float x) {
  float rest, r = weft_quarters_f32_(n, x, &rest);
  return r + rest;
}
#endif

/* r between -pi/4 and pi/4, of a quadrant counted in the low bits of k: sin(r + k pi/2) */
WEFT_FN float weft_sin_poly_f32_(float r, uint32_t k) {
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
WEFT_FN float weft_tan_poly_f32_(float r, float rest, uint32_t k) {
  float z = r * r, p = 0.00940335169f;
  p = weft_fma_f32(p, z, 0.00309088826f);
  p = weft_fma_f32(p, z, 0.0244472288f);
  p = weft_fma_f32(p, z, 0.0534068681f);
  p = weft_fma_f32(p, z, 0.13338846f);
  p = weft_fma_f32(p, z, 0.333331555f);
  p = weft_fma_f32(r * z, p, weft_fma_f32(rest, z, rest));
  float t = r + p, q = -1.0f / t, d = q * ((r - t) + p); /* -1/tan with one step of Newton */
#if WEFT_FUSED_F32_
  d += weft_fma_f32(q, t, 1.0f);
#endif
  return k & 1u ? weft_fma_f32(q, d, q) : t;
}

WEFT_FN float weft_sin_fast_f32(float x) {
  float a = weft_magnitude_f32_(x), t = weft_fma_f32(a, 0.636619747f, WEFT_MAGIC_F32_); /* 2/pi */
  return weft_flip_f32_(weft_sin_poly_f32_(weft_quarter_f32_(t - WEFT_MAGIC_F32_, a), weft_bits_f32(t)), x);
}
WEFT_FN float weft_cos_fast_f32(float x) {
  float a = weft_magnitude_f32_(x), t = weft_fma_f32(a, 0.636619747f, WEFT_MAGIC_F32_);
  return weft_sin_poly_f32_(weft_quarter_f32_(t - WEFT_MAGIC_F32_, a), weft_bits_f32(t) + 1u);
}
WEFT_FN float weft_tan_fast_f32(float x) {
  float a = weft_magnitude_f32_(x), t = weft_fma_f32(a, 0.636619747f, WEFT_MAGIC_F32_);
  float rest, r = weft_quarters_f32_(t - WEFT_MAGIC_F32_, a, &rest);
  return weft_flip_f32_(weft_tan_poly_f32_(r, rest, weft_bits_f32(t)), x);
}
WEFT_FN int32_t weft_sin_is_hard_f32(float x) {
  float a = weft_magnitude_f32_(x);
  return (a > WEFT_TRIG_LIMIT_F32_) & (a < WEFT_INF_f32);
}
WEFT_FN int32_t weft_cos_is_hard_f32(float x) { return weft_sin_is_hard_f32(x); }
WEFT_FN int32_t weft_tan_is_hard_f32(float x) { return weft_sin_is_hard_f32(x); }

/* |x| = r + k pi/2, k mod 4, for finite |x| >= 4096: the 24 bits of x times those 96 bits of 1/pi that count (Payne and
 * Hanek, Radian reduction for trigonometric functions, 1983). */
WEFT_FN double weft_huge_quarter_f32_(float x, uint32_t *k) {
  /* 1/pi in words of 32 bits, after a word of the integer part */
  const uint32_t inverse[8] = {0u, 0x517cc1b7u, 0x27220a94u, 0xfe13abe8u, 0xfa9a6ee0u, 0x6db14accu, 0x9e21c820u, 0xff28b1d5u};
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
  if (!weft_sin_is_hard_f32(x)) return weft_sin_fast_f32(x);
  uint32_t k;
  double r = weft_huge_quarter_f32_(x, &k);
  return weft_flip_f32_(weft_sin_poly_f32_((float)r, k), x);
}
WEFT_FN float weft_cos_f32(float x) {
  if (!weft_cos_is_hard_f32(x)) return weft_cos_fast_f32(x);
  uint32_t k;
  double r = weft_huge_quarter_f32_(x, &k);
  return weft_sin_poly_f32_((float)r, k + 1u);
}
WEFT_FN float weft_tan_f32(float x) {
  if (!weft_tan_is_hard_f32(x)) return weft_tan_fast_f32(x);
  uint32_t k;
  double r = weft_huge_quarter_f32_(x, &k);
  float high = (float)r;
  return weft_flip_f32_(weft_tan_poly_f32_(high, (float)(r - (double)high), k), x);
}

/* ---- inverse trigonometric functions ------------------------------------------------------------------ */

/* asin(s) - s, z = s^2: [0, 1/2], 2^-27.6 */
WEFT_FN float weft_asin_poly_f32_(float s, float z) {
  float p = 0.0421583056f;
  p = weft_fma_f32(p, z, 0.0241847783f);
  p = weft_fma_f32(p, z, 0.0454691499f);
  p = weft_fma_f32(p, z, 0.0749530941f);
  p = weft_fma_f32(p, z, 0.166667521f);
  return s * z * p;
}
/* Above 1/2 by asin a = pi/2 - 2 asin(sqrt((1 - a) / 2)) */
WEFT_FN float weft_asin_f32(float x) {
  float a = weft_magnitude_f32_(x), h = weft_fma_f32(a, -0.5f, 0.5f);
  int above = a > 0.5f;
  float z = above ? h : a * a, s = above ? WEFT_LIBM(sqrtf)(h) : a, p = weft_asin_poly_f32_(s, z);
  float y = (1.57079637f - (s + s)) - (p + p + 4.37113883e-08f);
  return weft_signed_f32_(above ? y : s + p, x);
}
WEFT_FN float weft_acos_f32(float x) {
  float a = weft_magnitude_f32_(x), h = weft_fma_f32(a, -0.5f, 0.5f);
  int above = a > 0.5f;
  float z = above ? h : a * a, s = above ? WEFT_LIBM(sqrtf)(h) : x, p = weft_asin_poly_f32_(s, z);
  float y = (1.57079637f - s) - (p + 4.37113883e-08f), twice = 2.0f * (s + p);
  float far = (3.14159274f - (s + s)) - (p + p + 8.74227766e-08f);
  return above ? (x < 0 ? far : twice) : y;
}

/* atan(t) - t: [0, 1], 2^-28 */
WEFT_FN float weft_atan_poly_f32_(float t) {
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
WEFT_FN float weft_atan_f32(float x) {
  float a = weft_magnitude_f32_(x);
  int above = a > 1.0f;
  float t = above ? -1.0f / a : a, p = weft_atan_poly_f32_(t);
  float y = ((above ? 1.57079637f : 0.0f) + t) + (p - (above ? 4.37113883e-08f : 0.0f));
  return weft_signed_f32_(y, x);
}
WEFT_FN float weft_atan2_f32(float y, float x) {
  float a = weft_magnitude_f32_(y), b = weft_magnitude_f32_(x);
  int above = a > b;
  uint32_t left = weft_bits_f32(x) & 0x80000000u;
  float low = above ? b : a, high = above ? a : b;
  high = high == 0 ? 1.0f : high;
  float t = low == high ? 1.0f : low / high; /* also for two infinities */
  t = weft_frombits_f32(weft_bits_f32(t) ^ left ^ (above ? 0x80000000u : 0u));
  float p = weft_atan_poly_f32_(t), far = left ? 3.14159274f : 0.0f, rest = left ? 8.74227766e-08f : 0.0f;
  far = above ? 1.57079637f : far;
  rest = above ? 4.37113883e-08f : rest;
  return weft_flip_f32_((far + t) + (p - rest), y);
}

/* ---- the error function ----------------------------------------------------------------------------- */

/* erf(x) / x - 1, z = x^2: [0, 0.93], 2^-25.8 */
WEFT_FN float weft_erf_poly_f32_(float z) {
  float p = -0.000595897087f;
  p = weft_fma_f32(p, z, 0.00498725241f);
  p = weft_fma_f32(p, z, -0.0267629158f);
  p = weft_fma_f32(p, z, 0.112817302f);
  p = weft_fma_f32(p, z, -0.376124889f);
  return weft_fma_f32(p, z, 0.128379151f);
}
/* Up to 0.93 by that, above 1 - exp(-P(x)) */
WEFT_FN float weft_erf_f32(float x) {
  const float magic = WEFT_MAGIC_F32_ + 127.0f;
  float a = weft_magnitude_f32_(x), p = weft_fma_f32(weft_erf_poly_f32_(a * a), a, a);
  float b = a > 3.95f ? 3.95f : a, q = -0.000194787252f; /* [0.93, 3.95], 2^-29 */
  q = weft_fma_f32(q, b, 0.00303187198f);
  q = weft_fma_f32(q, b, -0.0221814681f);
  q = weft_fma_f32(q, b, 0.103836887f);
  q = weft_fma_f32(q, b, 0.637290597f);
  q = weft_fma_f32(q, b, 1.12761104f);
  q = weft_fma_f32(q, b, 0.000211363149f);
  float t = weft_fma_f32(q, -WEFT_LOG2E_F32_, magic), n = t - magic;
  float r = weft_fma_f32(n, -WEFT_LN2_HI_F32_, -q);
  r = weft_fma_f32(n, -WEFT_LN2_LO_F32_, r);
  float s = weft_frombits_f32(weft_bits_f32(t) << 23);
  q = (1.0f - s) - s * weft_exp_poly_f32_(r);
  return weft_signed_f32_(a < 0.93f ? p : q, x);
}

/* 1 - erf(x) up to 0.75. Above exp(-a^2) P(u) / (a + 3) with u = (a - 3) / (a + 3) = 1 - 6 / (a + 3) (a form of
 * Schonfelder, Chebyshev expansions for the error and related functions, 1978); erfc(-a) = 2 - erfc(a). What rounding lost
 * in a^2 and in 1 / (a + 3) goes into the argument of exp, where 1 + t is exp(t) for such small t. */
WEFT_FN float weft_erfc_f32(float x) {
  const float magic = WEFT_MAGIC_F32_ + 191.0f; /* 127 + 64 */
  float a = weft_magnitude_f32_(x);
  a = a > 10.1f ? 10.1f : a;
  float high = a * a, near = weft_erf_poly_f32_(high);
  float sum = a + 3.0f, d = 1.0f / sum, lost = -d * (a - (sum - 3.0f));
#if WEFT_FUSED_F32_
  float low = weft_fma_f32(a, a, -high);
  lost += weft_fma_f32(-d, sum, 1.0f);
#else
  float head = weft_frombits_f32(weft_bits_f32(a) & 0xfffff000u), tail = a - head;
  float low = ((head * head - high) + 2.0f * head * tail) + tail * tail;
#endif
  float u = weft_fma_f32(-6.0f * d, lost, weft_fma_f32(-6.0f, d, 1.0f));
  float p = -0.000312687276f; /* [0, 10.1], 2^-26.9 */
  p = weft_fma_f32(p, u, -0.000467644539f);
  p = weft_fma_f32(p, u, 0.0030687165f);
  p = weft_fma_f32(p, u, -0.00124297733f);
  p = weft_fma_f32(p, u, -0.0268368982f);
  p = weft_fma_f32(p, u, 0.119534291f);
  p = weft_fma_f32(p, u, -0.31046626f);
  p = weft_fma_f32(p, u, 0.590227783f);
  p = weft_fma_f32(p, u, -0.88339448f);
  p = weft_fma_f32(p, u, 1.07400692f);
  float t = weft_fma_f32(high, -WEFT_LOG2E_F32_, magic), n = t - magic;
  float r = weft_fma_f32(n, -WEFT_LN2_HI_F32_, -high);
  r = weft_fma_f32(n, -WEFT_LN2_LO_F32_, r) + (lost - low);
  float s = weft_frombits_f32(weft_bits_f32(t) << 23), g = p * d, c = weft_exp_poly_f32_(r);
#if WEFT_FUSED_F32_
  g = g + weft_fma_f32(g, c, weft_fma_f32(p, d, -g));
#else
  g = g + g * c;
#endif
  g = g * s * 5.42101086e-20f; /* 2^-64 */
  g = x < 0 ? 2.0f - g : g;
  return a < 0.75f ? weft_fma_f32(-near, x, 1.0f - x) : g;
}

/* x times a polynomial in w = -log((1 - x) (1 + x)), and from 5 on in sqrt(w) (Giles, Approximating the erfinv function,
 * 2011). */
WEFT_FN float weft_erfinv_f32(float x) {
  float e, f = weft_log_split_f32_((1.0f - x) * (1.0f + x), &e);
  float w = f + weft_fma_f32(e, WEFT_LN2_LO_F32_, weft_log_poly_f32_(f));
  w = -weft_fma_f32(e, WEFT_LN2_HI_F32_, w);
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
