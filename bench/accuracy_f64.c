/* The errors of weft's float64 functions: prog NAME SAMPLES SEED prints one line of JSON.
 *
 * An error is |result - reference| in units of the last place of the reference. A long double finds the samples whose
 * error may be the largest so far, and a __float128 (113 bits, libquadmath) measures those. Two fifths of the samples
 * are random bits, so of every exponent; two fifths lie evenly in the range that programs use; the last fifth lies some
 * ulps (of all sizes) beside a hard place: zeros, poles, bounds of the results, seams of the approximations.
 * "special_failures" counts results of the wrong class or sign, samples and listed special arguments together.
 *
 * Build: gcc -O2 -march=native -ffp-contract=off -I kernels -I bench bench/accuracy_f64.c -o prog -lquadmath -lm
 */
#include <math.h>
#include <quadmath.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math_f64.h"

typedef __float128 quad;
typedef long double wide;

static uint64_t state;
static uint64_t next(void) {
  uint64_t z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}
static double uniform(void) { return (double)(next() >> 11) * 0x1p-53; }

/* ---- references ------------------------------------------------------------------------------------ */

static quad sigmoid_q(quad x) { return x < 0 ? expq(x) / (1 + expq(x)) : 1 / (1 + expq(-x)); }
static wide sigmoid_l(wide x) { return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x)); }
static quad softplus_q(quad x) { return (x > 0 ? x : 0) + log1pq(expq(-fabsq(x))); }
static wide softplus_l(wide x) { return (x > 0 ? x : 0) + log1pl(expl(-fabsl(x))); }
static quad exp2_q(quad x) { return exp2q(x); }

/* The inverse of erf by Newton's method, from what weft gives; near 1 on erfc, which loses nothing there. */
#define ERFINV(T, S, y, x)                                                              \
  T a = (T)fabs(y), b = (T)fabs(x), slope = (T)M_2_SQRTPIq * exp##S(-a * a);            \
  T miss = b < (T)0.5 ? erf##S(a) - b : ((T)1 - b) - erfc##S(a);                        \
  T step = miss / slope;                                                                \
  a = a - step / (1 + a * step);
static wide erfinv_l(wide x) {
  if (!(fabsl(x) < 1)) return fabsl(x) == 1 ? x / (wide)0.0 : (wide)NAN;
  if (x == 0) return x;
  ERFINV(wide, l, weft_erfinv_f64((double)x), (double)x)
  return copysignl(a, x);
}
static quad erfinv_q(quad x) {
  if (!(fabsq(x) < 1)) return fabsq(x) == 1 ? x / (quad)0.0 : (quad)NAN;
  if (x == 0) return x;
  ERFINV(quad, q, weft_erfinv_f64((double)x), (double)x)
  for (int i = 0; i < 3; i++) {
    quad f = b < (quad)0.5 ? erfq(a) - b : ((quad)1 - b) - erfcq(a);
    a -= f / ((quad)M_2_SQRTPIq * expq(-a * a));
  }
  return copysignq(a, x);
}

/* ---- functions ------------------------------------------------------------------------------------- */

typedef struct {
  const char *name;
  double (*f)(double);
  wide (*l)(wide);
  quad (*q)(quad);
  double from, to;    /* the range of even samples */
  double hard[12];    /* ended by NaN, apart from 0, infinities and the ends of the range, which all have */
  double every;       /* multiples of it are hard too */
} unary;

