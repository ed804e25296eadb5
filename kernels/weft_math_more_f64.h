/* weft_math_more_f64.h: asin, acos, atan, atan2, sinh, cosh, asinh, acosh, atanh and cbrt of doubles.
 *
 * weft_scalar.h includes this file after weft_math_f64.h, whose comments hold here too.
 */
#ifndef WEFT_MATH_MORE_F64_H
#define WEFT_MATH_MORE_F64_H

#define WEFT_HALF_PI_HI_f64_ 0x1.921fb54442d18p+0
#define WEFT_HALF_PI_LO_f64_ 0x1.1a62633145c07p-54

/* base + (t + p), where base is 0 or larger than t. */
WEFT_LANE double weft_head_f64_(double base, double t, double p) {
  double h = base + t;
  return h + (((base - h) + t) + p);
}

/* ---- atan, asin, acos ------------------------------------------------------------------------------ */

/* atan(t) = t + t^3 P(t^2) on |t| <= 1, err 2^-56: returns P. Its large terms come last, alone. */
WEFT_LANE double weft_atan_tail_f64_(double z) {
  double y = z * z, v = y * y;
  double a = weft_fma_f64(-0.00015020066115981146, v, -0.013912915675468748);
  a = weft_fma_f64(a, v, -0.042224746495865016);
  a = weft_fma_f64(a, v, -0.06666436184038979);
  a = weft_fma_f64(a, v, -0.14285714283804446);
  double b = weft_fma_f64(1.2979618729772709e-05, v, 0.007189121809498373);
  b = weft_fma_f64(b, v, 0.03669203278203528);
  b = weft_fma_f64(b, v, 0.05880687578273192);
  b = weft_fma_f64(b, v, 0.11111111038038285);
  double c = weft_fma_f64(-0.0028733677480876053, v, -0.029958548718901242);
  c = weft_fma_f64(c, v, -0.05254104633015966);
  c = weft_fma_f64(c, v, -0.09090907471957511);
  double d = weft_fma_f64(0.0008246792229090283, v, 0.02202397437781725);
  d = weft_fma_f64(d, v, 0.0472392828273683);
  d = weft_fma_f64(d, v, 0.07692284495719649);
  a = weft_fma_f64(weft_fma_f64(d, z, c), y, weft_fma_f64(b, z, a));
  return weft_fma_f64(weft_fma_f64(a, z, 0.19999999999976292), z, -0.3333333333333324);
}

/* Above 1 it is pi/2 - atan(1/|x|). */
WEFT_LANE double weft_atan_f64(double x) {
  double a = weft_fabs_f64_(x);
  uint64_t big = weft_mask_f64_(a > 1.0), one = 0x3ff0000000000000ull;
  double n = weft_frombits_f64(big ? one | WEFT_SIGN_f64_ : weft_bits_f64(a));
  double t = n / weft_frombits_f64(big ? weft_bits_f64(a) : one), z = t * t;
  double p = weft_fma_f64(t * z, weft_atan_tail_f64_(z), weft_masked_f64_(big, WEFT_HALF_PI_LO_f64_));
  return weft_with_sign_f64_(weft_head_f64_(weft_masked_f64_(big, WEFT_HALF_PI_HI_f64_), t, p), x);
}

/* t is the smaller of |y| and |x| over the larger: atan(t), pi/2 - atan(t), or these taken from pi. Masks come from
 * bits: compilers make blends of comparisons, three operations at 256 bits. */
WEFT_LANE double weft_atan2_of_f64_(double t, double y, double x) {
  uint64_t more = (weft_bits_f64(x) & ~WEFT_SIGN_f64_) - (weft_bits_f64(y) & ~WEFT_SIGN_f64_);
  uint64_t steep = (uint64_t)0 - (more >> 63), left = (uint64_t)0 - (weft_bits_f64(x) >> 63);
  uint64_t half = left & ~steep;
  double base = weft_frombits_f64((steep & weft_bits_f64(WEFT_HALF_PI_HI_f64_)) |
                                  (half & weft_bits_f64(2 * WEFT_HALF_PI_HI_f64_)));
  double low = weft_frombits_f64((steep & weft_bits_f64(WEFT_HALF_PI_LO_f64_)) |
                                 (half & weft_bits_f64(2 * WEFT_HALF_PI_LO_f64_)));
  double z = t * t;
  t = weft_frombits_f64(weft_bits_f64(t) ^ ((steep ^ left) & WEFT_SIGN_f64_));
  return weft_with_sign_f64_(base + (t + weft_fma_f64(t * z, weft_atan_tail_f64_(z), low)), y);
}

