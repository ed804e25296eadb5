/* weft_math_f64.h: exp, log and their kin, sin, cos, tan and pow of doubles, without the C library.
 *
 * weft_scalar.h includes this file after its bits and weft_fma_f64; weft_math_more_f64.h holds the other functions.
 * Everything is additions, products, bit operations and ?: on lanes of 64 bits, so that loops over these functions
 * become vectors; no integer is converted to a double or back (AVX2 cannot): adding WEFT_MAGIC_f64_ to |x| < 2^51
 * rounds it to an integer, which the low bits of the sum hold. A name with an underscore at its end is private.
 *
 * sin, cos, tan, sinh, cosh, asinh, acosh, pow, erfc, the exponentials and the logarithms come as three:
 * weft_sin_fast_f64, free of branches; weft_sin_is_hard_f64, nonzero where the fast one is not to be used;
 * weft_sin_f64, right everywhere, with the bits of the fast one wherever that serves.
 *
 * Without a fused multiply-add weft_fma_f64 rounds twice. What has to be exact uses constants with zeros at their ends
 * (Cody and Waite, Software Manual for the Elementary Functions, 1980) or weft_two_product_f64_ (Dekker 1971).
 * Polynomials are minimax by Remez' exchange, from math_coefficients_f64.py; "err" is their largest relative error on
 * the interval. docs/accuracy.md holds the errors of the functions.
 */
#ifndef WEFT_MATH_F64_H
#define WEFT_MATH_F64_H

#if defined(__CUDACC__) || defined(__FMA__) || defined(__FP_FAST_FMA)
#define WEFT_HAS_FMA_F64_ 1
#else
#define WEFT_HAS_FMA_F64_ 0
#endif

/* Tables, read by index: gcc and clang make gathers of it where the machine has them. */
#if defined(__CUDACC__) || defined(WEFT_CUDA)
#define WEFT_TABLE __device__ static const
#else
#define WEFT_TABLE static const
#endif
#include "weft_tables_f64.h"

#define WEFT_MAGIC_f64_ 0x1.8p52
#define WEFT_SIGN_f64_ 0x8000000000000000ull
#define WEFT_LN2_HI_f64_ 0x1.62e42feep-1 /* 32 bits: times an integer of 21 bits it is exact */
#define WEFT_LN2_LO_f64_ 0x1.a39ef35793c76p-33

/* |x| with the sign of s. */
WEFT_LANE double weft_with_sign_f64_(double x, double s) {
  return weft_frombits_f64((weft_bits_f64(x) & ~WEFT_SIGN_f64_) | (weft_bits_f64(s) & WEFT_SIGN_f64_));
}
WEFT_LANE double weft_fabs_f64_(double x) { return weft_frombits_f64(weft_bits_f64(x) & ~WEFT_SIGN_f64_); }

/* All bits where the condition holds. Compilers make branches of two ?: with one condition; of masks they do not. */
WEFT_LANE uint64_t weft_mask_f64_(int condition) { return (uint64_t)0 - (uint64_t)(condition != 0); }
/* c where the mask holds, 0 elsewhere. */
WEFT_LANE double weft_masked_f64_(uint64_t mask, double c) { return weft_frombits_f64(mask & weft_bits_f64(c)); }

/* What rounding took from p = a * b. */
WEFT_LANE double weft_two_product_f64_(double a, double b, double p) {
#if WEFT_HAS_FMA_F64_
  return weft_fma_f64(a, b, -p);
#else
  double ta = a * 0x1.000002p27, tb = b * 0x1.000002p27;
  double ah = ta - (ta - a), al = a - ah, bh = tb - (tb - b), bl = b - bh;
  return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
#endif
}

/* c - a b, rounded once or nearly: also where a b is c but for its last bits. */
WEFT_LANE double weft_rest_f64_(double c, double a, double b) {
#if WEFT_HAS_FMA_F64_
  return weft_fma_f64(-a, b, c);
#else
  double p = a * b;
  return (c - p) - weft_two_product_f64_(a, b, p);
#endif
}

/* ---- exp ------------------------------------------------------------------------------------------- */

/* e^r - 1 on |r| <= ln(2)/2 as r + z * t with z = r^2; a result of expm1 has err 2^-55, one of exp 2^-57. */
WEFT_LANE double weft_expm1_tail_f64_(double r, double z) {
  double even = weft_fma_f64(2.5045453858092288e-08, z, 2.7557426414426427e-06);
  double odd = weft_fma_f64(2.7622217020798286e-07, z, 2.480151637238004e-05);
  even = weft_fma_f64(even, z, 0.00019841269708002602);
  odd = weft_fma_f64(odd, z, 0.0013888888920490486);
  even = weft_fma_f64(even, z, 0.008333333333388877);
  odd = weft_fma_f64(odd, z, 0.04166666666662002);
  even = weft_fma_f64(even, z, 0.16666666666666602);
  return weft_fma_f64(r, weft_fma_f64(odd, r, even), 0.5);
}
WEFT_LANE double weft_expm1_core_f64_(double r) {
  double z = r * r;
  return weft_fma_f64(z, weft_expm1_tail_f64_(r, z), r);
}