#define END NAN
#define LN2 0.6931471805599453
#define U(name, ...) {#name, weft_##name##_f64, name##l, name##q, __VA_ARGS__}
static const unary UNARY[] = {
    U(exp, -745.2, 709.8, {709.782712893384, -708.3964185322641, -745.1332191019412, 1, LN2 / 2, -LN2 / 2, END},
      LN2 / 2),
    {"exp2", weft_exp2_f64, exp2l, exp2_q, -1075, 1024, {1024, -1022, -1074, -1075, -1021, 0.5, END}, 0.5},
    U(expm1, -40, 709.8, {709.782712893384, LN2 / 2, -LN2 / 2, 1.0397207708399179, -36.7368005696771, END}, LN2 / 2),
    U(log, 0, 4, {1, 0.7071067811865476, 1.4142135623730951, 2, 0x1p-1022, END}, 0),
    U(log2, 0, 4, {1, 0.7071067811865476, 1.4142135623730951, 2, 0x1p-1022, END}, 0),
    U(log10, 0, 4, {1, 0.7071067811865476, 1.4142135623730951, 10, 100, 1000, 0x1p-1022, END}, 0),
    U(log1p, -1, 3, {-0.2928932188134524, 0.41421356237309503, 0x1p1000, 0x1p53, -0x1p-53, 0x1p-53, 1, END}, 0),
    U(tanh, -20, 20, {LN2 / 4, -LN2 / 4, 19.0615, 0.55, END}, LN2 / 4),
    {"sigmoid", weft_sigmoid_f64, sigmoid_l, sigmoid_q, -60, 60, {-709, -745.1332191019412, 36.7, END}, LN2 / 2},
    {"softplus", weft_softplus_f64, softplus_l, softplus_q, -60, 60,
     {-709, -745.1332191019412, 36.7, 0.881373587019543, -0.881373587019543, END}, LN2 / 2},
    U(sin, -30, 30, {0x1p25, -0x1p25, 0x1.6ac5b262ca1ffp+849, 0x1p-26, END}, M_PI_2),
    U(cos, -30, 30, {0x1p25, -0x1p25, 0x1.6ac5b262ca1ffp+849, 0x1p-26, END}, M_PI_2),
    U(tan, -30, 30, {0x1p20, -0x1p20, 0x1.6ac5b262ca1ffp+849, 0x1p-26, 0.03, 1.53, END}, M_PI_4),
    U(asin, -1, 1, {0.5, -0.5, 1, -1, END}, 0),
    U(acos, -1, 1, {0.5, -0.5, 1, -1, END}, 0),
    U(atan, -10, 10, {1, -1, 0.4142135623730951, 2.414213562373095, END}, 0),
    U(sinh, -710.5, 710.5, {710.4758600739439, 1, LN2 / 2, 708, 22, END}, LN2 / 2),
    U(cosh, -710.5, 710.5, {710.4758600739439, 1, LN2 / 2, 708, 22, END}, LN2 / 2),
    U(asinh, -10, 10, {1, 0.35355339059327373, 0.75, 0x1p500, 0x1p511, 0x1p28, END}, 0),
    U(acosh, 1, 20, {1, 1.0606601717798212, 1.25, 0x1p500, 0x1p511, 0x1p28, END}, 0),
    U(atanh, -1, 1, {1, -1, 0.17157287525380990, 0.333333333333333333, 0.5, END}, 0),
    U(cbrt, -100, 100, {1, 2, 4, 8, 0x1p-1022, END}, 0),
    U(erf, -6.5, 6.5, {0.5, 1, 2, 3, 4, 5.9215, 6, 0x1p-8, END}, 0.25),
    U(erfc, -6.5, 27.5, {0.5, 1, 2, 4, 26.543, 27.2261, -6, 7.9921875, -7.9921875, END}, 0.25),
    {"erfinv", weft_erfinv_f64, erfinv_l, erfinv_q, -1, 1, {1, -1, 0.5, 0.75, 0.9375, 0.998, END}, 0},
};
typedef struct {
  const char *name;
  double (*f)(double, double);
  wide (*l)(wide, wide);
  quad (*q)(quad, quad);
} binary;
static const binary BINARY[] = {
    {"pow", weft_pow_f64, powl, powq},
    {"atan2", weft_atan2_f64, atan2l, atan2q},
};

/* ---- samples --------------------------------------------------------------------------------------- */

