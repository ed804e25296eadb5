/* accuracy_f32.c: how far the float32 functions of weft lie from the truth.
 *
 *   accuracy_f32 NAME FIRST LAST STRIDE     one argument: the floats of bits FIRST, FIRST + STRIDE, ... up to LAST
 *   accuracy_f32 NAME FIRST LAST STRIDE     two arguments: samples number FIRST to LAST around the hard places
 *
 * prints one line of JSON. The reference is a function of double, from the C library (its vector form where glibc
 * has one) or, for sigmoid, softplus and erfinv, made of such; its error, at most some 2^-48 of the result, is
 * below 2^-20 ulp of float32. An error is counted in units of the last place that a float of the reference's size
 * has, 2^-149 at least. Where the reference rounds to infinity or is one, is a NaN or a zero, the result must be
 * just that; signs must agree wherever the result is no NaN. What fails so is counted in special_failures. PRELUDE
 * names what holds weft's functions.
 */
#define _GNU_SOURCE
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include PRELUDE

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#if __GLIBC_PREREQ(2, 35) && defined(__AVX2__)
#define VECTOR __attribute__((simd("notinbranch")))
double exp(double) VECTOR; double exp2(double) VECTOR; double expm1(double) VECTOR; double log(double) VECTOR;
double log2(double) VECTOR; double log10(double) VECTOR; double log1p(double) VECTOR; double tanh(double) VECTOR;
double sinh(double) VECTOR; double cosh(double) VECTOR; double asinh(double) VECTOR; double acosh(double) VECTOR;
double atanh(double) VECTOR; double sin(double) VECTOR; double cos(double) VECTOR; double tan(double) VECTOR;
double asin(double) VECTOR; double acos(double) VECTOR; double atan(double) VECTOR; double erf(double) VECTOR;
double erfc(double) VECTOR; double cbrt(double) VECTOR; double pow(double, double) VECTOR;
double atan2(double, double) VECTOR;
#endif
#endif

enum { CHUNK = 4096 };
static float x[CHUNK], x2[CHUNK], y[CHUNK];
static double wanted[CHUNK], error[CHUNK];

/* The reference where a formula serves. */
static inline double sigmoid(double v) { return 1.0 / (1.0 + exp(-v)); }
static inline double softplus(double v) { return (v > 0 ? v : 0) + log1p(exp(-fabs(v))); }
/* Four steps of Halley, which converge from any start near by: the result has the accuracy of erf and erfc. */
static double erfinv_from(double v, double r) {
  if (!(fabs(v) < 1)) return fabs(v) == 1 ? v * INFINITY : NAN;
  if (v == 0) return v;
  for (int k = 0; k < 4; k++) {
    double d = v > 0.5 ? (1 - v) - erfc(r) : v < -0.5 ? erfc(-r) - (1 + v) : erf(r) - v;
    double u = d / (1.1283791670955126 * exp(-r * r));
    r -= u / (1 + r * u);
  }
  return r;
}
static inline double erfinv(double v) {
  /* from Winitzki, A handy approximation for the error function and its inverse, 2008 */
  double w = -log1p(-v * v), c = 4.3307467508 - 0.5 * w;
  return erfinv_from(v, copysign(sqrt(sqrt(c * c + w / 0.147) - c), v));
}

#define UNARY(X)                                                                                                \
  X(exp) X(exp2) X(expm1) X(log) X(log2) X(log10) X(log1p) X(tanh) X(sigmoid) X(softplus) X(erf) X(erfc) X(erfinv) \
  X(sin) X(cos) X(tan) X(asin) X(acos) X(atan) X(sinh) X(cosh) X(asinh) X(acosh) X(atanh) X(cbrt)
/* X(name, the arguments, their number) */
#define FAST(X)                                                                                                 \
  X(sin, (x[i]), 1) X(cos, (x[i]), 1) X(tan, (x[i]), 1) X(sinh, (x[i]), 1) X(cosh, (x[i]), 1) X(log, (x[i]), 1) \
  X(log2, (x[i]), 1) X(log10, (x[i]), 1) X(log1p, (x[i]), 1) X(exp2, (x[i]), 1) X(erfc, (x[i]), 1)              \
  X(cbrt, (x[i]), 1) X(pow, (x[i], x2[i]), 2)
#define BINARY(X) X(pow) X(atan2)

