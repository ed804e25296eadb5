/* weft_erf_f64.h: erf, erfc and erfinv of doubles.
 *
 * weft_scalar.h includes this file after weft_math_f64.h, whose comments hold here too.
 */
#ifndef WEFT_ERF_F64_H
#define WEFT_ERF_F64_H

#include "weft_erf_table_f64.h"

/* At r = i h, h close to 1/128 and i the integer nearest to 128 |x|, with d = |x| - r and w = 2 r d: erf|x| is
 * erf(r) + S D and erfc|x| is erfc(r) - S D, where S = 2/sqrt(pi) e^-r^2 and D, the integral of e^(-2 r t - t^2) for t
 * from 0 to d, is d P(w, d^2). P is Taylor's polynomial, fitted for the least error of the results; i d replaces w. */
#define WEFT_ERF_CELL_f64_(x, last)                                                                           \
  double a = weft_fabs_f64_(x);                                                                               \
  a = last < a ? last : a; /* a NaN remains */                                                                \
  double t = weft_fma_f64(a, 128.0, WEFT_MAGIC_f64_), k = t - WEFT_MAGIC_f64_;                                \
  double d = weft_fma_f64(k, -WEFT_ERF_STEP_f64_, a), w = k * d, v = d * d;                                   \
  uint64_t i = weft_bits_f64(t) & 1023u;

/* From 6 on it is 1. err 2^-58. */
WEFT_LANE double weft_erf_f64(double x) {
  WEFT_ERF_CELL_f64_(x, 6.0)
  double p = weft_fma_f64(-1.2825786440015063e-12, w, 4.96720911029226e-10);
  double q = weft_fma_f64(1.0458430612942541e-07, w, -2.4415128870737374e-05);
  p = weft_fma_f64(p, w, -1.5894619546327985e-07);
  q = weft_fma_f64(q, w, 0.0039062534962127325);
  p = weft_fma_f64(p, w, 4.069018772747826e-05);
  q = weft_fma_f64(q, w, -0.3333333333311259);
  p = weft_fma_f64(p, w, -0.007812508020604741);
  q = weft_fma_f64(weft_fma_f64(-0.0012734398044022264, w, 0.09999951000077661), v, q);
  p = weft_fma_f64(p, w, weft_fma_f64(q, v, 1.0)); /* in this order: 1 + q v is below 1, where roundings are half */
  return weft_with_sign_f64_(weft_fma_f64(d * WEFT_ERF_SLOPE_f64_[i], p, WEFT_ERF_f64_[i]), x);
}

/* g, or where x is negative 2 - g */
WEFT_LANE double weft_erfc_side_f64_(double g, double x) {
  uint64_t sign = weft_bits_f64(x) & WEFT_SIGN_f64_;
  return weft_frombits_f64(weft_bits_f64(g) | sign) + (1.0 - weft_frombits_f64(sign | 0x3ff0000000000000ull));
}

/* Hard is what lies beyond the tables. err 2^-57. */
#define WEFT_ERFC_LAST_f64_ 7.9921875
WEFT_LANE int64_t weft_erfc_is_hard_f64(double x) { return -(int64_t)!(x <= WEFT_ERFC_LAST_f64_); }
WEFT_LANE double weft_erfc_fast_f64(double x) {
  WEFT_ERF_CELL_f64_(x, WEFT_ERFC_LAST_f64_)
  double p = weft_fma_f64(-5.200574836195129e-18, w, 2.887451597365978e-15);
  double q = weft_fma_f64(-3.544342434664947e-10, w, 1.0597693535216156e-07);
  double s = weft_fma_f64(8.390831833157944e-06, w, -0.001300943291226789);
  p = weft_fma_f64(p, w, -1.293509099173891e-12);
  q = weft_fma_f64(q, w, -2.4414110381001547e-05);
  p = weft_fma_f64(p, w, 4.96707407375016e-10);
  q = weft_fma_f64(q, w, 0.003906253946046129);
  p = weft_fma_f64(p, w, -1.5894620901793472e-07);
  q = weft_fma_f64(q, w, -0.33333333335989374);
  p = weft_fma_f64(p, w, 4.069018771472507e-05);
  q = weft_fma_f64(weft_fma_f64(s, w, 0.10000150180274739), v, q);
  p = weft_fma_f64(p, w, -0.007812508020606013);
  p = weft_fma_f64(q, v, weft_fma_f64(p, w, 1.0));
  return weft_erfc_side_f64_(weft_fma_f64(d * WEFT_ERF_SLOPE_f64_[i], -p, WEFT_ERFC_f64_[i]), x);
}

/* From 7.98 on: e^-a^2 g (1 + z P(z)), g = 1 / (a sqrt(pi)), z = g^2, err 2^-56. What rounding took from a^2 and g goes
 * into the argument of the exponential function, where 1 + l is e^l. */
