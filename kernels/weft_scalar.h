/* weft_scalar.h: one value of every elementwise operation, as weft_<op>_<dtype>.
 *
 * Dtypes: b (bool, a uint8_t of 0 or 1), i8..i64, u8..u64, f16 and bf16 (held in a float, stored in a
 * uint16_t), f32, f64, c64, c128. Comparisons, isnan and isinf return b.
 *
 * Meaning, where C leaves it open:
 *   integers    wrap; x//0, x%0 are 0; // and % floor; a negative exponent gives 0 unless the base is 1 or -1
 *   f16, bf16   computed in float, rounded to the nearest value of the type after every operation
 *   max, min    a NaN in either argument is the result
 *   casts       float to integer truncates, saturates, NaN is 0; integers wrap; to bool is x != 0;
 *               complex to real takes the real part; every cast to a float rounds once, to even
 *
 * Compiles as GNU C11, as C++ and by NVRTC (without any system header). Compile with -ffp-contract=off
 * (NVRTC: --fmad=false): a fused multiply-add happens only where weft_fma_* asks for one.
 */
#ifndef WEFT_SCALAR_H
#define WEFT_SCALAR_H

#if defined(__CUDACC__) || defined(WEFT_CUDA)
#define WEFT_FN __device__ static inline
#else
#define WEFT_FN static inline
#endif
/* One that a loop calls for each element: gcc at -O2 leaves the longer ones out of line, and the loop without vectors. */
#ifdef __CUDACC__
#define WEFT_LANE WEFT_FN
#else
#define WEFT_LANE WEFT_FN __attribute__((always_inline))
#endif

#ifdef __CUDACC_RTC__
#ifndef WEFT_OWN_STDINT
#define WEFT_OWN_STDINT
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long uint64_t;
#endif
#else
#include <stdint.h>
#endif

/* WEFT_LIBM(expf): the function of that name on the target. On the CPU the builtin, so no <math.h>. */
#ifdef __CUDACC__
#define WEFT_LIBM(name) name
#else
#define WEFT_LIBM(name) __builtin_##name
#endif

typedef struct { float re, im; } weft_c64;
typedef struct { double re, im; } weft_c128;

/* ---- bits ---------------------------------------------------------------------------------------- */

#ifdef __CUDACC__
WEFT_FN uint32_t weft_bits_f32(float x) { return __float_as_uint(x); }
WEFT_FN float weft_frombits_f32(uint32_t u) { return __uint_as_float(u); }
WEFT_FN uint64_t weft_bits_f64(double x) { return (uint64_t)__double_as_longlong(x); }
WEFT_FN double weft_frombits_f64(uint64_t u) { return __longlong_as_double((long long)u); }
#else
WEFT_FN uint32_t weft_bits_f32(float x) { union { float f; uint32_t u; } v; v.f = x; return v.u; }
WEFT_FN float weft_frombits_f32(uint32_t u) { union { float f; uint32_t u; } v; v.u = u; return v.f; }
WEFT_FN uint64_t weft_bits_f64(double x) { union { double f; uint64_t u; } v; v.f = x; return v.u; }
WEFT_FN double weft_frombits_f64(uint64_t u) { union { double f; uint64_t u; } v; v.u = u; return v.f; }
#endif
#define WEFT_INF_f32 weft_frombits_f32(0x7f800000u)
#define WEFT_NAN_f32 weft_frombits_f32(0x7fc00000u)
#define WEFT_INF_f64 weft_frombits_f64(0x7ff0000000000000ull)
#define WEFT_NAN_f64 weft_frombits_f64(0x7ff8000000000000ull)

/* ---- float16 and bfloat16 ------------------------------------------------------------------------ */

/* Adding 2^(e+13) leaves exactly the 11 bits of a float16 with exponent e; e is held at that of the
 * smallest normal, so denormals round at their fixed spacing. */
WEFT_LANE float weft_round_f16(float x) {
  uint32_t u = weft_bits_f32(x), sign = u & 0x80000000u, a = u & 0x7fffffffu;
  uint32_t e = a & 0x7f800000u;
  e = e < 0x38800000u ? 0x38800000u : e;
  e = e > 0x47800000u ? 0x47800000u : e;
  float magic = weft_frombits_f32(e + (13u << 23));
  float y = (weft_frombits_f32(a) + magic) - magic;
  uint32_t r = weft_bits_f32(y);
  r = a >= 0x477ff000u ? 0x7f800000u : r; /* 65520 and above */
  r = a > 0x7f800000u ? a | 0x00400000u : r;
  return weft_frombits_f32(r | sign);
}

WEFT_LANE float weft_round_bf16(float x) {
  uint32_t u = weft_bits_f32(x);
  uint32_t r = (u + 0x7fffu + ((u >> 16) & 1u)) & 0xffff0000u;
  r = (u & 0x7fffffffu) > 0x7f800000u ? (u | 0x00400000u) & 0xffff0000u : r;
  return weft_frombits_f32(r);
}

WEFT_LANE float weft_load_f16(const uint16_t *p) {
  uint32_t h = *p, a = h & 0x7fffu;
  uint32_t normal = (a << 13) + 0x38000000u;
  normal += a >= 0x7c00u ? 0x38000000u : 0u;
  uint32_t tiny = weft_bits_f32((float)(int32_t)a * 5.9604644775390625e-08f); /* 2^-24 */
  return weft_frombits_f32((a < 0x0400u ? tiny : normal) | (h & 0x8000u) << 16);
}