/* y 2^k, both normal, the low bits of t holding k. */
WEFT_LANE double weft_times_two_to_f64_(double y, double t) {
  return weft_frombits_f64(weft_bits_f64(y) + (weft_bits_f64(t) << 52));
}

/* y 2^k for y in [0.7, 1.5) and -1076 <= k <= 1024, the low bits of t holding k + 2046. Where x < small the result may
 * be denormal: there the last product takes away a factor 2^128, and rounds. Elsewhere it doubles, and overflows. */
WEFT_LANE double weft_scale_f64_(double y, double t, double x, double small) {
  uint64_t m = 0x4000000000000000ull - (weft_mask_f64_(x < small) & 129ull << 52);
  return y * weft_frombits_f64((weft_bits_f64(t) << 52) - m) * weft_frombits_f64(m);
}

/* e^x = 2^k (1 + expm1(r)), where that is normal: k goes into the exponent. Below -746 it is 0, and not hard: -infinity
 * is what masks are made of. */
WEFT_LANE uint64_t weft_exp_above_f64_(double x) { return weft_mask_f64_(!(x <= -746.0)); }
WEFT_LANE int64_t weft_exp_is_hard_f64(double x) {
  return -(int64_t)!(weft_fabs_f64_(weft_masked_f64_(weft_exp_above_f64_(x), x)) <= 708.0);
}
WEFT_LANE double weft_exp_fast_f64(double x) {
  double t = weft_fma_f64(x, 0x1.71547652b82fep+0, WEFT_MAGIC_f64_), k = t - WEFT_MAGIC_f64_;
  double r = weft_fma_f64(k, -WEFT_LN2_LO_f64_, weft_fma_f64(k, -WEFT_LN2_HI_f64_, x));
  return weft_masked_f64_(weft_exp_above_f64_(x), weft_times_two_to_f64_(1.0 + weft_expm1_core_f64_(r), t));
}

/* e^x for x <= 710 and NaN. What is computed below -746 does not matter. */
WEFT_LANE double weft_exp_low_f64_(double x) {
  double t = weft_fma_f64(x, 0x1.71547652b82fep+0, WEFT_MAGIC_f64_ + 2046.0), k = t - (WEFT_MAGIC_f64_ + 2046.0);
  double r = weft_fma_f64(k, -WEFT_LN2_LO_f64_, weft_fma_f64(k, -WEFT_LN2_HI_f64_, x));
  double y = weft_scale_f64_(1.0 + weft_expm1_core_f64_(r), t, x, -708.0);
  return x < -746.0 ? 0.0 : y;
}

WEFT_LANE double weft_exp_f64(double x) { return weft_exp_low_f64_(x > 710.0 ? 710.0 : x); }

/* 2^r - 1 = r P(r) on |r| <= 1/2, err 2^-58. */
WEFT_LANE double weft_exp2_poly_f64_(double r) {
  double z = r * r;
  double even = weft_fma_f64(4.4573892940765105e-10, z, 1.0178046443308632e-07);
  double odd = weft_fma_f64(7.073860545040519e-09, z, 1.3215434814984074e-06);
  even = weft_fma_f64(even, z, 1.5252733867583124e-05);
  odd = weft_fma_f64(odd, z, 0.00015403530458082913);
  even = weft_fma_f64(even, z, 0.001333355814637903);
  odd = weft_fma_f64(odd, z, 0.00961812910759333);
  even = weft_fma_f64(even, z, 0.05550410866482174);
  odd = weft_fma_f64(odd, z, 0.24022650695910133);
  even = weft_fma_f64(even, z, 0.6931471805599453);
  return weft_fma_f64(odd, r, even);
}

WEFT_LANE int64_t weft_exp2_is_hard_f64(double x) { return -(int64_t)!(weft_fabs_f64_(x) <= 1021.0); }
WEFT_LANE double weft_exp2_fast_f64(double x) {
  double t = x + WEFT_MAGIC_f64_, r = x - (t - WEFT_MAGIC_f64_);
  return weft_times_two_to_f64_(weft_fma_f64(r, weft_exp2_poly_f64_(r), 1.0), t);
}

