/* weft_dot.h: dot products and matrix-vector products; weft_gemm.h says which bits. */
#ifndef WEFT_DOT_H
#define WEFT_DOT_H

/* ---- dot and matrix-vector products of float32 and float64 ---------------------------------------------------- */

#define WEFT_DOT_FLOAT(D, T, L)                                                                                     \
  enum { weft_dot_vectors_##D = L / weft_lanes_##D };                                                               \
  WEFT_INLINE T weft_dot_tree_##D(T *s) {                                                                           \
    for (int h = L / 2; h; h /= 2)                                                                                  \
      for (int l = 0; l < h; l++) s[l] += s[l + h];                                                                 \
    return s[0];                                                                                                    \
  }                                                                                                                 \
  /* one block of `rows` dot products with a common x, elements contiguous */                                       \
  WEFT_INLINE void weft_dot_rows_##D(const int rows, int64_t n, const T *a, int64_t ars, const T *x, T *out) {      \
    weft_v_##D acc[4][weft_dot_vectors_##D];                                                                        \
    _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++)                                                          \
      _Pragma("GCC unroll 4") for (int v = 0; v < weft_dot_vectors_##D; v++) acc[r][v] = weft_vall_##D(0);          \
    int64_t i = 0;                                                                                                  \
    for (; i + L <= n; i += L)                                                                                      \
      _Pragma("GCC unroll 4") for (int v = 0; v < weft_dot_vectors_##D; v++) {                                      \
        weft_v_##D xv = weft_vload_##D(x + i + v * weft_lanes_##D);                                                 \
        _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++)                                                      \
          acc[r][v] = weft_vfma_##D(weft_vload_##D(a + r * ars + i + v * weft_lanes_##D), xv, acc[r][v]);           \
      }                                                                                                             \
    _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++) {                                                        \
      T s[L];                                                                                                       \
      _Pragma("GCC unroll 4") for (int v = 0; v < weft_dot_vectors_##D; v++)                                        \
        weft_vstore_##D(s + v * weft_lanes_##D, acc[r][v]);                                                         \
      for (int64_t l = 0; i + l < n; l++) s[l] = weft_fma_##D(a[r * ars + i + l], x[i + l], s[l]);                  \
      out[r] = weft_dot_tree_##D(s);                                                                                \
    }                                                                                                               \
  }                                                                                                                 \
  WEFT_FN T weft_dot_block_##D(int64_t n, const T *x, int64_t incx, const T *y, int64_t incy) {                     \
    T s[L] = {0};                                                                                                   \
    if (incx == 1 && incy == 1) {                                                                                   \
      weft_dot_rows_##D(1, n, x, 0, y, s);                                                                          \
      return s[0];                                                                                                  \
    }                                                                                                               \
    int64_t i = 0;                                                                                                  \
    for (; i + L <= n; i += L)                                                                                      \
      for (int l = 0; l < L; l++) s[l] = weft_fma_##D(x[(i + l) * incx], y[(i + l) * incy], s[l]);                  \
    for (int64_t l = 0; i + l < n; l++) s[l] = weft_fma_##D(x[(i + l) * incx], y[(i + l) * incy], s[l]);            \
    return weft_dot_tree_##D(s);                                                                                    \
  }                                                                                                                 \
  WEFT_FN T weft_dot_##D(int64_t n, const T *x, int64_t incx, const T *y, int64_t incy) {                           \
    T sum = 0;                                                                                                      \
    for (int64_t i = 0; i < n; i += WEFT_DOT_BLOCK) {                                                               \
      T s = weft_dot_block_##D(weft_least_(n - i, WEFT_DOT_BLOCK), x + i * incx, incx, y + i * incy, incy);         \
      sum = i ? sum + s : s;                                                                                        \
    }                                                                                                               \
    return sum;                                                                                                     \
  }                                                                                                                 \
                                                                                                                    \
  typedef struct { int64_t k, ars, acs, incx, incy; const T *a, *x; T *y; } weft_gemv_job_##D;                      \
  static void weft_gemv_work_##D(void *arg, int64_t begin, int64_t end, int worker) {                               \
    const weft_gemv_job_##D *g = (const weft_gemv_job_##D *)arg;                                                    \
    int64_t i = begin;                                                                                              \
    (void)worker;                                                                                                   \
    if (g->acs == 1 && g->incx == 1)                                                                                \
      for (; i + 4 <= end; i += 4) {                                                                                \
        T sum[4] = {0}, s[4];                                                                                       \
        for (int64_t p = 0; p < g->k; p += WEFT_DOT_BLOCK) {                                                        \
          weft_dot_rows_##D(4, weft_least_(g->k - p, WEFT_DOT_BLOCK), g->a + i * g->ars + p, g->ars, g->x + p, s);  \
          for (int r = 0; r < 4; r++) sum[r] = p ? sum[r] + s[r] : s[r];                                            \
        }                                                                                                           \
        for (int r = 0; r < 4; r++) g->y[(i + r) * g->incy] = sum[r];                                               \
      }                                                                                                             \
    else if (g->ars == 1) /* columns contiguous: one vector of rows a virtual lane */                               \
      for (; i + weft_lanes_##D <= end; i += weft_lanes_##D) {                                                      \
        weft_v_##D sum = weft_vall_##D(0);                                                                          \
        for (int64_t p = 0; p < g->k; p += WEFT_DOT_BLOCK) {                                                        \
          weft_v_##D s[L];                                                                                          \
          for (int l = 0; l < L; l++) s[l] = weft_vall_##D(0);                                                      \
          int64_t stop = weft_least_(p + WEFT_DOT_BLOCK, g->k), q = p;                                              \
          for (; q + L <= stop; q += L)                                                                             \
            _Pragma("GCC unroll 16") for (int l = 0; l < L; l++)                                                    \
              s[l] = weft_vfma_##D(weft_vload_##D(g->a + i + (q + l) * g->acs),                                     \
                                   weft_vall_##D(g->x[(q + l) * g->incx]), s[l]);                                   \
          for (int l = 0; q < stop; q++, l++)                                                                       \
            s[l] = weft_vfma_##D(weft_vload_##D(g->a + i + q * g->acs), weft_vall_##D(g->x[q * g->incx]), s[l]);    \
          for (int h = L / 2; h; h /= 2)                                                                            \
            for (int l = 0; l < h; l++) s[l] = weft_vadd_##D(s[l], s[l + h]);                                       \
          sum = p ? weft_vadd_##D(sum, s[0]) : s[0];                                                                \
        }                                                                                                           \
        T out[weft_lanes_##D];                                                                                      \
        weft_vstore_##D(out, sum);                                                                                  \
        for (int r = 0; r < (int)weft_lanes_##D; r++) g->y[(i + r) * g->incy] = out[r];                             \
      }                                                                                                             \
    for (; i < end; i++)                                                                                            \
      g->y[i * g->incy] = weft_dot_##D(g->k, g->a + i * g->ars, g->acs, g->x, g->incx);                             \
  }                                                                                                                 \
  WEFT_GEMV(D, T)

#define WEFT_GEMV(D, T)                                                                                             \
  WEFT_UNUSED void weft_gemv_##D(int64_t m, int64_t k, const T *a, int64_t ars, int64_t acs, const T *x, int64_t incx,\
                            T *y, int64_t incy, weft_pfor pfor, int threads) {                                      \
    if (m <= 0) return;                                                                                             \
    weft_gemv_job_##D g = {k, ars, acs, incx, incy, a, x, y};                                                       \
    if (pfor && threads > 1) pfor(m, 1 + 32768 / (k + 1), threads, weft_gemv_work_##D, &g);                         \
    else weft_gemv_work_##D(&g, 0, m, 0);                                                                           \
  }

WEFT_DOT_FLOAT(f32, float, 16)
WEFT_DOT_FLOAT(f64, double, 8)

#endif
