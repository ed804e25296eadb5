/* weft_products.h: products, as weft_library.h declares them. */
#ifndef WEFT_PRODUCTS_H
#define WEFT_PRODUCTS_H
#include "weft_parts.h"

#define WEFT_LIB_PRODUCTS(D, T, H, LOAD, STORE, ADD, MULADD, DOT)                                                    \
  int64_t weft_lib_gemm_workspace_##D(int64_t m, int64_t n, int64_t k, int threads, int in_memory,                   \
                                      const weft_fused *f) {                                                         \
    return weft_gemm_workspace_##D(m, n, k, threads, in_memory, f);                                                  \
  }                                                                                                                  \
  int weft_lib_gemm_##D(int64_t m, int64_t n, int64_t k, const T *a, int64_t ars, int64_t acs, const T *b,           \
                        int64_t brs, int64_t bcs, T *c, int64_t crs, int64_t ccs, weft_parallel_for_fn pfor,         \
                        int threads, void *work, const weft_fused *f) {                                              \
    return weft_gemm_##D(m, n, k, a, ars, acs, b, brs, bcs, c, crs, ccs, pfor, threads, work, f);                    \
  }                                                                                                                  \
  int64_t weft_lib_gemm_batch_workspace_##D(int64_t batch, int64_t m, int64_t n, int64_t k, int threads,             \
                                            int in_memory, const weft_fused *f) {                                    \
    return weft_gemm_batch_workspace_##D(batch, m, n, k, threads, in_memory, f);                                     \
  }                                                                                                                  \
  int weft_lib_gemm_batch_##D(int64_t batch, int64_t m, int64_t n, int64_t k, const T *a, int64_t abs, int64_t ars,  \
                              int64_t acs, const T *b, int64_t bbs, int64_t brs, int64_t bcs, T *c, int64_t cbs,     \
                              int64_t crs, int64_t ccs, weft_parallel_for_fn pfor, int threads, void *work,          \
                              const weft_fused *f) {                                                                 \
    return weft_gemm_batch_##D(batch, m, n, k, a, abs, ars, acs, b, bbs, brs, bcs, c, cbs, crs, ccs, pfor, threads,  \
                               work, f);                                                                             \
  }                                                                                                                  \
  void weft_lib_gemv_##D(int64_t m, int64_t k, const T *a, int64_t ars, int64_t acs, const T *x, int64_t incx, T *y, \
                         int64_t incy, weft_parallel_for_fn pfor, int threads) {                                     \
    weft_gemv_##D(m, k, a, ars, acs, x, incx, y, incy, pfor, threads);                                               \
  }                                                                                                                  \
  void weft_lib_dot_##D(int64_t n, const T *x, int64_t incx, const T *y, int64_t incy, T *out) {                     \
    STORE(out, DOT(n, x, incx, y, incy));                                                                            \
  }
#endif