WEFT_LANE double weft_exp2_f64(double x) {
  double c = x > 1024.0 ? 1024.0 : x;
  double t = c + (WEFT_MAGIC_f64_ + 2046.0), r = c - (t - (WEFT_MAGIC_f64_ + 2046.0));
  double y = weft_scale_f64_(weft_fma_f64(r, weft_exp2_poly_f64_(r), 1.0), t, c, -1020.0);
  return c < -1076.0 ? 0.0 : y;
}

/* 2^k (e^r - 1) + (2^k - 1). Near k = 1, where the terms cancel, r 2^k + (2^k - 1) is exact. */
WEFT_LANE int64_t weft_expm1_is_hard_f64(double x) { return -(int64_t)!(weft_fabs_f64_(x) <= 708.0); }
WEFT_LANE double weft_expm1_fast_f64(double x) {
  double t = weft_fma_f64(x, 0x1.71547652b82fep+0, WEFT_MAGIC_f64_ + 1023.0), k = t - (WEFT_MAGIC_f64_ + 1023.0);
  double r = weft_fma_f64(k, -WEFT_LN2_LO_f64_, weft_fma_f64(k, -WEFT_LN2_HI_f64_, x));
  double s = weft_frombits_f64(weft_bits_f64(t) << 52), z = r * r, e = z * weft_expm1_tail_f64_(r, z);
  return weft_with_sign_f64_(weft_fma_f64(e, s, weft_fma_f64(r, s, s - 1.0)), x);
}

/* Beyond 710 the result is infinite, below -40 it is -1. */
WEFT_LANE double weft_expm1_f64(double x) {
  double c = x > 710.0 ? 710.0 : x;
  c = c < -40.0 ? -40.0 : c;
  double t = weft_fma_f64(c, 0x1.71547652b82fep+0, WEFT_MAGIC_f64_ + 2046.0), k = t - (WEFT_MAGIC_f64_ + 2046.0);
  double r = weft_fma_f64(k, -WEFT_LN2_LO_f64_, weft_fma_f64(k, -WEFT_LN2_HI_f64_, c));
  uint64_t m = 0x3ff0000000000000ull + (weft_mask_f64_(k > 1023.0) & 1ull << 52);
  double s = weft_frombits_f64((weft_bits_f64(t) << 52) - m);
  double z = r * r, e = z * weft_expm1_tail_f64_(r, z);
  double y = weft_fma_f64(e, s, weft_fma_f64(r, s, s - 1.0)) * weft_frombits_f64(m);
  return weft_with_sign_f64_(y, x);
}

/* 1 / (1 + e^-x) as e^-|x| or 1 over 1 + e^-|x|, so that nothing overflows and small results keep their bits. */
WEFT_LANE double weft_sigmoid_f64(double x) {
  double z = weft_exp_low_f64_(-weft_fabs_f64_(x));
  return (x < 0.0 ? z : 1.0) / (1.0 + z);
}

/* With E = e^2|x| - 1 it is E / (E + 2). What rounding took from E and from E + 2 is put back at the end, where
 * 1 / (E + 2) = (1 - tanh) / 2 saves another division. */
WEFT_LANE double weft_tanh_f64(double x) {
  double a = weft_fabs_f64_(x);
  a = a > 20.0 ? 20.0 : a;
  double b = a + a;
  double t = weft_fma_f64(b, 0x1.71547652b82fep+0, WEFT_MAGIC_f64_), k = t - WEFT_MAGIC_f64_;
  double r = weft_fma_f64(k, -WEFT_LN2_HI_f64_, b);
  r = weft_fma_f64(k, -WEFT_LN2_LO_f64_, r);
  double z = r * r, p = z * weft_expm1_tail_f64_(r, z);
  double ph = r + p, pl = (r - ph) + p;
  double s = weft_frombits_f64((weft_bits_f64(t) << 52) + 0x3ff0000000000000ull), s1 = s - 1.0;
  double n = weft_fma_f64(ph, s, s1);
  double nl = weft_fma_f64(pl, s, weft_fma_f64(ph, s, s1 - n));
  double d = n + 2.0, dl = (n < 2.0 ? n - (d - 2.0) : 2.0 - (d - n)) + nl;
  double q = n / d;
  double rest = weft_fma_f64(-q, dl, weft_rest_f64_(n, q, d) + nl);
  q = weft_fma_f64(rest, q < 0.99 ? weft_fma_f64(q, -0.5, 0.5) : 0.0, q);
  return weft_with_sign_f64_(q, x);
}

/* ---- log ------------------------------------------------------------------------------------------- */