static double beside(double x) { /* up to 2^40 ulps away, small distances as likely as large ones */
  uint64_t away = next() >> (24 + next() % 40);
  return weft_frombits_f64(weft_bits_f64(x) + (next() & 1 ? away : 0 - away));
}

static double sample(const unary *u) {
  uint64_t kind = next() % 10;
  if (kind < 4) return weft_frombits_f64(next());
  if (kind < 8) return u->from + (u->to - u->from) * uniform();
  if (u->every != 0 && kind == 8) {
    double bits = ldexp(1.0, (int)(next() % 34)), k = floor(uniform() * bits * 2);
    quad every = u->every == M_PI_2 ? M_PI_2q : u->every == M_PI_4 ? M_PI_4q : (quad)u->every;
    double x = next() & 1 ? k * u->every : (double)((quad)k * every);
    x = u->from < 0 && next() & 1 ? -x : x;
    return next() & 1 ? x : weft_frombits_f64(weft_bits_f64(x) + next() % 5 - 2);
  }
  double places[16];
  int n = 0;
  for (; u->hard[n] == u->hard[n]; n++) places[n] = u->hard[n];
  places[n++] = 0;
  places[n++] = u->from;
  places[n++] = u->to;
  return beside(places[next() % n]);
}

static void sample2(const binary *b, double *x, double *y) {
  uint64_t kind = next() % 10;
  *x = weft_frombits_f64(next());
  *y = weft_frombits_f64(next());
  if (kind < 2) return;
  if (b->name[0] == 'a') { /* near each other, or with a common exponent */
    *x = (uniform() - 0.5) * ldexp(1, (int)(next() % 40) - 20);
    *y = kind < 5 ? *x * (uniform() - 0.5) * 8 : kind < 7 ? beside(next() & 1 ? *x : -*x) : (uniform() - 0.5) * 8;
    if (kind == 9) {
      *x = weft_frombits_f64(next() & 0x800fffffffffffffull);
      *y = weft_frombits_f64(next() & 0x800fffffffffffffull);
    }
    return;
  }
  double limit = 745 / fabs(log(fabs(*x)));
  if (kind < 4) *x = 10 * uniform();
  if (kind == 5) *x = beside(1.0);
  if (kind == 6) *x = beside(0x1.6a09e667f3bcdp+0);
  if (kind == 7) *x = weft_frombits_f64(next() & 0x000fffffffffffffull);
  if (kind < 8) *x = fabs(*x);
  limit = 745 / fabs(log(fabs(*x)));
  *y = (uniform() * 2 - 1) * limit;
  if (kind == 8) *y = rint(*y);
  if (kind == 4) *y = beside((next() & 1 ? 709.78 : -708.4) / log(*x));
  if (kind == 9) *y = rint(uniform() * 64 - 32) * 0.5;
}

/* ---- errors ---------------------------------------------------------------------------------------- */

/* The unit in the last place of a double of r's size, also where it is denormal or beyond the largest. */
static int unit(int exponent) { return exponent < -1021 ? -1074 : exponent > 1024 ? 971 : exponent - 53; }
static wide error_l(double y, wide r) {
  int e;
  frexpl(r, &e);
  return scalbnl(fabsl((wide)y - r), -unit(e));
}
static double error_q(double y, quad r) {
  int e;
  quad beyond = (quad)0x1p1023 * 2;
  frexpq(r, &e);
  if (isinf(y) && fabsq(r) >= beyond) return 0;
  quad given = isinf(y) ? copysignq(beyond, y) : (quad)y;
  return (double)scalbnq(fabsq(given - r), -unit(e));
}
/* Whether y may stand for r at all: NaN for NaN, infinity for what rounds to it, the sign also of zeros. */
static int same_class(double y, quad r) {
  if (isnanq(r)) return isnan(y);
  if (isnan(y) || !signbit(y) != !signbitq(r)) return 0;
  if (isinfq(r)) return isinf(y);
  return !isinf(y) || fabsq(r) > (quad)0x1.fffffffffffffp1023;
}