/* n over d, the smaller and the larger of |y| and |x|; a NaN in either is one in n or d. */
#define WEFT_ATAN2_SPLIT_f64_(y, x)                                                                           \
  double a = weft_fabs_f64_(y), b = weft_fabs_f64_(x), d = a > b ? a : b;                                     \
  double n = weft_frombits_f64(weft_bits_f64(a) ^ weft_bits_f64(b) ^ weft_bits_f64(d)), t = n / d;

/* Hard is what has no quotient. */
WEFT_LANE int64_t weft_atan2_is_hard_f64(double y, double x) {
  WEFT_ATAN2_SPLIT_f64_(y, x)
  return -(int64_t)(t != t);
}
WEFT_LANE double weft_atan2_fast_f64(double y, double x) {
  WEFT_ATAN2_SPLIT_f64_(y, x)
  return weft_atan2_of_f64_(t, y, x);
}
WEFT_LANE double weft_atan2_f64(double y, double x) {
  WEFT_ATAN2_SPLIT_f64_(y, x)
  t = n == d ? weft_masked_f64_(weft_mask_f64_(n > 0.0), 1.0) : t; /* 1 where both are infinite, 0 where both are 0 */
  return weft_atan2_of_f64_(t, y, x);
}

/* asin(s) = s + s^3 P(s^2) on |s| <= 1/2, z = s^2, err 2^-58: returns s^3 P. */
WEFT_LANE double weft_asin_tail_f64_(double s, double z) {
  double y = z * z, v = y * y;
  double a = weft_fma_f64(0.03271602874329409, v, 0.010748053249212224);
  a = weft_fma_f64(a, v, 0.022372204931986578);
  a = weft_fma_f64(a, v, 0.16666666666666702);
  double b = weft_fma_f64(0.0037807266286932423, v, 0.01735175664624957);
  b = weft_fma_f64(b, v, 0.07499999999984512);
  double c = weft_fma_f64(0.021629819321450517, v, 0.013979470815085058);
  c = weft_fma_f64(c, v, 0.04464285716363515);
  double d = weft_fma_f64(-0.021020487947560465, v, 0.011407155741519476);
  d = weft_fma_f64(d, v, 0.030381943144614558);
  return s * z * weft_fma_f64(weft_fma_f64(d, z, c), y, weft_fma_f64(b, z, a));
}

/* From 1/2 on with s = sqrt((1 - |x|) / 2): asin|x| = pi/2 - 2 asin(s), acos|x| = 2 asin(s). */
WEFT_LANE double weft_asin_f64(double x) {
  double a = weft_fabs_f64_(x), h = weft_fma_f64(a, -0.5, 0.5);
  uint64_t big = weft_mask_f64_(a > 0.5);
  double z = a > 0.5 ? h : a * a, r = WEFT_LIBM(sqrt)(h), s = a > 0.5 ? -2.0 * r : a;
  double p = weft_asin_tail_f64_(s, z) + weft_masked_f64_(big, WEFT_HALF_PI_LO_f64_);
  return weft_with_sign_f64_(weft_head_f64_(weft_masked_f64_(big, WEFT_HALF_PI_HI_f64_), s, p), x);
}