/* x = 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt(2)), for finite x > 0; for others something finite. */
#define WEFT_LOG_SPLIT_f64_(x, k, f)                                                                          \
  uint64_t scale = 0x3ff0000000000000ull + (weft_mask_f64_(x < 0x1p-1022) & 54ull << 52);                     \
  uint64_t u = weft_bits_f64(x * weft_frombits_f64(scale)) + 0x44095f619980c433ull;                           \
  double k = weft_frombits_f64(((u - scale) >> 52) | 0x4330000000000000ull) - (0x1p52 + 1088.0);              \
  double f = weft_frombits_f64((u & 0x000fffffffffffffull) + 0x3fe6a09e667f3bcdull) - 1.0;

/* y, or what the logarithm of x is where that is not finite. */
WEFT_LANE double weft_log_edges_f64_(double x, double y) {
  uint64_t low = 0xfff0000000000000ull | (weft_mask_f64_(x < 0.0) & 0x0008000000000000ull);
  y = x < WEFT_INF_f64 ? y : x;
  return x <= 0.0 ? weft_frombits_f64(low) : y;
}

/* With a quotient: log(1 + f) = f - g with g = s (f - R), s = f / (2 + f), R = log((1 + s) / (1 - s)) / s - 2,
 * err 2^-58 (Ng's form, fdlibm, 1993): *s is set, f - R returned. The division takes the time of 16 operations of the
 * multipliers, but beside them. */
WEFT_LANE double weft_log_quotient_f64_(double f, double *s) {
  double t = f / (2.0 + f), z = t * t, w = z * z;
  double even = weft_fma_f64(0.1481035991928788, w, 0.1818357096819301);
  double odd = weft_fma_f64(0.15313179799751777, w, 0.22222199101204287);
  even = weft_fma_f64(even, w, 0.28571428729193304);
  odd = weft_fma_f64(odd, w, 0.3999999999952018);
  even = weft_fma_f64(even, w, 0.666666666666671);
  *s = t;
  return weft_fma_f64(-z, weft_fma_f64(odd, z, even), f);
}

/* x = 2^k (1 + f) for normal x > 0. */
#define WEFT_LOG_SPLIT_FAST_f64_(x, k, f)                                                                     \
  uint64_t u = weft_bits_f64(x) + 0x00095f619980c433ull;                                                      \
  double k = weft_frombits_f64((u >> 52) | 0x4330000000000000ull) - (0x1p52 + 1023.0);                        \
  double f = weft_frombits_f64((u & 0x000fffffffffffffull) + 0x3fe6a09e667f3bcdull) - 1.0;

/* Not positive and normal: one comparison of signed numbers. */
WEFT_LANE int64_t weft_log_is_hard_f64(double x) {
  return -(int64_t)((int64_t)(weft_bits_f64(x) + 0x7ff0000000000000ull) >= -0x0020000000000000ll);
}
WEFT_LANE int64_t weft_log2_is_hard_f64(double x) { return weft_log_is_hard_f64(x); }
WEFT_LANE int64_t weft_log10_is_hard_f64(double x) { return weft_log_is_hard_f64(x); }

WEFT_LANE double weft_log_join_f64_(double k, double f) {
  double s, g = weft_log_quotient_f64_(f, &s);
  return weft_fma_f64(k, WEFT_LN2_HI_f64_, f) + weft_fma_f64(-s, g, k * WEFT_LN2_LO_f64_);
}
WEFT_LANE double weft_log_fast_f64(double x) {
  WEFT_LOG_SPLIT_FAST_f64_(x, k, f)
  return weft_log_join_f64_(k, f);
}
WEFT_LANE double weft_log_f64(double x) {
  WEFT_LOG_SPLIT_f64_(x, k, f)
  return weft_log_edges_f64_(x, weft_log_join_f64_(k, f));
}

/* For log2 and log10, where the quotient takes the most time: x = 2^n m, 0.7057 <= m < 1.4115, m in one of 64 cells of
 * 2^46 neighbours, the i-th; 1 lies amidst the 37th. k = 64 n + i - 37. With c amidst a cell, f = m / c - 1 and T =
 * log(c) - (i - 37) log(2) / 64, log(x) is k log(2) / 64 + T + log(1 + f), where |f| <= 2^-7 and the sum of the first
 * two is exact. u holds all but m. */
#define WEFT_LOG_OFFSET_f64_ 0x00096aaaaaaaaaaaull
#define WEFT_LOG_CELL_f64_(u, k, i)                                                                           \
  double k = weft_frombits_f64((u) >> 46 | 0x4330000000000000ull) - (0x1p52 + 64.0 * 1023.0 + 37.0);          \
  uint64_t i = (u) >> 46 & 63u;

