/* weft_vector.h: vectors of float32, float64 and integers for products, and what is done with them: V a vector, T an
 * element.
 *
 *   weft_vfma_V(a, b, c)  lane by lane what weft_fma_* is: one rounding in the fma class, a product and a sum else
 *   weft_four_T(...)      turns lines into columns: 4 lines of float32, 2 of float64
 *
 * Suffixes: f32, f64: whole vectors; f32h, f64h: half as wide. With -DWEFT_SCALAR_BUILD they are arrays in plain C11,
 * for compilers without vector types: the same bits, slowly.
 */
#ifndef WEFT_VECTOR_H
#define WEFT_VECTOR_H
#include <string.h>
#include "weft_scalar.h"

#if defined(__AVX512F__) && !defined(WEFT_SCALAR_BUILD)
enum { WEFT_VECTOR_BYTES = 64 };
#elif defined(__AVX__) && !defined(WEFT_SCALAR_BUILD)
enum { WEFT_VECTOR_BYTES = 32 };
#else
enum { WEFT_VECTOR_BYTES = 16 };
#endif

#if defined(__GNUC__)
#define WEFT_UNUSED static __attribute__((unused)) /* a part of the library instantiates one dtype */
#if defined(WEFT_SCALAR_BUILD)
#define WEFT_INLINE static inline
#else
#define WEFT_INLINE static inline __attribute__((always_inline))
#endif
#define WEFT_APART static __attribute__((noinline, unused))
#else
#define WEFT_UNUSED static inline
#define WEFT_INLINE static inline
#define WEFT_APART static inline
#endif
#if defined(__GNUC__) && !defined(WEFT_SCALAR_BUILD)
#define WEFT_UNROLL _Pragma("GCC unroll 24")
#else
#define WEFT_UNROLL
#endif

/* A lane loop becomes one instruction only where the compiler vectorises straight code (a test looks for it), and takes
 * it long: 24 of them 16 lanes wide in each of 40 tiles. gcc's own names of the instructions save that. */
#if defined(WEFT_SCALAR_BUILD) || (!defined(__FMA__) && !defined(__FP_FAST_FMAF))
#define WEFT_FMA_VECTOR(D, V, a, b, c) weft_vadd_##V(weft_vmul_##V(a, b), c)
#elif defined(__GNUC__) && !defined(__clang__) && defined(__FMA__) && defined(__x86_64__)
#define WEFT_FMA_OF_f32_64(a, b, c) __builtin_ia32_vfmaddps512_mask(a, b, c, (short)-1, 4)
#define WEFT_FMA_OF_f64_64(a, b, c) __builtin_ia32_vfmaddpd512_mask(a, b, c, (char)-1, 4)
#define WEFT_FMA_OF_f32_32(a, b, c) __builtin_ia32_vfmaddps256(a, b, c)
#define WEFT_FMA_OF_f64_32(a, b, c) __builtin_ia32_vfmaddpd256(a, b, c)
#define WEFT_FMA_OF_f32_16(a, b, c) __builtin_ia32_vfmaddps(a, b, c)
#define WEFT_FMA_OF_f64_16(a, b, c) __builtin_ia32_vfmaddpd(a, b, c)
#if defined(__AVX512F__)
#define WEFT_FMA_VECTOR_f32 WEFT_FMA_OF_f32_64
#define WEFT_FMA_VECTOR_f64 WEFT_FMA_OF_f64_64
#define WEFT_FMA_VECTOR_f32h WEFT_FMA_OF_f32_32
#define WEFT_FMA_VECTOR_f64h WEFT_FMA_OF_f64_32
#else
#define WEFT_FMA_VECTOR_f32 WEFT_FMA_OF_f32_32
#define WEFT_FMA_VECTOR_f64 WEFT_FMA_OF_f64_32
#define WEFT_FMA_VECTOR_f32h WEFT_FMA_OF_f32_16
#define WEFT_FMA_VECTOR_f64h WEFT_FMA_OF_f64_16
#endif
#define WEFT_FMA_VECTOR(D, V, a, b, c) (weft_v_##V) WEFT_FMA_VECTOR_##V(a, b, c)
#else
#define WEFT_FMA_LANES 1
#endif