WEFT_LANE double weft_acos_f64(double x) {
  double a = weft_fabs_f64_(x), h = weft_fma_f64(a, -0.5, 0.5);
  uint64_t big = weft_mask_f64_(a > 0.5), left = (uint64_t)0 - (weft_bits_f64(x) >> 63);
  double z = a > 0.5 ? h : a * a, r = WEFT_LIBM(sqrt)(h), s = a > 0.5 ? r + r : a;
  double p = weft_asin_tail_f64_(s, z);
  /* s + p, pi - (s + p), or pi/2 -+ (s + p) */
  uint64_t flip = (~big ^ left) & WEFT_SIGN_f64_;
  uint64_t quarter = ~big & weft_bits_f64(WEFT_HALF_PI_HI_f64_);
  uint64_t half = big & left & weft_bits_f64(2 * WEFT_HALF_PI_HI_f64_);
  uint64_t low = (~big & weft_bits_f64(WEFT_HALF_PI_LO_f64_)) | (big & left & weft_bits_f64(2 * WEFT_HALF_PI_LO_f64_));
  p = weft_frombits_f64(weft_bits_f64(p) ^ flip) + weft_frombits_f64(low);
  s = weft_frombits_f64(weft_bits_f64(s) ^ flip);
  return weft_frombits_f64(quarter | half) + (s + p);
}

/* ---- sinh, cosh ------------------------------------------------------------------------------------ */

/* With a = |x| = k ln 2 + r: sinh(r) = s, err 2^-60, and cosh(r) = 1 + c, err 2^-55. */
#define WEFT_HYPERBOLIC_f64_                                                                                   \
  double t = weft_fma_f64(a, 0x1.71547652b82fep+0, WEFT_MAGIC_f64_ + 1022.0), k = t - (WEFT_MAGIC_f64_ + 1022.0); \
  double r = weft_fma_f64(k, -WEFT_LN2_LO_f64_, weft_fma_f64(k, -WEFT_LN2_HI_f64_, a)), z = r * r, w = z * z;  \
  double s = weft_fma_f64(2.5110049749480845e-08, z, 2.7557242337109845e-06);                                  \
  double c = weft_fma_f64(2.7620085829326773e-07, z, 2.4801523189913836e-05);                                  \
  s = weft_fma_f64(s, z, 0.00019841269886590565);                                                              \
  c = weft_fma_f64(c, z, 0.0013888888913807485);                                                               \
  s = weft_fma_f64(s, z, 0.008333333333322207);                                                                \
  c = weft_fma_f64(c, z, 0.041666666666639464);                                                                \
  s = weft_fma_f64(s, z, 0.16666666666666674);                                                                 \
  c = weft_fma_f64(w, c, z * 0.5);                                                                             \
  s = weft_fma_f64(r * z, s, r);                                                                               \
  uint64_t up = weft_bits_f64(t) << 52, down = 0x7fc0000000000000ull - up;

/* p = (2^k + 2^-k) / 2 and m = (2^k - 2^-k) / 2; where that is far from the range's end. */
#define WEFT_HYPERBOLIC_FAST_f64_(x)                                                                           \
  double a = weft_fabs_f64_(x);                                                                                \
  WEFT_HYPERBOLIC_f64_                                                                                         \
  double e = weft_frombits_f64(up), i = weft_frombits_f64(down), p = e + i, m = e - i;

/* The same everywhere: above 40 without 2^-k and divided by `scale`; k may be 1026. */
#define WEFT_HYPERBOLIC_WHOLE_f64_(x)                                                                          \
  double a = weft_fabs_f64_(x);                                                                                \
  a = a > 711.0 ? 711.0 : a;                                                                                   \
  WEFT_HYPERBOLIC_f64_                                                                                         \
  uint64_t far = weft_mask_f64_(a > 40.0), less = far & 8ull << 52;                                            \
  double e = weft_frombits_f64(up - less), i = weft_frombits_f64(~far & down), p = e + i, m = e - i;           \
  double scale = weft_frombits_f64(0x3ff0000000000000ull + less);