/* For normal x > 0. */
#define WEFT_LOG_CELLS_FAST_f64_(x, k, i, m)                                                                  \
  uint64_t u = weft_bits_f64(x) + WEFT_LOG_OFFSET_f64_;                                                        \
  WEFT_LOG_CELL_f64_(u, k, i)                                                                                 \
  double m = weft_frombits_f64((u & 0x000fffffffffffffull) + (0x3ff0000000000000ull - WEFT_LOG_OFFSET_f64_));

/* For finite x > 0; for others something finite. */
#define WEFT_LOG_CELLS_WHOLE_f64_(x, k, i, m)                                                                       \
  uint64_t scale = weft_mask_f64_(x < 0x1p-1022) & 54ull << 52;                                               \
  uint64_t u = weft_bits_f64(x * weft_frombits_f64(0x3ff0000000000000ull + scale)) + WEFT_LOG_OFFSET_f64_;     \
  WEFT_LOG_CELL_f64_(u - scale + (64ull << 52), more, i)                                                      \
  double k = more - 64.0 * 64.0;                                                                              \
  double m = weft_frombits_f64((u & 0x000fffffffffffffull) + (0x3ff0000000000000ull - WEFT_LOG_OFFSET_f64_));

/* m c - 1, rounded once or nearly */
WEFT_LANE double weft_log_part_f64_(double m, double c) {
#if WEFT_HAS_FMA_F64_
  return weft_fma_f64(m, c, -1.0);
#else
  double p = m * c;
  return (p - 1.0) + weft_two_product_f64_(m, c, p);
#endif
}

/* log2(1 + f) = f C + f^2 (-C/2 + f P(f)), err 2^-57, C in two parts; log10 alike. */
WEFT_LANE double weft_log2_join_f64_(double k, double t, double f) {
  double p = weft_fma_f64(0.20611941380729376, f, -0.2404655586877219);
  p = weft_fma_f64(p, f, 0.2885390074172921);
  p = weft_fma_f64(p, f, -0.36067375987641137);
  p = weft_fma_f64(p, f, 0.4808983469629957);
  p = weft_fma_f64(p, f, -0x1.71547652b82fep-1);
  p = weft_fma_f64(p, f, 0x1.777d0ffda0d24p-56);
  return weft_fma_f64(f, p, weft_fma_f64(f, 0x1.71547652b82fep+0, weft_fma_f64(k, 0x1p-6, t)));
}
WEFT_LANE double weft_log2_fast_f64(double x) {
  WEFT_LOG_CELLS_FAST_f64_(x, k, i, m)
  return weft_log2_join_f64_(k, WEFT_LOG2_f64_[i], weft_log_part_f64_(m, WEFT_LOG2_INVERSE_f64_[i]));
}
WEFT_LANE double weft_log2_f64(double x) {
  WEFT_LOG_CELLS_WHOLE_f64_(x, k, i, m)
  double y = weft_log2_join_f64_(k, WEFT_LOG2_f64_[i], weft_log_part_f64_(m, WEFT_LOG2_INVERSE_f64_[i]));
  return weft_log_edges_f64_(x, y);
}

WEFT_LANE double weft_log10_join_f64_(double k, double t, double f) {
  double p = weft_fma_f64(0.062048126244671986, f, -0.07238734608910175);
  p = weft_fma_f64(p, f, 0.08685889615171688);
  p = weft_fma_f64(p, f, -0.10857362037170791);
  p = weft_fma_f64(p, f, 0.14476482730108634);
  p = weft_fma_f64(p, f, -0x1.bcb7b1526e50ep-3);
  p = weft_fma_f64(p, f, 0x1.95355baaafad3p-57);
  double h = weft_fma_f64(f, 0x1.bcb7b1526e50ep-2, weft_fma_f64(k, 0x1.34413508p-8, t));
  return weft_fma_f64(k, 0x1.f79fef311f12bp-40, weft_fma_f64(f, p, h));
}
WEFT_LANE double weft_log10_fast_f64(double x) {
  WEFT_LOG_CELLS_FAST_f64_(x, k, i, m)
  return weft_log10_join_f64_(k, WEFT_LOG10_f64_[i], weft_log_part_f64_(m, WEFT_LOG10_INVERSE_f64_[i]));
}
WEFT_LANE double weft_log10_f64(double x) {
  WEFT_LOG_CELLS_WHOLE_f64_(x, k, i, m)
  double y = weft_log10_join_f64_(k, WEFT_LOG10_f64_[i], weft_log_part_f64_(m, WEFT_LOG10_INVERSE_f64_[i]));
  return weft_log_edges_f64_(x, y);
}

