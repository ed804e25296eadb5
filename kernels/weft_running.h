/* weft_running.h: running sums, as weft_library.h declares them.
 *
 * The order is fixed (docs/numerics.md): blocks of 1024 elements, each in parts of 128. Within a part elements are added
 * in order; a part starts from the sum of the parts of its block before it, a block from that of the blocks before it.
 * So an element is carry + (before + in_part), where the first block has no carry and the first part nothing before it;
 * its error grows with 128 + 8 + n / 1024 roundings, not with n. Parts of a block are eight chains that do not wait for
 * each other. Neither threads nor tiles show in a result.
 */
#ifndef WEFT_RUNNING_H
#define WEFT_RUNNING_H
#include "weft_parts.h"

enum { WEFT_RUN_PART = 128, WEFT_RUN_PARTS = 8, WEFT_RUN_BLOCK = 1024 };

#define WEFT_LIB_RUNNING(D, T, H, LOAD, STORE, ADD, MULADD, DOT)                                                     \
  /* one block of one line: s[i], i < n <= 1024, from elements `step` apart */                                       \
  static void weft_run_line_##D(const T *x, int64_t step, int64_t n, H *s) {                                         \
    if (n == WEFT_RUN_BLOCK) {                                                                                       \
      H p[WEFT_RUN_PARTS];                                                                                           \
      for (int u = 0; u < WEFT_RUN_PARTS; u++) s[u * WEFT_RUN_PART] = p[u] = LOAD(x + u * WEFT_RUN_PART * step);     \
      for (int i = 1; i < WEFT_RUN_PART; i++)                                                                        \
        for (int u = 0; u < WEFT_RUN_PARTS; u++)                                                                     \
          s[u * WEFT_RUN_PART + i] = p[u] = ADD(p[u], LOAD(x + (u * WEFT_RUN_PART + i) * step));                     \
    } else {                                                                                                         \
      for (int64_t i = 0; i < n; i++)                                                                                \
        s[i] = i % WEFT_RUN_PART ? ADD(s[i - 1], LOAD(x + i * step)) : LOAD(x + i * step);                           \
    }                                                                                                                \
    for (int64_t i = WEFT_RUN_PART; i < n; i += WEFT_RUN_PART) {                                                     \
      const int64_t e = i + WEFT_RUN_PART < n ? i + WEFT_RUN_PART : n;                                               \
      const H before = s[i - 1];                                                                                     \
      for (int64_t j = i; j < e; j++) s[j] = ADD(before, s[j]);                                                      \
    }                                                                                                                \
  }                                                                                                                  \
  /* one block of w columns: rows `step` apart. carry: of the blocks before (`has`), then of this one too; out may be \
   * NULL, when only the carry is wanted. */                                                                         \
  WEFT_INLINE void weft_run_columns_##D(const T *x, T *out, int64_t step, int64_t n, H *carry, int has,              \
                                        const int64_t w) {                                                           \
    H p[WEFT_LIB_TILE], before[WEFT_LIB_TILE], all[WEFT_LIB_TILE];                                                   \
    for (int64_t i = 0; i < n; i++) {                                                                                \
      const T *row = x + i * step;                                                                                   \
      if (i % WEFT_RUN_PART)                                                                                         \
        for (int64_t u = 0; u < w; u++) p[u] = ADD(p[u], LOAD(row + u));                                             \
      else {                                                                                                         \
        for (int64_t u = 0; i && u < w; u++) before[u] = all[u];                                                     \
        for (int64_t u = 0; u < w; u++) p[u] = LOAD(row + u);                                                        \
      }                                                                                                              \
      if (i < WEFT_RUN_PART)                                                                                         \
        for (int64_t u = 0; u < w; u++) all[u] = p[u];                                                               \
      else                                                                                                           \
        for (int64_t u = 0; u < w; u++) all[u] = ADD(before[u], p[u]);                                               \
      if (out && has)                                                                                                \
        for (int64_t u = 0; u < w; u++) STORE(out + i * step + u, ADD(carry[u], all[u]));                            \
      else if (out)                                                                                                  \
        for (int64_t u = 0; u < w; u++) STORE(out + i * step + u, all[u]);                                           \
    }                                                                                                                \
    for (int64_t u = 0; u < w; u++) carry[u] = has ? ADD(carry[u], all[u]) : all[u];                                 \
  }                                                                                                                  \
  static void weft_run_block_##D(const T *x, T *out, int64_t step, int64_t n, H *carry, int has, int64_t w) {        \
    if (w > 1) {                                                                                                     \
      WEFT_LIB_WIDTH(w, weft_run_columns_##D, x, out, step, n, carry, has)                                           \
      return;                                                                                                        \
    }                                                                                                                \
    H s[WEFT_RUN_BLOCK];                                                                                             \
    weft_run_line_##D(x, step, n, s);                                                                                \
    const H last = has ? ADD(*carry, s[n - 1]) : s[n - 1];                                                           \
    if (out && step == 1 && has)                                                                                     \
      for (int64_t i = 0; i < n; i++) STORE(out + i, ADD(*carry, s[i]));                                             \
    else if (out)                                                                                                    \
      for (int64_t i = 0; i < n; i++) STORE(out + i * step, has ? ADD(*carry, s[i]) : s[i]);                         \
    *carry = last;                                                                                                   \
  }                                                                                                                  \
  typedef struct {                                                                                                   \
    const T *x;                                                                                                      \
    T *out;                                                                                                          \
    H *carries; /* [outer, blocks, inner]: of each block alone, then of those before it */                           \
    int64_t outer, n, inner, tiles, blocks, step, start;                                                             \
    int totals;                                                                                                      \
  } weft_run_job_##D;                                                                                                \
  /* whole lines: a unit is a tile of columns */                                                                     \
  static void weft_run_lines_##D(void *arg, int64_t begin, int64_t end, int worker) {                                \
    const weft_run_job_##D *g = (const weft_run_job_##D *)arg;                                                       \
    (void)worker;                                                                                                    \
    for (int64_t q = begin; q < end; q++) {                                                                          \
      const int64_t j = q % g->tiles * WEFT_LIB_TILE, w = weft_least_(g->inner - j, WEFT_LIB_TILE);                  \
      const int64_t at = q / g->tiles * g->n * g->inner + g->start + j;                                              \
      H carry[WEFT_LIB_TILE];                                                                                        \
      for (int64_t i = 0; i < g->n; i += WEFT_RUN_BLOCK)                                                             \
        weft_run_block_##D(g->x + at + i * g->step, g->out + at + i * g->step, g->step,                              \
                           weft_least_(g->n - i, WEFT_RUN_BLOCK), carry, i > 0, w);                                  \
    }                                                                                                                \
  }                                                                                                                  \
  /* a block of a tile of columns: its total, or its elements */                                                     \
  static void weft_run_blocks_##D(void *arg, int64_t begin, int64_t end, int worker) {                               \
    const weft_run_job_##D *g = (const weft_run_job_##D *)arg;                                                       \
    (void)worker;                                                                                                    \
    for (int64_t q = begin; q < end; q++) {                                                                          \
      const int64_t b = q % g->blocks, j = q / g->blocks % g->tiles * WEFT_LIB_TILE, o = q / g->blocks / g->tiles;   \
      const int64_t w = weft_least_(g->inner - j, WEFT_LIB_TILE), i = b * WEFT_RUN_BLOCK;                            \
      const int64_t at = o * g->n * g->inner + g->start + j + i * g->step, n = weft_least_(g->n - i, WEFT_RUN_BLOCK);\
      H *kept = g->carries + (o * g->blocks + b) * g->inner + j, carry[WEFT_LIB_TILE];                               \
      for (int64_t u = 0; u < w && !g->totals && b; u++) carry[u] = kept[u];                                         \
      weft_run_block_##D(g->x + at, g->totals ? 0 : g->out + at, g->step, n, carry, !g->totals && b, w);             \
      for (int64_t u = 0; u < w && g->totals; u++) kept[u] = carry[u];                                               \
    }                                                                                                                \
  }                                                                                                                  \
  int64_t weft_lib_cumsum_workspace_##D(int64_t outer, int64_t n, int64_t inner) {                                   \
    return outer * ((n + WEFT_RUN_BLOCK - 1) / WEFT_RUN_BLOCK) * inner * (int64_t)sizeof(H);                         \
  }                                                                                                                  \
  void weft_lib_cumsum_##D(const T *x, T *out, int64_t outer, int64_t n, int64_t inner, int reverse,                 \
                           weft_parallel_for_fn pfor, int threads, void *work) {                                     \
    if (outer <= 0 || n <= 0 || inner <= 0) return;                                                                  \
    const int64_t tiles = (inner + WEFT_LIB_TILE - 1) / WEFT_LIB_TILE;                                               \
    const int64_t blocks = (n + WEFT_RUN_BLOCK - 1) / WEFT_RUN_BLOCK, wide = inner < WEFT_LIB_TILE ? inner : WEFT_LIB_TILE; \
    weft_run_job_##D g = {x, out, (H *)work, outer, n, inner, tiles, blocks, reverse ? -inner : inner,               \
                          reverse ? (n - 1) * inner : 0, 1};                                                         \
    if (!pfor || threads <= 1) {                                                                                     \
      weft_run_lines_##D(&g, 0, outer * tiles, 0);                                                                   \
    } else if (outer * tiles >= 2 * threads || blocks == 1) {                                                        \
      pfor(outer * tiles, 1 + 16384 / (n * wide), threads, weft_run_lines_##D, &g);                                  \
    } else {                                                                                                         \
      const int64_t grain = 1 + 16384 / (WEFT_RUN_BLOCK * wide);                                                     \
      pfor(outer * tiles * blocks, grain, threads, weft_run_blocks_##D, &g);                                         \
      for (int64_t o = 0; o < outer; o++)                                                                            \
        for (int64_t u = 0; u < inner; u++) {                                                                        \
          H *kept = g.carries + o * blocks * inner + u, sum = kept[0];                                               \
          for (int64_t b = 1; b < blocks; b++) {                                                                     \
            const H own = kept[b * inner];                                                                           \
            kept[b * inner] = sum;                                                                                   \
            sum = ADD(sum, own);                                                                                     \
          }                                                                                                          \
        }                                                                                                            \
      g.totals = 0;                                                                                                  \
      pfor(outer * tiles * blocks, grain, threads, weft_run_blocks_##D, &g);                                         \
    }                                                                                                                \
  }
#endif