WEFT_LANE void weft_store_f16(uint16_t *p, float x) {
  uint32_t u = weft_bits_f32(weft_round_f16(x)), a = u & 0x7fffffffu;
  uint32_t clamped = a < 0x38800000u ? a : 0u; /* below the smallest normal */
  uint32_t tiny = (uint32_t)(int32_t)(weft_frombits_f32(clamped) * 16777216.0f);
  uint32_t h = (a - 0x38000000u) >> 13;
  h = a < 0x38800000u ? tiny : h;
  h = a == 0x7f800000u ? 0x7c00u : h;
  h = a > 0x7f800000u ? 0x7e00u : h;
  *p = (uint16_t)(h | ((u >> 16) & 0x8000u));
}

WEFT_LANE float weft_load_bf16(const uint16_t *p) { return weft_frombits_f32((uint32_t)*p << 16); }
WEFT_LANE void weft_store_bf16(uint16_t *p, float x) { *p = (uint16_t)(weft_bits_f32(weft_round_bf16(x)) >> 16); }

/* To the float next towards zero with its last bit set when anything was lost: rounding the result again
 * to at most 22 bits equals rounding x once. */
WEFT_LANE float weft_odd_f32(double x) {
  float f = (float)x;
  double back = (double)f;
  uint32_t u = weft_bits_f32(f);
  double ax = x < 0 ? -x : x, ab = back < 0 ? -back : back;
  u -= ab > ax ? 1u : 0u;
  u |= ab != ax ? 1u : 0u;
  return x == x ? weft_frombits_f32(u) : f;
}
/* The same idea for 64-bit integers: what is kept is exact in a double, a sticky bit stands for the rest. */
WEFT_FN float weft_odd_u64(uint64_t x) {
  double wide = (double)((x >> 16) | ((x & 0xffffu) != 0u)) * 65536.0;
  double narrow = (double)(x & 0xffffffffffffu);
  return weft_odd_f32(x >> 48 ? wide : narrow);
}
WEFT_FN float weft_odd_i64(int64_t x) {
  float f = weft_odd_u64(x < 0 ? (uint64_t)0 - (uint64_t)x : (uint64_t)x);
  return x < 0 ? -f : f;
}

/* ---- fused multiply-add: the no-fma class multiplies, then adds ------------------------------------ */