/* 1 + x = 2^k (1 + f): f = 2^-k x + (2^-k - 1) is rounded once, and is x where k = 0. */
WEFT_LANE int64_t weft_log1p_is_hard_f64(double x) { return -(int64_t)!((x > -1.0) & (x <= 0x1p1000)); }
WEFT_LANE double weft_log1p_fast_f64(double x) {
  uint64_t u = weft_bits_f64(1.0 + x) + 0x00095f619980c433ull;
  double k = weft_frombits_f64((u >> 52) | 0x4330000000000000ull) - (0x1p52 + 1023.0);
  double s = weft_frombits_f64(0x7fe0000000000000ull - (u & 0x7ff0000000000000ull));
  return weft_with_sign_f64_(weft_log_join_f64_(k, weft_fma_f64(x, s, s - 1.0)), x);
}

/* Above 2^1000 one and 2^-k would be lost: there x is taken 2^-64 times. */
WEFT_LANE double weft_log1p_f64(double x) {
  uint64_t huge = weft_mask_f64_(x > 0x1p1000);
  double v = x * weft_frombits_f64(0x3ff0000000000000ull - (huge & 64ull << 52));
  uint64_t u = weft_bits_f64(1.0 + v) + 0x00095f619980c433ull;
  double k = weft_frombits_f64((u >> 52) | 0x4330000000000000ull) - (0x1p52 + 1023.0) + weft_masked_f64_(huge, 64.0);
  double s = weft_frombits_f64(0x7fe0000000000000ull - (u & 0x7ff0000000000000ull));
  double f = weft_fma_f64(v, s, s - 1.0);
  double y = weft_with_sign_f64_(weft_log_join_f64_(k, f), x);
  uint64_t low = 0xfff0000000000000ull | (weft_mask_f64_(x < -1.0) & 0x0008000000000000ull);
  y = x < WEFT_INF_f64 ? y : x;
  return x <= -1.0 ? weft_frombits_f64(low) : y;
}

/* max(x, 0) + log(1 + z) with z = e^-|x| <= 1. */
WEFT_LANE double weft_softplus_f64(double x) {
  double z = weft_exp_low_f64_(-weft_fabs_f64_(x));
  uint64_t upper = weft_mask_f64_(z > 0.41421356237309503);
  double h = weft_masked_f64_(upper, 0.5), f = weft_fma_f64(z, 1.0 - h, -h);
  double s, g = weft_log_quotient_f64_(f, &s);
  double y = weft_fma_f64(-s, g, f) + weft_masked_f64_(upper, 0x1.62e42fefa39efp-1);
  return y + (x > 0.0 ? x : 0.0);
}

/* ---- sin, cos, tan --------------------------------------------------------------------------------- */

/* Up to here the parts of pi below take an argument to its remainder with the fast text; that of tan, up to 2^20. */
#define WEFT_TRIG_LIMIT_f64_ 0x1p25

/* x - k pi for k of at most 25 bits. With a fused multiply-add the first difference is exact;
 * without one the parts of pi have 28 bits. */
WEFT_LANE double weft_less_pi_f64_(double x, double k) {
#if WEFT_HAS_FMA_F64_
  double r = weft_fma_f64(k, -0x1.1a62633145c07p-53, weft_fma_f64(k, -0x1.921fb54442d18p+1, x));
  return weft_fma_f64(k, 0x1.f1976b7ed8fbcp-109, r);
#else
  double a = (x - k * 0x1.921fb54p+1) - k * 0x1.10b461p-29, b = k * 0x1.a62633p-57, h = a - b;
  return h + (((a - h) - b) - k * 0x1.45c06e0e68948p-85);
#endif
}

/* sin(r) on |r| <= pi/2 (and a little more), err 2^-60. The first coefficient is 3.4e-21 less than what is fitted: then no
 * result passes 1. */
WEFT_LANE double weft_sin_core_f64_(double r) {
  double z = r * r, w = z * z;
  double a = weft_fma_f64(2.721577e-15, z, -7.643057485886647e-13);
  double b = weft_fma_f64(1.6058943524583873e-10, z, -2.50521069800701e-08);
  double c = weft_fma_f64(2.7557319212733123e-06, z, -0.00019841269841221648);
  a = weft_fma_f64(weft_fma_f64(a, w, b), w, c);
  a = weft_fma_f64(a, z, 0.00833333333333324);
  a = weft_fma_f64(a, z, -0.16666666666666666);
#if WEFT_HAS_FMA_F64_
  double c3 = weft_fma_f64(r, z, r * weft_fma_f64(r, r, -z)); /* near pi/2 the rounding of z would be felt */
#else
  double c3 = r * z;
#endif
  return weft_fma_f64(c3, a, r);
}

