/* Products of exactly sized operands, for the sanitizers, compared with a loop over k; ends with 1 where one differs */
#include <stdio.h>
#include <stdlib.h>
#include "weft_gemm.h"

static uint64_t state = 1;
static int draw(void) { return (int)((state = state * 6364136223846793005u + 1442695040888963407u) >> 61) - 4; }

/* Small integers: sums are exact in every type, and wrap alike. `way`: which operands and results are transposed in memory,
 * made, left in memory; `whole`: as weft_fused.h has it. */
#define CHECK(D, T)                                                                                                 \
  typedef struct { T *out; int64_t n, seen, rounds; } follow_##D;                                                   \
  static void then_##D(void *arg, int64_t i0, int64_t i1, int64_t j0, int64_t j1, void *at, int64_t line, int w) {  \
    follow_##D *f = arg;                                                                                            \
    (void)w;                                                                                                        \
    __atomic_fetch_add(&f->seen, (i1 - i0) * (j1 - j0), __ATOMIC_RELAXED);                                          \
    for (int64_t i = i0; i < i1; i++)                                                                               \
      for (int64_t j = j0; j < j1; j++) f->out[i * f->n + j] = ((T *)at)[(i - i0) * line + j - j0];                 \
  }                                                                                                                 \
  static void body_##D(void *arg, int64_t begin, int64_t end, int worker) {                                         \
    (void)worker;                                                                                                   \
    __atomic_fetch_add(&((follow_##D *)arg)->rounds, end - begin, __ATOMIC_RELAXED);                                \
  }                                                                                                                 \
  typedef struct { const T *x; int64_t line; } source_##D;                                                          \
  static void make_##D(void *arg, int64_t i0, int64_t i1, int64_t j0, int64_t j1, void *at, int64_t line, int w) {  \
    const source_##D *s = arg;                                                                                      \
    (void)w;                                                                                                        \
    for (int64_t i = i0; i < i1; i++)                                                                               \
      for (int64_t j = j0; j < j1; j++) ((T *)at)[(i - i0) * line + j - j0] = s->x[i * s->line + j];                \
  }                                                                                                                 \
  static int check_##D(int64_t m, int64_t n, int64_t k, int way, int whole, int threads) {                          \
    int ta = way & 1, tb = way >> 1 & 1, tc = way >> 2 & 1, there = way >> 3 & 1, make = way >> 4;                  \
    T *a = malloc((size_t)(m * k) * sizeof(T)), *b = malloc((size_t)(k * n) * sizeof(T));                           \
    T *c = malloc((size_t)(m * n) * sizeof(T)), *out = malloc((size_t)(m * n) * sizeof(T));                         \
    int64_t ars = ta ? 1 : k, acs = ta ? m : 1, brs = tb ? 1 : n, bcs = tb ? k : 1;                                 \
    int64_t crs = tc ? 1 : n, ccs = tc ? m : 1;                                                                     \
    for (int64_t i = 0; i < m * k; i++) a[i] = (T)draw();                                                           \
    for (int64_t i = 0; i < k * n; i++) b[i] = (T)draw();                                                           \
    follow_##D follow = {out, n, 0, 0};                                                                             \
    source_##D of_a = {a, ta ? m : k}, of_b = {b, tb ? k : n};                                                      \
    weft_fused f = {.body = body_##D, .body_arg = &follow, .whole = tc || !there ? 0 : whole};                      \
    if (!tc) f.then = then_##D, f.then_arg = &follow;                                                               \
    if (make & 1) f.make_a = make_##D, f.a_arg = &of_a, f.a_turned = ta;                                            \
    if (make & 2) f.make_b = make_##D, f.b_arg = &of_b, f.b_turned = tb;                                            \
    T *in_memory = there || tc ? c : NULL;                                                                          \
    void *work = malloc((size_t)weft_gemm_workspace_##D(m, n, k, threads, in_memory != NULL, &f));                  \
    int ran = weft_gemm_##D(m, n, k, a, ars, acs, b, brs, bcs, in_memory, crs, ccs, threads ? weft_parallel_for : 0,\
                            threads, work, &f);                                                                     \
    int bad = !tc && follow.seen != m * n;                                                                          \
    bad |= follow.rounds != (ran && f.whole == 1 ? m : ran && f.whole == 2 ? (n + 127) / 128 : 0);                  \
    for (int64_t i = 0; i < m; i++)                                                                                 \
      for (int64_t j = 0; j < n; j++) {                                                                             \
        T sum = 0;                                                                                                  \
        for (int64_t p = 0; p < k; p++) sum = (T)(sum + (T)(a[i * ars + p * acs] * b[p * brs + j * bcs]));          \
        bad |= (in_memory && c[i * crs + j * ccs] != sum) | (!tc && out[i * n + j] != sum);                         \
      }                                                                                                             \
    if (bad) printf(#D " %d x %d x %d, %d, whole %d, %d threads\n", (int)m, (int)k, (int)n, way, whole, threads);   \
    free(a), free(b), free(c), free(out), free(work);                                                               \
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
    for (int way = 0; way < 64; way++) {
      int m = sizes[s][0], n = sizes[s][1], k = sizes[s][2], whole = way % 3, threads = (way ^ way >> 1) & 1 ? 3 : 0;
      bad |= check_f32(m, n, k, way, whole, 0) | check_f32(m, n, k, way, whole, 3);
      if (way % 4 == (int)s % 4) bad |= check_f64(m, n, k, way, whole, threads) | check_i8(m, n, k, way, whole, threads);
      if (way % 5 == (int)s % 5) bad |= check_u32(m, n, k, way, whole, threads);
    }
  return bad;
}
