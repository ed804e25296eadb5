/* weft_library.c: see weft_library.h. Compile with -ffp-contract=off, and with the flags of the machine. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "weft_library.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "weft_gemm.h"
#include "weft_sort.h"

/* ---- memory ----------------------------------------------------------------------------------------------- */

enum { WEFT_LIB_ALIGN = 64, WEFT_LIB_HUGE = 2 << 20 };

/* At least `bytes` bytes, a multiple of 64, their number in *size. */
static void *weft_lib_allocate(int64_t bytes, int64_t *size) {
  if (bytes < 0 || bytes > INT64_MAX / 2) return NULL; /* a product of lengths that overflowed */
  int huge = bytes >= WEFT_LIB_HUGE;
  int64_t n = bytes ? (bytes + WEFT_LIB_ALIGN - 1) / WEFT_LIB_ALIGN * WEFT_LIB_ALIGN : WEFT_LIB_ALIGN;
  void *p = NULL;
  if (posix_memalign(&p, huge ? WEFT_LIB_HUGE : WEFT_LIB_ALIGN, (size_t)n)) return NULL;
#ifdef MADV_HUGEPAGE
  if (huge) madvise(p, (size_t)n / WEFT_LIB_HUGE * WEFT_LIB_HUGE, MADV_HUGEPAGE); /* a wish: it may fail */
#endif
  *size = n;
  return p;
}

void *weft_lib_grow(weft_segment *s, int64_t bytes) {
  if (s->base && s->capacity >= bytes && bytes >= 0) return s->base;
  int64_t more = s->base && s->capacity <= INT64_MAX / 2 ? s->capacity + s->capacity / 2 : 0;
  free(s->base);
  s->base = bytes < 0 ? NULL : weft_lib_allocate(more > bytes ? more : bytes, &s->capacity);
  if (!s->base) s->base = weft_lib_allocate(bytes, &s->capacity);
  if (!s->base) s->capacity = 0;
  return s->base;
}

void *weft_lib_output(weft_array *slot, int64_t bytes) {
  if (slot->data && slot->capacity >= bytes && bytes >= 0) return slot->data;
  int64_t size = 0;
  void *p = weft_lib_allocate(bytes, &size);
  if (!p) return NULL;
  slot->data = p;
  slot->capacity = size;
  return p;
}

/* ---- the floating point control register -------------------------------------------------------------------- */

#if defined(__x86_64__)
void weft_lib_fp_enter(uint32_t *saved) {
  uint32_t plain = 0x1f80; /* all exceptions masked, to nearest, neither FTZ nor DAZ */
  __asm__ volatile("stmxcsr %0" : "=m"(*saved)::"memory");
  __asm__ volatile("ldmxcsr %0" ::"m"(plain) : "memory");
}
void weft_lib_fp_leave(const uint32_t *saved) { __asm__ volatile("ldmxcsr %0" ::"m"(*saved) : "memory"); }
#elif defined(__aarch64__)
void weft_lib_fp_enter(uint32_t *saved) {
  uint64_t now;
  __asm__ volatile("mrs %0, fpcr" : "=r"(now)::"memory");
  *saved = (uint32_t)now;
  __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)0) : "memory");
}
void weft_lib_fp_leave(const uint32_t *saved) { __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)*saved) : "memory"); }
#else
void weft_lib_fp_enter(uint32_t *saved) { *saved = 0; }
void weft_lib_fp_leave(const uint32_t *saved) { (void)saved; }
#endif

/* ---- faults --------------------------------------------------------------------------------------------------- */

static void weft_lib_report(weft_fault *fault, int32_t flag, int64_t index, int64_t length) {
  __atomic_store_n(&fault->index, index, __ATOMIC_RELAXED);
  __atomic_store_n(&fault->length, length, __ATOMIC_RELAXED);
  __atomic_store_n(&fault->flag, flag, __ATOMIC_RELEASE);
}