WEFT_LANE int64_t weft_sinh_is_hard_f64(double x) { return weft_expm1_is_hard_f64(x); }
WEFT_LANE int64_t weft_cosh_is_hard_f64(double x) { return weft_expm1_is_hard_f64(x); }
WEFT_LANE double weft_sinh_fast_f64(double x) {
  WEFT_HYPERBOLIC_FAST_f64_(x)
  return weft_with_sign_f64_(m + weft_fma_f64(s, p, c * m), x);
}
WEFT_LANE double weft_cosh_fast_f64(double x) {
  WEFT_HYPERBOLIC_FAST_f64_(x)
  return p + weft_fma_f64(s, m, c * p);
}

WEFT_LANE double weft_sinh_f64(double x) {
  WEFT_HYPERBOLIC_WHOLE_f64_(x)
  return weft_with_sign_f64_((m + weft_fma_f64(s, p, c * m)) * scale, x);
}

WEFT_LANE double weft_cosh_f64(double x) {
  WEFT_HYPERBOLIC_WHOLE_f64_(x)
  return (p + weft_fma_f64(s, m, c * p)) * scale;
}

/* ---- asinh, acosh, atanh --------------------------------------------------------------------------- */

/* sqrt(w) for normal w or 0, within an ulp, and *half = 1 / (2 sqrt(w)) but for 2^-37: first 1 / sqrt(w) from the bits,
 * which are near a logarithm: e = 1 - w y^2 is at most 0.07. Then y (1 - e)^(-1/2) by a polynomial, err 2^-19, and by
 * its series. This is no slower than the processor's root, and nothing waits for its divider. */
WEFT_LANE double weft_root_f64_(double w, double *half) {
  double y = weft_frombits_f64(0x5fe6eb50c7b537a9ull - (weft_bits_f64(w) >> 1)), e = weft_fma_f64(-(w * y), y, 1.0);
  double p = weft_fma_f64(weft_fma_f64(0.3128491878686781, e, 0.37607478426949875), e, 0.500000290710816);
  y = weft_fma_f64(y * e, p, y);
  double s = w * y, h = y * 0.5;
  e = weft_fma_f64(-s, y, 1.0);
  *half = weft_fma_f64(h * 0.5, e, h);
  return weft_fma_f64(s * e, weft_fma_f64(e, 0.375, 0.5), s);
}

/* k log(2) / 64 + T + log(1 + f) + l as in weft_log2_fast_f64; f has err 2^-57. */
WEFT_LANE double weft_log_join_cell_f64_(double k, double t, double f, double l) {
  double z = f * f;
  double even = weft_fma_f64(0.14287109053919433, z, 0.19999999947286118);
  double odd = weft_fma_f64(-0.1666780240261665, z, -0.24999999976028928);
  even = weft_fma_f64(even, z, 0.3333333333333388);
  odd = weft_fma_f64(odd, z, -0.5);
  l = weft_fma_f64(k, WEFT_LN2_LO_f64_ / 64.0, l);
  return (weft_fma_f64(k, WEFT_LN2_HI_f64_ / 64.0, t) + f) + weft_fma_f64(z, weft_fma_f64(even, f, odd), l);
}

/* log(x) for normal x > 0, beside roots and divisions. */
WEFT_LANE double weft_log_by_table_f64_(double x) {
  WEFT_LOG_CELLS_FAST_f64_(x, k, i, m)
  return weft_log_join_cell_f64_(k, WEFT_LOG_f64_[i], weft_log_part_f64_(m, WEFT_LOG_INVERSE_f64_[i]), 0.0);
}

/* log(1 + u + l), l the last bits of u. f is 2^-n / c times u and times 1 less 1, rounded once; the latter is 0 where n
 * is and c is 1. */
WEFT_LANE double weft_log_of_two_f64_(double u, double l) {
  uint64_t b = weft_bits_f64(1.0 + u) + WEFT_LOG_OFFSET_f64_;
  WEFT_LOG_CELL_f64_(b, k, i)
  double c = WEFT_LOG_INVERSE_f64_[i] * weft_frombits_f64(0x7fe0000000000000ull - (b & 0x7ff0000000000000ull));
  return weft_log_join_cell_f64_(k, WEFT_LOG_f64_[i], weft_fma_f64(u, c, c - 1.0), l * c);
}

