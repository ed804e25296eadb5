/* weft_dot.h: dot products and matrix-vector products; weft_gemm.h says which bits. */
#ifndef WEFT_DOT_H
#define WEFT_DOT_H

/* ---- a vector in parts ------------------------------------------------------------------------------------------
 *
 * weft_vfma_some_D: a * b + c in the first n lanes, c in the others. weft_vload_some_D: n elements and zeros; nothing
 * else is read. weft_vsums_D: of as many vectors as one has lanes the sum of each, by the tree that adds halves
 * (docs/numerics.md). */

#if defined(WEFT_SCALAR_BUILD)
#define WEFT_VECTOR_SOME(D, I, ...)                                                                                 \
  WEFT_INLINE weft_v_##D weft_vfma_first_##D(int n, weft_v_##D a, weft_v_##D b, weft_v_##D c) {                     \
    for (int l = 0; l < n; l++) c.l[l] = weft_fma_##D(a.l[l], b.l[l], c.l[l]);                                      \
    return c;                                                                                                       \
  }                                                                                                                 \
  WEFT_INLINE weft_v_##D weft_vsums_##D(weft_v_##D *v) {                                                            \
    weft_v_##D r;                                                                                                   \
    for (int k = 0; k < (int)weft_lanes_##D; k++) {                                                                 \
      for (int h = weft_lanes_##D / 2; h; h /= 2)                                                                   \
        for (int l = 0; l < h; l++) v[k].l[l] += v[k].l[l + h];                                                     \
      r.l[k] = v[k].l[0];                                                                                           \
    }                                                                                                               \
    return r;                                                                                                       \
  }
#else
#if defined(__clang__)
#define WEFT_TWO(D)                                                                                                 \
  WEFT_INLINE weft_v_##D weft_two_##D(weft_v_##D a, weft_v_##D b, weft_vi_##D at) {                                 \
    const int n = weft_lanes_##D;                                                                                   \
    weft_v_##D r = a;                                                                                               \
    for (int l = 0; l < n; l++) r[l] = at[l] < n ? a[at[l]] : b[at[l] - n];                                         \
    return r;                                                                                                       \
  }
#else
#define WEFT_TWO(D)                                                                                                 \
  WEFT_INLINE weft_v_##D weft_two_##D(weft_v_##D a, weft_v_##D b, weft_vi_##D at) {                                 \
    return __builtin_shuffle(a, b, at);                                                                             \
  }
#endif
#define WEFT_VECTOR_SOME(D, I, ...)                                                                                 \
  typedef I weft_vi_##D __attribute__((vector_size(WEFT_VECTOR_BYTES)));                                            \
  WEFT_TWO(D)                                                                                                       \
  WEFT_INLINE weft_v_##D weft_vfma_first_##D(int n, weft_v_##D a, weft_v_##D b, weft_v_##D c) {                     \
    const weft_vi_##D m = (weft_vi_##D){__VA_ARGS__} < (I)n;                                                        \
    return (weft_v_##D)((m & (weft_vi_##D)weft_vfma_##D(a, b, c)) | (~m & (weft_vi_##D)c));                         \
  }                                                                                                                 \
  WEFT_INLINE weft_v_##D weft_vsums_##D(weft_v_##D *v) {                                                            \
    const weft_vi_##D iota = {__VA_ARGS__};                                                                         \
    _Pragma("GCC unroll 4") for (int h = weft_lanes_##D / 2, n = h; h; h /= 2, n /= 2) {                            \
      const weft_vi_##D at = (iota & (I)-h) * 2 + (iota & (I)(h - 1));                                              \
      _Pragma("GCC unroll 8") for (int k = 0; k < n; k++)                                                           \
        v[k] = weft_two_##D(v[2 * k], v[2 * k + 1], at) + weft_two_##D(v[2 * k], v[2 * k + 1], at + (I)h);          \
    }                                                                                                               \
    return v[0];                                                                                                    \
  }