/* Whether index[0..count-1] are all within an axis of n, negative ones counted from the end. */
static int weft_lib_within(const int64_t *index, int64_t count, int64_t n, weft_fault *fault) {
  uint64_t bad = 0;
  for (int64_t i = 0; i < count; i++) bad |= (uint64_t)(index[i] < -n) | (uint64_t)(index[i] >= n);
  for (int64_t i = 0; bad && i < count; i++)
    if (index[i] < -n || index[i] >= n) {
      weft_lib_report(fault, WEFT_FAULT_INDEX, index[i], n);
      break;
    }
  return !bad;
}

#define WEFT_LIB_CSR_CHECK(I, IT)                                                                                    \
  int weft_lib_csr_check_##I(int64_t rows, int64_t count, int64_t columns, const IT *indices, const IT *indptr,      \
                             weft_fault *fault) {                                                                    \
    if (rows < 0 || indptr[0] != 0) {                                                                                \
      weft_lib_report(fault, WEFT_FAULT_INDPTR, rows < 0 ? -1 : (int64_t)indptr[0], count);                          \
      return 0;                                                                                                      \
    }                                                                                                                \
    uint32_t bad = 0;                                                                                                \
    for (int64_t r = 0; r < rows; r++) bad |= (uint32_t)(indptr[r + 1] < indptr[r]);                                 \
    if (bad || indptr[rows] != count) {                                                                              \
      int64_t r = 0;                                                                                                 \
      while (r < rows && indptr[r + 1] >= indptr[r]) r++;                                                            \
      weft_lib_report(fault, WEFT_FAULT_INDPTR, indptr[r < rows ? r + 1 : rows], count);                             \
      return 0;                                                                                                      \
    }                                                                                                                \
    for (int64_t p = 0; p < count; p++) bad |= (uint32_t)(indices[p] < 0) | (uint32_t)(indices[p] >= columns);       \
    for (int64_t p = 0; bad && p < count; p++)                                                                       \
      if (indices[p] < 0 || indices[p] >= columns) {                                                                 \
        weft_lib_report(fault, WEFT_FAULT_INDEX, indices[p], columns);                                               \
        break;                                                                                                       \
      }                                                                                                              \
    return !bad;                                                                                                     \
  }
WEFT_LIB_CSR_CHECK(i32, int32_t)
WEFT_LIB_CSR_CHECK(i64, int64_t)

/* ---- products, sums and sparse matrices: H is what a value of T is held and summed in ---------------------------- */

enum { WEFT_LIB_TILE = 64, WEFT_LIB_UNIT = 16 };

/* CALL with the width of a tile last: the usual ones known to the compiler */
#define WEFT_LIB_WIDTH(W, CALL, ...)                                \
  if (W == WEFT_LIB_TILE) CALL(__VA_ARGS__, WEFT_LIB_TILE);         \
  else if (W == 1) CALL(__VA_ARGS__, 1);                            \
  else CALL(__VA_ARGS__, W);