/* log(2 a) for a > 2^400, taken from 2^-64 a. */
WEFT_LANE double weft_log_far_f64_(double a) {
  uint64_t b = weft_bits_f64(a * 0x1p-64) + WEFT_LOG_OFFSET_f64_;
  WEFT_LOG_CELL_f64_(b, k, i)
  double c = WEFT_LOG_INVERSE_f64_[i] * weft_frombits_f64(0x7fe0000000000000ull - (b & 0x7ff0000000000000ull));
  double y = weft_log_join_cell_f64_(k + 64.0 * 65.0, WEFT_LOG_f64_[i], weft_fma_f64(a * 0x1p-64, c, -1.0), 0.0);
  return a < WEFT_INF_f64 ? y : a;
}

/* log(1 + u), u = |x| + sqrt(1 + x^2) - 1, the root with what rounding took from it and from 1 + x^2. */
WEFT_LANE int64_t weft_asinh_is_hard_f64(double x) { return -(int64_t)!(weft_fabs_f64_(x) <= 0x1p400); }
WEFT_LANE double weft_asinh_fast_f64(double x) {
  double a = weft_fabs_f64_(x), q = a * a, w = q + 1.0, h, s = weft_root_f64_(w, &h);
  double g = weft_fma_f64(weft_rest_f64_(w, s, s) + (q - (w - 1.0)), h, s - 1.0), u = a + g;
  return weft_with_sign_f64_(weft_log_of_two_f64_(u, (a - u) + g), x);
}
WEFT_LANE double weft_asinh_f64(double x) {
  double a = weft_fabs_f64_(x), y = weft_with_sign_f64_(weft_log_far_f64_(a), x);
  return a > 0x1p400 ? y : weft_asinh_fast_f64(x);
}

/* log(1 + u), u = t + sqrt(w), w = t (t + 2) with t = x - 1, both with what rounding took. */
WEFT_LANE int64_t weft_acosh_is_hard_f64(double x) { return -(int64_t)!((x >= 1.0) & (x <= 0x1p400)); }
WEFT_LANE double weft_acosh_fast_f64(double x) {
  double t = x - 1.0, w = weft_fma_f64(t, t, t + t), h, q = weft_root_f64_(w, &h), u = q + t;
  double rest = weft_rest_f64_(w, q, q) + weft_fma_f64(t, t, (t + t) - w);
  return weft_log_of_two_f64_(u, weft_fma_f64(rest, h, (q - u) + t));
}
WEFT_LANE double weft_acosh_f64(double x) {
  double y = weft_log_far_f64_(x);
  y = x > 0x1p400 ? y : weft_acosh_fast_f64(x);
  return x < 1.0 ? WEFT_NAN_f64 : y;
}

/* log((1 + a) / (1 - a)) / 2 with a = |x|: where the quotient is 2^k c, k near its logarithm, log(c) = 2 atanh(t),
 * |t| <= 0.235, t = (2^-k (1 + a) - (1 - a)) / (2^-k (1 + a) + (1 - a)). atanh(t) = t + t^3 P(t^2), err 2^-57.
 * The step from k = 0 to 1 is late, at |x| = 0.2, where the result outweighs the roundings of t. */
