/* weft_pow_f64.h: x^y of doubles: 2^(y log2|x|) with the logarithm and its product with y in two doubles each.
 *
 * weft_scalar.h includes this file after weft_math_f64.h, whose comments hold here too.
 */
#ifndef WEFT_POW_F64_H
#define WEFT_POW_F64_H

/* y log2(x 2^more) = e + *low for normal x > 0; x = m 2^k, sqrt(1/2) <= m < sqrt(2). With t = (m - 1) / (m + 1), |t| <=
 * 0.172, log(m) is 2 (t + t^3 (1/3 + t^2 Q)), err 2^-73. 2 t^3 / 3 is below 2^-8, 2 t^5 Q below 2^-13: only t and
 * t^3 / 3 need a second double. */
WEFT_LANE double weft_pow_exponent_f64_(double x, double more, double y, double *low) {
  uint64_t u = weft_bits_f64(x) + 0x00095f619980c433ull;
  double k = weft_frombits_f64((u >> 52) | 0x4330000000000000ull) - (0x1p52 + 1023.0 - more);
  double m = weft_frombits_f64((u & 0x000fffffffffffffull) + 0x3fe6a09e667f3bcdull);
  double f = m - 1.0, d = m + 1.0, dl = m - (d - 1.0), t = f / d;
  double rest = weft_fma_f64(-t, dl, weft_rest_f64_(f, t, d));
  double tl = rest * weft_fma_f64(t, -0.5, 0.5); /* 1 / (m + 1) = (1 - t) / 2 */
  double z = t * t, zl = weft_two_product_f64_(t, t, z) + (t + t) * tl;
  double w = z * z;
  double even = weft_fma_f64(0.05837444313095897, w, 0.07692278485060577);
  double odd = weft_fma_f64(0.05994227269452453, w, 0.06668156898081526);
  even = weft_fma_f64(even, w, 0.11111111108774875);
  odd = weft_fma_f64(odd, w, 0.09090909434389541);
  even = weft_fma_f64(even, w, 0.1999999999999999);
  odd = weft_fma_f64(odd, w, 0.14285714285722526);
  double q = weft_fma_f64(odd, z, even);
  /* v + vl = z / 3 + z^2 Q */
  double v = z * 0x1.5555555555555p-2;
  double vl = weft_two_product_f64_(z, 0x1.5555555555555p-2, v);
  vl = vl + weft_fma_f64(w, q, weft_fma_f64(zl, 0x1.5555555555555p-2, z * 0x1.5555555555555p-56));
  /* s + sl = t (1 + v) */
  double p = t * v, pl = weft_two_product_f64_(t, v, p);
  double s = t + p, sl = (t - s) + p;
  sl = sl + (pl + weft_fma_f64(t, vl, weft_fma_f64(tl, v, tl)));
  /* times 2 / ln 2, plus k, times y */
  double g = s * 0x1.71547652b82fep+1, gl = weft_two_product_f64_(s, 0x1.71547652b82fep+1, g);
  gl = gl + weft_fma_f64(sl, 0x1.71547652b82fep+1, s * 0x1.777d0ffda0d24p-55);
  double c = k + g;
  gl = gl + ((k - c) + g); /* up to 2^-12 c, so that *low is up to 0.2 for results in range */
  double e = y * c;
  *low = weft_fma_f64(y, gl, weft_two_product_f64_(y, c, e));
  return e;
}

/* Hard: x not positive and normal; a result that is not normal, or near that; y infinite or NaN. */
WEFT_LANE int64_t weft_pow_is_hard_f64(double x, double y) {
  double l, e = weft_pow_exponent_f64_(x, 0.0, y, &l); /* also l may be NaN: Dekker's products overflow */
  return weft_log_is_hard_f64(x) | -(int64_t)!(weft_fabs_f64_(e + l) < 1020.0);
}

WEFT_LANE double weft_pow_fast_f64(double x, double y) {
  double l, e = weft_pow_exponent_f64_(x, 0.0, y, &l), t = (e + l) + WEFT_MAGIC_f64_;
  double r = (e - (t - WEFT_MAGIC_f64_)) + l;
  double p = weft_fma_f64(r, weft_exp2_poly_f64_(r), 1.0);
  return weft_frombits_f64(weft_bits_f64(p) + (weft_bits_f64(t) << 52));
}

/* As C's Annex F and IEEE 754 have it. */
WEFT_FN double weft_pow_slow_f64_(double x, double y) {
  double a = weft_fabs_f64_(x), b = weft_fabs_f64_(y), l, r;
  if (y == 0.0 || x == 1.0) return 1.0;
  if (x != x || y != y) return x + y;
  if (b == WEFT_INF_f64) return a == 1.0 ? 1.0 : (a > 1.0) == (y > 0.0) ? WEFT_INF_f64 : 0.0;
  int32_t whole = WEFT_LIBM(rint)(y) == y, odd = whole && WEFT_LIBM(rint)(y * 0.5) != y * 0.5;
  if (a == 0.0 || a == WEFT_INF_f64) {
    r = (a == 0.0) == (y > 0.0) ? 0.0 : WEFT_INF_f64;
  } else {
    double c = y > 0x1p64 ? 0x1p64 : y < -0x1p64 ? -0x1p64 : y; /* farther out nothing changes */
    double e = a < 0x1p-1022 ? weft_pow_exponent_f64_(a * 0x1p54, -54.0, c, &l) : weft_pow_exponent_f64_(a, 0.0, c, &l);
    double sum = e + l;
    if (sum > 1024.0 || sum < -1080.0) {
      sum = e = sum > 0.0 ? 1024.0 : -1080.0;
      l = 0.0;
    }
    double t = sum + (WEFT_MAGIC_f64_ + 2046.0), f = (e - (t - (WEFT_MAGIC_f64_ + 2046.0))) + l;
    r = weft_scale_f64_(weft_fma_f64(f, weft_exp2_poly_f64_(f), 1.0), t, sum, -1020.0);
    if (x < 0.0 && !whole) return WEFT_NAN_f64;
  }
  return (weft_bits_f64(x) & WEFT_SIGN_f64_) && odd ? -r : r;
}

WEFT_FN double weft_pow_f64(double x, double y) {
  return weft_pow_is_hard_f64(x, y) ? weft_pow_slow_f64_(x, y) : weft_pow_fast_f64(x, y);
}

#endif