#define WEFT_LIB_PRODUCT(D, T, H, LOAD, STORE, ADD, MULADD, DOT)                                                     \
  int64_t weft_lib_gemm_workspace_##D(int64_t m, int64_t n, int64_t k, int threads) {                                \
    return weft_gemm_workspace_##D(m, n, k, threads);                                                                \
  }                                                                                                                  \
  void weft_lib_gemm_##D(int64_t m, int64_t n, int64_t k, const T *a, int64_t ars, int64_t acs, const T *b,          \
                         int64_t brs, int64_t bcs, T *c, int64_t crs, int64_t ccs, weft_parallel_for_fn pfor,        \
                         int threads, void *work) {                                                                  \
    weft_gemm_##D(m, n, k, a, ars, acs, b, brs, bcs, c, crs, ccs, pfor, threads, work);                              \
  }                                                                                                                  \
  void weft_lib_gemv_##D(int64_t m, int64_t k, const T *a, int64_t ars, int64_t acs, const T *x, int64_t incx, T *y, \
                         int64_t incy, weft_parallel_for_fn pfor, int threads) {                                     \
    weft_gemv_##D(m, k, a, ars, acs, x, incx, y, incy, pfor, threads);                                               \
  }                                                                                                                  \
  void weft_lib_dot_##D(int64_t n, const T *x, int64_t incx, const T *y, int64_t incy, T *out) {                     \
    STORE(out, DOT(n, x, incx, y, incy));                                                                            \
  }                                                                                                                  \
                                                                                                                     \
  WEFT_INLINE void weft_cumsum_tile_##D(const T *x, T *out, int64_t n, int64_t step, const int64_t w) {              \
    H sum[WEFT_LIB_TILE];                                                                                            \
    for (int64_t u = 0; u < w; u++) sum[u] = LOAD(x + u);                                                            \
    for (int64_t u = 0; u < w; u++) STORE(out + u, sum[u]);                                                          \
    for (int64_t i = 1; i < n; i++) {                                                                                \
      x += step, out += step;                                                                                        \
      for (int64_t u = 0; u < w; u++) sum[u] = ADD(sum[u], LOAD(x + u));                                             \
      for (int64_t u = 0; u < w; u++) STORE(out + u, sum[u]);                                                        \
    }                                                                                                                \
  }                                                                                                                  \
  void weft_lib_cumsum_##D(const T *x, T *out, int64_t outer, int64_t n, int64_t inner, int reverse) {               \
    if (n <= 0) return;                                                                                              \
    int64_t step = reverse ? -inner : inner, start = reverse ? (n - 1) * inner : 0;                                  \
    for (int64_t o = 0; o < outer; o++)                                                                              \
      for (int64_t j = 0; j < inner; j += WEFT_LIB_TILE) {                                                           \
        int64_t w = weft_least_(inner - j, WEFT_LIB_TILE), at = o * n * inner + start + j;                           \
        WEFT_LIB_WIDTH(w, weft_cumsum_tile_##D, x + at, out + at, n, step)                                           \
      }                                                                                                              \
  }                                                                                                                  \
                                                                                                                     \
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

