/* weft_erf_f64.h: erf, erfc and erfinv of doubles.
 *
 * weft_scalar.h includes this file after weft_math_f64.h, whose comments hold here too.
 */
#ifndef WEFT_ERF_F64_H
#define WEFT_ERF_F64_H

/* erf(a) = 1 - e^-Q for a = |x| <= 6, Q = 2 / sqrt(pi) a + a^2 P(a) = -log(erfc(a)), which bends little; an error of Q
 * counts less and less as a grows. err 2^-55 of erf. */
WEFT_LANE double weft_erf_f64(double x) {
  double a = weft_fabs_f64_(x);
  a = a > 6.0 ? 6.0 : a;
  double y = a * a, v = y * y;
  double p = weft_fma_f64(-2.8190109684612874e-17, v, -1.166135032217893e-11);
  p = weft_fma_f64(p, v, -1.67746156719779e-08);
  p = weft_fma_f64(p, v, 4.732568200338749e-07);
  p = weft_fma_f64(p, v, -2.9617150762672916e-05);
  p = weft_fma_f64(p, v, 0.001696207428415959);
  p = weft_fma_f64(p, v, 0.6366197723675879);
  double b = weft_fma_f64(9.294375429421288e-13, v, 4.058960493106584e-09);
  b = weft_fma_f64(b, v, 5.596076644636773e-08);
  b = weft_fma_f64(b, v, 3.243502921881093e-06);
  b = weft_fma_f64(b, v, -0.0005901310313607134);
  b = weft_fma_f64(b, v, 0.10277260330143223);
  double c = weft_fma_f64(-5.1399204687221156e-14, v, -7.532087459200795e-10);
  c = weft_fma_f64(c, v, -1.0342565051702304e-07);
  c = weft_fma_f64(c, v, 3.0305429264368713e-06);
  c = weft_fma_f64(c, v, 2.5898673712223777e-05);
  c = weft_fma_f64(c, v, -0.01912844699543568);
  double d = weft_fma_f64(1.761877806726064e-15, v, 1.0758028565567748e-10);
  d = weft_fma_f64(d, v, 5.1411358849553715e-08);
  d = weft_fma_f64(d, v, -1.9251818215895424e-06);
  d = weft_fma_f64(d, v, 6.44383737482223e-05);
  d = weft_fma_f64(d, v, -0.0002091948248581136);
  p = weft_fma_f64(weft_fma_f64(d, a, c), y, weft_fma_f64(b, a, p));
  p = a * weft_fma_f64(a, p, 0x1.1ae3a914fed80p-56);
  double q = weft_fma_f64(a, 0x1.20dd750429b6dp+0, p), ql = weft_fma_f64(a, 0x1.20dd750429b6dp+0, -q) + p;
  double t = weft_fma_f64(q, -0x1.71547652b82fep+0, WEFT_MAGIC_f64_ + 1023.0), k = t - (WEFT_MAGIC_f64_ + 1023.0);
  double r = weft_fma_f64(k, -WEFT_LN2_LO_f64_, weft_fma_f64(k, -WEFT_LN2_HI_f64_, -q));
  double s = weft_frombits_f64(weft_bits_f64(t) << 52), z = r * r, e = weft_fma_f64(z, weft_expm1_tail_f64_(r, z), -ql);
  return weft_with_sign_f64_(weft_fma_f64(-e, s, weft_fma_f64(-r, s, 1.0 - s)), x);
}

/* e^-a^2 H(t) / (a + 2) for a = |x| <= 28, t = (a - 2) / (a + 2) (the variable of Shepherd and Laframboise, 1981); err
 * 2^-55. The square has two parts; what rounding took from H / (a + 2) comes back at the end. */
WEFT_LANE double weft_erfc_f64(double x) {
  double e = weft_fabs_f64_(x);
  e = e > 28.0 ? 28.0 : e;
  double sum = e + 2.0, less = e - 2.0, f = 1.0 / sum, t = less * f;
  double part = sum - e, low = (e - (sum - part)) + (2.0 - part); /* what sum lost */
  t = weft_fma_f64(weft_fma_f64(-t, low, weft_rest_f64_(less, t, sum)), f, t);
  double q = e * e, ql = weft_two_product_f64_(e, e, q), y = t * t, v = y * y;
  double a = weft_fma_f64(-1.4979898296200453e-08, v, -3.2049243403811534e-07);
  a = weft_fma_f64(a, v, 3.6484605899373656e-06);
  a = weft_fma_f64(a, v, 3.414941494291139e-05);
  a = weft_fma_f64(a, v, -0.0008372960542614211);
  a = weft_fma_f64(a, v, -0.036442231506869205);
  double b = weft_fma_f64(-5.99455022305627e-09, v, 4.464644195884922e-08);
  b = weft_fma_f64(b, v, 2.0299810999493687e-06);
  b = weft_fma_f64(b, v, -2.169246946872647e-05);
  b = weft_fma_f64(b, v, -0.0006630734001856179);
  b = weft_fma_f64(b, v, -0.02151066188913406);
  double c = weft_fma_f64(1.1223428957870798e-07, v, -4.416843119625161e-09);
  c = weft_fma_f64(c, v, -1.612289041771664e-05);
  c = weft_fma_f64(c, v, 3.437135152729479e-05);
  c = weft_fma_f64(c, v, 0.006479185067309364);
  double d = weft_fma_f64(2.4717657775893727e-08, v, -6.157875546207713e-07);
  d = weft_fma_f64(d, v, -1.1378474991246796e-06);
  d = weft_fma_f64(d, v, 0.00014446996850607622);
  d = weft_fma_f64(d, v, 0.0030906120507392136);
  a = weft_fma_f64(weft_fma_f64(d, t, c), y, weft_fma_f64(b, t, a));
  a = weft_fma_f64(a, t, 0.279472092556049);
  b = weft_fma_f64(a, t, -0.6871606844138106);
  c = weft_fma_f64(b, t, 1.021582705242023);
  d = weft_fma_f64(a, t, -0.6871606844138106 - b); /* what b lost, then what c did */
  d = weft_fma_f64(d, t, weft_fma_f64(b, t, 1.021582705242023 - c));
  double h = f * c, hl = weft_fma_f64(f, d, weft_fma_f64(f, c, -h));
  hl = weft_fma_f64(h, weft_fma_f64(-low, f, weft_rest_f64_(1.0, sum, f)), hl);
  double m = weft_fma_f64(q, -0x1.71547652b82fep+0, WEFT_MAGIC_f64_ + 2046.0), k = m - (WEFT_MAGIC_f64_ + 2046.0);
  double r1 = weft_fma_f64(k, -WEFT_LN2_HI_f64_, -q), r2 = weft_fma_f64(k, -WEFT_LN2_LO_f64_, -ql), r = r1 + r2;
  y = r * r;
  y = weft_fma_f64(y, weft_expm1_tail_f64_(r, y), (r1 - r) + r2); /* e^r = 1 + r + y */
  double g = h + weft_fma_f64(h, r, weft_fma_f64(h, y, weft_fma_f64(hl, r, hl)));
  g = weft_scale_f64_(g, m, -q, -700.0);
  g = q > 760.0 ? 0.0 : g;
  uint64_t below = (uint64_t)0 - (weft_bits_f64(x) >> 63);
  return weft_frombits_f64(weft_bits_f64(g) | (below & WEFT_SIGN_f64_)) + weft_masked_f64_(below, 2.0);
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