#ifdef __CUDACC__
WEFT_FN float weft_fma_f32(float a, float b, float c) { return __fmaf_rn(a, b, c); }
WEFT_FN double weft_fma_f64(double a, double b, double c) { return __fma_rn(a, b, c); }
#else
#if defined(__FMA__) || defined(__FP_FAST_FMAF)
WEFT_FN float weft_fma_f32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
WEFT_FN float weft_fma_f32(float a, float b, float c) { return a * b + c; }
#endif
#if defined(__FMA__) || defined(__FP_FAST_FMA)
WEFT_FN double weft_fma_f64(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
WEFT_FN double weft_fma_f64(double a, double b, double c) { return a * b + c; }
#endif
#endif

#include "weft_math_f32.h"
#include "weft_math_f64.h"
#include "weft_math_more_f64.h"
#include "weft_pow_f64.h"
#include "weft_erf_f64.h"

/* ---- lists: X(dtype, C type, unsigned type wide enough to compute in, smallest, largest, 2^bits of it) -- */

#define WEFT_SIGNED(X)                                                     \
  X(i8, int8_t, uint32_t, -128, 127, 128.0f)                               \
  X(i16, int16_t, uint32_t, -32768, 32767, 32768.0f)                       \
  X(i32, int32_t, uint32_t, (-2147483647 - 1), 2147483647, 2147483648.0f)  \
  X(i64, int64_t, uint64_t, (-9223372036854775807ll - 1), 9223372036854775807ll, 9223372036854775808.0f)
#define WEFT_UNSIGNED(X)                                     \
  X(u8, uint8_t, uint32_t, 0, 255, 256.0f)                   \
  X(u16, uint16_t, uint32_t, 0, 65535, 65536.0f)             \
  X(u32, uint32_t, uint32_t, 0, 4294967295u, 4294967296.0f)  \
  X(u64, uint64_t, uint64_t, 0, 18446744073709551615ull, 18446744073709551616.0f)

/* ---- what every ordered dtype has ------------------------------------------------------------------ */

#define WEFT_COMPARE(D, T)                                                       \
  WEFT_FN uint8_t weft_eq_##D(T a, T b) { return (uint8_t)(a == b); }            \
  WEFT_FN uint8_t weft_ne_##D(T a, T b) { return (uint8_t)(a != b); }            \
  WEFT_FN uint8_t weft_lt_##D(T a, T b) { return (uint8_t)(a < b); }             \
  WEFT_FN uint8_t weft_le_##D(T a, T b) { return (uint8_t)(a <= b); }            \
  WEFT_FN uint8_t weft_gt_##D(T a, T b) { return (uint8_t)(a > b); }             \
  WEFT_FN uint8_t weft_ge_##D(T a, T b) { return (uint8_t)(a >= b); }

/* ---- bool: addition is or, multiplication is and ---------------------------------------------------- */

WEFT_COMPARE(b, uint8_t)
WEFT_FN uint8_t weft_add_b(uint8_t x, uint8_t y) { return (uint8_t)(x | y); }
WEFT_FN uint8_t weft_mul_b(uint8_t x, uint8_t y) { return (uint8_t)(x & y); }
WEFT_FN uint8_t weft_maximum_b(uint8_t x, uint8_t y) { return (uint8_t)(x | y); }
WEFT_FN uint8_t weft_minimum_b(uint8_t x, uint8_t y) { return (uint8_t)(x & y); }
WEFT_FN uint8_t weft_floordiv_b(uint8_t x, uint8_t y) { return (uint8_t)(x & y); }
WEFT_FN uint8_t weft_mod_b(uint8_t x, uint8_t y) { (void)x; (void)y; return 0; }
WEFT_FN uint8_t weft_and_b(uint8_t x, uint8_t y) { return (uint8_t)(x & y); }
WEFT_FN uint8_t weft_or_b(uint8_t x, uint8_t y) { return (uint8_t)(x | y); }
WEFT_FN uint8_t weft_xor_b(uint8_t x, uint8_t y) { return (uint8_t)(x ^ y); }
WEFT_FN uint8_t weft_invert_b(uint8_t x) { return (uint8_t)(x ^ 1); }
WEFT_FN uint8_t weft_abs_b(uint8_t x) { return x; }
WEFT_FN uint8_t weft_sqr_b(uint8_t x) { return x; }
WEFT_FN uint8_t weft_sgn_b(uint8_t x) { return x; }
WEFT_FN uint8_t weft_floor_b(uint8_t x) { return x; }
WEFT_FN uint8_t weft_ceil_b(uint8_t x) { return x; }
WEFT_FN uint8_t weft_round_b(uint8_t x) { return x; }
WEFT_FN uint8_t weft_trunc_b(uint8_t x) { return x; }
WEFT_FN uint8_t weft_isnan_b(uint8_t x) { (void)x; return 0; }
WEFT_FN uint8_t weft_isinf_b(uint8_t x) { (void)x; return 0; }

/* ---- integers: all arithmetic in an unsigned type, so nothing is undefined --------------------------- */

#define WEFT_INTEGER(D, T, U, LO, HI, LIM)                                               \
  WEFT_COMPARE(D, T)                                                                     \
  WEFT_FN T weft_neg_##D(T a) { return (T)((U)0 - (U)a); }                               \
  WEFT_FN T weft_sqr_##D(T a) { return (T)((U)a * (U)a); }                               \
  WEFT_FN T weft_add_##D(T a, T b) { return (T)((U)a + (U)b); }                          \
  WEFT_FN T weft_sub_##D(T a, T b) { return (T)((U)a - (U)b); }                          \
  WEFT_FN T weft_mul_##D(T a, T b) { return (T)((U)a * (U)b); }                          \
  WEFT_FN T weft_maximum_##D(T a, T b) { return a > b ? a : b; }                         \
  WEFT_FN T weft_minimum_##D(T a, T b) { return a < b ? a : b; }                         \
  WEFT_FN T weft_and_##D(T a, T b) { return (T)(a & b); }                                \
  WEFT_FN T weft_or_##D(T a, T b) { return (T)(a | b); }                                 \
  WEFT_FN T weft_xor_##D(T a, T b) { return (T)(a ^ b); }                                \
  WEFT_FN T weft_invert_##D(T a) { return (T)~a; }                                       \
  WEFT_FN T weft_floor_##D(T a) { return a; }                                            \
  WEFT_FN T weft_ceil_##D(T a) { return a; }                                             \
  WEFT_FN T weft_round_##D(T a) { return a; }                                            \
  WEFT_FN T weft_trunc_##D(T a) { return a; }                                            \
  WEFT_FN uint8_t weft_isnan_##D(T a) { (void)a; return 0; }                             \
  WEFT_FN uint8_t weft_isinf_##D(T a) { (void)a; return 0; }                             \
  WEFT_FN T weft_power_by_squaring_##D(T a, uint64_t n) {                                \
    U r = 1, s = (U)a;                                                                   \
    for (; n; n >>= 1) {                                                                 \
      if (n & 1) r *= s;                                                                 \
      s *= s;                                                                            \
    }                                                                                    \
    return (T)r;                                                                         \
  }

#define WEFT_SIGNED_ONLY(D, T, U, LO, HI, LIM)                                           \
  WEFT_FN T weft_abs_##D(T a) { return a < 0 ? weft_neg_##D(a) : a; }                    \
  WEFT_FN T weft_sgn_##D(T a) { return (T)((a > 0) - (a < 0)); }                         \
  WEFT_FN T weft_reciprocal_##D(T a) { return (T)((a == 1) - (a == -1)); }               \
  WEFT_FN T weft_floordiv_##D(T a, T b) {                                                \
    if (b == 0) return 0;                                                                \
    if (b == -1) return weft_neg_##D(a);                                                 \
    T q = (T)(a / b), r = (T)(a % b);                                                    \
    return (T)(q - (r != 0 && (r < 0) != (b < 0)));                                      \
  }                                                                                      \
  WEFT_FN T weft_mod_##D(T a, T b) {                                                     \
    if (b == 0 || b == -1) return 0;                                                     \
    T r = (T)(a % b);                                                                    \
    return r != 0 && (r < 0) != (b < 0) ? (T)(r + b) : r;                                \
  }                                                                                      \
  WEFT_FN T weft_pow_##D(T a, T b) {                                                     \
    if (b >= 0) return weft_power_by_squaring_##D(a, (uint64_t)b);                       \
    if (a == 1) return 1;                                                                \
    if (a == -1) return (T)(b & 1 ? -1 : 1);                                             \
    return 0;                                                                            \
  }

#define WEFT_UNSIGNED_ONLY(D, T, U, LO, HI, LIM)                                         \
  WEFT_FN T weft_abs_##D(T a) { return a; }                                              \
  WEFT_FN T weft_sgn_##D(T a) { return (T)(a != 0); }                                    \
  WEFT_FN T weft_reciprocal_##D(T a) { return (T)(a == 1); }                             \
  WEFT_FN T weft_floordiv_##D(T a, T b) { return b == 0 ? (T)0 : (T)(a / b); }           \
  WEFT_FN T weft_mod_##D(T a, T b) { return b == 0 ? (T)0 : (T)(a % b); }                \
  WEFT_FN T weft_pow_##D(T a, T b) { return weft_power_by_squaring_##D(a, (uint64_t)b); }

