/* weft_gemm_plain.h: products of integers, halves and complex numbers; weft_gemm.h says which bits. */
#ifndef WEFT_GEMM_PLAIN_H
#define WEFT_GEMM_PLAIN_H

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

#endif
