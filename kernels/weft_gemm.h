/* weft_gemm.h: matrix products, dot products and matrix-vector products whose bits depend on the operands alone.
 *
 * gemm   every element of C: k is cut in blocks of 512; within a block one chain over k ascending, the first product
 *        plain, every further one an fma; blocks are added ascending; the first block is assigned (never added to 0,
 *        which would lose -0); k = 0 gives zeros.
 * dot    blocks of 1024; within one L virtual lanes (16 for f32, else 8), lane l an fma chain from +0 over elements
 *        l, l+L, ...; lanes added by a fixed tree (l += l + L/2, then L/4, ...); blocks added ascending.
 * gemv   every element has the bits of the dot product of its row.
 *
 * So neither the sizes of the other axes, strides, tiling, vector width nor threads show in a result. weft_fma_* is a
 * fused multiply-add in the fma class, a product and a sum in the no-fma class. float16, bfloat16: float chains, rounded
 * once at the end. Integers wrap, complex products are unfused. Strides count elements, and may be 0 or negative.
 *
 * How the float kernels work: operands are packed into panels (A: up to MR rows, B: up to 2 vectors of columns, zeros
 * beyond the edge), a register tile of MR x 2 vectors runs over one k block, then is stored to or added to C. The lane loop in
 * weft_vfma_* becomes one vector instruction at -O2 and above with SLP vectorisation (a test looks for it); with AVX-512
 * also give -mprefer-vector-width=512, as compiler/build/toolchain.py does: some models are tuned for 256 bits.
 */
#ifndef WEFT_GEMM_H
#define WEFT_GEMM_H

#include "weft_pool.h"
#include "weft_scalar.h"

enum { WEFT_GEMM_K = 512, WEFT_DOT_BLOCK = 1024 };

#if defined(__AVX512F__)
enum { WEFT_VECTOR_BYTES = 64, WEFT_TILE_ROWS = 12 };
#elif defined(__AVX__)
enum { WEFT_VECTOR_BYTES = 32, WEFT_TILE_ROWS = 6 };
#else
enum { WEFT_VECTOR_BYTES = 16, WEFT_TILE_ROWS = 6 };
#endif

#define WEFT_UNUSED static __attribute__((unused)) /* a part of the library instantiates one dtype */
#define WEFT_INLINE static inline __attribute__((always_inline))
#define WEFT_TILES(X) X(1) X(2) X(3) X(4) X(5) X(6)
#if defined(__AVX512F__)
#define WEFT_TILES_WIDE(X) X(7) X(8) X(9) X(10) X(11) X(12)
#else
#define WEFT_TILES_WIDE(X)
#endif

/* Called for rectangles of C (rows i0 to i1, columns j0 to j1) that are final: disjoint, together all of C, each on the
 * thread that computed it and soon enough to find it in its cache. It may read and write C there. */
typedef void (*weft_epilogue)(void *arg, int64_t i0, int64_t i1, int64_t j0, int64_t j1, int worker);