WEFT_SIGNED(WEFT_INTEGER)
WEFT_UNSIGNED(WEFT_INTEGER)
WEFT_SIGNED(WEFT_SIGNED_ONLY)
WEFT_UNSIGNED(WEFT_UNSIGNED_ONLY)

/* ---- float32 and float64: F is the suffix of the C library's names ------------------------------------ */

#define WEFT_FLOAT(D, T, F)                                                                          \
  WEFT_COMPARE(D, T)                                                                                 \
  WEFT_FN T weft_neg_##D(T a) { return -a; }                                                         \
  WEFT_FN T weft_abs_##D(T a) { return WEFT_LIBM(fabs##F)(a); }                                      \
  WEFT_FN T weft_sgn_##D(T a) { return a > 0 ? (T)1 : a < 0 ? (T)-1 : a == 0 ? (T)0 : a; }           \
  WEFT_FN T weft_sqr_##D(T a) { return a * a; }                                                      \
  WEFT_FN T weft_reciprocal_##D(T a) { return (T)1 / a; }                                            \
  WEFT_FN T weft_add_##D(T a, T b) { return a + b; }                                                 \
  WEFT_FN T weft_sub_##D(T a, T b) { return a - b; }                                                 \
  WEFT_FN T weft_mul_##D(T a, T b) { return a * b; }                                                 \
  WEFT_FN T weft_truediv_##D(T a, T b) { return a / b; }                                             \
  /* written so that one max instruction and one choice come of it; of equal ones (zeros) it is the first */ \
  WEFT_FN T weft_maximum_##D(T a, T b) {                                                             \
    T r = b > a ? b : a;                                                                             \
    return b != b ? b : r;                                                                           \
  }                                                                                                  \
  WEFT_FN T weft_minimum_##D(T a, T b) {                                                             \
    T r = b < a ? b : a;                                                                             \
    return b != b ? b : r;                                                                           \
  }                                                                                                  \
  WEFT_FN uint8_t weft_isnan_##D(T a) { return (uint8_t)(a != a); }                                  \
  WEFT_FN uint8_t weft_isinf_##D(T a) { return (uint8_t)(WEFT_LIBM(fabs##F)(a) == WEFT_INF_##D); }   \
  WEFT_FN T weft_floor_##D(T a) { return WEFT_LIBM(floor##F)(a); }                                   \
  WEFT_FN T weft_ceil_##D(T a) { return WEFT_LIBM(ceil##F)(a); }                                     \
  WEFT_FN T weft_round_##D(T a) { return WEFT_LIBM(rint##F)(a); }                                    \
  WEFT_FN T weft_trunc_##D(T a) { return WEFT_LIBM(trunc##F)(a); }                                   \
  WEFT_FN T weft_copysign_##D(T a, T b) { return WEFT_LIBM(copysign##F)(a, b); }                     \
  WEFT_FN T weft_sqrt_##D(T a) { return WEFT_LIBM(sqrt##F)(a); }                                     \
  WEFT_FN T weft_mod_##D(T a, T b) {                                                                 \
    T r = WEFT_LIBM(fmod##F)(a, b);                                                                  \
    if (r == 0) return weft_copysign_##D((T)0, b);                                                   \
    return (r < 0) != (b < 0) ? r + b : r;                                                           \
  }                                                                                                  \
  /* (a - a mod b) / b lies within rounding of an integer: take that integer, with a zero's sign */  \
  WEFT_FN T weft_floordiv_##D(T a, T b) {                                                            \
    if (b == 0) return a / b;                                                                        \
    T r = WEFT_LIBM(fmod##F)(a, b);                                                                  \
    T q = (a - r) / b;                                                                               \
    if (r != 0 && (r < 0) != (b < 0)) q -= (T)1;                                                     \
    if (q == 0) return weft_copysign_##D((T)0, a / b);                                               \
    T f = weft_floor_##D(q);                                                                         \
    return q - f > (T)0.5 ? f + (T)1 : f;                                                            \
  }

WEFT_FLOAT(f32, float, f)
WEFT_FLOAT(f64, double, )

/* ---- float16 and bfloat16: float32's operation, then one rounding ------------------------------------- */

#define WEFT_HALF_UNARY(D, OP) \
  WEFT_FN float weft_##OP##_##D(float a) { return weft_round_##D(weft_##OP##_f32(a)); }
#define WEFT_HALF_BINARY(D, OP) \
  WEFT_FN float weft_##OP##_##D(float a, float b) { return weft_round_##D(weft_##OP##_f32(a, b)); }
