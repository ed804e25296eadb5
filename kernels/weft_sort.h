/* weft_sort.h: stable sort and argsort of one contiguous row, for every dtype.
 *
 *   weft_sort_<dt>(T *row, int64_t n, T *tmp)                        in place; tmp has n elements
 *   weft_argsort_<dt>(const T *row, int64_t *idx, int64_t n, int64_t *tmp)   idx becomes the order; tmp has n elements
 *
 * Ascending; NaN last; -0 equals +0; complex by real part, then imaginary, those with a NaN last (first the ones whose
 * real part is a number), all as NumPy orders them. T is the storage type: f16 and bf16 rows are uint16_t.
 * Runs of 16 by insertion, then merges that copy nothing where two runs already stand in order: n log n, linear on
 * sorted rows.
 */
#ifndef WEFT_SORT_H
#define WEFT_SORT_H
#include "weft_scalar.h"

enum { WEFT_SORT_RUN = 16 };

/* LESS(a, b) on elements E; SORT is the function's name, row and tmp E arrays, DATA an extra parameter of both */
#define WEFT_MERGE_SORT(SORT, E, PARAM, LESS)                                                \
  WEFT_FN void SORT(PARAM E *row, int64_t n, E *tmp) {                                       \
    for (int64_t lo = 0; lo < n; lo += WEFT_SORT_RUN) {                                      \
      int64_t hi = lo + WEFT_SORT_RUN < n ? lo + WEFT_SORT_RUN : n;                          \
      for (int64_t i = lo + 1; i < hi; i++) {                                                \
        E x = row[i];                                                                        \
        int64_t j = i;                                                                       \
        for (; j > lo && LESS(x, row[j - 1]); j--) row[j] = row[j - 1];                      \
        row[j] = x;                                                                          \
      }                                                                                      \
    }                                                                                        \
    for (int64_t width = WEFT_SORT_RUN; width < n; width *= 2)                               \
      for (int64_t lo = 0; lo + width < n; lo += 2 * width) {                                \
        int64_t mid = lo + width, hi = n - mid < width ? n : mid + width;                    \
        if (!LESS(row[mid], row[mid - 1])) continue;                                         \
        for (int64_t i = lo; i < mid; i++) tmp[i] = row[i];                                  \
        int64_t i = lo, j = mid, o = lo;                                                     \
        while (i < mid && j < hi) { /* equal: the left one first */                          \
          int right = LESS(row[j], tmp[i]);                                                  \
          row[o++] = right ? row[j] : tmp[i];                                                \
          j += right;                                                                        \
          i += !right;                                                                       \
        }                                                                                    \
        while (i < mid) row[o++] = tmp[i++];                                                 \
      }                                                                                      \
  }

#define WEFT_SORT(D, T)                                                                      \
  WEFT_MERGE_SORT(weft_sort_##D, T, , weft_before_##D)                                       \
  WEFT_FN int weft_before_at_##D(const T *keys, int64_t a, int64_t b) {                      \
    return weft_before_##D(keys[a], keys[b]);                                                \
  }                                                                                          \
  WEFT_MERGE_SORT(weft_argsort_of_##D, int64_t, const T *keys WEFT_COMMA, WEFT_BY_KEY_##D)   \
  WEFT_FN void weft_argsort_##D(const T *row, int64_t *idx, int64_t n, int64_t *tmp) {       \
    for (int64_t i = 0; i < n; i++) idx[i] = i;                                              \
    weft_argsort_of_##D(row, idx, n, tmp);                                                   \
  }
#define WEFT_COMMA ,
#define WEFT_BY_KEY_b(a, b) weft_before_at_b(keys, a, b)
#define WEFT_BY_KEY_i8(a, b) weft_before_at_i8(keys, a, b)
#define WEFT_BY_KEY_i16(a, b) weft_before_at_i16(keys, a, b)
#define WEFT_BY_KEY_i32(a, b) weft_before_at_i32(keys, a, b)
#define WEFT_BY_KEY_i64(a, b) weft_before_at_i64(keys, a, b)
#define WEFT_BY_KEY_u8(a, b) weft_before_at_u8(keys, a, b)
#define WEFT_BY_KEY_u16(a, b) weft_before_at_u16(keys, a, b)
#define WEFT_BY_KEY_u32(a, b) weft_before_at_u32(keys, a, b)
#define WEFT_BY_KEY_u64(a, b) weft_before_at_u64(keys, a, b)
#define WEFT_BY_KEY_f16(a, b) weft_before_at_f16(keys, a, b)
#define WEFT_BY_KEY_bf16(a, b) weft_before_at_bf16(keys, a, b)
#define WEFT_BY_KEY_f32(a, b) weft_before_at_f32(keys, a, b)
#define WEFT_BY_KEY_f64(a, b) weft_before_at_f64(keys, a, b)
#define WEFT_BY_KEY_c64(a, b) weft_before_at_c64(keys, a, b)
#define WEFT_BY_KEY_c128(a, b) weft_before_at_c128(keys, a, b)

#define WEFT_SORT_INTEGER(D, T, U, LO, HI, LIM)               \
  WEFT_FN int weft_before_##D(T a, T b) { return a < b; }     \
  WEFT_SORT(D, T)
WEFT_SORT_INTEGER(b, uint8_t, , , , )
WEFT_SIGNED(WEFT_SORT_INTEGER)
WEFT_UNSIGNED(WEFT_SORT_INTEGER)

#define WEFT_SORT_FLOAT(D, T)                                                                  \
  WEFT_FN int weft_before_##D(T a, T b) { return a < b || (b != b && a == a); }                \
  WEFT_SORT(D, T)
WEFT_SORT_FLOAT(f32, float)
WEFT_SORT_FLOAT(f64, double)

#define WEFT_SORT_HALF(D)                                                                      \
  WEFT_FN int weft_before_##D(uint16_t a, uint16_t b) {                                        \
    return weft_before_f32(weft_load_##D(&a), weft_load_##D(&b));                              \
  }                                                                                            \
  WEFT_SORT(D, uint16_t)
WEFT_SORT_HALF(f16)
WEFT_SORT_HALF(bf16)

/* The group first: no NaN, NaN in the imaginary part, in the real part, in both. Then the parts that are numbers. */
#define WEFT_SORT_COMPLEX(D, T, R)                                                             \
  WEFT_FN int weft_before_##D(T a, T b) {                                                      \
    int ga = 2 * (a.re != a.re) + (a.im != a.im), gb = 2 * (b.re != b.re) + (b.im != b.im);    \
    if (ga != gb) return ga < gb;                                                              \
    if (weft_before_##R(a.re, b.re)) return 1;                                                 \
    return !weft_before_##R(b.re, a.re) && weft_before_##R(a.im, b.im);                        \
  }                                                                                            \
  WEFT_SORT(D, T)
WEFT_SORT_COMPLEX(c64, weft_c64, f32)
WEFT_SORT_COMPLEX(c128, weft_c128, f64)

#endif
