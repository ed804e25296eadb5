/* weft_sparse.h: sparse matrices in compressed rows, as weft_library.h declares them. */
#ifndef WEFT_SPARSE_H
#define WEFT_SPARSE_H
#include "weft_parts.h"

#define WEFT_LIB_SPARSE(D, T, H, LOAD, STORE, ADD, MULADD, DOT)                                                      \
  int64_t weft_lib_csr_dot_t_workspace_##D(int64_t columns, int64_t m) {                                             \
    return sizeof(T) == sizeof(H) ? 0 : columns * m * (int64_t)sizeof(H);                                            \
  }                                                                                                                  \
  WEFT_LIB_CSR(D, T, H, LOAD, STORE, MULADD, DOT, i32, int32_t)                                                      \
  WEFT_LIB_CSR(D, T, H, LOAD, STORE, MULADD, DOT, i64, int64_t)

#define WEFT_LIB_CSR(D, T, H, LOAD, STORE, MULADD, DOT, I, IT)                                                       \
  typedef struct {                                                                                                   \
    int64_t rows, columns, m;                                                                                        \
    const T *data, *g, *b;                                                                                           \
    const IT *indices, *indptr;                                                                                      \
    H *sum;                                                                                                          \
    T *out;                                                                                                          \
  } weft_csr_job_##D##_##I;                                                                                          \
                                                                                                                     \
  WEFT_INLINE void weft_csr_dot_tile_##D##_##I(const weft_csr_job_##D##_##I *s, int64_t r, int64_t j,                \
                                               const int64_t w) {                                                    \
    H zero = {0}, sum[WEFT_LIB_TILE];                                                                                \
    for (int64_t u = 0; u < w; u++) sum[u] = zero;                                                                   \
    for (int64_t p = s->indptr[r], stop = s->indptr[r + 1]; p < stop; p++) {                                         \
      __asm__ volatile(""); /* or the loops are jammed, and elements gathered one by one */                          \
      H x = LOAD(s->data + p);                                                                                       \
      const T *row = s->b + s->indices[p] * s->m + j;                                                                \
      for (int64_t u = 0; u < w; u++) sum[u] = MULADD(x, LOAD(row + u), sum[u]);                                     \
    }                                                                                                                \
    for (int64_t u = 0; u < w; u++) STORE(s->out + r * s->m + j + u, sum[u]);                                        \
  }                                                                                                                  \
  static void weft_csr_dot_work_##D##_##I(void *arg, int64_t begin, int64_t end, int worker) {                       \
    const weft_csr_job_##D##_##I *s = (const weft_csr_job_##D##_##I *)arg;                                           \
    (void)worker;                                                                                                    \
    for (int64_t r = begin; r < end; r++)                                                                            \
      for (int64_t j = 0; j < s->m; j += WEFT_LIB_TILE) {                                                            \
        int64_t w = weft_least_(s->m - j, WEFT_LIB_TILE);                                                            \
        WEFT_LIB_WIDTH(w, weft_csr_dot_tile_##D##_##I, s, r, j)                                                      \
      }                                                                                                              \
  }                                                                                                                  \
  void weft_lib_csr_dot_##D##_##I(int64_t rows, int64_t count, int64_t columns, int64_t m, const T *data,            \
                                  const IT *indices, const IT *indptr, const T *b, T *out,                           \
                                  weft_parallel_for_fn pfor, int threads, weft_fault *fault) {                       \
    if (!weft_lib_csr_check_##I(rows, count, columns, indices, indptr, fault) || !rows || m <= 0) return;            \
    weft_csr_job_##D##_##I s = {.m = m, .data = data, .b = b, .indices = indices, .indptr = indptr, .out = out};     \
    if (pfor && threads > 1) pfor(rows, 1 + 32768 / (count / rows * m + m), threads, weft_csr_dot_work_##D##_##I, &s); \
    else weft_csr_dot_work_##D##_##I(&s, 0, rows, 0);                                                                \
  }                                                                                                                  \
                                                                                                                     \
  /* units of columns of g: each goes over the whole matrix */                                                       \
  static void weft_csr_dot_t_work_##D##_##I(void *arg, int64_t begin, int64_t end, int worker) {                     \
    const weft_csr_job_##D##_##I *s = (const weft_csr_job_##D##_##I *)arg;                                           \
    int64_t m = s->m, from = begin * WEFT_LIB_UNIT, to = weft_least_(end * WEFT_LIB_UNIT, m);                        \
    H zero = {0};                                                                                                    \
    (void)worker;                                                                                                    \
    for (int64_t c = 0; c < s->columns; c++)                                                                         \
      for (int64_t j = from; j < to; j++) s->sum[c * m + j] = zero;                                                  \
    for (int64_t r = 0; r < s->rows; r++)                                                                            \
      for (int64_t p = s->indptr[r]; p < s->indptr[r + 1]; p++) {                                                    \
        H x = LOAD(s->data + p), *sum = s->sum + s->indices[p] * m;                                                  \
        const T *row = s->g + r * m;                                                                                 \
        for (int64_t j = from; j < to; j++) sum[j] = MULADD(x, LOAD(row + j), sum[j]);                               \
      }                                                                                                              \
    if (sizeof(T) != sizeof(H))                                                                                      \
      for (int64_t c = 0; c < s->columns; c++)                                                                       \
        for (int64_t j = from; j < to; j++) STORE(s->out + c * m + j, s->sum[c * m + j]);                            \
  }                                                                                                                  \
  void weft_lib_csr_dot_t_##D##_##I(int64_t rows, int64_t count, int64_t columns, int64_t m, const T *data,          \
                                    const IT *indices, const IT *indptr, const T *g, T *out,                         \
                                    weft_parallel_for_fn pfor, int threads, void *work, weft_fault *fault) {         \
    if (!weft_lib_csr_check_##I(rows, count, columns, indices, indptr, fault) || m <= 0) return;                     \
    weft_csr_job_##D##_##I s = {.rows = rows, .columns = columns, .m = m, .data = data, .g = g, .indices = indices,  \
                                .indptr = indptr, .out = out};                                                       \
    s.sum = sizeof(T) == sizeof(H) ? (H *)(void *)out : (H *)work;                                                   \
    int64_t units = (m + WEFT_LIB_UNIT - 1) / WEFT_LIB_UNIT, each = (count + columns) * WEFT_LIB_UNIT + 1;           \
    if (pfor && threads > 1) pfor(units, 1 + 32768 / each, threads, weft_csr_dot_t_work_##D##_##I, &s);              \
    else weft_csr_dot_t_work_##D##_##I(&s, 0, units, 0);                                                             \
  }                                                                                                                  \
                                                                                                                     \
  static void weft_csr_sample_work_##D##_##I(void *arg, int64_t begin, int64_t end, int worker) {                    \
    const weft_csr_job_##D##_##I *s = (const weft_csr_job_##D##_##I *)arg;                                           \
    (void)worker;                                                                                                    \
    for (int64_t r = begin; r < end; r++)                                                                            \
      for (int64_t p = s->indptr[r]; p < s->indptr[r + 1]; p++)                                                      \
        STORE(s->out + p, DOT(s->m, s->g + r * s->m, 1, s->b + s->indices[p] * s->m, 1));                            \
  }                                                                                                                  \
  void weft_lib_csr_sample_##D##_##I(int64_t rows, int64_t count, int64_t grows, int64_t columns, int64_t k,         \
                                     const IT *indices, const IT *indptr, const T *g, const T *b, T *out,            \
                                     weft_parallel_for_fn pfor, int threads, weft_fault *fault) {                    \
    if (!weft_lib_csr_check_##I(rows, count, columns, indices, indptr, fault) || !count) return;                     \
    for (int64_t r = grows < 0 ? 0 : grows; r < rows; r++)                                                           \
      if (indptr[r + 1] > indptr[r]) {                                                                               \
        weft_lib_report(fault, WEFT_FAULT_INDEX, r, grows);                                                          \
        return;                                                                                                      \
      }                                                                                                              \
    weft_csr_job_##D##_##I s = {.m = k, .g = g, .b = b, .indices = indices, .indptr = indptr, .out = out};           \
    if (pfor && threads > 1) pfor(rows, 1 + 32768 / ((count / rows + 1) * (k + 1)), threads,                         \
                                  weft_csr_sample_work_##D##_##I, &s);                                               \
    else weft_csr_sample_work_##D##_##I(&s, 0, rows, 0);                                                             \
  }

#endif