#define WEFT_HALF(D)                                                                                  \
  WEFT_COMPARE(D, float)                                                                              \
  WEFT_FN float weft_neg_##D(float a) { return -a; }                                                  \
  WEFT_FN float weft_abs_##D(float a) { return weft_abs_f32(a); }                                     \
  WEFT_FN float weft_sgn_##D(float a) { return weft_sgn_f32(a); }                                     \
  WEFT_FN float weft_maximum_##D(float a, float b) { return weft_maximum_f32(a, b); }                 \
  WEFT_FN float weft_minimum_##D(float a, float b) { return weft_minimum_f32(a, b); }                 \
  WEFT_FN float weft_copysign_##D(float a, float b) { return weft_copysign_f32(a, b); }               \
  WEFT_FN uint8_t weft_isnan_##D(float a) { return weft_isnan_f32(a); }                               \
  WEFT_FN uint8_t weft_isinf_##D(float a) { return weft_isinf_f32(a); }                               \
  WEFT_HALF_UNARY(D, sqr) WEFT_HALF_UNARY(D, reciprocal)                                              \
  WEFT_HALF_UNARY(D, ceil) WEFT_HALF_UNARY(D, trunc) WEFT_HALF_UNARY(D, floor)                        \
  WEFT_HALF_UNARY(D, exp) WEFT_HALF_UNARY(D, exp2) WEFT_HALF_UNARY(D, expm1) WEFT_HALF_UNARY(D, log)  \
  WEFT_HALF_UNARY(D, log2) WEFT_HALF_UNARY(D, log10) WEFT_HALF_UNARY(D, log1p)                        \
  WEFT_HALF_UNARY(D, sqrt) WEFT_HALF_UNARY(D, sin) WEFT_HALF_UNARY(D, cos) WEFT_HALF_UNARY(D, tan)    \
  WEFT_HALF_UNARY(D, sinh) WEFT_HALF_UNARY(D, cosh) WEFT_HALF_UNARY(D, tanh)                          \
  WEFT_HALF_UNARY(D, asin) WEFT_HALF_UNARY(D, acos) WEFT_HALF_UNARY(D, atan)                          \
  WEFT_HALF_UNARY(D, asinh) WEFT_HALF_UNARY(D, acosh) WEFT_HALF_UNARY(D, atanh)                       \
  WEFT_HALF_UNARY(D, erf) WEFT_HALF_UNARY(D, erfc) WEFT_HALF_UNARY(D, erfinv) WEFT_HALF_UNARY(D, cbrt) \
  WEFT_HALF_UNARY(D, sigmoid) WEFT_HALF_UNARY(D, softplus) WEFT_HALF_UNARY(D, exp_nonpositive)         \
  WEFT_HALF_BINARY(D, add) WEFT_HALF_BINARY(D, sub) WEFT_HALF_BINARY(D, mul)                          \
  WEFT_HALF_BINARY(D, truediv) WEFT_HALF_BINARY(D, floordiv) WEFT_HALF_BINARY(D, mod)                 \
  WEFT_HALF_BINARY(D, pow) WEFT_HALF_BINARY(D, atan2)                                                 \
  WEFT_FN float weft_fma_##D(float a, float b, float c) { return weft_round_##D(weft_fma_f32(a, b, c)); }

/* weft_round_f16 is the rounding to the type; rounding to an integer needs another name there. */
WEFT_HALF(f16)
WEFT_HALF(bf16)
WEFT_FN float weft_rint_f16(float a) { return weft_round_f16(weft_round_f32(a)); }
WEFT_FN float weft_rint_bf16(float a) { return weft_round_bf16(weft_round_f32(a)); }
WEFT_FN float weft_rint_f32(float a) { return weft_round_f32(a); }
WEFT_FN double weft_rint_f64(double a) { return weft_round_f64(a); }
#define WEFT_INTEGER_RINT(D, T, U, LO, HI, LIM) WEFT_FN T weft_rint_##D(T a) { return a; }
WEFT_SIGNED(WEFT_INTEGER_RINT)
WEFT_UNSIGNED(WEFT_INTEGER_RINT)
WEFT_FN uint8_t weft_rint_b(uint8_t a) { return a; }

/* ---- complex ------------------------------------------------------------------------------------------- */

WEFT_FN double weft_abs_c128(weft_c128 z) { return weft_hypot_f64(z.re, z.im); }
WEFT_FN float weft_abs_c64(weft_c64 z) {
  if (weft_isinf_f32(z.re) || weft_isinf_f32(z.im)) return WEFT_INF_f32;
  return (float)weft_sqrt_f64((double)z.re * z.re + (double)z.im * z.im);
}

/* x - y as x + weft_minus(y): equal bits. gcc 12 makes of neighbours x * y - z and x * y + w one instruction that does not
 * round the product (vfmaddsub), whatever -ffp-contract says; of two sums it makes sums. The sign of a part is changed
 * in this way only: where gcc sees -x in a sum, it makes a difference of it. */
WEFT_FN float weft_minus_f32(float x) { return weft_frombits_f32(weft_bits_f32(x) ^ 0x80000000u); }
WEFT_FN double weft_minus_f64(double x) { return weft_frombits_f64(weft_bits_f64(x) ^ 0x8000000000000000ull); }

