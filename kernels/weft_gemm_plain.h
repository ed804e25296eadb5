/* weft_gemm_plain.h: products of integers, halves and complex numbers; weft_gemm.h says which bits. */
#ifndef WEFT_GEMM_PLAIN_H
#define WEFT_GEMM_PLAIN_H

/* ---- dot products: T stored, H held and summed in, ADD and FMA on H ----------------------------------------- */

#define WEFT_DOT_PLAIN(D, T, H, LOAD, STORE, ADD, FMA)                                                              \
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
  WEFT_GEMV(D, T)

#define WEFT_PLAIN_LOAD(p) (*(p))
#define WEFT_PLAIN_STORE(p, v) (*(p) = (v))
#define WEFT_DOT_EXACT(D, T)                                                                                        \
  WEFT_FN T weft_muladd_##D(T a, T b, T c) { return weft_add_##D(weft_mul_##D(a, b), c); }                          \
  WEFT_DOT_PLAIN(D, T, T, WEFT_PLAIN_LOAD, WEFT_PLAIN_STORE, weft_add_##D, weft_muladd_##D)                         \
  WEFT_FN T weft_dot_##D(int64_t n, const T *x, int64_t incx, const T *y, int64_t incy) {                           \
    return weft_dot_held_##D(n, x, incx, y, incy);                                                                  \
  }

/* ---- integers: those of unsigned ones, for they wrap ------------------------------------------------------------- */

#define WEFT_DOT_INTEGER(D, T, U, LO, HI, LIM) WEFT_DOT_EXACT(D, T)
WEFT_SIGNED(WEFT_DOT_INTEGER)
WEFT_UNSIGNED(WEFT_DOT_INTEGER)

#define WEFT_GEMM_SIGNED(D, T, U, UT)                                                                               \
  WEFT_FN int64_t weft_gemm_workspace_##D(int64_t m, int64_t n, int64_t k, int threads, int in_memory,              \
                                          const weft_fused *f) {                                                    \
    return weft_gemm_workspace_##U(m, n, k, threads, in_memory, f);                                                 \
  }                                                                                                                 \
  WEFT_UNUSED int weft_gemm_##D(int64_t m, int64_t n, int64_t k, const T *a, int64_t ars, int64_t acs, const T *b,  \
                                int64_t brs, int64_t bcs, T *c, int64_t crs, int64_t ccs, weft_pfor pfor,           \
                                int threads, void *work, const weft_fused *fused) {                                 \
    return weft_gemm_##U(m, n, k, (const UT *)a, ars, acs, (const UT *)b, brs, bcs, (UT *)c, crs, ccs, pfor,        \
                         threads, work, fused);                                                                     \
  }
WEFT_GEMM_SIGNED(i8, int8_t, u8, uint8_t)
WEFT_GEMM_SIGNED(i16, int16_t, u16, uint16_t)
WEFT_GEMM_SIGNED(i32, int32_t, u32, uint32_t)
WEFT_GEMM_SIGNED(i64, int64_t, u64, uint64_t)

/* ---- float16 and bfloat16: operands and product as float32, rounded when a rectangle is final ------------------- */

