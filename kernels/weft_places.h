/* weft_places.h: order and places of elements, as weft_library.h declares them. */
#ifndef WEFT_PLACES_H
#define WEFT_PLACES_H
#include <string.h>

#include "weft_parts.h"
#include "weft_sort.h"

#define WEFT_LIB_PLACES(D, T, H, LOAD, STORE, ADD, MULADD, DOT)                                                      \
  void weft_lib_sort_##D(const T *x, T *out, int64_t rows, int64_t n, T *tmp) {                                      \
    if (rows <= 0 || n <= 0) return;                                                                                 \
    if (x != out) memcpy(out, x, (size_t)(rows * n) * sizeof(T));                                                    \
    for (int64_t r = 0; r < rows; r++) weft_sort_##D(out + r * n, n, tmp);                                           \
  }                                                                                                                  \
  void weft_lib_argsort_##D(const T *x, int64_t *out, int64_t rows, int64_t n, int64_t *tmp) {                       \
    for (int64_t r = 0; n > 0 && r < rows; r++) weft_argsort_##D(x + r * n, out + r * n, n, tmp);                    \
  }                                                                                                                  \
                                                                                                                     \
  int64_t weft_lib_nonzero_count_##D(const T *x, int64_t n) {                                                        \
    int64_t found = 0;                                                                                               \
    for (int64_t i = 0; i < n; i++) found += weft_cast_##D##_b(LOAD(x + i));                                         \
    return found;                                                                                                    \
  }                                                                                                                  \
  void weft_lib_nonzero_##D(const T *x, int ndim, const int64_t *dims, int64_t *const *out) {                        \
    int64_t at[WEFT_MAX_NDIM] = {0}, n = dims[ndim - 1], found = 0;                                                  \
    for (int a = 0; a < ndim; a++)                                                                                   \
      if (dims[a] <= 0) return;                                                                                      \
    for (;;) {                                                                                                       \
      for (int64_t j = 0; j < n; j++)                                                                                \
        if (weft_cast_##D##_b(LOAD(x + j))) {                                                                        \
          for (int a = 0; a < ndim - 1; a++) out[a][found] = at[a];                                                  \
          out[ndim - 1][found++] = j;                                                                                \
        }                                                                                                            \
      x += n;                                                                                                        \
      int a = ndim - 2;                                                                                              \
      while (a >= 0 && ++at[a] == dims[a]) at[a--] = 0;                                                              \
      if (a < 0) return;                                                                                             \
    }                                                                                                                \
  }                                                                                                                  \
                                                                                                                     \
  void weft_lib_scatter_##D(T *out, const T *y, int nidx, const int64_t *const *idx, const int64_t *xdims,           \
                            int64_t count, int64_t inner, int64_t y_count_stride, int64_t y_inner_stride, int add,   \
                            weft_fault *fault) {                                                                     \
    for (int a = 0; a < nidx; a++)                                                                                   \
      if (!weft_lib_within(idx[a], count, xdims[a], fault)) return;                                                  \
    if (inner <= 0) return;                                                                                          \
    if (inner == 1 && nidx == 1) { /* elements, not rows: the loops below would cost more than what they do */       \
      const int64_t *at = idx[0], n = xdims[0];                                                                      \
      for (int64_t i = 0; i < count; i++) {                                                                          \
        T *o = out + at[i] + (at[i] < 0 ? n : 0);                                                                    \
        if (add)                                                                                                     \
          STORE(o, ADD(LOAD(o), LOAD(y + i * y_count_stride)));                                                      \
        else                                                                                                         \
          *o = y[i * y_count_stride];                                                                                \
      }                                                                                                              \
      return;                                                                                                        \
    }                                                                                                                \
    for (int64_t i = 0; i < count; i++) {                                                                            \
      int64_t at = 0;                                                                                                \
      for (int a = 0; a < nidx; a++) at = at * xdims[a] + idx[a][i] + (idx[a][i] < 0 ? xdims[a] : 0);                \
      T *o = out + at * inner;                                                                                       \
      const T *v = y + i * y_count_stride;                                                                           \
      if (add)                                                                                                       \
        for (int64_t j = 0; j < inner; j++) STORE(o + j, ADD(LOAD(o + j), LOAD(v + j * y_inner_stride)));            \
      else                                                                                                           \
        for (int64_t j = 0; j < inner; j++) o[j] = v[j * y_inner_stride];                                            \
    }                                                                                                                \
  }
#endif