#define WEFT_LIB_PLAIN_PRODUCT(D, T) \
  WEFT_LIB_PRODUCT(D, T, T, WEFT_PLAIN_LOAD, WEFT_PLAIN_STORE, weft_add_##D, weft_muladd_##D, weft_dot_##D)
#define WEFT_LIB_FLOAT_PRODUCT(D, T) \
  WEFT_LIB_PRODUCT(D, T, T, WEFT_PLAIN_LOAD, WEFT_PLAIN_STORE, weft_add_##D, weft_fma_##D, weft_dot_##D)
#define WEFT_LIB_HALF_PRODUCT(D) \
  WEFT_LIB_PRODUCT(D, uint16_t, float, weft_load_##D, weft_store_##D, weft_add_f32, weft_fma_f32, weft_dot_held_##D)
WEFT_LIB_PLAIN_PRODUCT(i8, int8_t)
WEFT_LIB_PLAIN_PRODUCT(i16, int16_t)
WEFT_LIB_PLAIN_PRODUCT(i32, int32_t)
WEFT_LIB_PLAIN_PRODUCT(i64, int64_t)
WEFT_LIB_PLAIN_PRODUCT(u8, uint8_t)
WEFT_LIB_PLAIN_PRODUCT(u16, uint16_t)
WEFT_LIB_PLAIN_PRODUCT(u32, uint32_t)
WEFT_LIB_PLAIN_PRODUCT(u64, uint64_t)
WEFT_LIB_PLAIN_PRODUCT(c64, weft_c64)
WEFT_LIB_PLAIN_PRODUCT(c128, weft_c128)
WEFT_LIB_FLOAT_PRODUCT(f32, float)
WEFT_LIB_FLOAT_PRODUCT(f64, double)
WEFT_LIB_HALF_PRODUCT(f16)
WEFT_LIB_HALF_PRODUCT(bf16)

/* ---- order and places ------------------------------------------------------------------------------------------- */

#define WEFT_LIB_PLACES(D, T, H, LOAD, STORE, ADD)                                                                   \
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

#define WEFT_LIB_PLAIN_PLACES(D, T) WEFT_LIB_PLACES(D, T, T, WEFT_PLAIN_LOAD, WEFT_PLAIN_STORE, weft_add_##D)
#define WEFT_LIB_HALF_PLACES(D) WEFT_LIB_PLACES(D, uint16_t, float, weft_load_##D, weft_store_##D, weft_add_f32)
WEFT_LIB_PLAIN_PLACES(b, uint8_t)
WEFT_LIB_PLAIN_PLACES(i8, int8_t)
WEFT_LIB_PLAIN_PLACES(i16, int16_t)
WEFT_LIB_PLAIN_PLACES(i32, int32_t)
WEFT_LIB_PLAIN_PLACES(i64, int64_t)
WEFT_LIB_PLAIN_PLACES(u8, uint8_t)
WEFT_LIB_PLAIN_PLACES(u16, uint16_t)
WEFT_LIB_PLAIN_PLACES(u32, uint32_t)
WEFT_LIB_PLAIN_PLACES(u64, uint64_t)
WEFT_LIB_PLAIN_PLACES(f32, float)
WEFT_LIB_PLAIN_PLACES(f64, double)
WEFT_LIB_PLAIN_PLACES(c64, weft_c64)
WEFT_LIB_PLAIN_PLACES(c128, weft_c128)
WEFT_LIB_HALF_PLACES(f16)
WEFT_LIB_HALF_PLACES(bf16)

/* ---- linear algebra ------------------------------------------------------------------------------------------ */

/* To Fortran a row-major matrix is its transpose: lower is upper, L L' = a is U' U = a, op(a) x = b is x' op(a)' = b'.
 * The lengths of the character arguments go last: a compiled Fortran routine may read them, others do not look. */
#define WEFT_LIB_LINEAR(D, T)                                                                                        \
  int64_t weft_lib_cholesky_##D(T *a, int64_t n, void *potrf) {                                                      \
    typedef void routine(const char *, const int32_t *, T *, const int32_t *, int32_t *, size_t);                    \
    if (n > INT32_MAX) return -1;                                                                                    \
    int32_t size = (int32_t)n, info = 0;                                                                             \
    if (size <= 0) return 0;                                                                                         \
    ((routine *)potrf)("U", &size, a, &size, &info, 1);                                                              \
    for (int64_t i = 0; i < n && !info; i++)                                                                         \
      if (!(a[i * n + i] > 0)) info = (int32_t)i + 1; /* some routines pass over NaN */                              \
    for (int64_t i = 0; i < n && !info; i++)                                                                         \
      for (int64_t j = i + 1; j < n; j++) a[i * n + j] = 0;                                                          \
    return info;                                                                                                     \
  }                                                                                                                  \
  int64_t weft_lib_solve_triangular_##D(const T *a, T *b, int64_t n, int64_t m, int lower, int trans, void *trsm) {  \
    typedef void routine(const char *, const char *, const char *, const char *, const int32_t *, const int32_t *,   \
                         const T *, const T *, const int32_t *, T *, const int32_t *, size_t, size_t, size_t,        \
                         size_t);                                                                                    \
    if (n > INT32_MAX || m > INT32_MAX) return -1;                                                                   \
    int32_t size = (int32_t)n, columns = (int32_t)m;                                                                 \
    T one = 1;                                                                                                       \
    if (size <= 0 || columns <= 0) return 0;                                                                         \
    ((routine *)trsm)("R", lower ? "U" : "L", trans ? "T" : "N", "N", &columns, &size, &one, a, &size, b, &columns,  \
                      1, 1, 1, 1);                                                                                   \
    return 0;                                                                                                        \
  }
WEFT_LIB_LINEAR(f32, float)
WEFT_LIB_LINEAR(f64, double)
