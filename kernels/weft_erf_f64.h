/* weft_erf_f64.h: erf, erfc and erfinv of doubles.
 *
 * weft_scalar.h includes this file after weft_math_f64.h, whose comments hold here too.
 */
#ifndef WEFT_ERF_F64_H
#define WEFT_ERF_F64_H

/* erf(a) = 1 - e^-Q for a = |x| <= 6, Q = 2 / sqrt(pi) a + a^2 P(t) = -log(erfc(a)), which bends little, with t =
 * (a - 49/16) / (a + 49/16); an error of Q counts less and less as a grows. err 2^-55 of erf. */
WEFT_LANE double weft_erf_f64(double x) {
  double u = weft_fabs_f64_(x);
  u = u > 6.0 ? 6.0 : u;
  double t = (u - 3.0625) / (u + 3.0625), y = t * t, v = y * y;
  double a = weft_fma_f64(-5.512828830389355e-05, v, 0.0003224109514394289);
  a = weft_fma_f64(a, v, 0.00500758337141364);
  a = weft_fma_f64(a, v, 0.816985249064172);
  double b = weft_fma_f64(-5.642234776581903e-05, v, -4.854378209407642e-05);
  b = weft_fma_f64(b, v, 0.0012348339695318748);
  b = weft_fma_f64(b, v, 0.19010592898013565);
  double c = weft_fma_f64(-2.1137574091123735e-05, v, -1.54272125043956e-05);
  c = weft_fma_f64(c, v, -0.0008941981839784275);
  c = weft_fma_f64(c, v, -0.0032475015556242487);
  double d = weft_fma_f64(-2.934581893497015e-06, v, 5.9783168478481136e-06);
  d = weft_fma_f64(d, v, 0.00030176752258684146);
  d = weft_fma_f64(d, v, -0.010078529872409796);
  a = weft_fma_f64(weft_fma_f64(d, t, c), y, weft_fma_f64(b, t, a));
  double q = weft_fma_f64(u, 0x1.20dd750429b6dp+0, u * u * a);
  double m = weft_fma_f64(q, -0x1.71547652b82fep+0, WEFT_MAGIC_f64_ + 1023.0), k = m - (WEFT_MAGIC_f64_ + 1023.0);
  double r = weft_fma_f64(k, -WEFT_LN2_LO_f64_, weft_fma_f64(k, -WEFT_LN2_HI_f64_, -q));
  double s = weft_frombits_f64(weft_bits_f64(m) << 52);
  return weft_with_sign_f64_(weft_fma_f64(-s, weft_expm1_core_f64_(r), 1.0 - s), x);
}

/* e^-a^2 H(t) / (a + c) for 0 <= a <= 28, c = 49/16, t = (a - c) / (a + c) = 1 - 2 c / (a + c) (a variable of Shepherd
 * and Laframboise, 1981); err 2^-56. Returns it without 2^k; *scale - magic is k. What rounding took from a^2, t and
 * 1 / (a + c) goes into the argument of the exponential function, where 1 + l is e^l; what it took from H / (a + c)
 * comes back at the end. */
