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
  double q = weft_fma_f64(a, 0x1.20dd750429b6dp+0, a * weft_fma_f64(a, p, 0x1.1ae3a914fed80p-56));
  double t = weft_fma_f64(q, -0x1.71547652b82fep+0, WEFT_MAGIC_f64_ + 1023.0), k = t - (WEFT_MAGIC_f64_ + 1023.0);
  double r = weft_fma_f64(k, -WEFT_LN2_LO_f64_, weft_fma_f64(k, -WEFT_LN2_HI_f64_, -q));
  double s = weft_frombits_f64(weft_bits_f64(t) << 52);
  return weft_with_sign_f64_(weft_fma_f64(-weft_expm1_core_f64_(r), s, 1.0 - s), x);
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
  double a = weft_fma_f64(-1.497977337102638e-08, v, -3.204918241049049e-07);
  a = weft_fma_f64(a, v, 3.6484607345794954e-06);
  a = weft_fma_f64(a, v, 3.414941491979841e-05);
  a = weft_fma_f64(a, v, -0.0008372960542632187);
  a = weft_fma_f64(a, v, -0.03644223150686921);
  double b = weft_fma_f64(-5.9944257395036734e-09, v, 4.4647401663288004e-08);
  b = weft_fma_f64(b, v, 2.0299819899131263e-06);
  b = weft_fma_f64(b, v, -2.1692469286651404e-05);
  b = weft_fma_f64(b, v, -0.0006630734001795189);
  b = weft_fma_f64(b, v, -0.02151066188913406);
  double c = weft_fma_f64(1.122338574872493e-07, v, -4.417279226830761e-09);
  c = weft_fma_f64(c, v, -1.6122890412890527e-05);
  c = weft_fma_f64(c, v, 3.437135153645287e-05);
  c = weft_fma_f64(c, v, 0.006479185067309552);
  double d = weft_fma_f64(2.4717150347484302e-08, v, -6.15788675866454e-07);
  d = weft_fma_f64(d, v, -1.1378479882231196e-06);
  d = weft_fma_f64(d, v, 0.00014446996846246776);
  d = weft_fma_f64(d, v, 0.003090612050738823);
  a = weft_fma_f64(weft_fma_f64(d, t, c), y, weft_fma_f64(b, t, a));
  a = weft_fma_f64(a, t, 0.27947209255604905);
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
  double a = weft_fma_f64(-9.522273742700164e-17, v, 5.377706325431816e-13);
  a = weft_fma_f64(a, v, 9.073218892381285e-10);
  a = weft_fma_f64(a, v, -3.4166195737102983e-06);
  a = weft_fma_f64(a, v, -0.004177317724381892);
  double b = weft_fma_f64(-2.135257112394955e-17, v, -7.554765009463956e-14);
  b = weft_fma_f64(b, v, 1.1961500725435467e-10);
  b = weft_fma_f64(b, v, 4.787252347215971e-07);
  b = weft_fma_f64(b, v, -0.0012527079078084075);
  double c = weft_fma_f64(2.3399200708260706e-18, v, -3.258301076348153e-15);
  c = weft_fma_f64(c, v, -3.111056972754844e-11);
  c = weft_fma_f64(c, v, 1.3416777054632264e-08);
  c = weft_fma_f64(c, v, 0.00021825026433400138);
  double d = weft_fma_f64(1.8213511521913062e-15, v, 9.088483988215585e-13);
  d = weft_fma_f64(d, v, -1.0861183689205453e-08);
  d = weft_fma_f64(d, v, -4.996079608538326e-06);
  a = weft_fma_f64(weft_fma_f64(d, h, c), y, weft_fma_f64(b, h, a));
  double near = weft_fma_f64(weft_fma_f64(a, h, 0.2466402767441668), h, 1.5014093511107918);
  int far = w > 15.0;
  double u = WEFT_LIBM(sqrt)(w) - (far ? 4.984375 : 3.046875);
  double p = (far ? 0.0 : -5.491013404630482e-09);
  p = weft_fma_f64(p, u, (far ? 0.0 : -3.253324277679773e-08));
  p = weft_fma_f64(p, u, (far ? -2.4397811946194148e-11 : 1.303096922963424e-07));
  p = weft_fma_f64(p, u, (far ? 5.465348570275549e-11 : -8.572190321509752e-09));
  p = weft_fma_f64(p, u, (far ? 7.645649737333064e-11 : -6.76094767762316e-07));
  p = weft_fma_f64(p, u, (far ? -4.799901120082894e-10 : 1.5457722775626177e-06));
  p = weft_fma_f64(p, u, (far ? 1.3824059829565584e-09 : -4.0842834345920164e-07));
  p = weft_fma_f64(p, u, (far ? -3.722707146532759e-09 : -6.629317409488864e-06));
  p = weft_fma_f64(p, u, (far ? 8.598007589523939e-09 : 1.8063642160518008e-05));
  p = weft_fma_f64(p, u, (far ? -1.68353255823477e-08 : -1.1596793224679829e-05));
  p = weft_fma_f64(p, u, (far ? 3.174393637472343e-08 : -5.5254322366636955e-05));
  p = weft_fma_f64(p, u, (far ? -7.227701884452473e-08 : 0.00018144848281069942));
  p = weft_fma_f64(p, u, (far ? 2.388916545061357e-07 : -0.0002013541985524684));
  p = weft_fma_f64(p, u, (far ? -1.0222759987171952e-06 : -0.00023941975512305373));
  p = weft_fma_f64(p, u, (far ? 4.636250747423508e-06 : 0.0014191901682066499));
  p = weft_fma_f64(p, u, (far ? -2.011122753684802e-05 : -0.0031498741859598677));
  p = weft_fma_f64(p, u, (far ? 7.754962511603069e-05 : 0.004899365853634063));
  p = weft_fma_f64(p, u, (far ? -0.0002198282233917209 : -0.006653002187727342));
  p = weft_fma_f64(p, u, (far ? -0.00012852770544893378 : 0.00844200420783578));
  p = weft_fma_f64(p, u, (far ? 1.010304641184996 : 1.0025126662850465));
  p = weft_fma_f64(p, u, (far ? 4.834120423602878 : 2.8799503210145767));
  double r = (w > 5.0 ? p : near) * g;
  uint64_t edge = 0x7ff0000000000000ull | (weft_mask_f64_(g != 1.0) & 0x0008000000000000ull);
  return weft_with_sign_f64_(g < 1.0 ? r : weft_frombits_f64(edge), x);
}

#endif