WEFT_LANE double weft_atanh_f64(double x) {
  double a = weft_fabs_f64_(x), p = 1.0 + a, m = 1.0 - a, pl = a - (p - 1.0), ml = (1.0 - m) - a;
  uint64_t e = weft_bits_f64(p) - weft_bits_f64(m) + 0x0006666666666666ull;
  double k = weft_frombits_f64((e >> 52) | 0x4330000000000000ull) - 0x1p52;
  double s = weft_frombits_f64(0x3ff0000000000000ull - (e & 0x7ff0000000000000ull));
  double n = weft_fma_f64(p, s, -m) + weft_fma_f64(pl, s, -ml), d = weft_fma_f64(p, s, m) + weft_fma_f64(pl, s, ml);
  double t = n / d, z = t * t, w = z * z;
  double even = weft_fma_f64(0.0650570285396128, w, 0.09090622678917482);
  double odd = weft_fma_f64(0.0738205915915355, w, 0.07701318565843535);
  even = weft_fma_f64(even, w, 0.14285714235836064);
  odd = weft_fma_f64(odd, w, 0.1111111628728656);
  even = weft_fma_f64(even, w, 0.33333333333333054);
  odd = weft_fma_f64(odd, w, 0.2000000000021753);
  double y = weft_fma_f64(t * z, weft_fma_f64(odd, z, even), k * (0.5 * WEFT_LN2_LO_f64_));
  y = weft_head_f64_(k * (0.5 * WEFT_LN2_HI_f64_), t, y);
  uint64_t edge = 0x7ff0000000000000ull | (weft_mask_f64_(a != 1.0) & 0x0008000000000000ull);
  return weft_with_sign_f64_(a < 1.0 ? y : weft_frombits_f64(edge), x);
}

/* ---- cbrt ------------------------------------------------------------------------------------------ */

/* y = |x|^(-1/3) first from the bits, which are near a logarithm: h = 1 - |x| y^3 is at most 0.11. Then twice
 * y (1 - h)^(-1/3), by a polynomial, err 2^-22, and by its series; |x| y^2 is corrected by its own residue. */
WEFT_LANE double weft_cbrt_f64(double x) {
  double a = weft_fabs_f64_(x);
  uint64_t tiny = weft_mask_f64_(a < 0x1p-1000);
  a = a * weft_frombits_f64(0x3fc0000000000000ull + (tiny & 96ull << 52)); /* by 1/8, so that no cube overflows */
  double d = weft_frombits_f64((weft_bits_f64(a) >> 20) | 0x4330000000000000ull) - 0x1p52;
  double t = weft_fma_f64(d, -0x1.5555555555555p-2, WEFT_MAGIC_f64_ + 5858043333967.0);
  double y = weft_frombits_f64(weft_bits_f64(t) << 20);
  double h = weft_fma_f64(-(y * a), y * y, 1.0);
  double p = weft_fma_f64(0.1457884969356126, h, 0.17481391731648607);
  p = weft_fma_f64(weft_fma_f64(p, h, 0.22221609430290368), h, 0.3333264421732251);
  y = weft_fma_f64(y * h, p, y);
  h = weft_fma_f64(-(y * a), y * y, 1.0);
  y = weft_fma_f64(y * h, weft_fma_f64(h, 0x1.c71c71c71c71cp-3, 0x1.5555555555555p-2), y);
  double s = y * y, c = s * a;
  c = weft_fma_f64(weft_rest_f64_(a, c, c * c) * s, 0x1.5555555555555p-2, c);
  c = c * weft_frombits_f64(0x4000000000000000ull - (tiny & 32ull << 52));
  return weft_with_sign_f64_(a < WEFT_INF_f64 ? c : a, x);
}

/* sqrt(x^2 + y^2), within an ulp and without overflow on the way: the root of the rounded sum, corrected once by what
 * rounding took (Borges, Algorithm 1014, ACM TOMS 47, 2020). An infinity outweighs a NaN. */
WEFT_FN double weft_hypot_f64(double x, double y) {
  double a = weft_fabs_f64_(x), b = weft_fabs_f64_(y);
  if (a == WEFT_INF_f64 || b == WEFT_INF_f64) return WEFT_INF_f64;
  double big = a > b ? a : b, small = a > b ? b : a, scale = 1.0;
  if (!(small > big * 0x1p-54)) return a + b; /* NaN too */
  if (big > 0x1p500) scale = 0x1p-600;
  else if (small < 0x1p-450) scale = 0x1p600;
  big *= scale;
  small *= scale;
  double bb = big * big, ss = small * small, h = WEFT_LIBM(sqrt)(bb + ss), hh = h * h;
  double off = ((hh - bb) - ss) + weft_two_product_f64_(h, h, hh);
  off -= weft_two_product_f64_(big, big, bb) + weft_two_product_f64_(small, small, ss);
  return (h - off / (h + h)) / scale;
}

#endif
