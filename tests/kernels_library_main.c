/* A program around kernels/weft_library.c, run under sanitizers: arrays end where they say. -DPART_FP: the control
 * register alone. */
#include "weft_library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft_pool.h"

#define CHECK(c)                                              \
  do {                                                        \
    if (!(c)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c); \
      exit(1);                                                \
    }                                                         \
  } while (0)

#ifdef PART_FP

int main(void) {
#if defined(__x86_64__)
  uint32_t odd = 0x1f80 | 0x8040 | 0x6000, saved = 0, now = 0; /* FTZ, DAZ, towards zero */
  volatile float tiny = 1e-38f, half = 0.125f, third = 2.0f;
  __asm__ volatile("ldmxcsr %0" ::"m"(odd) : "memory");
  volatile float flushed = tiny * half, cut = third / 3.0f;
  weft_lib_fp_enter(&saved);
  volatile float kept = tiny * half, nearest = third / 3.0f;
  weft_lib_fp_leave(&saved);
  __asm__ volatile("stmxcsr %0" : "=m"(now)::"memory");
  uint32_t plain = 0x1f80;
  __asm__ volatile("ldmxcsr %0" ::"m"(plain) : "memory");
  CHECK(saved == (odd | (saved & 0x3f)) && now == saved); /* the low six are what has happened */
  CHECK(flushed == 0 && cut < 0.66666667f);
  CHECK(kept != 0 && nearest == 0.66666667f);
#else
  uint32_t saved;
  weft_lib_fp_enter(&saved);
  weft_lib_fp_leave(&saved);
#endif
  return 0;
}

#else

static void *some(int64_t n, size_t each) { /* n elements and not a byte more; bytes of 0, 1, 2 */
  char *p = malloc(n ? (size_t)n * each : 1);
  for (size_t i = 0; i < (size_t)n * each; i++) p[i] = (char)(i % 7 % 3);
  return p;
}

static void memory(void) {
  weft_segment s = {NULL, 0};
  char *p = weft_lib_grow(&s, 0);
  CHECK(p && s.capacity >= 0 && (uintptr_t)p % 64 == 0);
  p = weft_lib_grow(&s, 1000);
  CHECK(p && s.base == p && s.capacity >= 1000 && (uintptr_t)p % 64 == 0);
  memset(p, 1, (size_t)s.capacity);
  CHECK(weft_lib_grow(&s, 10) == p && weft_lib_grow(&s, s.capacity) == p);
  int64_t before = s.capacity;
  CHECK(weft_lib_grow(&s, before + 1) && s.capacity >= before + before / 2);
  p = weft_lib_grow(&s, 5 << 20);
  memset(p, 1, 5 << 20);
  before = s.capacity;
  CHECK(!weft_lib_grow(&s, -1) && !s.base && !s.capacity);
  CHECK(!weft_lib_grow(&s, INT64_MAX - 5));
  CHECK(weft_lib_grow(&s, 3));
  free(s.base);

  char own[8];
  weft_array a = {own, 8, {0}};
  CHECK(weft_lib_output(&a, 8, NULL) == own && weft_lib_output(&a, 0, NULL) == own);
  CHECK(!weft_lib_output(&a, -8, NULL) && a.data == own && a.capacity == 8);
  p = weft_lib_output(&a, 9, NULL); /* what it held stays its owner's */
  CHECK(p && p != own && a.data == p && a.capacity >= 9 && (uintptr_t)p % 64 == 0);
  memset(p, 1, (size_t)a.capacity);
  CHECK(weft_lib_output(&a, 9, NULL) == p);
  free(p);
  weft_array none = {NULL, 0, {0}};
  CHECK((p = weft_lib_output(&none, 0, NULL)) && none.capacity >= 64);
  free(p);
  none.data = NULL, none.capacity = 0;
  CHECK((p = weft_lib_output(&none, 3 << 20, NULL)));
  memset(p, 1, 3 << 20);
  free(p);
}

#define PLACES(D, T)                                                                                               \
  static void places_##D(void) {                                                                                   \
    for (int64_t n = 0; n < 70; n += 23) {                                                                         \
      T *x = some(3 * n, sizeof(T)), *out = some(3 * n, sizeof(T)), *tmp = some(n, sizeof(T));                     \
      int64_t *idx = some(3 * n, 8), *itmp = some(n, 8);                                                           \
      weft_lib_sort_##D(x, out, 3, n, tmp);                                                                        \
      weft_lib_argsort_##D(x, idx, 3, n, itmp);                                                                    \
      int64_t dims[3] = {3, n, 1}, count = weft_lib_nonzero_count_##D(x, 3 * n), last = 0;                         \
      int64_t *where[3] = {some(count, 8), some(count, 8), some(count, 8)};                                        \
      weft_lib_nonzero_##D(x, 3, dims, where);                                                                     \
      for (int64_t i = 0; i < count; i++) {                                                                        \
        CHECK(i == 0 || where[0][i] * n + where[1][i] > last);                                                     \
        last = where[0][i] * n + where[1][i];                                                                      \
      }                                                                                                            \
      for (int add = 0; add < 2; add++)                                                                            \
        for (int64_t bad = 0; n && bad < 3; bad++) {                                                               \
          int64_t rows[4] = {0, 2, -3, -1}, columns[4] = {n - 1, -n, 0, -1};                                       \
          const int64_t *at[2] = {rows, columns};                                                                  \
          if (bad) columns[2] = bad == 1 ? n : -n - 1;                                                             \
          weft_fault fault = {0, 0, 0};                                                                            \
          weft_lib_scatter_##D(out, x, 2, at, dims, 4, 1, 1, 0, add, &fault);                                      \
          CHECK(!fault.flag == !bad);                                                                              \
          fault.flag = 0;                                                                                          \
          rows[1] = bad ? 3 : 2;                                                                                   \
          weft_lib_scatter_##D(out, x, 1, at, dims, 2, n, n, 1, add, &fault);                                      \
          CHECK(!fault.flag == !bad);                                                                              \
        }                                                                                                          \
      free(x), free(out), free(tmp), free(idx), free(itmp), free(where[0]), free(where[1]), free(where[2]);        \
    }                                                                                                              \
  }