typedef struct {
  uint64_t count, failures;
  double max, x, y;
} result;

static void judge(result *t, double got, wide l, double x, double y, quad (*q1)(quad), quad (*q2)(quad, quad)) {
  t->count++;
  if (isfinite(got) && fabsl(l) < 0x1p1024L && fabsl(l) >= 0x1p-1100L && error_l(got, l) + 0.02L < t->max &&
      !signbit(got) == !signbit(l))
    return;
  quad r = q1 ? q1(x) : q2(x, y);
  double e = 0;
  if (!same_class(got, r)) {
    if (!t->failures++) fprintf(stderr, "%a %a: got %a, not %a\n", x, y, got, (double)r);
  } else if (!isnan(got) && !isinfq(r)) {
    e = error_q(got, r);
  }
  if (e > t->max) t->max = e, t->x = x, t->y = y;
}

static const double SPECIAL[] = {
    0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 0x1p-1074, -0x1p-1074, 0x1p-1022, -0x1p-1022, 4,
    NAN, INFINITY, -INFINITY,
    0x1.fffffffffffffp-1023, 0x1p1023, -0x1p1023, 0x1.fffffffffffffp1023, -0x1.fffffffffffffp1023,
    1e300, -1e300, 1e-300, -1e-300, 0x1p53, 0x1p53 + 2, -0x1p53, 0x1p52 + 1, -0x1p52 - 1, 1.5, -1.5, 0x1.fffffffffffffp-1,
    0x1.0000000000001p0, -0x1.fffffffffffffp-1, -0x1.0000000000001p0, 709.8, -745.2, 710.48, -708.5, 27.3, -27.3};
#define SPECIALS (sizeof SPECIAL / sizeof *SPECIAL)

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: %s NAME SAMPLES SEED\n", argv[0]), 2;
  uint64_t samples = strtoull(argv[2], 0, 10);
  state = strtoull(argv[3], 0, 10) * 0x2545f4914f6cdd1dull + 1;
  result t = {0, 0, 0, 0, 0};
  int found = 0;
  for (size_t i = 0; i < sizeof UNARY / sizeof *UNARY; i++) {
    const unary *u = &UNARY[i];
    if (strcmp(u->name, argv[1])) continue;
    found = 1;
    for (size_t j = 0; j < SPECIALS; j++)
      judge(&t, u->f(SPECIAL[j]), u->l(SPECIAL[j]), SPECIAL[j], 0, u->q, 0);
    while (t.count < samples) {
      double x = sample(u);
      judge(&t, u->f(x), u->l(x), x, 0, u->q, 0);
    }
    printf("{\"function\": \"%s\", \"count\": %llu, \"max_ulp\": %.4f, \"at\": [\"%a\"], \"special_failures\": %llu}\n",
           u->name, (unsigned long long)t.count, t.max, t.x, (unsigned long long)t.failures);
  }
  for (size_t i = 0; i < sizeof BINARY / sizeof *BINARY; i++) {
    const binary *b = &BINARY[i];
    if (strcmp(b->name, argv[1])) continue;
    found = 1;
    for (size_t j = 0; j < SPECIALS * SPECIALS; j++) {
      double x = SPECIAL[j / SPECIALS], y = SPECIAL[j % SPECIALS];
      judge(&t, b->f(x, y), b->l(x, y), x, y, 0, b->q);
    }
    while (t.count < samples) {
      double x, y;
      sample2(b, &x, &y);
      judge(&t, b->f(x, y), b->l(x, y), x, y, 0, b->q);
    }
    printf("{\"function\": \"%s\", \"count\": %llu, \"max_ulp\": %.4f, \"at\": [\"%a\", \"%a\"], "
           "\"special_failures\": %llu}\n",
           b->name, (unsigned long long)t.count, t.max, t.x, t.y, (unsigned long long)t.failures);
  }
  if (!found) return fprintf(stderr, "no function %s\n", argv[1]), 2;
  return 0;
}