#if defined(WEFT_SCALAR_BUILD)
#define WEFT_VECTOR(D, V, T, BYTES)                                                                                 \
  enum { weft_lanes_##V = (BYTES) / sizeof(T) };                                                                    \
  typedef struct { T l[(BYTES) / sizeof(T)]; } weft_v_##V;                                                          \
  WEFT_INLINE weft_v_##V weft_vload_##V(const T *p) {                                                               \
    weft_v_##V r;                                                                                                   \
    memcpy(&r, p, sizeof r);                                                                                        \
    return r;                                                                                                       \
  }                                                                                                                 \
  WEFT_INLINE void weft_vstore_##V(T *p, weft_v_##V v) { memcpy(p, &v, sizeof v); }                                 \
  WEFT_INLINE weft_v_##V weft_vall_##V(T x) {                                                                       \
    weft_v_##V r;                                                                                                   \
    for (int l = 0; l < weft_lanes_##V; l++) r.l[l] = x;                                                            \
    return r;                                                                                                       \
  }                                                                                                                 \
  WEFT_INLINE weft_v_##V weft_vadd_##V(weft_v_##V a, weft_v_##V b) {                                                \
    for (int l = 0; l < weft_lanes_##V; l++) a.l[l] += b.l[l];                                                      \
    return a;                                                                                                       \
  }                                                                                                                 \
  WEFT_INLINE weft_v_##V weft_vmul_##V(weft_v_##V a, weft_v_##V b) {                                                \
    for (int l = 0; l < weft_lanes_##V; l++) a.l[l] *= b.l[l];                                                      \
    return a;                                                                                                       \
  }                                                                                                                 \
  WEFT_INLINE weft_v_##V weft_vfma_##V(weft_v_##V a, weft_v_##V b, weft_v_##V c) {                                  \
    for (int l = 0; l < weft_lanes_##V; l++) c.l[l] = weft_fma_##D(a.l[l], b.l[l], c.l[l]);                         \
    return c;                                                                                                       \
  }
#else
#if defined(WEFT_FMA_LANES)
#define WEFT_VECTOR_FMA(D, V)                                                                                       \
  WEFT_INLINE weft_v_##V weft_vfma_##V(weft_v_##V a, weft_v_##V b, weft_v_##V c) {                                  \
    weft_v_##V r = c;                                                                                               \
    for (int l = 0; l < weft_lanes_##V; l++) r[l] = weft_fma_##D(a[l], b[l], c[l]);                                 \
    return r;                                                                                                       \
  }
#else
#define WEFT_VECTOR_FMA(D, V)                                                                                       \
  WEFT_INLINE weft_v_##V weft_vfma_##V(weft_v_##V a, weft_v_##V b, weft_v_##V c) {                                  \
    return WEFT_FMA_VECTOR(D, V, a, b, c);                                                                          \
  }
#endif
#define WEFT_VECTOR_UNFUSED(V)                                                                                      \
  WEFT_INLINE weft_v_##V weft_vfma_##V(weft_v_##V a, weft_v_##V b, weft_v_##V c) { return a * b + c; }
