/* Products of exactly sized operands, for the sanitizers, compared with a loop over k; ends with 1 where one differs */
#include <stdio.h>
#include <stdlib.h>
#include "weft_gemm.h"

static uint64_t state = 1;
static int draw(void) { return (int)((state = state * 6364136223846793005u + 1442695040888963407u) >> 61) - 4; }

typedef struct { int64_t seen; } counter;
static void count(void *arg, int64_t i0, int64_t i1, int64_t j0, int64_t j1, int worker) {
  (void)worker;
  __atomic_fetch_add(&((counter *)arg)->seen, (i1 - i0) * (j1 - j0), __ATOMIC_RELAXED);
}

/* Small integers: sums are exact in every type, and wrap alike. */
#define CHECK(D, T)                                                                                                 \
  static int check_##D(int64_t m, int64_t n, int64_t k, int ta, int tb, int tc, int threads) {                      \
    T *a = malloc((size_t)(m * k) * sizeof(T)), *b = malloc((size_t)(k * n) * sizeof(T));                           \
    T *c = malloc((size_t)(m * n) * sizeof(T));                                                                     \
    void *work = malloc((size_t)weft_gemm_workspace_##D(m, n, k, threads));                                         \
    counter seen = {0};                                                                                             \
    int64_t ars = ta ? 1 : k, acs = ta ? m : 1, brs = tb ? 1 : n, bcs = tb ? k : 1;                  \
    int64_t crs = tc ? 1 : n, ccs = tc ? m : 1;                                                                     \
    for (int64_t i = 0; i < m * k; i++) a[i] = (T)draw();                                                           \
    for (int64_t i = 0; i < k * n; i++) b[i] = (T)draw();                                                           \
    weft_gemm_##D(m, n, k, a, ars, acs, b, brs, bcs, c, crs, ccs, threads ? weft_parallel_for : 0, threads, work,   \
                  count, &seen);                                                                                    \
    int bad = seen.seen != m * n;                                                                                   \
    for (int64_t i = 0; i < m; i++)                                                                                 \
      for (int64_t j = 0; j < n; j++) {                                                                             \
        T sum = 0;                                                                                                  \
        for (int64_t p = 0; p < k; p++) sum = (T)(sum + (T)(a[i * ars + p * acs] * b[p * brs + j * bcs]));          \
        bad |= c[i * crs + j * ccs] != sum;                                                                         \
      }                                                                                                             \
    if (bad) printf(#D " %d x %d x %d, %d%d%d, %d threads\n", (int)m, (int)k, (int)n, ta, tb, tc, threads);         \
    free(a), free(b), free(c), free(work);                                                                          \
    return bad;                                                                                                     \
  }
CHECK(f32, float)
CHECK(f64, double)
CHECK(i8, int8_t)
CHECK(u32, uint32_t)

int main(void) {
  static const int sizes[][3] = {{1, 1, 1}, {1, 300, 40}, {2, 261, 9}, {4, 150, 20}, {5, 33, 513}, {12, 32, 64},
                                 {13, 47, 30},
                                 {40, 3, 70}, {9, 9, 3000}, {26, 512, 90}, {100, 24, 512}, {31, 100, 33}, {60, 850, 33},
                                 {8, 8, 8}, {70, 10, 5}, {3, 17, 0}};
  int bad = 0;
  weft_pool_set_threads(3);
  for (unsigned s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
    for (int way = 0; way < 16; way++) {
      int m = sizes[s][0], n = sizes[s][1], k = sizes[s][2], ta = way & 1, tb = way >> 1 & 1, tc = way >> 2 & 1;
      int threads = way & 8 ? 3 : 0;
      bad |= check_f32(m, n, k, ta, tb, tc, threads) | check_f64(m, n, k, ta, tb, tc, threads);
      bad |= check_i8(m, n, k, ta, tb, tc, threads) | check_u32(m, n, k, ta, tb, tc, threads);
    }
  return bad;
}
