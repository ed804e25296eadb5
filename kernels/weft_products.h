/* weft_products.h: products, as weft_library.h declares them. */
#ifndef WEFT_PRODUCTS_H
#define WEFT_PRODUCTS_H
#include "weft_parts.h"

#define WEFT_LIB_PRODUCTS(D, T, H, LOAD, STORE, ADD, MULADD, DOT)                                                    \
  int64_t weft_lib_product_workspace_##D(const weft_product *p) {                                                    \
    if (p->batch == 1) return weft_gemm_workspace_##D(p->m, p->n, p->k, p->threads, p->c != NULL, &p->fused);        \
    return weft_gemm_batch_workspace_##D(p->batch, p->m, p->n, p->k, p->threads, p->c != NULL, &p->fused);           \
  }                                                                                                                  \
  int weft_lib_product_##D(const weft_product *p) {                                                                  \
    const T *a = (const T *)p->a, *b = (const T *)p->b;                                                              \
    T *c = (T *)p->c;                                                                                                \
    if (p->batch == 1)                                                                                               \
      return weft_gemm_##D(p->m, p->n, p->k, a, p->ars, p->acs, b, p->brs, p->bcs, c, p->n, 1, p->parallel_for,      \
                           p->threads, p->work, &p->fused);                                                          \
    return weft_gemm_batch_##D(p->batch, p->m, p->n, p->k, a, p->abs, p->ars, p->acs, b, p->bbs, p->brs, p->bcs, c,  \
                               p->m * p->n, p->n, 1, p->parallel_for, p->threads, p->work, &p->fused);               \
  }                                                                                                                  \
  void weft_lib_gemv_##D(int64_t m, int64_t k, const T *a, int64_t ars, int64_t acs, const T *x, int64_t incx, T *y, \
                         int64_t incy, weft_parallel_for_fn pfor, int threads) {                                     \
    weft_gemv_##D(m, k, a, ars, acs, x, incx, y, incy, pfor, threads);                                               \
  }                                                                                                                  \
  void weft_lib_dot_##D(int64_t n, const T *x, int64_t incx, const T *y, int64_t incy, T *out) {                     \
    STORE(out, DOT(n, x, incx, y, incy));                                                                            \
  }
#endif
