/* weft_library.c: see weft_library.h. Compile with -ffp-contract=off, and with the flags of the machine. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "weft_library.h"
#include "weft_memory.h"

#include <time.h>

/* ---- memory ----------------------------------------------------------------------------------------------- */

void *weft_lib_grow(weft_segment *s, int64_t bytes) {
  const int none = WEFT_FAILS(MEMORY, 0);
  if (!none && s->base && s->capacity >= bytes && bytes >= 0) return s->base;
  int64_t more = s->base && s->capacity <= INT64_MAX / 2 ? s->capacity + s->capacity / 2 : 0;
  free(s->base);
  s->base = bytes < 0 || none ? NULL : weft_block(more > bytes ? more : bytes, &s->capacity);
  if (!s->base && !none) s->base = weft_block(bytes, &s->capacity);
  if (!s->base) s->capacity = 0;
  return s->base;
}

void *weft_lib_output(weft_array *slot, int64_t bytes, weft_memory_fn memory) {
  if (WEFT_FAILS(MEMORY, 0)) return NULL;
  if (slot->data && slot->capacity >= bytes && bytes >= 0) return slot->data;
  int64_t size = 0;
  void *p = memory ? memory(bytes, &size) : weft_block(bytes, &size);
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

/* ---- profiles ------------------------------------------------------------------------------------------------- */

int64_t weft_lib_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void weft_lib_spent(weft_spent *row, int64_t since, int64_t bytes, int64_t flops) {
  row->ns += weft_lib_clock() - since;
  row->runs++;
  row->bytes += bytes;
  row->flops += flops;
}

void weft_lib_called(weft_spent *profile, int64_t steps, int32_t code, int64_t since) {
  weft_spent *now = profile + 2, *all = now + steps;
  for (int64_t k = 0; k < steps && code == WEFT_OK; k++) {
    all[k].runs += now[k].runs;
    all[k].ns += now[k].ns;
    all[k].bytes += now[k].bytes;
    all[k].flops += now[k].flops;
  }
  memset(now, 0, (size_t)steps * sizeof *now);
  weft_lib_spent(&profile[code != WEFT_OK], since, 0, 0);
}

/* ---- faults --------------------------------------------------------------------------------------------------- */

void weft_lib_report(weft_fault *fault, int32_t flag, int64_t index, int64_t length) {
  __atomic_store_n(&fault->index, index, __ATOMIC_RELAXED);
  __atomic_store_n(&fault->length, length, __ATOMIC_RELAXED);
  __atomic_store_n(&fault->flag, flag, __ATOMIC_RELEASE);
}

int weft_lib_within(const int64_t *index, int64_t count, int64_t n, weft_fault *fault) {
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

/* ---- products by a BLAS ----------------------------------------------------------------------------------------- */

/* How BLAS reads a matrix: as rows of neighbours, `step` elements apart, or (1) its transpose so; -1: neither. An axis
 * of length 1 has any stride. */
static int weft_blas_layout(int64_t rows, int64_t columns, int64_t rs, int64_t cs, int32_t *step) {
  for (int trans = 0; trans < 2; trans++) {
    int64_t lines = trans ? columns : rows, length = trans ? rows : columns;
    int64_t apart = lines == 1 ? length : trans ? cs : rs, beside = length == 1 ? 1 : trans ? rs : cs;
    if (beside != 1 || apart < length || apart > INT32_MAX) continue;
    *step = (int32_t)apart;
    return trans;
  }
  return -1;
}

#define WEFT_LIB_BLAS(D, T)                                                                                          \
  int weft_lib_blas_gemm_##D(int64_t m, int64_t n, int64_t k, const T *a, int64_t ars, int64_t acs, const T *b,      \
                             int64_t brs, int64_t bcs, T *c, int threads, void *gemm, void *get_threads,             \
                             void *set_threads) {                                                                    \
    typedef void routine(int, int, int, int32_t, int32_t, int32_t, T, const T *, int32_t, const T *, int32_t, T, T *, \
                         int32_t);                                                                                   \
    enum { ROW_MAJOR = 101, PLAIN = 111 /* and transposed, 112 */ };                                                 \
    int32_t as = 0, bs = 0;                                                                                          \
    if (m <= 0 || n <= 0 || k <= 0 || m > INT32_MAX || n > INT32_MAX || k > INT32_MAX) return 0;                     \
    int at = weft_blas_layout(m, k, ars, acs, &as), bt = weft_blas_layout(k, n, brs, bcs, &bs);                      \
    if (at < 0 || bt < 0) return 0;                                                                                  \
    if (threads < 1) threads = 1;                                                                                    \
    if (((int (*)(void))get_threads)() != threads) ((void (*)(int))set_threads)(threads);                            \
    ((routine *)gemm)(ROW_MAJOR, PLAIN + at, PLAIN + bt, (int32_t)m, (int32_t)n, (int32_t)k, 1, a, as, b, bs, 0, c,  \
                      (int32_t)n);                                                                                   \
    return 1;                                                                                                        \
  }
WEFT_LIB_BLAS(f32, float)
WEFT_LIB_BLAS(f64, double)

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

/* ---- routines of each dtype: compiled by themselves with WEFT_LIB_BASE, else here ----------------------------- */

#ifndef WEFT_LIB_BASE
#include "weft_places.h"
#include "weft_products.h"
#include "weft_running.h"
#include "weft_sparse.h"
#define WEFT_LIB_DEFINE(D, T) WEFT_LIB_OF_##D(WEFT_LIB_PRODUCTS) WEFT_LIB_OF_##D(WEFT_LIB_RUNNING) WEFT_LIB_OF_##D(WEFT_LIB_SPARSE)
WEFT_LIB_NUMBERS(WEFT_LIB_DEFINE)
#undef WEFT_LIB_DEFINE
#define WEFT_LIB_DEFINE(D, T) WEFT_LIB_OF_##D(WEFT_LIB_PLACES)
WEFT_LIB_TYPES(WEFT_LIB_DEFINE)
#endif