/* For parts that are written as they come: gcc does not see both at once. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__)
#ifdef __SSE2__
#define WEFT_UNSEEN(x) __asm__("" : "+x"(x))
#else
#define WEFT_UNSEEN(x) __asm__("" : "+m"(x))
#endif
#else
#define WEFT_UNSEEN(x) (void)(x)
#endif

/* Division by the component of larger size (Smith), so that squares neither overflow nor vanish. */
#define WEFT_COMPLEX(D, C, T, R)                                                                  \
  WEFT_FN C weft_complex_##D(T re, T im) { C z; z.re = re; z.im = im; return z; }                 \
  WEFT_FN C weft_of_parts_##D(T re, T im) { WEFT_UNSEEN(im); return weft_complex_##D(re, im); }   \
  WEFT_FN T weft_real_##D(C z) { return z.re; }                                                   \
  WEFT_FN T weft_imag_##D(C z) { return z.im; }                                                   \
  WEFT_FN C weft_conj_##D(C z) { return weft_complex_##D(z.re, weft_minus_##R(z.im)); }           \
  WEFT_FN C weft_neg_##D(C z) { return weft_complex_##D(weft_minus_##R(z.re), weft_minus_##R(z.im)); } \
  WEFT_FN T weft_angle_##D(C z) { return weft_atan2_##R(z.im, z.re); }                            \
  WEFT_FN uint8_t weft_eq_##D(C a, C b) { return (uint8_t)(a.re == b.re && a.im == b.im); }       \
  WEFT_FN uint8_t weft_ne_##D(C a, C b) { return (uint8_t)(a.re != b.re || a.im != b.im); }       \
  WEFT_FN uint8_t weft_isnan_##D(C z) { return (uint8_t)(z.re != z.re || z.im != z.im); }         \
  WEFT_FN uint8_t weft_isinf_##D(C z) { return weft_isinf_##R(z.re) | weft_isinf_##R(z.im); }     \
  WEFT_FN C weft_add_##D(C a, C b) { return weft_complex_##D(a.re + b.re, a.im + b.im); }         \
  WEFT_FN C weft_sub_##D(C a, C b) { return weft_complex_##D(a.re - b.re, a.im - b.im); }         \
  WEFT_FN C weft_mul_##D(C a, C b) {                                                              \
    T minus = weft_minus_##R(a.im * b.im);                                                        \
    return weft_complex_##D(a.re * b.re + minus, a.re * b.im + a.im * b.re);                      \
  }                                                                                               \
  WEFT_FN C weft_sqr_##D(C a) { return weft_mul_##D(a, a); }                                      \
  WEFT_FN C weft_truediv_##D(C a, C b) {                                                          \
    T br = weft_abs_##R(b.re), bi = weft_abs_##R(b.im);                                           \
    if (br == 0 && bi == 0) return weft_complex_##D(a.re / br, a.im / br);                        \
    if (br >= bi) {                                                                               \
      T t = b.im / b.re, s = (T)1 / (b.re + b.im * t);                                            \
      return weft_complex_##D((a.re + a.im * t) * s, (a.im + weft_minus_##R(a.re * t)) * s);      \
    }                                                                                             \
    T t = b.re / b.im, s = (T)1 / (b.im + b.re * t);                                              \
    return weft_complex_##D((a.re * t + a.im) * s, (a.im * t + weft_minus_##R(a.re)) * s);        \
  }                                                                                               \
  WEFT_FN C weft_reciprocal_##D(C a) { return weft_truediv_##D(weft_complex_##D(1, 0), a); }

WEFT_COMPLEX(c64, weft_c64, float, f32)
WEFT_COMPLEX(c128, weft_c128, double, f64)

WEFT_FN weft_c128 weft_exp_c128(weft_c128 z) {
  if (z.im == 0) return weft_complex_c128(weft_exp_f64(z.re), z.im);
  if (weft_isinf_f64(z.re) && !(weft_abs_f64(z.im) < WEFT_INF_f64))
    return z.re < 0 ? weft_complex_c128(0, 0) : weft_complex_c128(z.re, WEFT_NAN_f64);
  double c = weft_cos_f64(z.im), s = weft_sin_f64(z.im);
  if (z.re > 709.0 && z.re < 1500.0) { /* exp(re) alone may overflow where the product does not */
    double h = weft_exp_f64(z.re * 0.5);
    return weft_complex_c128(h * c * h, h * s * h);
  }
  double e = weft_exp_f64(z.re);
  return weft_complex_c128(e * c, e * s);
}

WEFT_FN weft_c128 weft_log_c128(weft_c128 z) {
  double x = weft_abs_f64(z.re), y = weft_abs_f64(z.im), big = x > y ? x : y, small = x > y ? y : x;
  double angle = weft_atan2_f64(z.im, z.re), r;
  if (big > 0.5 && big < 2.0 && small < 2.0) /* near the unit circle the logarithm of |z| would cancel */
    r = 0.5 * weft_log1p_f64((big - 1.0) * (big + 1.0) + small * small);
  else if (big > 8e307 && big < WEFT_INF_f64)
    r = weft_log_f64(weft_hypot_f64(x * 0.5, y * 0.5)) + 0.69314718055994530942;
  else if (big < 1e-290) /* a denormal |z| has lost bits */
    r = weft_log_f64(weft_hypot_f64(x * 0x1p200, y * 0x1p200)) - 138.62943611198906;
  else
    r = weft_log_f64(weft_hypot_f64(x, y));
  return weft_complex_c128(r, angle);
}

WEFT_FN weft_c128 weft_sqrt_c128(weft_c128 z) {
  double x = z.re, y = z.im;
  if (x == 0 && y == 0) return weft_complex_c128(0, y);
  if (weft_isinf_f64(y)) return weft_complex_c128(WEFT_INF_f64, y);
  if (x != x) return weft_complex_c128(x, x);
  if (weft_isinf_f64(x)) {
    double d = y - y; /* 0, or NaN where y is */
    return x > 0 ? weft_complex_c128(x, weft_copysign_f64(d, y))
                 : weft_complex_c128(weft_abs_f64(d), weft_copysign_f64(x, y));
  }
  double scale = 1.0, ax = weft_abs_f64(x), ay = weft_abs_f64(y);
  if (ax > 4e307 || ay > 4e307) { x *= 0.0625; y *= 0.0625; scale = 4.0; }
  else if (ax < 1e-300 && ay < 1e-300) { x *= 0x1p108; y *= 0x1p108; scale = 0x1p-54; }
  double t = weft_sqrt_f64((weft_abs_f64(x) + weft_hypot_f64(x, y)) * 0.5), u = y / (t + t);
  if (x >= 0) return weft_complex_c128(t * scale, u * scale);
  return weft_complex_c128(weft_abs_f64(u) * scale, weft_copysign_f64(t, y) * scale);
}