WEFT_LANE double weft_erfc_far_f64_(double a) {
  double q = a * a, ql = weft_two_product_f64_(a, a, q), g = 0x1.20dd750429b6dp-1 / a, z = g * g;
  double lost = weft_fma_f64(weft_rest_f64_(0x1.20dd750429b6dp-1, g, a), 0x1.c5bf891b4ef6bp+0, 1.3590697223380941e-17);
  double p = weft_fma_f64(42800206.515290365, z, -2915739.426182123);
  p = weft_fma_f64(p, z, 154817.85186527745);
  p = weft_fma_f64(p, z, -9033.215573607617);
  p = weft_fma_f64(p, z, 639.2401819133855);
  p = weft_fma_f64(p, z, -58.13676163165854);
  p = weft_fma_f64(p, z, 7.402203297048012);
  p = weft_fma_f64(p, z, -1.5707963267941314) * z;
  double t = weft_fma_f64(q, -0x1.71547652b82fep+0, WEFT_MAGIC_f64_ + 2046.0), k = t - (WEFT_MAGIC_f64_ + 2046.0);
  double r = weft_fma_f64(k, -WEFT_LN2_LO_f64_, lost - ql) + weft_fma_f64(k, -WEFT_LN2_HI_f64_, -q);
  double e = weft_expm1_core_f64_(r);
  return weft_scale_f64_(weft_fma_f64(g, weft_fma_f64(p, e, p) + e, g), t, -q, -700.0);
}
WEFT_LANE double weft_erfc_f64(double x) {
  double far = weft_erfc_far_f64_(x > 28.0 ? 28.0 : x);
  far = x > 27.5 ? 0.0 : far;
  return x > WEFT_ERFC_LAST_f64_ ? far : weft_erfc_fast_f64(x);
}

/* x F(w) with w = -log(1 - x^2): polynomials in w - 2.5 where w <= 5, and in sqrt(w) up to 15 and beyond (pieces as in
 * Giles, Approximating the erfinv function, 2012); err 2^-54. In 1 - x^2 = (1 - |x|) (1 + |x|) nothing cancels. */
WEFT_LANE double weft_erfinv_f64(double x) {
  double g = weft_fabs_f64_(x), w = -weft_log_by_table_f64_((1.0 - g) * (1.0 + g));
  double h = w - 2.5, y = h * h, v = y * y;
  double a = weft_fma_f64(-9.522218989374811e-17, v, 5.377706679571869e-13);
  a = weft_fma_f64(a, v, 9.07321889439811e-10);
  a = weft_fma_f64(a, v, -3.4166195737099743e-06);
  a = weft_fma_f64(a, v, -0.004177317724381891);
  double b = weft_fma_f64(-2.135271342463177e-17, v, -7.554770161418834e-14);
  b = weft_fma_f64(b, v, 1.1961500593078623e-10);
  b = weft_fma_f64(b, v, 4.787252347175363e-07);
  b = weft_fma_f64(b, v, -0.0012527079078084083);
  double c = weft_fma_f64(2.339899983784653e-18, v, -3.258307170093408e-15);
  c = weft_fma_f64(c, v, -3.1110569841490484e-11);
  c = weft_fma_f64(c, v, 1.3416777054410897e-08);
  c = weft_fma_f64(c, v, 0.00021825026433400086);
  double d = weft_fma_f64(1.8213553476345983e-15, v, 9.088487402485e-13);
  d = weft_fma_f64(d, v, -1.0861183686158257e-08);
  d = weft_fma_f64(d, v, -4.996079608535381e-06);
  a = weft_fma_f64(weft_fma_f64(d, h, c), y, weft_fma_f64(b, h, a));
  double near = weft_fma_f64(weft_fma_f64(a, h, 0.2466402767441668), h, 1.5014093511107918);
  int far = w > 15.0;
  double u = WEFT_LIBM(sqrt)(w) - (far ? 4.984375 : 3.046875);
  double p = (far ? 0.0 : -5.4845351934474895e-09);
  p = weft_fma_f64(p, u, (far ? 0.0 : -3.253366598410016e-08));
  p = weft_fma_f64(p, u, (far ? -2.439543013013647e-11 : 1.3028688039839596e-07));
  p = weft_fma_f64(p, u, (far ? 5.465349978623011e-11 : -8.570755346542683e-09));
  p = weft_fma_f64(p, u, (far ? 7.644326222605771e-11 : -6.760606708843974e-07));
  p = weft_fma_f64(p, u, (far ? -4.799901658821677e-10 : 1.5457702254277796e-06));
  p = weft_fma_f64(p, u, (far ? 1.3824369872528677e-09 : -4.08456520388847e-07));
  p = weft_fma_f64(p, u, (far ? -3.7227067686605693e-09 : -6.62931579219575e-06));
  p = weft_fma_f64(p, u, (far ? 8.597967830495547e-09 : 1.8063656212055448e-05));
  p = weft_fma_f64(p, u, (far ? -1.6835326836248553e-08 : -1.1596793992355701e-05));
  p = weft_fma_f64(p, u, (far ? 3.1743966644833377e-08 : -5.525432669954458e-05));
  p = weft_fma_f64(p, u, (far ? -7.227701695856353e-08 : 0.00018144848303377147));
  p = weft_fma_f64(p, u, (far ? 2.388916406792697e-07 : -0.00020135419773832983));
  p = weft_fma_f64(p, u, (far ? -1.022276000141116e-06 : -0.00023941975516059393));
  p = weft_fma_f64(p, u, (far ? 4.636250751041492e-06 : 0.0014191901681182798));
  p = weft_fma_f64(p, u, (far ? -2.0111227536304567e-05 : -0.0031498741859569248));
  p = weft_fma_f64(p, u, (far ? 7.754962511555589e-05 : 0.0048993658536389826));
  p = weft_fma_f64(p, u, (far ? -0.00021982822339181528 : -0.006653002187727355));
  p = weft_fma_f64(p, u, (far ? -0.00012852770544891177 : 0.008442004207835679));
  p = weft_fma_f64(p, u, (far ? 1.010304641184996 : 1.0025126662850465));
  p = weft_fma_f64(p, u, (far ? 4.834120423602878 : 2.8799503210145767));
  double r = (w > 5.0 ? p : near) * g;
  uint64_t edge = 0x7ff0000000000000ull | (weft_mask_f64_(g != 1.0) & 0x0008000000000000ull);
  return weft_with_sign_f64_(g < 1.0 ? r : weft_frombits_f64(edge), x);
}

#endif