#endif
#if defined(__AVX512F__) && !defined(WEFT_SCALAR_BUILD)
WEFT_VECTOR_SOME(f32, int32_t, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
WEFT_VECTOR_SOME(f64, int64_t, 0, 1, 2, 3, 4, 5, 6, 7)
#elif defined(__AVX__) && !defined(WEFT_SCALAR_BUILD)
WEFT_VECTOR_SOME(f32, int32_t, 0, 1, 2, 3, 4, 5, 6, 7)
WEFT_VECTOR_SOME(f64, int64_t, 0, 1, 2, 3)
#else
WEFT_VECTOR_SOME(f32, int32_t, 0, 1, 2, 3)
WEFT_VECTOR_SOME(f64, int64_t, 0, 1)
#endif

#if defined(__AVX512F__) && defined(WEFT_FMA_VECTOR_f32) && !defined(WEFT_SCALAR_BUILD)
WEFT_INLINE weft_v_f32 weft_vload_some_f32(const float *p, int n) {
  return (weft_v_f32)__builtin_ia32_loadups512_mask(p, weft_vall_f32(0), (unsigned short)((1u << n) - 1));
}
WEFT_INLINE weft_v_f64 weft_vload_some_f64(const double *p, int n) {
  return (weft_v_f64)__builtin_ia32_loadupd512_mask(p, weft_vall_f64(0), (unsigned char)((1u << n) - 1));
}
WEFT_INLINE weft_v_f32 weft_vfma_some_f32(int n, weft_v_f32 a, weft_v_f32 b, weft_v_f32 c) {
  return (weft_v_f32)__builtin_ia32_vfmaddps512_mask3(a, b, c, (unsigned short)((1u << n) - 1), 4);
}
WEFT_INLINE weft_v_f64 weft_vfma_some_f64(int n, weft_v_f64 a, weft_v_f64 b, weft_v_f64 c) {
  return (weft_v_f64)__builtin_ia32_vfmaddpd512_mask3(a, b, c, (unsigned char)((1u << n) - 1), 4);
}
#define WEFT_MASKED_FMA 1
#elif defined(__AVX__) && defined(WEFT_FMA_VECTOR_f32) && !defined(WEFT_SCALAR_BUILD)
WEFT_INLINE weft_v_f32 weft_vload_some_f32(const float *p, int n) {
  return (weft_v_f32)__builtin_ia32_maskloadps256((const void *)p, (weft_vi_f32){0, 1, 2, 3, 4, 5, 6, 7} < n);
}
WEFT_INLINE weft_v_f64 weft_vload_some_f64(const double *p, int n) {
  return (weft_v_f64)__builtin_ia32_maskloadpd256((const void *)p, (weft_vi_f64){0, 1, 2, 3} < (int64_t)n);
}
#else
#define WEFT_LOAD_SOME(D, T)                                                                                        \
  WEFT_INLINE weft_v_##D weft_vload_some_##D(const T *p, int n) {                                                   \
    T some[weft_lanes_##D] = {0};                                                                                  \
    for (int l = 0; l < n; l++) some[l] = p[l];                                                                     \
    return weft_vload_##D(some);                                                                                    \
  }
WEFT_LOAD_SOME(f32, float)
WEFT_LOAD_SOME(f64, double)
#endif
#if !defined(WEFT_MASKED_FMA)
#define weft_vfma_some_f32 weft_vfma_first_f32
#define weft_vfma_some_f64 weft_vfma_first_f64
#endif

/* ---- dot and matrix-vector products of float32 and float64 ---------------------------------------------------- */

#define WEFT_DOT_FLOAT(D, T, L)                                                                                     \
  enum { weft_dot_vectors_##D = L / weft_lanes_##D, weft_strip_##D = 256, weft_partial_##D = 8192 };                \
  WEFT_INLINE T weft_dot_tree_##D(T *s) {                                                                           \
    for (int h = L / 2; h; h /= 2)                                                                                  \
      for (int l = 0; l < h; l++) s[l] += s[l + h];                                                                 \
    return s[0];                                                                                                    \
  }                                                                                                                 \
  /* one block of `rows` dot products with a common x, elements contiguous: a vector of each, whose lanes are to be \
   * added up as a tree */                                                                                          \
  WEFT_INLINE void weft_dot_rows_##D(const int rows, int64_t n, const T *a, int64_t ars, const T *x,                \
                                     weft_v_##D *out) {                                                             \
    weft_v_##D acc[8][weft_dot_vectors_##D];                                                                        \
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++)                                                          \
      _Pragma("GCC unroll 4") for (int v = 0; v < weft_dot_vectors_##D; v++) acc[r][v] = weft_vall_##D(0);          \
    int64_t i = 0;                                                                                                  \
    for (; i + L <= n; i += L)                                                                                      \
      _Pragma("GCC unroll 4") for (int v = 0; v < weft_dot_vectors_##D; v++) {                                      \
        weft_v_##D xv = weft_vload_##D(x + i + v * weft_lanes_##D);                                                 \
        _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++)                                                      \
          acc[r][v] = weft_vfma_##D(weft_vload_##D(a + r * ars + i + v * weft_lanes_##D), xv, acc[r][v]);           \
      }                                                                                                             \
    _Pragma("GCC unroll 4") for (int v = 0; v < weft_dot_vectors_##D; v++) {                                        \
      const int left = (int)weft_least_(n - i - v * weft_lanes_##D, weft_lanes_##D);                                \
      if (left <= 0) break;                                                                                         \
      weft_v_##D xv = weft_vload_some_##D(x + i + v * weft_lanes_##D, left);                                        \
      _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++) {                                                      \
        weft_v_##D av = weft_vload_some_##D(a + r * ars + i + v * weft_lanes_##D, left);                            \
        acc[r][v] = weft_vfma_some_##D(left, av, xv, acc[r][v]);                                                    \
      }                                                                                                             \
    }                                                                                                               \
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++) {                                                        \
      _Pragma("GCC unroll 4") for (int h = weft_dot_vectors_##D / 2; h; h /= 2)                                     \
        _Pragma("GCC unroll 4") for (int v = 0; v < h; v++) acc[r][v] = weft_vadd_##D(acc[r][v], acc[r][v + h]);    \
      out[r] = acc[r][0];                                                                                           \
    }                                                                                                               \
  }                                                                                                                 \
  WEFT_FN T weft_dot_block_##D(int64_t n, const T *x, int64_t incx, const T *y, int64_t incy) {                     \
    T s[L] = {0};                                                                                                   \
    if (incx == 1 && incy == 1) {                                                                                   \
      weft_v_##D row;                                                                                               \
      weft_dot_rows_##D(1, n, x, 0, y, &row);                                                                       \
      weft_vstore_##D(s, row);                                                                                      \
      for (int h = weft_lanes_##D / 2; h; h /= 2)                                                                   \
        for (int l = 0; l < h; l++) s[l] += s[l + h];                                                               \
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
  typedef struct {                                                                                                  \
    int64_t m, k, ars, acs, incx, incy;                                                                             \
    const T *a, *x;                                                                                                 \
    T *y;                                                                                                           \
    int64_t width, from; /* by columns: of a strip; the first block, whose sums go to `partial` */                  \
    T *partial;                                                                                                     \
  } weft_gemv_job_##D;                                                                                              \
                                                                                                                    \
  /* Contiguous rows, as many at a time as a vector has lanes. */                                                   \
  static void weft_gemv_rows_##D(void *arg, int64_t begin, int64_t end, int worker) {                               \
    const weft_gemv_job_##D *g = (const weft_gemv_job_##D *)arg;                                                    \
    enum { some = weft_dot_vectors_##D == 1 ? 8 : 4, at_once = some < weft_lanes_##D ? some : weft_lanes_##D };     \
    (void)worker;                                                                                                   \
    for (int64_t i = begin; i < end; i += weft_lanes_##D) {                                                         \
      const int rows = (int)weft_least_(end - i, weft_lanes_##D);                                                   \
      weft_v_##D sum = weft_vall_##D(0), s[weft_lanes_##D];                                                         \
      for (int64_t p = 0; p < g->k; p += WEFT_DOT_BLOCK) {                                                          \
        const int64_t n = weft_least_(g->k - p, WEFT_DOT_BLOCK);                                                    \
        const T *a = g->a + i * g->ars + p;                                                                         \
        int r = 0;                                                                                                  \
        for (; r + at_once <= rows; r += at_once)                                                                   \
          weft_dot_rows_##D(at_once, n, a + r * g->ars, g->ars, g->x + p, s + r);                                   \
        for (; r < rows; r++) weft_dot_rows_##D(1, n, a + r * g->ars, 0, g->x + p, s + r);                          \
        for (; r < (int)weft_lanes_##D; r++) s[r] = weft_vall_##D(0);                                               \
        s[0] = weft_vsums_##D(s);                                                                                   \
        sum = p ? weft_vadd_##D(sum, s[0]) : s[0];                                                                  \
      }                                                                                                             \
      T out[weft_lanes_##D];                                                                                        \
      weft_vstore_##D(out, sum);                                                                                    \
      for (int r = 0; r < rows; r++) g->y[(i + r) * g->incy] = out[r];                                              \
    }                                                                                                               \
  }                                                                                                                 \
                                                                                                                    \
  /* Contiguous columns. A virtual lane is a row of vectors, and the matrix is read in the order of memory. Adds    \
   * `rows` of its rows that belong to a lane, L apart; `first`: the lane holds nothing yet. */                     \
  WEFT_INLINE void weft_gemv_lane_##D(const weft_gemv_job_##D *g, const int rows, const int first, int64_t j, int n,\
                                      int64_t q, weft_v_##D *lane) {                                                \
    const int full = n / weft_lanes_##D, rest = n % weft_lanes_##D;                                                 \
    const int64_t as = L * g->acs, xs = L * g->incx;                                                                \
    const T *a = g->a + j + q * g->acs, *x = g->x + q * g->incx;                                                    \
    weft_v_##D xv[4];                                                                                               \
    _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++) xv[r] = weft_vall_##D(x[r * xs]);                        \
    for (int v = 0; v < full; v++, a += weft_lanes_##D) {                                                           \
      weft_v_##D s = first ? weft_vall_##D(0) : lane[v];                                                            \
      _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++)                                                        \
        s = weft_vfma_##D(weft_vload_##D(a + r * as), xv[r], s);                                                    \
      lane[v] = s;                                                                                                  \
    }                                                                                                               \
    if (rest) {                                                                                                     \
      weft_v_##D s = first ? weft_vall_##D(0) : lane[full];                                                         \
      _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++)                                                        \
        s = weft_vfma_##D(weft_vload_some_##D(a + r * as, rest), xv[r], s);                                         \
      lane[full] = s;                                                                                               \
    }                                                                                                               \
  }                                                                                                                 \
  /* the sums of a block of k for columns j to j + n */                                                             \
  WEFT_INLINE void weft_gemv_block_##D(const weft_gemv_job_##D *g, int64_t j, int n, int64_t p, T *out) {           \
    const int all = (n + weft_lanes_##D - 1) / weft_lanes_##D;                                                      \
    const int64_t stop = weft_least_(p + WEFT_DOT_BLOCK, g->k);                                                     \
    weft_v_##D lane[L][weft_strip_##D / weft_lanes_##D];                                                            \
    int used = 1; /* lanes that are reached, and others that are 0 */                                               \
    while (used < L && used < stop - p) used *= 2;                                                                  \
    for (int l = (int)(stop - p); l < used; l++)                                                                    \
      for (int v = 0; v < all; v++) lane[l][v] = weft_vall_##D(0);                                                  \
    int64_t q = p;                                                                                                  \
    if (stop - p >= 4 * L) {                                                                                        \
      for (int l = 0; l < L; l++) weft_gemv_lane_##D(g, 4, 1, j, n, q + l, lane[l]);                                \
      for (q += 4 * L; q + 4 * L <= stop; q += 4 * L)                                                               \
        for (int l = 0; l < L; l++) weft_gemv_lane_##D(g, 4, 0, j, n, q + l, lane[l]);                              \
    } else {                                                                                                        \
      for (int l = 0; l < L && q < stop; q++, l++) weft_gemv_lane_##D(g, 1, 1, j, n, q, lane[l]);                   \
    }                                                                                                               \
    for (int l = 0; q < stop; q++, l = (l + 1) % L) weft_gemv_lane_##D(g, 1, 0, j, n, q, lane[l]);                  \
    for (int h = used / 2; h; h /= 2)                                                                               \
      for (int l = 0; l < h; l++)                                                                                   \
        for (int v = 0; v < all; v++) lane[l][v] = weft_vadd_##D(lane[l][v], lane[l + h][v]);                       \
    for (int v = 0; v < all; v++) {                                                                                 \
      T last[weft_lanes_##D];                                                                                       \
      const int left = n - v * (int)weft_lanes_##D;                                                                 \
      T *to = out + v * weft_lanes_##D;                                                                             \
      if (used < L) lane[0][v] = weft_vadd_##D(lane[0][v], weft_vall_##D(0)); /* the other lanes: -0 + 0 is 0 */    \
      weft_vstore_##D(left < (int)weft_lanes_##D ? last : to, lane[0][v]);                                          \
      for (int c = 0; left < (int)weft_lanes_##D && c < left; c++) to[c] = last[c];                                 \
    }                                                                                                               \
  }                                                                                                                 \
  /* strips of columns, each by all its blocks */                                                                   \
  static void weft_gemv_strips_##D(void *arg, int64_t begin, int64_t end, int worker) {                             \
    const weft_gemv_job_##D *g = (const weft_gemv_job_##D *)arg;                                                    \
    (void)worker;                                                                                                   \
    for (int64_t t = begin; t < end; t++) {                                                                         \
      const int64_t j = t * g->width;                                                                               \
      const int n = (int)weft_least_(g->m - j, g->width);                                                           \
      T sum[weft_strip_##D], s[weft_strip_##D];                                                                     \
      for (int c = 0; c < n; c++) sum[c] = 0;                                                                       \
      for (int64_t p = 0; p < g->k; p += WEFT_DOT_BLOCK) {                                                          \
        weft_gemv_block_##D(g, j, n, p, p ? s : sum);                                                               \
        for (int c = 0; p && c < n; c++) sum[c] += s[c];                                                            \
      }                                                                                                             \
      for (int c = 0; c < n; c++) g->y[(j + c) * g->incy] = sum[c];                                                 \
    }                                                                                                               \
  }                                                                                                                 \
  /* blocks, each of all columns */                                                                                 \
  static void weft_gemv_blocks_##D(void *arg, int64_t begin, int64_t end, int worker) {                             \
    const weft_gemv_job_##D *g = (const weft_gemv_job_##D *)arg;                                                    \
    (void)worker;                                                                                                   \
    for (int64_t t = begin; t < end; t++)                                                                           \
      for (int64_t j = 0; j < g->m; j += weft_strip_##D)                                                            \
        weft_gemv_block_##D(g, j, (int)weft_least_(g->m - j, weft_strip_##D), (g->from + t) * WEFT_DOT_BLOCK,       \
                            g->partial + t * g->m + j);                                                             \
  }                                                                                                                 \
  static void weft_gemv_any_##D(void *arg, int64_t begin, int64_t end, int worker) {                                \
    const weft_gemv_job_##D *g = (const weft_gemv_job_##D *)arg;                                                    \
    (void)worker;                                                                                                   \
    for (int64_t i = begin; i < end; i++)                                                                           \
      g->y[i * g->incy] = weft_dot_##D(g->k, g->a + i * g->ars, g->acs, g->x, g->incx);                             \
  }                                                                                                                 \
  /* What few columns leave to several threads is a matrix of blocks' sums. */                                      \
  WEFT_APART void weft_gemv_few_##D(weft_gemv_job_##D *g, weft_pfor pfor, int threads) {                            \
    T partial[weft_partial_##D];                                                                                    \
    const int64_t blocks = (g->k + WEFT_DOT_BLOCK - 1) / WEFT_DOT_BLOCK, most = weft_partial_##D / g->m;            \
    g->partial = partial;                                                                                           \
    for (g->from = 0; g->from < blocks; g->from += most) {                                                          \
      const int64_t n = weft_least_(most, blocks - g->from);                                                        \
      pfor(n, 1 + 32768 / (g->m * WEFT_DOT_BLOCK + 1), threads, weft_gemv_blocks_##D, g);                           \
      for (int64_t t = 0; t < n; t++)                                                                               \
        for (int64_t i = 0; i < g->m; i++) {                                                                        \
          T *y = g->y + i * g->incy, s = partial[t * g->m + i];                                                     \
          *y = g->from + t ? *y + s : s;                                                                            \
        }                                                                                                           \
    }                                                                                                               \
  }                                                                                                                 \
  WEFT_UNUSED void weft_gemv_##D(int64_t m, int64_t k, const T *a, int64_t ars, int64_t acs, const T *x,            \
                                 int64_t incx, T *y, int64_t incy, weft_pfor pfor, int threads) {                   \
    if (m <= 0) return;                                                                                             \
    weft_gemv_job_##D g = {m, k, ars, acs, incx, incy, a, x, y, weft_strip_##D, 0, NULL};                           \
    void (*work)(void *, int64_t, int64_t, int) = weft_gemv_any_##D;                                                \
    int64_t rounds = m, each = k;                                                                                   \
    if (!pfor) threads = 1;                                                                                         \
    if (acs == 1 && incx == 1) {                                                                                    \
      work = weft_gemv_rows_##D;                                                                                    \
    } else if (ars == 1) {                                                                                          \
      if (threads > 1 && m <= 2 * weft_strip_##D && k >= 2 * WEFT_DOT_BLOCK) {                                      \
        weft_gemv_few_##D(&g, pfor, threads);                                                                       \
        return;                                                                                                     \
      }                                                                                                             \
      const int64_t share = (m + threads - 1) / threads + weft_lanes_##D - 1;                                       \
      g.width = weft_least_(share / weft_lanes_##D * weft_lanes_##D, weft_strip_##D);                               \
      work = weft_gemv_strips_##D;                                                                                  \
      rounds = (m + g.width - 1) / g.width;                                                                         \
      each = g.width * k;                                                                                           \
    }                                                                                                               \
    if (threads > 1) pfor(rounds, 1 + 32768 / (each + 1), threads, work, &g);                                       \
    else work(&g, 0, rounds, 0);                                                                                    \
  }

WEFT_DOT_FLOAT(f32, float, 16)
WEFT_DOT_FLOAT(f64, double, 8)

/* ---- and of others ---------------------------------------------------------------------------------------------- */

#define WEFT_GEMV(D, T)                                                                                             \
  WEFT_UNUSED void weft_gemv_##D(int64_t m, int64_t k, const T *a, int64_t ars, int64_t acs, const T *x,            \
                                 int64_t incx, T *y, int64_t incy, weft_pfor pfor, int threads) {                   \
    if (m <= 0) return;                                                                                             \
    weft_gemv_job_##D g = {k, ars, acs, incx, incy, a, x, y};                                                       \
    if (pfor && threads > 1) pfor(m, 1 + 32768 / (k + 1), threads, weft_gemv_work_##D, &g);                         \
    else weft_gemv_work_##D(&g, 0, m, 0);                                                                           \
  }

#endif