WEFT_FN weft_c128 weft_sgn_c128(weft_c128 z) {
  double r = weft_abs_c128(z);
  if (r == 0) return weft_complex_c128(0, 0);
  if (r == WEFT_INF_f64 && !weft_isinf_f64(z.re) && !weft_isinf_f64(z.im)) { /* finite: only its size overflows */
    z.re *= 0.25;
    z.im *= 0.25;
    r = weft_abs_c128(z);
  }
  if (r == WEFT_INF_f64 && weft_isinf_f64(z.re) != weft_isinf_f64(z.im)) /* an infinite part outweighs the other */
    return weft_isinf_f64(z.re) ? weft_complex_c128(weft_copysign_f64(1.0, z.re), 0)
                                : weft_complex_c128(0, weft_copysign_f64(1.0, z.im));
  return weft_complex_c128(z.re / r, z.im / r);
}

/* Small integer powers by products, so that they keep zeros and signs; the others by logarithm. */
WEFT_FN weft_c128 weft_pow_c128(weft_c128 a, weft_c128 b) {
  if (b.re == 0 && b.im == 0) return weft_complex_c128(1, 0);
  if (a.re == 0 && a.im == 0)
    return b.re > 0 ? weft_complex_c128(0, 0) : weft_complex_c128(WEFT_NAN_f64, WEFT_NAN_f64);
  if (b.im == 0 && b.re > -100 && b.re < 100 && b.re == weft_trunc_f64(b.re)) {
    int n = (int)weft_abs_f64(b.re);
    weft_c128 s = a, r = weft_complex_c128(1, 0);
    for (;;) {
      if (n & 1) r = weft_mul_c128(r, s);
      n >>= 1;
      if (!n) return b.re < 0 ? weft_reciprocal_c128(r) : r;
      s = weft_mul_c128(s, s);
    }
  }
  return weft_exp_c128(weft_mul_c128(b, weft_log_c128(a)));
}

/* complex64 by way of complex128, rounded once */
WEFT_FN weft_c64 weft_pow_c64(weft_c64 a, weft_c64 b) {
  weft_c128 w = weft_pow_c128(weft_complex_c128((double)a.re, (double)a.im), weft_complex_c128((double)b.re, (double)b.im));
  return weft_complex_c64((float)w.re, (float)w.im);
}
#define WEFT_C64_BY_C128(OP)                                                              \
  WEFT_FN weft_c64 weft_##OP##_c64(weft_c64 z) {                                          \
    weft_c128 w = weft_##OP##_c128(weft_complex_c128((double)z.re, (double)z.im));        \
    return weft_complex_c64((float)w.re, (float)w.im);                                    \
  }
WEFT_C64_BY_C128(exp)
WEFT_C64_BY_C128(log)
WEFT_C64_BY_C128(sqrt)
WEFT_C64_BY_C128(sgn)

/* ---- casts: weft_cast_<from>_<to>, every pair ------------------------------------------------------------ */

/* from an integer or bool */
#define WEFT_CAST_INT(A, S, B, T) WEFT_FN T weft_cast_##A##_##B(S x) { return (T)x; }
#define WEFT_CAST_INTS_(A, S)                                                                            \
  WEFT_FN uint8_t weft_cast_##A##_b(S x) { return (uint8_t)(x != 0); }                                   \
  WEFT_CAST_INT(A, S, i8, int8_t) WEFT_CAST_INT(A, S, i16, int16_t) WEFT_CAST_INT(A, S, i32, int32_t)    \
  WEFT_CAST_INT(A, S, i64, int64_t) WEFT_CAST_INT(A, S, u8, uint8_t) WEFT_CAST_INT(A, S, u16, uint16_t)  \
  WEFT_CAST_INT(A, S, u32, uint32_t) WEFT_CAST_INT(A, S, u64, uint64_t)                                  \
  WEFT_FN weft_c64 weft_cast_##A##_c64(S x) { return weft_complex_c64((float)x, 0); }                    \
  WEFT_FN weft_c128 weft_cast_##A##_c128(S x) { return weft_complex_c128((double)x, 0); }
#define WEFT_CAST_FROM_INT_(A, S, ODD)                                                                   \
  WEFT_CAST_INTS_(A, S) WEFT_CAST_INT(A, S, f32, float) WEFT_CAST_INT(A, S, f64, double)                 \
  WEFT_FN float weft_cast_##A##_f16(S x) { return weft_round_f16(ODD(x)); }                              \
  WEFT_FN float weft_cast_##A##_bf16(S x) { return weft_round_bf16(ODD(x)); }
/* A bool is chosen by, not converted: gcc 12 makes no vectors of (float)(a < b). */
#define WEFT_CAST_BOOL_(B, T) WEFT_FN T weft_cast_b_##B(uint8_t x) { return x ? (T)1 : (T)0; }
WEFT_CAST_INTS_(b, uint8_t) WEFT_CAST_BOOL_(f32, float) WEFT_CAST_BOOL_(f64, double)
WEFT_CAST_BOOL_(f16, float) WEFT_CAST_BOOL_(bf16, float)
WEFT_CAST_FROM_INT_(i8, int8_t, (float)) WEFT_CAST_FROM_INT_(u8, uint8_t, (float))
WEFT_CAST_FROM_INT_(i16, int16_t, (float)) WEFT_CAST_FROM_INT_(u16, uint16_t, (float))
WEFT_CAST_FROM_INT_(i32, int32_t, weft_odd_f32)
WEFT_CAST_FROM_INT_(u32, uint32_t, weft_odd_f32)
WEFT_CAST_FROM_INT_(i64, int64_t, weft_odd_i64)
WEFT_CAST_FROM_INT_(u64, uint64_t, weft_odd_u64)