WEFT_LIB_TYPES(PLACES)

#define SPARSE(D, T, I, IT)                                                                                        \
  {                                                                                                                \
    IT good[4] = {2, 0, 2, 1}, ends[4] = {0, 1, 1, 4};                                                             \
    for (int bad = 0; bad < 7; bad++)                                                                              \
      for (int64_t m = 0; m < 70; m += 23)                                                                         \
        for (int threads = 1; threads < 4; threads += 2) {                                                         \
          IT *indices = some(4, sizeof(IT)), *indptr = some(4, sizeof(IT));                                        \
          memcpy(indices, good, sizeof good), memcpy(indptr, ends, sizeof ends);                                   \
          if (bad == 1) indices[3] = 3;                                                                            \
          if (bad == 2) indices[3] = -1;                                                                           \
          if (bad == 3) indptr[1] = 1 << 30;                                                                       \
          if (bad == 4) indptr[0] = -5;                                                                            \
          if (bad == 5) indptr[3] = 5;                                                                             \
          if (bad == 6) indptr[2] = 0;                                                                             \
          T *data = some(4, sizeof(T)), *b = some(3 * m, sizeof(T)), *out = some(3 * m, sizeof(T));                \
          T *places = some(4, sizeof(T));                                                                          \
          void *work = some(weft_lib_csr_dot_t_workspace_##D(3, m), 1);                                            \
          weft_fault f[3] = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};                                                     \
          weft_lib_csr_dot_##D##_##I(3, 4, 3, m, data, indices, indptr, b, out, weft_parallel_for, threads, f);    \
          weft_lib_csr_dot_t_##D##_##I(3, 4, 3, m, data, indices, indptr, b, out, weft_parallel_for, threads,      \
                                       work, f + 1);                                                               \
          weft_lib_csr_sample_##D##_##I(3, 4, 3, 3, m, indices, indptr, b, b, places, weft_parallel_for, threads,  \
                                        f + 2);                                                                    \
          for (int k = 0; k < 3; k++) CHECK(f[k].flag == (bad == 0 ? 0 : bad < 3 ? 1 : 2));                        \
          free(indices), free(indptr), free(data), free(b), free(out), free(places), free(work);                   \
        }                                                                                                          \
  }
#define NUMBERS(D, T)                                                                                              \
  static void numbers_##D(void) {                                                                                  \
    SPARSE(D, T, i32, int32_t)                                                                                     \
    SPARSE(D, T, i64, int64_t)                                                                                     \
    for (int64_t n = 0; n < 70; n += 23) {                                                                         \
      T *x = some(2 * n * n, sizeof(T)), *out = some(2 * n * n, sizeof(T)), one[1];                                \
      void *sums = malloc((size_t)weft_lib_cumsum_workspace_##D(1, 2 * n * n, 1) + 1);                             \
      weft_lib_cumsum_##D(x, out, 2, n, n, 0, weft_parallel_for, 3, sums);                                         \
      weft_lib_cumsum_##D(out, out, n, 2, n, 1, NULL, 1, NULL);                                                    \
      weft_lib_cumsum_##D(x, out, 1, 2 * n * n, 1, 1, weft_parallel_for, 3, sums);                                 \
      free(sums);                                                                                                  \
      weft_product p = {.batch = 1, .m = n, .n = n, .k = 2 * n, .a = x, .ars = 2 * n, .acs = 1, .b = x, .brs = n,  \
                        .bcs = 1, .c = out, .parallel_for = weft_parallel_for, .threads = 3};                      \
      void *work = p.work = malloc((size_t)weft_lib_product_workspace_##D(&p));                                    \
      weft_lib_product_##D(&p);                                                                                    \
      weft_lib_gemv_##D(n, n, x, n, 1, x, 1, out, 1, weft_parallel_for, 3);                                        \
      weft_lib_dot_##D(n, x, 1, x, 1, one);                                                                        \
      free(x), free(out), free(work);                                                                              \
    }                                                                                                              \
  }
WEFT_LIB_NUMBERS(NUMBERS)

int main(void) {
  memory();
#define RUN(D, T) places_##D();
  WEFT_LIB_TYPES(RUN)
#undef RUN
#define RUN(D, T) numbers_##D();
  WEFT_LIB_NUMBERS(RUN)
  return 0;
}

#endif