#define WEFT_GEMM_HALF(D)                                                                                           \
  WEFT_DOT_PLAIN(D, uint16_t, float, weft_load_##D, weft_store_##D, weft_add_f32, weft_fma_f32)                     \
  WEFT_FN float weft_dot_##D(int64_t n, const uint16_t *x, int64_t incx, const uint16_t *y, int64_t incy) {         \
    return weft_round_##D(weft_dot_held_##D(n, x, incx, y, incy)); /* the held value, rounded to the type */        \
  }                                                                                                                 \
  typedef struct { int64_t width, ls; const uint16_t *x; float *p; } weft_widen_##D;                                \
  static void weft_widen_work_##D(void *arg, int64_t begin, int64_t end, int worker) {                              \
    const weft_widen_##D *g = (const weft_widen_##D *)arg;                                                          \
    (void)worker;                                                                                                   \
    for (int64_t l = begin; l < end; l++)                                                                           \
      for (int64_t j = 0; j < g->width; j++) g->p[l * g->width + j] = weft_load_##D(g->x + l * g->ls + j);          \
  }                                                                                                                 \
  /* `rows` x `columns` of x at p, in x's own order where that is contiguous; the strides there */                  \
  WEFT_APART void weft_widen_all_##D(int64_t rows, int64_t columns, const uint16_t *x, int64_t *rs, int64_t *cs,    \
                                     float *p, weft_pfor pfor, int threads) {                                       \
    int turned = *rs == 1 && *cs != 1;                                                                              \
    weft_widen_##D g = {turned ? rows : columns, turned ? *cs : *rs, x, p};                                         \
    int64_t lines = turned ? columns : rows;                                                                        \
    if (!turned && *cs != 1)                                                                                        \
      for (int64_t i = 0; i < rows; i++)                                                                            \
        for (int64_t j = 0; j < columns; j++) p[i * columns + j] = weft_load_##D(x + i * *rs + j * *cs);            \
    else if (pfor && threads > 1) pfor(lines, 1 + 16384 / (g.width + 1), threads, weft_widen_work_##D, &g);         \
    else weft_widen_work_##D(&g, 0, lines, 0);                                                                      \
    *rs = turned ? 1 : columns, *cs = turned ? rows : 1;                                                            \
  }                                                                                                                 \
  typedef struct {                                                                                                  \
    int64_t crs, ccs;                                                                                               \
    uint16_t *c;                                                                                                    \
    const weft_fused *fused;                                                                                        \
  } weft_narrow_##D;                                                                                                \
  static void weft_narrow_work_##D(void *arg, int64_t i0, int64_t i1, int64_t j0, int64_t j1, void *at, int64_t line, \
                                   int worker) {                                                                    \
    const weft_narrow_##D *g = (const weft_narrow_##D *)arg;                                                        \
    for (int64_t i = i0; i < i1; i++) {                                                                             \
      const float *from = (const float *)at + (i - i0) * line;                                                      \
      uint16_t *to = g->c + i * g->crs + j0 * g->ccs;                                                               \
      if (g->ccs == 1)                                                                                              \
        for (int64_t j = 0; j < j1 - j0; j++) weft_store_##D(to + j, from[j]);                                      \
      else                                                                                                          \
        for (int64_t j = 0; j < j1 - j0; j++) weft_store_##D(to + j * g->ccs, from[j]);                             \
    }                                                                                                               \
    const weft_fused *f = g->fused;                                                                                 \
    if (f && f->then)                                                                                               \
      f->then(f->then_arg, f->row + i0, f->row + i1, j0, j1, g->c + i0 * g->crs + j0 * g->ccs, g->crs,              \
              f->worker + worker);                                                                                  \
  }                                                                                                                 \
  WEFT_FN int64_t weft_gemm_workspace_##D(int64_t m, int64_t n, int64_t k, int threads, int in_memory,              \
                                          const weft_fused *f) {                                                    \
    if (m <= 0 || n <= 0) return 64;                                                                                \
    (void)f;                                                                                                        \
    int64_t held = m * k + k * n + m * n + (in_memory ? 0 : m * n) + 64;                                            \
    return held * 4 + 64 + weft_gemm_workspace_f32(m, n, k, threads, 1, NULL);                                      \
  }                                                                                                                 \
  WEFT_UNUSED int weft_gemm_##D(int64_t m, int64_t n, int64_t k, const uint16_t *a, int64_t ars, int64_t acs,       \
                                const uint16_t *b, int64_t brs, int64_t bcs, uint16_t *c, int64_t crs, int64_t ccs, \
                                weft_pfor pfor, int threads, void *work, const weft_fused *fused) {                 \
    if (m <= 0 || n <= 0) return 0;                                                                                 \
    float *fa = (float *)(((uintptr_t)work + 63) / 64 * 64), *fb = fa + (m * k + 15) / 16 * 16;                     \
    float *fc = fb + (k * n + 15) / 16 * 16, *rest = fc + (m * n + 15) / 16 * 16;                                   \
    if (!c) c = (uint16_t *)rest, crs = n, ccs = 1, rest += (m * n + 15) / 16 * 16;                                 \
    weft_widen_all_##D(m, k, a, &ars, &acs, fa, pfor, threads);                                                     \
    weft_widen_all_##D(k, n, b, &brs, &bcs, fb, pfor, threads);                                                     \
    weft_narrow_##D g = {crs, ccs, c, fused};                                                                       \
    const weft_fused narrow = {.then = weft_narrow_work_##D, .then_arg = &g};                                       \
    weft_gemm_f32(m, n, k, fa, ars, acs, fb, brs, bcs, fc, n, 1, pfor, threads, rest, &narrow);                     \
    return 0;                                                                                                       \
  }
WEFT_GEMM_HALF(f16)
WEFT_GEMM_HALF(bf16)

/* ---- complex: R is the type of a part, P its suffix. Products first, then sums --------------------------------- */

#define WEFT_GEMM_COMPLEX(D, T, P, R)                                                                               \
  WEFT_DOT_EXACT(D, T)                                                                                              \
  typedef struct {                                                                                                  \
    int64_t n, k, ars, acs, brs, bcs, crs, ccs;                                                                     \
    const T *a, *b;                                                                                                 \
    T *c;                                                                                                           \
    R *scratch;                                                                                                     \
    const weft_fused *fused;                                                                                        \
  } weft_gemm_job_##D;                                                                                              \
  /* four rows (the last one repeated beyond `rows`) and a vector of columns, b their real and imaginary parts */   \
  WEFT_APART void weft_tile_##D(const weft_gemm_job_##D *g, int64_t rows, int64_t columns, int64_t k, const T *a,   \
                                const R *b, T *c, int add) {                                                        \
    enum { lanes = weft_lanes_##P };                                                                                \
    weft_v_##P re[4], im[4];                                                                                        \
    const T *at[4];                                                                                                 \
    for (int r = 0; r < 4; r++) at[r] = a + (r < rows ? r : rows - 1) * g->ars;                                     \
    for (int64_t p = 0; p < k; p++) {                                                                               \
      weft_v_##P br = weft_vload_##P(b + p * 2 * lanes), bi = weft_vload_##P(b + p * 2 * lanes + lanes);            \
      WEFT_UNROLL for (int r = 0; r < 4; r++) {                                                                     \
        weft_v_##P x = weft_vall_##P(at[r]->re), y = weft_vall_##P(at[r]->im), minus = weft_vall_##P(-at[r]->im);   \
        weft_v_##P s = weft_vadd_##P(weft_vmul_##P(x, br), weft_vmul_##P(minus, bi));                               \
        weft_v_##P t = weft_vadd_##P(weft_vmul_##P(x, bi), weft_vmul_##P(y, br));                                   \
        re[r] = p ? weft_vadd_##P(s, re[r]) : s;                                                                    \
        im[r] = p ? weft_vadd_##P(t, im[r]) : t;                                                                    \
        at[r] += g->acs;                                                                                            \
      }                                                                                                             \
    }                                                                                                               \
    for (int64_t r = 0; r < rows; r++) {                                                                            \
      R x[lanes], y[lanes];                                                                                         \
      weft_vstore_##P(x, re[r]), weft_vstore_##P(y, im[r]);                                                         \
      for (int64_t j = 0; j < columns; j++) {                                                                       \
        T *to = c + r * g->crs + j * g->ccs, one = {x[j], y[j]};                                                    \
        *to = add ? weft_add_##D(*to, one) : one;                                                                   \
      }                                                                                                             \
    }                                                                                                               \
  }                                                                                                                 \
  static void weft_gemm_work_##D(void *arg, int64_t begin, int64_t end, int worker) {                               \
    const weft_gemm_job_##D *g = (const weft_gemm_job_##D *)arg;                                                    \
    enum { lanes = weft_lanes_##P };                                                                                \
    R *b = g->scratch + (int64_t)worker * 2 * lanes * WEFT_GEMM_K;                                                  \
    for (int64_t j = 0; j < g->n; j += lanes) {                                                                     \
      int64_t columns = weft_least_(g->n - j, lanes), group = WEFT_GEMM_WARM / (columns * (int64_t)sizeof(T));      \
      for (int64_t k0 = 0; k0 == 0 || k0 < g->k; k0 += WEFT_GEMM_K) {                                               \
        int64_t k = weft_least_(g->k - k0, WEFT_GEMM_K);                                                            \
        for (int64_t p = 0; p < k; p++)                                                                             \
          for (int64_t u = 0; u < lanes; u++) {                                                                     \
            T x = {0, 0};                                                                                           \
            if (u < columns) x = g->b[(k0 + p) * g->brs + (j + u) * g->bcs];                                        \
            b[p * 2 * lanes + u] = x.re, b[p * 2 * lanes + lanes + u] = x.im;                                       \
          }                                                                                                         \
        for (int64_t i = begin, done = begin; i < end;) {                                                           \
          int64_t rows = weft_least_(end - i, 4);                                                                   \
          T *c = g->c + i * g->crs + j * g->ccs, zero = {0, 0};                                                     \
          if (k > 0) weft_tile_##D(g, rows, columns, k, g->a + i * g->ars + k0 * g->acs, b, c, k0 > 0);             \
          else                                                                                                      \
            for (int64_t r = 0; r < rows; r++)                                                                      \
              for (int64_t u = 0; u < columns; u++) c[r * g->crs + u * g->ccs] = zero;                              \
          i += rows;                                                                                                \
          const weft_fused *f = g->fused;                                                                           \
          if (f && f->then && k0 + WEFT_GEMM_K >= g->k && (i == end || i + 4 - done > group)) {                     \
            f->then(f->then_arg, f->row + done, f->row + i, j, j + columns, g->c + done * g->crs + j * g->ccs,      \
                    g->crs, f->worker + worker);                                                                    \
            done = i;                                                                                               \
          }                                                                                                         \
        }                                                                                                           \
      }                                                                                                             \
    }                                                                                                               \
  }                                                                                                                 \
  WEFT_FN int64_t weft_gemm_workspace_##D(int64_t m, int64_t n, int64_t k, int threads, int in_memory,              \
                                          const weft_fused *f) {                                                    \
    (void)k, (void)f;                                                                                               \
    return (in_memory || m <= 0 || n <= 0 ? 0 : m * n * (int64_t)sizeof(T)) + 64 +                                  \
           (int64_t)(threads < 1 ? 1 : threads) * 2 * WEFT_VECTOR_BYTES * WEFT_GEMM_K;                              \
  }                                                                                                                 \
  WEFT_UNUSED int weft_gemm_##D(int64_t m, int64_t n, int64_t k, const T *a, int64_t ars, int64_t acs, const T *b,  \
                                int64_t brs, int64_t bcs, T *c, int64_t crs, int64_t ccs, weft_pfor pfor,           \
                                int threads, void *work, const weft_fused *fused) {                                 \
    if (m <= 0 || n <= 0) return 0;                                                                                 \
    R *scratch = (R *)(((uintptr_t)work + 63) / 64 * 64);                                                           \
    int64_t apart = (int64_t)(threads < 1 ? 1 : threads) * 2 * weft_lanes_##P * WEFT_GEMM_K;                        \
    if (!c) c = (T *)(scratch + apart), crs = n, ccs = 1;                                                           \
    weft_gemm_job_##D g = {n, k, ars, acs, brs, bcs, crs, ccs, a, b, c, scratch, fused};                            \
    if (pfor && threads > 1) pfor(m, 4 + 32768 / (n * (k + 1)), threads, weft_gemm_work_##D, &g);                   \
    else weft_gemm_work_##D(&g, 0, m, 0);                                                                           \
    return 0;                                                                                                       \
  }
WEFT_GEMM_COMPLEX(c64, weft_c64, f32, float)
WEFT_GEMM_COMPLEX(c128, weft_c128, f64, double)

#endif