WEFT_LANE int64_t weft_sin_is_hard_f64(double x) { return -(int64_t)!(weft_fabs_f64_(x) <= WEFT_TRIG_LIMIT_f64_); }
WEFT_LANE int64_t weft_cos_is_hard_f64(double x) { return weft_sin_is_hard_f64(x); }
WEFT_LANE int64_t weft_tan_is_hard_f64(double x) { return -(int64_t)!(weft_fabs_f64_(x) <= 0x1p20); }

WEFT_LANE double weft_sin_fast_f64(double x) {
  double t = weft_fma_f64(x, 0x1.45f306dc9c883p-2, WEFT_MAGIC_f64_);
  double y = weft_sin_core_f64_(weft_less_pi_f64_(x, t - WEFT_MAGIC_f64_));
  y = weft_frombits_f64(weft_bits_f64(y) ^ (weft_bits_f64(t) << 63));
  return x == 0.0 ? x : y; /* the sign of a zero */
}

/* cos(x) = -(-1)^k sin(x - (k + 1/2) pi) */
WEFT_LANE double weft_cos_fast_f64(double x) {
  double t = weft_fma_f64(x, 0x1.45f306dc9c883p-2, -0.5) + WEFT_MAGIC_f64_;
  double y = weft_sin_core_f64_(weft_less_pi_f64_(x, (t - WEFT_MAGIC_f64_) + 0.5));
  return weft_frombits_f64(weft_bits_f64(-y) ^ (weft_bits_f64(t) << 63));
}

/* tan(x) = (S + C t) / (C - S t), where x = i pi/64 + d - less, S / C is tan(i pi/64) and t = tan(d - less), tan(d) =
 * d + d^3 P(d^2), err 2^-69. A zero keeps its sign: what is subtracted is +0. */
WEFT_LANE double weft_tan_cell_f64_(uint64_t i, double d, double less) {
  double z = d * d, s = WEFT_TAN_SIN_f64_[i & 63u], c = WEFT_TAN_COS_f64_[i & 63u];
  double p = weft_fma_f64(weft_fma_f64(0.021882508386205465, z, 0.05396824737728626), z, 0.13333333333464809);
  p = weft_fma_f64(p, z, 0.33333333333333326);
  double e = weft_fma_f64(-(d * z), p, less), t = d - e;
  double m = weft_fma_f64(-s, d, c), l = weft_fma_f64(-s, d, c - m);
  return weft_fma_f64(c, t, s) / (m + weft_fma_f64(s, e, l));
}

/* k is i / 64 and i the integer nearest to 64 x / pi; x - k pi is d - less, d having all but its last bits. */
#define WEFT_TAN_SPLIT_f64_(x)                                                                                \
  double k = weft_fma_f64(x, 0x1.45f306dc9c883p-2, WEFT_MAGIC_f64_ * 0x1p-6);                                 \
  uint64_t i = weft_bits_f64(k);                                                                              \
  k = k - WEFT_MAGIC_f64_ * 0x1p-6;                                                                           \
  WEFT_TAN_LESS_f64_(x)
#if WEFT_HAS_FMA_F64_
#define WEFT_TAN_LESS_f64_(x)                                                                                 \
  double a = weft_fma_f64(k, -0x1.921fb54442d18p+1, x), d = weft_fma_f64(k, -0x1.1a62630000000p-53, a);       \
  double less = weft_fma_f64(k, 0x1.8a2e03707344ap-80, weft_fma_f64(k, 0x1.1a62630000000p-53, d - a));
#else
#define WEFT_TAN_LESS_f64_(x)                                                                                 \
  double a = (x - k * 0x1.921fb54p+1) - k * 0x1.10b461p-29, b = k * 0x1.a62633p-57, d = a - b;                \
  double less = ((d - a) + b) + k * 0x1.45c06e0e68948p-85;
#endif

WEFT_LANE double weft_tan_fast_f64(double x) {
  WEFT_TAN_SPLIT_f64_(x)
  return weft_tan_cell_f64_(i, d, less);
}

/* |x| + n pi/2 as k p + r, |r| <= p/2, where p is pi (turns = 1) or pi/2 (turns = 2): returns r, what rounding took
 * from it and the last bit of k. For |x| >= 1 (Payne and Hanek 1983): with |x| = m 2^e, those bits of 2/pi that make
 * multiples of 4 are left out, and the next 192 suffice. */