WEFT_LANE double weft_erfc_core_f64_(double e, double magic, double *scale) {
  double sum = e + 3.0625, f = 1.0 / sum, lost = weft_fma_f64(-f, e - (sum - 3.0625), weft_rest_f64_(1.0, sum, f));
  double p = f * 6.125, t = 1.0 - p, pl = weft_fma_f64(p, lost, weft_two_product_f64_(f, 6.125, p));
  pl = pl + (p - (1.0 - t));
  lost = weft_fma_f64(pl, weft_fma_f64(t, -0.5, 0.84), lost); /* the derivative of -log(H), nearly */
  double q = e * e, ql = weft_two_product_f64_(e, e, q), y = t * t, v = y * y;
  double a = weft_fma_f64(3.4780100123845564e-08, v, 4.433938360165628e-07);
  a = weft_fma_f64(a, v, 1.4314961200091311e-05);
  a = weft_fma_f64(a, v, 0.0030235460638951355);
  a = weft_fma_f64(a, v, -0.3270415586354842);
  double b = weft_fma_f64(-6.126704257571755e-09, v, -5.585791185255339e-07);
  b = weft_fma_f64(b, v, -2.0915578734659722e-05);
  b = weft_fma_f64(b, v, -0.0008288884457390292);
  b = weft_fma_f64(b, v, 0.13241478541214588);
  double c = weft_fma_f64(-5.207694739486338e-09, v, -1.3588621388403347e-07);
  c = weft_fma_f64(c, v, -1.734927952343212e-06);
  c = weft_fma_f64(c, v, -0.00020269202031317487);
  c = weft_fma_f64(c, v, -0.033642825585073734);
  double d = weft_fma_f64(-6.474823318289932e-10, v, 8.129413288505001e-08);
  d = weft_fma_f64(d, v, 3.381071031395993e-06);
  d = weft_fma_f64(d, v, 0.00013637016940124344);
  d = weft_fma_f64(d, v, 0.0008722276148027967);
  a = weft_fma_f64(weft_fma_f64(d, t, c), y, weft_fma_f64(b, t, a));
  double g = a;
  a = weft_fma_f64(g, t, 0.6048271853139682);
  b = weft_fma_f64(a, t, -0.8913045951727667);
  c = weft_fma_f64(b, t, 1.075941130265829);
  d = weft_fma_f64(g, t, 0.6048271853139682 - a); /* what a lost, then what b and c did */
  d = weft_fma_f64(d, t, weft_fma_f64(a, t, -0.8913045951727667 - b));
  d = weft_fma_f64(d, t, weft_fma_f64(b, t, 1.075941130265829 - c));
  double h = f * c, hl = weft_fma_f64(f, d, weft_fma_f64(f, c, -h));
  double m = weft_fma_f64(q, -0x1.71547652b82fep+0, magic), k = m - magic;
  double r1 = weft_fma_f64(k, -WEFT_LN2_HI_f64_, -q), r2 = weft_fma_f64(k, -WEFT_LN2_LO_f64_, lost - ql), r = r1 + r2;
  y = r * r;
  y = weft_fma_f64(y, weft_expm1_tail_f64_(r, y), (r1 - r) + r2); /* e^r = 1 + r + y */
  *scale = m;
  return h + weft_fma_f64(h, r, weft_fma_f64(h, y, hl));
}

/* g, or where x is negative 2 - g */
WEFT_LANE double weft_erfc_side_f64_(double g, double x) {
  uint64_t sign = weft_bits_f64(x) & WEFT_SIGN_f64_;
  return weft_frombits_f64(weft_bits_f64(g) | sign) + (1.0 - weft_frombits_f64(sign | 0x3ff0000000000000ull));
}

/* Hard is what gives a result that is not normal, or near that. */
WEFT_LANE int64_t weft_erfc_is_hard_f64(double x) { return -(int64_t)!(x <= 26.5); }
WEFT_LANE double weft_erfc_fast_f64(double x) {
  double a = weft_fabs_f64_(x), m, g = weft_erfc_core_f64_(a > 26.5 ? 26.5 : a, WEFT_MAGIC_f64_, &m);
  return weft_erfc_side_f64_(weft_times_two_to_f64_(g, m), x);
}
WEFT_LANE double weft_erfc_f64(double x) {
  double a = weft_fabs_f64_(x), e = a > 28.0 ? 28.0 : a, m, g = weft_erfc_core_f64_(e, WEFT_MAGIC_f64_ + 2046.0, &m);
  double q = e * e;
  g = weft_scale_f64_(g, m, -q, -700.0);
  return weft_erfc_side_f64_(q > 760.0 ? 0.0 : g, x);
}

/* x F(w) with w = -log(1 - x^2): polynomials in w - 2.5 where w <= 5, and in sqrt(w) up to 15 and beyond (pieces as in
 * Giles, Approximating the erfinv function, 2012); err 2^-54. In 1 - x^2 = (1 - |x|) (1 + |x|) nothing cancels. */
WEFT_LANE double weft_erfinv_f64(double x) {
  double g = weft_fabs_f64_(x), o = (1.0 - g) * (1.0 + g);
  uint64_t bits = weft_bits_f64(o) + 0x00095f619980c433ull;
  double k = weft_frombits_f64((bits >> 52) | 0x4330000000000000ull) - (0x1p52 + 1023.0);
  double f = weft_frombits_f64((bits & 0x000fffffffffffffull) + 0x3fe6a09e667f3bcdull) - 1.0;
  double w = weft_fma_f64(k, -WEFT_LN2_HI_f64_, -f) - weft_fma_f64(k, WEFT_LN2_LO_f64_, weft_log_tail_f64_(f));
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