#define LOOP1(NAME)                                                                                             \
  static void weft_##NAME(void) { for (int i = 0; i < CHUNK; i++) y[i] = weft_##NAME##_f32(x[i]); }             \
  static void libm_##NAME(void) { for (int i = 0; i < CHUNK; i++) wanted[i] = NAME((double)x[i]); }
#define LOOP2(NAME)                                                                                             \
  static void weft_##NAME(void) { for (int i = 0; i < CHUNK; i++) y[i] = weft_##NAME##_f32(x[i], x2[i]); }      \
  static void libm_##NAME(void) { for (int i = 0; i < CHUNK; i++) wanted[i] = NAME((double)x[i], (double)x2[i]); }
/* As programs use them: the fast form, the complete one where an argument is hard. Both must agree where none is. */
#define LOOPF(NAME, ARGUMENTS, COUNT)                                                                           \
  static int hard_##NAME(void) {                                                                                \
    int32_t any = 0;                                                                                            \
    for (int i = 0; i < CHUNK; i++) any |= weft_##NAME##_is_hard_f32 ARGUMENTS;                                 \
    return any != 0;                                                                                            \
  }                                                                                                             \
  static void fast_##NAME(void) {                                                                               \
    for (int i = 0; i < CHUNK; i++) y[i] = weft_##NAME##_fast_f32 ARGUMENTS;                                    \
    if (!hard_##NAME()) return;                                                                                 \
    for (int i = 0; i < CHUNK; i++) {                                                                           \
      float complete = weft_##NAME##_f32 ARGUMENTS;                                                             \
      int same = memcmp(&complete, y + i, sizeof complete) == 0 || (complete != complete && y[i] != y[i]);      \
      if (!same && !weft_##NAME##_is_hard_f32 ARGUMENTS) {                                                      \
        fprintf(stderr, "%s: two values at %a\n", #NAME, (double)x[i]);                                         \
        exit(2);                                                                                                \
      }                                                                                                         \
      y[i] = complete;                                                                                          \
    }                                                                                                           \
  }
UNARY(LOOP1)
BINARY(LOOP2)
FAST(LOOPF)

typedef struct { const char *name; void (*ours)(void), (*reference)(void); int arguments; } function;
static const function functions[] = {
#define ROW1(NAME) {#NAME, weft_##NAME, libm_##NAME, 1},
#define ROW2(NAME) {#NAME, weft_##NAME, libm_##NAME, 2},
#define ROWF(NAME, ARGUMENTS, COUNT) {#NAME "_fast", fast_##NAME, libm_##NAME, COUNT},
    UNARY(ROW1) BINARY(ROW2) FAST(ROWF)
};

/* errors of all of y; -1 for a result of another kind or sign than the reference's */
static void judge(void) {
  for (int i = 0; i < CHUNK; i++) {
    union { double f; uint64_t u; } r, unit, v;
    r.f = wanted[i];
    v.f = (double)y[i];
    double size = fabs(r.f), got = fabs(v.f);
    double kept = size < 0x1p128 ? size : 0x1p128; /* an infinite result counts as the next float after the largest */
    double g = got < 0x1p128 ? got : 0x1p128;
    unit.f = kept < 0x1p-126 ? 0x1p-126 : kept >= 0x1p128 ? 0x1p127 : kept;
    unit.u &= 0x7ff0000000000000u;
    double e = fabs(g - kept) / (unit.f * 0x1p-23);
    int odd = ((r.u ^ v.u) >> 63) != 0;           /* signs differ */
    odd |= (size == INFINITY) & (got != INFINITY); /* a pole or an infinite argument */
    odd |= (size == 0) & (got != 0);
    odd |= (size >= 0x1.ffffffp127) & (got != INFINITY);
    odd |= (got == INFINITY) & (size < 0x1.fffffep127);
    int nan = (r.f != r.f) | (v.f != v.f);
    int both = (r.f != r.f) & (v.f != v.f);
    error[i] = nan ? (both ? 0.0 : -1.0) : odd ? -1.0 : e;
  }
}

static uint64_t mix(uint64_t z) { /* splitmix64: Steele, Lea, Flood 2014 */
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static float from_bits(uint32_t u) { union { uint32_t u; float f; } v; v.u = u; return v.f; }

/* Pairs for pow and atan2: any bits; near 1 to a large power, so that the result spans all floats; small integers and
 * halves; results near overflow and among denormals; quotients near 1, 0 and infinity; special values. */
static const uint32_t specials[] = {
    0x00000000u, 0x80000000u, 0x3f800000u, 0xbf800000u, 0x7f800000u, 0xff800000u, 0x7fc00000u, 0xffc00000u,
    0x00000001u, 0x80000001u, 0x00800000u, 0x7f7fffffu, 0xff7fffffu, 0x3f000000u, 0xbf000000u, 0x40000000u,
    0x40400000u, 0xc0400000u, 0x4b800000u, 0x4b7fffffu, 0xcb7fffffu, 0xcb800001u, 0x3f7fffffu, 0x3f800001u,
    0x3fc00000u,
};
static void pair(uint64_t number, float *a, float *b) {
  const unsigned count = sizeof specials / sizeof *specials;
  uint64_t u = mix(number), w = mix(u);
  uint32_t lo = (uint32_t)u, hi = (uint32_t)(u >> 32);
  if (number < count * count) {
    *a = from_bits(specials[number / count]);
    *b = from_bits(specials[number % count]);
    return;
  }
  double unit = (double)(w >> 11) * 0x1p-53; /* [0, 1) */
  switch (number % 6) {
  case 0: *a = from_bits(lo); *b = from_bits(hi); return;
  case 1: /* base near 1 */
    *a = (float)(1.0 + ((int32_t)lo) * 0x1p-31 * exp2(-(double)(hi % 24)));
    *b = (float)((unit * 300 - 150) / log2((double)*a));
    return;
  case 2: /* any base, result anywhere */
    *a = from_bits(lo & 0x7fffffffu);
    *b = (float)((unit * 300 - 150) / log2((double)*a));
    return;
  case 3:
    *a = (float)((int)(lo % 41) - 20) * ((lo >> 16 & 1) ? 0.5f : 1.0f);
    *b = (float)((int)(hi % 121) - 60) * ((hi >> 16 & 1) ? 0.5f : 1.0f);
    return;
  case 4: /* results near the ends */
    *a = from_bits(0x3f000000u + lo % 0x01800000u);
    *b = (float)(((w & 1) ? 128 - unit * 0.01 : -126 - unit * 24) / log2((double)*a));
    return;
  default: /* a quotient near 1, or any of a moderate size */
    *a = (float)((int32_t)lo * 0x1p-28);
    *b = (hi & 1) ? (float)(*a * (1 + (unit - 0.5) * exp2(-(double)(hi >> 1 & 15)))) : (float)((int32_t)hi * 0x1p-28);
    if (hi & 2) *b = -*b;
  }
}

int main(int argc, char **argv) {
  if (argc != 5) return fprintf(stderr, "usage: %s NAME FIRST LAST STRIDE\n", argv[0]), 2;
  uint64_t first = strtoull(argv[2], 0, 0), last = strtoull(argv[3], 0, 0), stride = strtoull(argv[4], 0, 0);
  const function *f = 0;
  for (size_t k = 0; k < sizeof functions / sizeof *functions; k++)
    if (strcmp(functions[k].name, argv[1]) == 0) f = functions + k;
  if (!f || !stride) return fprintf(stderr, "no function %s\n", argv[1]), 2;
  double worst = 0;
  float at[2] = {0, 0}, special[2] = {0, 0};
  uint64_t count = 0, failures = 0;
  for (uint64_t next = first; next <= last;) {
    int n = 0;
    for (; n < CHUNK && next <= last; n++, next += stride) {
      if (f->arguments == 1) x[n] = from_bits((uint32_t)next);
      else pair(next, x + n, x2 + n);
    }
    for (int i = n; i < CHUNK; i++) x[i] = x[0], x2[i] = x2[0];
    f->ours();
    f->reference();
    judge();
    count += (uint64_t)n;
    double m = 0, least = 0;
    for (int i = 0; i < CHUNK; i++) {
      m = error[i] > m ? error[i] : m;
      least = error[i] < least ? error[i] : least;
    }
    if (m > worst)
      for (int i = 0; i < n; i++)
        if (error[i] > worst) worst = error[i], at[0] = x[i], at[1] = x2[i];
    if (least < 0)
      for (int i = 0; i < n; i++)
        if (error[i] < 0 && failures++ == 0) special[0] = x[i], special[1] = x2[i];
  }
  printf("{\"function\": \"%s\", \"count\": %" PRIu64 ", \"max_ulp\": %.4f, \"at\": [\"%a\", \"%a\"], ", f->name, count,
         worst, (double)at[0], (double)at[1]);
  printf("\"special_failures\": %" PRIu64 ", \"special_at\": [\"%a\", \"%a\"]}\n", failures, (double)special[0],
         (double)special[1]);
  return 0;
}