#define WEFT_VECTOR(D, V, T, BYTES) WEFT_VECTOR_LANES(V, T, BYTES) WEFT_VECTOR_FMA(D, V)
#define WEFT_VECTOR_LANES(V, T, BYTES)                                                                              \
  typedef T weft_v_##V __attribute__((vector_size(BYTES)));                                                         \
  typedef T weft_vu_##V __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));                         \
  enum { weft_lanes_##V = (BYTES) / sizeof(T) };                                                                    \
  WEFT_INLINE weft_v_##V weft_vload_##V(const T *p) { return (weft_v_##V)*(const weft_vu_##V *)p; }                 \
  WEFT_INLINE void weft_vstore_##V(T *p, weft_v_##V v) { *(weft_vu_##V *)p = (weft_vu_##V)v; }                      \
  WEFT_INLINE weft_v_##V weft_vall_##V(T x) { return x - (weft_v_##V){0}; }                                         \
  WEFT_INLINE weft_v_##V weft_vadd_##V(weft_v_##V a, weft_v_##V b) { return a + b; }                                \
  WEFT_INLINE weft_v_##V weft_vmul_##V(weft_v_##V a, weft_v_##V b) { return a * b; }
#endif

WEFT_VECTOR(f32, f32, float, WEFT_VECTOR_BYTES)
WEFT_VECTOR(f64, f64, double, WEFT_VECTOR_BYTES)
#if defined(__AVX__) && !defined(WEFT_SCALAR_BUILD)
#define WEFT_HALVES 1
WEFT_VECTOR(f32, f32h, float, WEFT_VECTOR_BYTES / 2)
WEFT_VECTOR(f64, f64h, double, WEFT_VECTOR_BYTES / 2)
#else
#define WEFT_HALVES 0
#endif

/* unsigned integers: sums and products wrap */
#if defined(WEFT_SCALAR_BUILD)
#define WEFT_VECTOR_INTEGER(D, T)                                                                                   \
  WEFT_FN T weft_fma_##D(T a, T b, T c) { return (T)((uint64_t)a * b + c); }                                        \
  WEFT_VECTOR(D, D, T, WEFT_VECTOR_BYTES)
#else
#define WEFT_VECTOR_INTEGER(D, T) WEFT_VECTOR_LANES(D, T, WEFT_VECTOR_BYTES) WEFT_VECTOR_UNFUSED(D)
#endif
WEFT_VECTOR_INTEGER(u8, uint8_t)
WEFT_VECTOR_INTEGER(u16, uint16_t)
WEFT_VECTOR_INTEGER(u32, uint32_t)
WEFT_VECTOR_INTEGER(u64, uint64_t)

/* ---- lines to columns ------------------------------------------------------------------------------------------- */

#if !defined(WEFT_SCALAR_BUILD) && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define WEFT_SHUFFLES 1
#endif
#endif

/* how many lines weft_four_* turns at a time */
enum { weft_lines_f32 = 4, weft_lines_f64 = 2 };
enum { weft_lines_u8 = 1, weft_lines_u16 = 1, weft_lines_u32 = 1, weft_lines_u64 = 1 };

#if defined(WEFT_SHUFFLES)
#if defined(__AVX512F__)
#define WEFT_EVERY(X) X(0) X(1) X(2) X(3)
#define WEFT_LOW_32 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define WEFT_HIGH_32 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define WEFT_LOW_64 0, 8, 2, 10, 4, 12, 6, 14
#define WEFT_HIGH_64 1, 9, 3, 11, 5, 13, 7, 15
#elif defined(__AVX__)
#define WEFT_EVERY(X) X(0) X(1)
#define WEFT_LOW_32 0, 8, 1, 9, 4, 12, 5, 13
#define WEFT_HIGH_32 2, 10, 3, 11, 6, 14, 7, 15
#define WEFT_LOW_64 0, 4, 2, 6
#define WEFT_HIGH_64 1, 5, 3, 7
#else
#define WEFT_EVERY(X) X(0)
#define WEFT_LOW_32 0, 4, 1, 5
#define WEFT_HIGH_32 2, 6, 3, 7
#define WEFT_LOW_64 0, 2
#define WEFT_HIGH_64 1, 3
#endif
typedef float weft_q_f32 __attribute__((vector_size(16), aligned(4), may_alias));
typedef double weft_q_f64 __attribute__((vector_size(16), aligned(8), may_alias));
#define WEFT_PUT_f32(q, v, at)                                                                                      \
  {                                                                                                                 \
    weft_q_f32 *to = (weft_q_f32 *)(p + (4 * q + at) * ps);                                                         \
    weft_q_f32 x = (weft_q_f32)__builtin_shufflevector(v, v, 4 * q, 4 * q + 1, 4 * q + 2, 4 * q + 3);               \
    if (add) x += *to;                                                                                              \
    *to = x;                                                                                                        \
  }
#define WEFT_PUT_f64(q, v, at)                                                                                      \
  {                                                                                                                 \
    weft_q_f64 *to = (weft_q_f64 *)(p + (2 * q + at) * ps);                                                         \
    weft_q_f64 x = (weft_q_f64)__builtin_shufflevector(v, v, 2 * q, 2 * q + 1);                                     \
    if (add) x += *to;                                                                                              \
    *to = x;                                                                                                        \
  }
/* p[j * ps + l] = x[l * ls + j], or with `add` += it, for 4 lines l and the lanes j of a vector */
WEFT_INLINE void weft_four_f32(const float *x, int64_t ls, float *p, int64_t ps, const int add) {
  weft_v_f32 r0 = weft_vload_f32(x), r1 = weft_vload_f32(x + ls);
  weft_v_f32 r2 = weft_vload_f32(x + 2 * ls), r3 = weft_vload_f32(x + 3 * ls);
  weft_v_f64 low = (weft_v_f64)__builtin_shufflevector(r0, r1, WEFT_LOW_32);
  weft_v_f64 low2 = (weft_v_f64)__builtin_shufflevector(r2, r3, WEFT_LOW_32);
  weft_v_f64 high = (weft_v_f64)__builtin_shufflevector(r0, r1, WEFT_HIGH_32);
  weft_v_f64 high2 = (weft_v_f64)__builtin_shufflevector(r2, r3, WEFT_HIGH_32);
  weft_v_f32 c0 = (weft_v_f32)__builtin_shufflevector(low, low2, WEFT_LOW_64);
  weft_v_f32 c1 = (weft_v_f32)__builtin_shufflevector(low, low2, WEFT_HIGH_64);
  weft_v_f32 c2 = (weft_v_f32)__builtin_shufflevector(high, high2, WEFT_LOW_64);
  weft_v_f32 c3 = (weft_v_f32)__builtin_shufflevector(high, high2, WEFT_HIGH_64);
#define WEFT_PUT(q) WEFT_PUT_f32(q, c0, 0) WEFT_PUT_f32(q, c1, 1) WEFT_PUT_f32(q, c2, 2) WEFT_PUT_f32(q, c3, 3)
  WEFT_EVERY(WEFT_PUT)
#undef WEFT_PUT
}
WEFT_INLINE void weft_four_f64(const double *x, int64_t ls, double *p, int64_t ps, const int add) {
  weft_v_f64 r0 = weft_vload_f64(x), r1 = weft_vload_f64(x + ls);
  weft_v_f64 c0 = __builtin_shufflevector(r0, r1, WEFT_LOW_64), c1 = __builtin_shufflevector(r0, r1, WEFT_HIGH_64);
#define WEFT_PUT(q) WEFT_PUT_f64(q, c0, 0) WEFT_PUT_f64(q, c1, 1)
  WEFT_EVERY(WEFT_PUT)
#undef WEFT_PUT
}
#endif
#define WEFT_FOUR(D, T)                                                                                             \
  WEFT_INLINE void weft_four_##D(const T *x, int64_t ls, T *p, int64_t ps, const int add) {                         \
    for (int j = 0; j < (int)weft_lanes_##D; j++)                                                                   \
      for (int l = 0; l < weft_lines_##D; l++)                                                                      \
        p[j * ps + l] = (T)(add ? p[j * ps + l] + x[l * ls + j] : x[l * ls + j]);                                   \
  }
#if !defined(WEFT_SHUFFLES)
WEFT_FOUR(f32, float)
WEFT_FOUR(f64, double)
#endif
WEFT_FOUR(u8, uint8_t)
WEFT_FOUR(u16, uint16_t)
WEFT_FOUR(u32, uint32_t)
WEFT_FOUR(u64, uint64_t)

#endif