/* from a float: the limits are powers of two, exact in float */
#define WEFT_SATURATE(A, S, B, T, LO, HI, LIM, LOW) \
  WEFT_FN T weft_cast_##A##_##B(S x) { return x >= (S)LIM ? (T)(HI) : x >= (S)(LOW) ? (T)x : x != x ? (T)0 : (T)(LO); }
#define WEFT_TO_SIGNED_f32(B, T, U, LO, HI, LIM) WEFT_SATURATE(f32, float, B, T, LO, HI, LIM, -LIM)
#define WEFT_TO_SIGNED_f64(B, T, U, LO, HI, LIM) WEFT_SATURATE(f64, double, B, T, LO, HI, LIM, -LIM)
#define WEFT_TO_UNSIGNED_f32(B, T, U, LO, HI, LIM) WEFT_SATURATE(f32, float, B, T, LO, HI, LIM, 0)
#define WEFT_TO_UNSIGNED_f64(B, T, U, LO, HI, LIM) WEFT_SATURATE(f64, double, B, T, LO, HI, LIM, 0)
WEFT_SIGNED(WEFT_TO_SIGNED_f32)
WEFT_SIGNED(WEFT_TO_SIGNED_f64)
WEFT_UNSIGNED(WEFT_TO_UNSIGNED_f32)
WEFT_UNSIGNED(WEFT_TO_UNSIGNED_f64)
WEFT_FN uint8_t weft_cast_f32_b(float x) { return (uint8_t)(x != 0); }
WEFT_FN uint8_t weft_cast_f64_b(double x) { return (uint8_t)(x != 0); }
WEFT_FN float weft_cast_f32_f32(float x) { return x; }
WEFT_FN double weft_cast_f32_f64(float x) { return (double)x; }
WEFT_FN float weft_cast_f64_f32(double x) { return (float)x; }
WEFT_FN double weft_cast_f64_f64(double x) { return x; }
WEFT_FN float weft_cast_f32_f16(float x) { return weft_round_f16(x); }
WEFT_FN float weft_cast_f32_bf16(float x) { return weft_round_bf16(x); }
WEFT_FN float weft_cast_f64_f16(double x) { return weft_round_f16(weft_odd_f32(x)); }
WEFT_FN float weft_cast_f64_bf16(double x) { return weft_round_bf16(weft_odd_f32(x)); }
WEFT_FN weft_c64 weft_cast_f32_c64(float x) { return weft_complex_c64(x, 0); }
WEFT_FN weft_c128 weft_cast_f32_c128(float x) { return weft_complex_c128((double)x, 0); }
WEFT_FN weft_c64 weft_cast_f64_c64(double x) { return weft_complex_c64((float)x, 0); }
WEFT_FN weft_c128 weft_cast_f64_c128(double x) { return weft_complex_c128(x, 0); }

/* from float16, bfloat16 and complex: what the float (or the real part) casts to */
#define WEFT_CAST_VIA(A, S, EXPR, R, B, T) WEFT_FN T weft_cast_##A##_##B(S x) { return weft_cast_##R##_##B(EXPR); }
#define WEFT_CAST_VIA_REAL(A, S, EXPR, R)                                                          \
  WEFT_CAST_VIA(A, S, EXPR, R, i8, int8_t) WEFT_CAST_VIA(A, S, EXPR, R, i16, int16_t)              \
  WEFT_CAST_VIA(A, S, EXPR, R, i32, int32_t) WEFT_CAST_VIA(A, S, EXPR, R, i64, int64_t)            \
  WEFT_CAST_VIA(A, S, EXPR, R, u8, uint8_t) WEFT_CAST_VIA(A, S, EXPR, R, u16, uint16_t)            \
  WEFT_CAST_VIA(A, S, EXPR, R, u32, uint32_t) WEFT_CAST_VIA(A, S, EXPR, R, u64, uint64_t)          \
  WEFT_CAST_VIA(A, S, EXPR, R, f16, float) WEFT_CAST_VIA(A, S, EXPR, R, bf16, float)               \
  WEFT_CAST_VIA(A, S, EXPR, R, f32, float) WEFT_CAST_VIA(A, S, EXPR, R, f64, double)
WEFT_CAST_VIA_REAL(f16, float, x, f32)
WEFT_CAST_VIA_REAL(bf16, float, x, f32)
WEFT_CAST_VIA_REAL(c64, weft_c64, x.re, f32)
WEFT_CAST_VIA_REAL(c128, weft_c128, x.re, f64)
#define WEFT_CAST_HALF_REST(A)                                                                     \
  WEFT_CAST_VIA(A, float, x, f32, b, uint8_t)                                                      \
  WEFT_CAST_VIA(A, float, x, f32, c64, weft_c64)                                                   \
  WEFT_CAST_VIA(A, float, x, f32, c128, weft_c128)
WEFT_CAST_HALF_REST(f16)
WEFT_CAST_HALF_REST(bf16)
WEFT_FN uint8_t weft_cast_c64_b(weft_c64 x) { return (uint8_t)(x.re != 0 || x.im != 0); }
WEFT_FN uint8_t weft_cast_c128_b(weft_c128 x) { return (uint8_t)(x.re != 0 || x.im != 0); }
WEFT_FN weft_c64 weft_cast_c64_c64(weft_c64 x) { return x; }
WEFT_FN weft_c128 weft_cast_c64_c128(weft_c64 x) { return weft_complex_c128((double)x.re, (double)x.im); }
WEFT_FN weft_c64 weft_cast_c128_c64(weft_c128 x) { return weft_complex_c64((float)x.re, (float)x.im); }
WEFT_FN weft_c128 weft_cast_c128_c128(weft_c128 x) { return x; }

#endif