WEFT_FN double weft_far_remainder_f64_(double x, uint64_t n, int32_t turns, uint64_t *last, double *low) {
  /* 2/pi, first its integer part */
  const uint32_t bits[] = {
      0x00000000u,
      0x00000000u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu,
      0xdebbc561u, 0xb7246e3au, 0x424dd2e0u, 0x06492eeau, 0x09d1921cu, 0xfe1deb1cu, 0xb129a73eu, 0xe88235f5u,
      0x2ebb4484u, 0xe99c7026u, 0xb45f7e41u, 0x3991d639u, 0x835339f4u, 0x9c845f8bu, 0xbdf9283bu, 0x1ff897ffu,
      0xde05980fu, 0xef2f118bu, 0x5a0a6d1fu, 0x6d367ecfu, 0x27cb09b7u, 0x4f463f66u, 0x9e5fea2du, 0x7527bac7u,
      0xebe5f17bu, 0x3d0739f7u, 0x8a5292eau, 0x6bfb5fb1u, 0x1f8d5d08u, 0x56033046u, 0xfc7b6babu};
  uint64_t u = weft_bits_f64(x), m = (u & 0x000fffffffffffffull) | 0x0010000000000000ull;
  int32_t e = (int32_t)((u >> 52) & 0x7ffu) - 1075, first = (e + 62) >> 5, shift = (e + 62) & 31;
  uint32_t w[6]; /* m 2^e 2/pi mod 4, times 2^190, the last word first */
  uint64_t m0 = m & 0xffffffffu, m1 = m >> 32, carry = 0, before = 0;
  for (int32_t i = 0; i < 6; i++) {
    int32_t j = first + 5 - i;
    uint64_t pair = (uint64_t)bits[j] << 32 | bits[j + 1], word = (pair << shift) >> 32;
    uint64_t a = m0 * word, b = m1 * before, sum = (a & 0xffffffffu) + (b & 0xffffffffu) + carry;
    carry = (sum >> 32) + (a >> 32) + (b >> 32);
    w[i] = (uint32_t)sum;
    before = word;
  }
  uint64_t top = (uint64_t)w[5] << 32 | w[4], mid = (uint64_t)w[3] << 32 | w[2], end = (uint64_t)w[1] << 32 | w[0];
  top += n << 62;
  *last = ((top >> (63 - turns)) + 1) >> 1;
  top = top << turns | mid >> (64 - turns); /* the fraction of p, as a signed number in [-1/2, 1/2) */
  mid = mid << turns | end >> (64 - turns);
  end <<= turns;
  uint64_t sign = top & WEFT_SIGN_f64_;
  if (sign) {
    end = 0 - end;
    mid = ~mid + (end == 0);
    top = ~top + (end == 0 && mid == 0);
  }
  double scale = turns == 1 ? 0x1p-64 : 0x1p-65;
  while (!(top >> 63)) {
    top = top << 1 | mid >> 63;
    mid = mid << 1 | end >> 63;
    end <<= 1;
    scale *= 0.5;
  }
  double h = (double)(int64_t)(top >> 11) * 0x1p11, l = (double)(int64_t)((top & 0x7ffu) << 42 | mid >> 22) * 0x1p-42;
  double p = h * 0x1.921fb54442d18p+1, q = weft_two_product_f64_(h, 0x1.921fb54442d18p+1, p);
  q = q + weft_fma_f64(h, 0x1.1a62633145c07p-53, l * 0x1.921fb54442d18p+1);
  double r = p + q;
  scale = sign ? -scale : scale;
  *low = ((p - r) + q) * scale;
  return r * scale;
}

/* sin(|x| + n pi/2) for |x| > 2^25, NaN where there is none. */
WEFT_FN double weft_far_sin_f64_(double x, uint64_t n) {
  uint64_t k;
  double l;
  if (!(weft_fabs_f64_(x) < WEFT_INF_f64)) return WEFT_NAN_f64;
  double y = weft_sin_core_f64_(weft_far_remainder_f64_(x, n, 1, &k, &l));
  return k & 1u ? -y : y;
}

WEFT_FN double weft_sin_f64(double x) {
  if (!weft_sin_is_hard_f64(x)) return weft_sin_fast_f64(x);
  double y = weft_far_sin_f64_(x, 0);
  return x < 0.0 ? -y : y;
}
WEFT_FN double weft_cos_f64(double x) {
  return weft_cos_is_hard_f64(x) ? weft_far_sin_f64_(x, 1) : weft_cos_fast_f64(x);
}
WEFT_FN double weft_tan_f64(double x) {
  uint64_t n;
  double l;
  if (!weft_tan_is_hard_f64(x)) return weft_tan_fast_f64(x);
  if (!(weft_fabs_f64_(x) < WEFT_INF_f64)) return WEFT_NAN_f64;
  double r = weft_far_remainder_f64_(x, 0, 2, &n, &l);
  WEFT_TAN_SPLIT_f64_(r)
  double y = weft_tan_cell_f64_(i + 32 * n, d, less - l);
  return x < 0.0 ? -y : y;
}

#endif