WEFT_FN int64_t weft_least_(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- float32 and float64 ------------------------------------------------------------------------------------- */

#define WEFT_GEMM_FLOAT(D, T)                                                                                       \
  typedef T weft_v_##D __attribute__((vector_size(WEFT_VECTOR_BYTES)));                                             \
  typedef T weft_vu_##D __attribute__((vector_size(WEFT_VECTOR_BYTES), aligned(sizeof(T)), may_alias));             \
  enum { weft_lanes_##D = WEFT_VECTOR_BYTES / sizeof(T), weft_columns_##D = 2 * weft_lanes_##D };                   \
  /* rows of A packed at a time: about 256 KiB, a multiple of the tile */                                           \
  enum { weft_rows_##D = (262144 / (int)sizeof(T) / WEFT_GEMM_K) / WEFT_TILE_ROWS * WEFT_TILE_ROWS };               \
  enum { weft_band_##D = 4096 / (int)sizeof(T) * 4 };                                                               \
                                                                                                                    \
  WEFT_INLINE weft_v_##D weft_vfma_##D(weft_v_##D a, weft_v_##D b, weft_v_##D c) {                                  \
    weft_v_##D r = c;                                                                                               \
    for (int l = 0; l < weft_lanes_##D; l++) r[l] = weft_fma_##D(a[l], b[l], c[l]);                                 \
    return r;                                                                                                       \
  }                                                                                                                 \
  WEFT_INLINE weft_v_##D weft_vload_##D(const T *p) { return (weft_v_##D)*(const weft_vu_##D *)p; }                 \
  WEFT_INLINE void weft_vstore_##D(T *p, weft_v_##D v) { *(weft_vu_##D *)p = (weft_vu_##D)v; }                      \
                                                                                                                    \
  /* rows x (vectors * lanes) of C, or of its part inside the matrix, over one k block */                           \
  WEFT_INLINE void weft_tile_##D(const int rows, const int vectors, int64_t k, const T *a, const T *b,              \
                                 int first, T *c, int64_t crs, int64_t ccs, int64_t n) {                            \
    weft_v_##D acc[WEFT_TILE_ROWS][2];                                                                              \
    _Pragma("GCC unroll 12") for (int i = 0; i < rows; i++)                                                         \
      _Pragma("GCC unroll 2") for (int v = 0; v < vectors; v++)                                                     \
        acc[i][v] = a[i] * weft_vload_##D(b + v * weft_lanes_##D);                                                  \
    for (int64_t p = 1; p < k; p++) {                                                                               \
      a += rows;                                                                                                    \
      b += vectors * weft_lanes_##D;                                                                                \
      weft_v_##D bv[2];                                                                                             \
      _Pragma("GCC unroll 2") for (int v = 0; v < vectors; v++) bv[v] = weft_vload_##D(b + v * weft_lanes_##D);     \
      _Pragma("GCC unroll 12") for (int i = 0; i < rows; i++) {                                                     \
        weft_v_##D av = a[i] - (weft_v_##D){0};                                                                     \
        _Pragma("GCC unroll 2") for (int v = 0; v < vectors; v++)                                                   \
          acc[i][v] = weft_vfma_##D(av, bv[v], acc[i][v]);                                                          \
      }                                                                                                             \
    }                                                                                                               \
    if (ccs == 1 && n == vectors * weft_lanes_##D) {                                                                \
      _Pragma("GCC unroll 12") for (int i = 0; i < rows; i++)                                                       \
        _Pragma("GCC unroll 2") for (int v = 0; v < vectors; v++) {                                                 \
          T *p = c + i * crs + v * weft_lanes_##D;                                                                  \
          weft_vstore_##D(p, first ? acc[i][v] : weft_vload_##D(p) + acc[i][v]);                                    \
        }                                                                                                           \
      return;                                                                                                       \
    }                                                                                                               \
    if (n > vectors * weft_lanes_##D) __builtin_unreachable();                                                      \
    T edge[WEFT_TILE_ROWS * weft_columns_##D];                                                                      \
    _Pragma("GCC unroll 12") for (int i = 0; i < rows; i++)                                                         \
      _Pragma("GCC unroll 2") for (int v = 0; v < vectors; v++)                                                     \
        weft_vstore_##D(edge + i * weft_columns_##D + v * weft_lanes_##D, acc[i][v]);                               \
    for (int i = 0; i < rows; i++)                                                                                  \
      for (int64_t j = 0; j < n; j++) {                                                                             \
        T *p = c + i * crs + j * ccs, x = edge[i * weft_columns_##D + j];                                           \
        *p = first ? x : *p + x;                                                                                    \
      }                                                                                                             \
  }                                                                                                                 \
  static __attribute__((noinline)) void weft_tiles_##D(int rows, int vectors, int64_t k, const T *a, const T *b,    \
                                                       int first, T *c, int64_t crs, int64_t ccs, int64_t n) {      \
    switch (rows * 2 + vectors - 1) { WEFT_TILES(WEFT_TILE_CASE_##D) WEFT_TILES_WIDE(WEFT_TILE_CASE_##D) }          \
  }                                                                                                                 \
                                                                                                                    \
  /* panels of `width` lines (the last one narrower), k-major: p[k * width + line] */                               \
  WEFT_INLINE void weft_pack_##D(int64_t lines, int64_t width, int64_t k, const T *x, int64_t ls, int64_t ks,       \
                                 T *p, int64_t filled) {                                                            \
    if (ls == 1 && lines == width) {                                                                                \
      for (int64_t q = 0; q < k; q++)                                                                               \
        for (int64_t l = 0; l < width; l++) p[q * width + l] = x[q * ks + l];                                       \
    } else {                                                                                                        \
      int64_t q = 0;                                                                                                \
      if (ks == 1)                                                                                                  \
        for (; q + 8 <= k; q += 8)                                                                                  \
          for (int64_t l = 0; l < lines; l++)                                                                       \
            for (int u = 0; u < 8; u++) p[(q + u) * width + l] = x[q + u + l * ls];                                 \
      for (; q < k; q++)                                                                                            \
        for (int64_t l = 0; l < lines; l++) p[q * width + l] = x[q * ks + l * ls];                                  \
    }                                                                                                               \
    for (int64_t q = 0; filled > lines && q < k; q++)                                                               \
      for (int64_t l = lines; l < filled; l++) p[q * width + l] = 0;                                                \
  }                                                                                                                 \
                                                                                                                    \
  typedef struct {                                                                                                  \
    int64_t m, n, k, ars, acs, brs, bcs, crs, ccs;                                                                  \
    const T *a, *b;                                                                                                 \
    T *c, *packed_b, *packed_a;                                                                                     \
    int first, last, flipped, split_columns;                                                                        \
    int64_t column; /* of C, where this band begins */                                                              \
    weft_epilogue epilogue;                                                                                         \
    void *epilogue_arg;                                                                                             \
  } weft_gemm_job_##D;                                                                                              \
                                                                                                                    \
  static void weft_gemm_pack_##D(void *arg, int64_t begin, int64_t end, int worker) {                               \
    const weft_gemm_job_##D *g = (const weft_gemm_job_##D *)arg;                                                    \
    (void)worker;                                                                                                   \
    for (int64_t q = begin; q < end; q++) {                                                                         \
      int64_t j = q * weft_columns_##D, lines = weft_least_(g->n - j, weft_columns_##D);                            \
      int64_t width = lines <= weft_lanes_##D ? weft_lanes_##D : weft_columns_##D;                                  \
      weft_pack_##D(lines, width, g->k, g->b + j * g->bcs, g->bcs, g->brs, g->packed_b + j * g->k, width);          \
    }                                                                                                               \
  }                                                                                                                 \
  /* rows in tiles of nearly equal height: 32 = 11 + 11 + 10 */                                                     \
  static void weft_gemm_block_##D(const weft_gemm_job_##D *g, int64_t i0, int64_t i1, int64_t j0, int64_t j1,       \
                                  T *packed_a, int worker) {                                                        \
    for (int64_t ib = i0; ib < i1; ib += weft_rows_##D) {                                                           \
      int64_t rows = weft_least_(i1 - ib, weft_rows_##D);                                                           \
      int64_t tiles = (rows + WEFT_TILE_ROWS - 1) / WEFT_TILE_ROWS, low = rows / tiles, more = rows % tiles;        \
      for (int64_t t = 0, i = 0; t < tiles; t++) {                                                                  \
        int64_t h = low + (t < more);                                                                               \
        weft_pack_##D(h, h, g->k, g->a + (ib + i) * g->ars, g->ars, g->acs, packed_a + i * g->k, h);                \
        i += h;                                                                                                     \
      }                                                                                                             \
      for (int64_t j = j0; j < j1; j += weft_columns_##D) {                                                         \
        int64_t n = weft_least_(g->n - j, weft_columns_##D);                                                        \
        for (int64_t t = 0, i = 0; t < tiles; t++) {                                                                \
          int64_t h = low + (t < more);                                                                             \
          weft_tiles_##D((int)h, n <= weft_lanes_##D ? 1 : 2, g->k, packed_a + i * g->k, g->packed_b + j * g->k,    \
                         g->first, g->c + (ib + i) * g->crs + j * g->ccs, g->crs, g->ccs, n);                       \
          i += h;                                                                                                   \
        }                                                                                                           \
        int64_t upto = j + n;                                                                                       \
        if (g->last && g->epilogue && ((upto - j0) % (4 * weft_columns_##D) == 0 || upto >= j1)) {                  \
          int64_t from = g->column + j0 + (j - j0) / (4 * weft_columns_##D) * (4 * weft_columns_##D);               \
          int64_t to = g->column + upto;                                                                            \
          if (g->flipped) g->epilogue(g->epilogue_arg, from, to, ib, ib + rows, worker);                            \
          else g->epilogue(g->epilogue_arg, ib, ib + rows, from, to, worker);                                       \
        }                                                                                                           \
      }                                                                                                             \
    }                                                                                                               \
  }                                                                                                                 \
  static void weft_gemm_work_##D(void *arg, int64_t begin, int64_t end, int worker) {                               \
    const weft_gemm_job_##D *g = (const weft_gemm_job_##D *)arg;                                                    \
    T *packed_a = g->packed_a + (int64_t)worker * weft_rows_##D * WEFT_GEMM_K;                                      \
    if (g->split_columns)                                                                                           \
      weft_gemm_block_##D(g, 0, g->m, begin * weft_columns_##D, weft_least_(end * weft_columns_##D, g->n), packed_a,\
                           worker);                                                                                 \
    else                                                                                                            \
      weft_gemm_block_##D(g, begin * WEFT_TILE_ROWS, weft_least_(end * WEFT_TILE_ROWS, g->m), 0, g->n, packed_a,    \
                          worker);                                                                                  \
  }                                                                                                                 \
                                                                                                                    \
  /* bytes of workspace, 64 of them for alignment; enough for either orientation */                                 \
  WEFT_FN int64_t weft_gemm_workspace_##D(int64_t m, int64_t n, int64_t k, int threads) {                           \
    int64_t wide = weft_least_(m > n ? m : n, weft_band_##D) + weft_columns_##D;                                    \
    int64_t deep = weft_least_(k, WEFT_GEMM_K);                                                                     \
    int64_t one = (int64_t)weft_rows_##D * WEFT_GEMM_K;                                                             \
    return (wide * deep + (threads < 1 ? 1 : threads) * one) * (int64_t)sizeof(T) + 64;                             \
  }                                                                                                                 \
                                                                                                                    \
  /* work: weft_gemm_workspace_D(m, n, k, threads) bytes. pfor may be NULL, threads >= 1. C overlaps nothing. */    \
  WEFT_UNUSED void weft_gemm_##D(int64_t m, int64_t n, int64_t k, const T *a, int64_t ars, int64_t acs, const T *b, \
                            int64_t brs, int64_t bcs, T *c, int64_t crs, int64_t ccs, weft_pfor pfor, int threads,  \
                            void *work, weft_epilogue epilogue, void *epilogue_arg) {                               \
    if (m <= 0 || n <= 0) return;                                                                                   \
    if (k <= 0) {                                                                                                   \
      for (int64_t i = 0; i < m; i++)                                                                               \
        for (int64_t j = 0; j < n; j++) c[i * crs + j * ccs] = 0;                                                   \
      if (epilogue) epilogue(epilogue_arg, 0, m, 0, n, 0);                                                          \
      return;                                                                                                       \
    }                                                                                                               \
    int flipped = ccs != 1 && crs == 1;                                                                             \
    if (flipped) { /* columns of C are contiguous: compute its transpose, the same bits */                          \
      const T *x = a;                                                                                               \
      int64_t s = m, xr = ars, xc = acs;                                                                            \
      m = n, n = s;                                                                                                 \
      a = b, ars = bcs, acs = brs;                                                                                  \
      b = x, brs = xc, bcs = xr;                                                                                    \
      crs = ccs, ccs = 1;                                                                                           \
    }                                                                                                               \
    if (!pfor || threads < 1) threads = 1;                                                                          \
    weft_gemm_job_##D g;                                                                                            \
    g.ars = ars, g.acs = acs, g.brs = brs, g.bcs = bcs, g.crs = crs, g.ccs = ccs;                                   \
    g.packed_b = (T *)(((uintptr_t)work + 63) / 64 * 64);                                                           \
    int64_t wide = weft_least_(m > n ? m : n, weft_band_##D) + weft_columns_##D;                                    \
    g.packed_a = g.packed_b + wide / weft_lanes_##D * weft_lanes_##D * weft_least_(k, WEFT_GEMM_K);                 \
    for (int64_t j0 = 0; j0 < n; j0 += weft_band_##D)                                                               \
      for (int64_t k0 = 0; k0 < k; k0 += WEFT_GEMM_K) {                                                             \
        g.m = m;                                                                                                    \
        g.n = weft_least_(n - j0, weft_band_##D);                                                                   \
        g.k = weft_least_(k - k0, WEFT_GEMM_K);                                                                     \
        g.a = a + k0 * acs;                                                                                         \
        g.b = b + k0 * brs + j0 * bcs;                                                                              \
        g.c = c + j0 * ccs;                                                                                         \
        g.first = k0 == 0;                                                                                          \
        g.last = k0 + WEFT_GEMM_K >= k;                                                                             \
        g.flipped = flipped, g.column = j0, g.epilogue = epilogue, g.epilogue_arg = epilogue_arg;                   \
        int64_t down = (m + WEFT_TILE_ROWS - 1) / WEFT_TILE_ROWS;                                                   \
        int64_t across = (g.n + weft_columns_##D - 1) / weft_columns_##D;                                           \
        g.split_columns = down < 4 * threads && across > down;                                                      \
        int64_t units = g.split_columns ? across : down, each = m * g.n * g.k / units + 1;                          \
        if (threads == 1 || m * g.n * g.k < 200000) {                                                               \
          weft_gemm_pack_##D(&g, 0, across, 0);                                                                     \
          weft_gemm_work_##D(&g, 0, units, 0);                                                                      \
        } else {                                                                                                    \
          pfor(across, 1 + 16384 / (weft_columns_##D * g.k), threads, weft_gemm_pack_##D, &g);                      \
          pfor(units, 1 + 100000 / each, threads, weft_gemm_work_##D, &g);                                          \
        }                                                                                                           \
      }                                                                                                             \
  }

#define WEFT_TILE_CASE_f32(R)                                                                                       \
  case 2 * R: weft_tile_f32(R, 1, k, a, b, first, c, crs, ccs, n); break;                                           \
  case 2 * R + 1: weft_tile_f32(R, 2, k, a, b, first, c, crs, ccs, n); break;
#define WEFT_TILE_CASE_f64(R)                                                                                       \
  case 2 * R: weft_tile_f64(R, 1, k, a, b, first, c, crs, ccs, n); break;                                           \
  case 2 * R + 1: weft_tile_f64(R, 2, k, a, b, first, c, crs, ccs, n); break;

WEFT_GEMM_FLOAT(f32, float)
WEFT_GEMM_FLOAT(f64, double)

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
      _Pragma("GCC unroll 4") for (int v = 0; v < weft_dot_vectors_##D; v++) acc[r][v] = (weft_v_##D){0};           \
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
        weft_v_##D sum = {0};                                                                                       \
        for (int64_t p = 0; p < g->k; p += WEFT_DOT_BLOCK) {                                                        \
          weft_v_##D s[L];                                                                                          \
          for (int l = 0; l < L; l++) s[l] = (weft_v_##D){0};                                                       \
          int64_t stop = weft_least_(p + WEFT_DOT_BLOCK, g->k), q = p;                                              \
          for (; q + L <= stop; q += L)                                                                             \
            _Pragma("GCC unroll 16") for (int l = 0; l < L; l++)                                                    \
              s[l] = weft_vfma_##D(weft_vload_##D(g->a + i + (q + l) * g->acs),                                     \
                                   g->x[(q + l) * g->incx] - (weft_v_##D){0}, s[l]);                                \
          for (int l = 0; q < stop; q++, l++)                                                                       \
            s[l] = weft_vfma_##D(weft_vload_##D(g->a + i + q * g->acs), g->x[q * g->incx] - (weft_v_##D){0}, s[l]); \
          for (int h = L / 2; h; h /= 2)                                                                            \
            for (int l = 0; l < h; l++) s[l] += s[l + h];                                                           \
          sum = p ? sum + s[0] : s[0];                                                                              \
        }                                                                                                           \
        for (int r = 0; r < weft_lanes_##D; r++) g->y[(i + r) * g->incy] = sum[r];                                  \
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

/* ---- the other dtypes, plainly: T stored, H held and summed in, MUL, ADD and FMA on H --------------------------- */

#define WEFT_GEMM_PLAIN(D, T, H, LOAD, STORE, MUL, ADD, FMA)                                                        \
  WEFT_FN H weft_dot_held_##D(int64_t n, const T *x, int64_t incx, const T *y, int64_t incy) {                      \
    H zero = {0}, sum = {0};                                                                                        \
    for (int64_t i = 0; i < n; i += WEFT_DOT_BLOCK) {                                                               \
      H s[8] = {zero, zero, zero, zero, zero, zero, zero, zero};                                                    \
      int64_t stop = weft_least_(n, i + WEFT_DOT_BLOCK);                                                            \
      for (int64_t p = i; p < stop; p++) s[p & 7] = FMA(LOAD(x + p * incx), LOAD(y + p * incy), s[p & 7]);          \
      for (int h = 4; h; h /= 2)                                                                                    \
        for (int l = 0; l < h; l++) s[l] = ADD(s[l], s[l + h]);                                                     \
      sum = i ? ADD(sum, s[0]) : s[0];                                                                              \
    }                                                                                                               \
    return sum;                                                                                                     \
  }                                                                                                                 \
  typedef struct { int64_t k, ars, acs, incx, incy; const T *a, *x; T *y; } weft_gemv_job_##D;                      \
  static void weft_gemv_work_##D(void *arg, int64_t begin, int64_t end, int worker) {                               \
    const weft_gemv_job_##D *g = (const weft_gemv_job_##D *)arg;                                                    \
    (void)worker;                                                                                                   \
    for (int64_t i = begin; i < end; i++)                                                                           \
      STORE(g->y + i * g->incy, weft_dot_held_##D(g->k, g->a + i * g->ars, g->acs, g->x, g->incx));                 \
  }                                                                                                                 \
  WEFT_GEMV(D, T)                                                                                                   \
  typedef struct { int64_t n, k, ars, acs, brs, bcs, crs, ccs; const T *a, *b; T *c; } weft_gemm_job_##D;           \
  static void weft_gemm_work_##D(void *arg, int64_t begin, int64_t end, int worker) {                               \
    const weft_gemm_job_##D *g = (const weft_gemm_job_##D *)arg;                                                    \
    (void)worker;                                                                                                   \
    for (int64_t i = begin; i < end; i++)                                                                           \
      for (int64_t j = 0; j < g->n; j += 16) {                                                                      \
        int w = (int)weft_least_(g->n - j, 16);                                                                     \
        H zero = {0}, sum[16], acc[16];                                                                             \
        for (int u = 0; u < 16; u++) sum[u] = zero;                                                                 \
        for (int64_t k0 = 0; k0 < g->k; k0 += WEFT_GEMM_K) {                                                        \
          int64_t stop = weft_least_(g->k, k0 + WEFT_GEMM_K);                                                       \
          for (int64_t p = k0; p < stop; p++) {                                                                     \
            H x = LOAD(g->a + i * g->ars + p * g->acs);                                                             \
            const T *row = g->b + p * g->brs + j * g->bcs;                                                          \
            if (p == k0)                                                                                            \
              for (int u = 0; u < w; u++) acc[u] = MUL(x, LOAD(row + u * g->bcs));                                  \
            else                                                                                                    \
              for (int u = 0; u < w; u++) acc[u] = FMA(x, LOAD(row + u * g->bcs), acc[u]);                          \
          }                                                                                                         \
          for (int u = 0; u < w; u++) sum[u] = k0 ? ADD(sum[u], acc[u]) : acc[u];                                   \
        }                                                                                                           \
        for (int u = 0; u < w; u++) STORE(g->c + i * g->crs + (j + u) * g->ccs, sum[u]);                            \
      }                                                                                                             \
  }                                                                                                                 \
  WEFT_FN int64_t weft_gemm_workspace_##D(int64_t m, int64_t n, int64_t k, int threads) {                           \
    (void)m, (void)n, (void)k, (void)threads;                                                                       \
    return 0;                                                                                                       \
  }                                                                                                                 \
  WEFT_UNUSED void weft_gemm_##D(int64_t m, int64_t n, int64_t k, const T *a, int64_t ars, int64_t acs, const T *b, \
                            int64_t brs, int64_t bcs, T *c, int64_t crs, int64_t ccs, weft_pfor pfor, int threads,  \
                            void *work, weft_epilogue epilogue, void *epilogue_arg) {                               \
    (void)work;                                                                                                     \
    if (m <= 0 || n <= 0) return;                                                                                   \
    weft_gemm_job_##D g = {n, k, ars, acs, brs, bcs, crs, ccs, a, b, c};                                            \
    if (pfor && threads > 1) pfor(m, 1 + 32768 / (n * k + 1), threads, weft_gemm_work_##D, &g);                     \
    else weft_gemm_work_##D(&g, 0, m, 0);                                                                           \
    if (epilogue) epilogue(epilogue_arg, 0, m, 0, n, 0);                                                            \
  }

#define WEFT_PLAIN_LOAD(p) (*(p))
#define WEFT_PLAIN_STORE(p, v) (*(p) = (v))
#define WEFT_GEMM_INTEGER(D, T, U, LO, HI, LIM)                                                                     \
  WEFT_FN T weft_muladd_##D(T a, T b, T c) { return weft_add_##D(weft_mul_##D(a, b), c); }                          \
  WEFT_GEMM_PLAIN(D, T, T, WEFT_PLAIN_LOAD, WEFT_PLAIN_STORE, weft_mul_##D, weft_add_##D, weft_muladd_##D)          \
  WEFT_FN T weft_dot_##D(int64_t n, const T *x, int64_t incx, const T *y, int64_t incy) {                           \
    return weft_dot_held_##D(n, x, incx, y, incy);                                                                  \
  }
WEFT_SIGNED(WEFT_GEMM_INTEGER)
WEFT_UNSIGNED(WEFT_GEMM_INTEGER)

#define WEFT_GEMM_COMPLEX(D, T)                                                                                     \
  WEFT_FN T weft_muladd_##D(T a, T b, T c) { return weft_add_##D(weft_mul_##D(a, b), c); }                          \
  WEFT_GEMM_PLAIN(D, T, T, WEFT_PLAIN_LOAD, WEFT_PLAIN_STORE, weft_mul_##D, weft_add_##D, weft_muladd_##D)          \
  WEFT_FN T weft_dot_##D(int64_t n, const T *x, int64_t incx, const T *y, int64_t incy) {                           \
    return weft_dot_held_##D(n, x, incx, y, incy);                                                                  \
  }
WEFT_GEMM_COMPLEX(c64, weft_c64)
WEFT_GEMM_COMPLEX(c128, weft_c128)

WEFT_GEMM_PLAIN(f16, uint16_t, float, weft_load_f16, weft_store_f16, weft_mul_f32, weft_add_f32, weft_fma_f32)
WEFT_GEMM_PLAIN(bf16, uint16_t, float, weft_load_bf16, weft_store_bf16, weft_mul_f32, weft_add_f32, weft_fma_f32)
/* the held value, rounded to the type */
WEFT_FN float weft_dot_f16(int64_t n, const uint16_t *x, int64_t incx, const uint16_t *y, int64_t incy) {
  return weft_round_f16(weft_dot_held_f16(n, x, incx, y, incy));
}
WEFT_FN float weft_dot_bf16(int64_t n, const uint16_t *x, int64_t incx, const uint16_t *y, int64_t incy) {
  return weft_round_bf16(weft_dot_held_bf16(n, x, incx, y, incy));
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* One product after another, each on all threads, or, where there are many, each on one thread. The rows of the batch
 * are numbered through for the epilogue. */
#define WEFT_GEMM_BATCH(D, T)                                                                                        \
  typedef struct {                                                                                                   \
    int64_t m, n, k, abs, ars, acs, bbs, brs, bcs, cbs, crs, ccs, work_bytes;                                        \
    const T *a, *b;                                                                                                  \
    T *c;                                                                                                            \
    char *work;                                                                                                      \
    weft_epilogue epilogue;                                                                                          \
    void *epilogue_arg;                                                                                              \
  } weft_batch_##D;                                                                                                  \
  typedef struct { const weft_batch_##D *g; int64_t item; int worker; } weft_batch_item_##D;                         \
  static void weft_batch_epilogue_##D(void *arg, int64_t i0, int64_t i1, int64_t j0, int64_t j1, int worker) {       \
    const weft_batch_item_##D *t = (const weft_batch_item_##D *)arg;                                                 \
    int64_t row = t->item * t->g->m;                                                                                 \
    t->g->epilogue(t->g->epilogue_arg, row + i0, row + i1, j0, j1, t->worker < 0 ? worker : t->worker);              \
  }                                                                                                                  \
  WEFT_FN void weft_batch_one_##D(const weft_batch_##D *g, int64_t i, weft_pfor pfor, int threads, int worker,   \
                                char *w) {                                                                           \
    weft_batch_item_##D item = {g, i, worker};                                                                       \
    weft_gemm_##D(g->m, g->n, g->k, g->a + i * g->abs, g->ars, g->acs, g->b + i * g->bbs, g->brs, g->bcs,            \
                  g->c + i * g->cbs, g->crs, g->ccs, pfor, threads, w,                            \
                  g->epilogue ? weft_batch_epilogue_##D : 0, &item);                                                 \
  }                                                                                                                  \
  static void weft_batch_work_##D(void *arg, int64_t begin, int64_t end, int worker) {                               \
    const weft_batch_##D *g = (const weft_batch_##D *)arg;                                                           \
    for (int64_t i = begin; i < end; i++) weft_batch_one_##D(g, i, 0, 1, worker, g->work + worker * g->work_bytes);  \
  }                                                                                                                  \
  /* bytes: a workspace a thread, or one for all */                                                                  \
  WEFT_FN int64_t weft_gemm_batch_workspace_##D(int64_t batch, int64_t m, int64_t n, int64_t k, int threads) {       \
    int64_t many = threads < 1 ? 1 : threads, one = weft_gemm_workspace_##D(m, n, k, 1) * many;                      \
    int64_t all = weft_gemm_workspace_##D(m, n, k, (int)many);                                                       \
    return batch >= many && one > all ? one : all;                                                                   \
  }                                                                                                                  \
  WEFT_UNUSED void weft_gemm_batch_##D(int64_t batch, int64_t m, int64_t n, int64_t k, const T *a, int64_t abs,      \
                                       int64_t ars, int64_t acs, const T *b, int64_t bbs, int64_t brs, int64_t bcs,  \
                                       T *c, int64_t cbs, int64_t crs, int64_t ccs, weft_pfor pfor, int threads,     \
                                       void *work, weft_epilogue epilogue, void *epilogue_arg) {                     \
    if (m <= 0 || n <= 0 || batch <= 0) return;                                                                      \
    weft_batch_##D g = {m, n, k, abs, ars, acs, bbs, brs, bcs, cbs, crs, ccs, weft_gemm_workspace_##D(m, n, k, 1),   \
                        a, b, c, (char *)work, epilogue, epilogue_arg};                                              \
    if (pfor && threads > 1 && batch >= threads)                                                                     \
      pfor(batch, 1 + 200000 / (m * n * (k + 1)), threads, weft_batch_work_##D, &g);                                 \
    else                                                                                                             \
      for (int64_t i = 0; i < batch; i++) weft_batch_one_##D(&g, i, pfor, threads, -1, (char *)work);                \
  }
WEFT_GEMM_BATCH(f32, float)
WEFT_GEMM_BATCH(f64, double)
WEFT_GEMM_BATCH(f16, uint16_t)
WEFT_GEMM_BATCH(bf16, uint16_t)
WEFT_GEMM_BATCH(c64, weft_c64)
WEFT_GEMM_BATCH(c128, weft_c128)
#define WEFT_GEMM_BATCH_INTEGER(D, T, U, LO, HI, LIM) WEFT_GEMM_BATCH(D, T)
WEFT_SIGNED(WEFT_GEMM_BATCH_INTEGER)
WEFT_UNSIGNED(WEFT_GEMM_BATCH_INTEGER)

#endif
