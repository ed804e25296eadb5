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
 * fused multiply-add in the fma class, a product and a sum in the no-fma class. float16, bfloat16: float chains,
 * rounded once at the end. Integers wrap, complex products are unfused. Strides count elements, and may be 0 or
 * negative.
 *
 * weft_gemm_float.h has the products of float32, float64 and integers, weft_gemm_tile.h their innermost loops,
 * weft_gemm_plain.h those of the other types, weft_dot.h what has a vector operand.
 */
#ifndef WEFT_GEMM_H
#define WEFT_GEMM_H

#include "weft_fused.h"
#include "weft_pool.h"
#include "weft_vector.h"

enum { WEFT_GEMM_K = 512, WEFT_DOT_BLOCK = 1024 };
/* bytes of B in the second cache, of C when what follows sees it; tiles of an A with contiguous columns that are packed at
 * once; rows of B that are made at once; products that an element which is made takes part in at most */
enum { WEFT_GEMM_BAND = 786432, WEFT_GEMM_WARM = 32768, WEFT_GEMM_TILES = 8, WEFT_MADE_ROWS = 8, WEFT_GEMM_USES = 96 };

#if defined(__AVX512F__) && !defined(WEFT_SCALAR_BUILD)
#define WEFT_TILE_ROWS 12
#else
#define WEFT_TILE_ROWS 6
#endif

WEFT_FN int64_t weft_least_(int64_t a, int64_t b) { return a < b ? a : b; }
WEFT_FN int64_t weft_most_(int64_t a, int64_t b) { return a > b ? a : b; }

#define WEFT_NARROW WEFT_HALVES
#define WEFT_T float
#define WEFT_N(name) name##_f32
#define WEFT_H(name) name##_f32h
#include "weft_gemm_float.h"
#undef WEFT_T
#undef WEFT_N
#undef WEFT_H
#define WEFT_T double
#define WEFT_N(name) name##_f64
#define WEFT_H(name) name##_f64h
#include "weft_gemm_float.h"
#undef WEFT_T
#undef WEFT_N
#undef WEFT_H
#undef WEFT_NARROW

/* integers: fewer tiles, for they are seldom worth compiling more */
#undef WEFT_TILE_ROWS
#define WEFT_TILE_ROWS 6
#define WEFT_NARROW 0
#define WEFT_T uint8_t
#define WEFT_N(name) name##_u8
#include "weft_gemm_float.h"
#undef WEFT_T
#undef WEFT_N
#define WEFT_T uint16_t
#define WEFT_N(name) name##_u16
#include "weft_gemm_float.h"
#undef WEFT_T
#undef WEFT_N
#define WEFT_T uint32_t
#define WEFT_N(name) name##_u32
#include "weft_gemm_float.h"
#undef WEFT_T
#undef WEFT_N
#define WEFT_T uint64_t
#define WEFT_N(name) name##_u64
#include "weft_gemm_float.h"
#undef WEFT_T
#undef WEFT_N

#include "weft_dot.h"
#include "weft_gemm_plain.h"

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* One product after another, each on all threads, or, where there are many, each on one thread. The rows of the batch
 * are numbered through, those of C and of operands that are made. C NULL: each as weft_gemm_D has it. */
#define WEFT_GEMM_BATCH(D, T)                                                                                        \
  typedef struct {                                                                                                   \
    int64_t m, n, k, abs, ars, acs, bbs, brs, bcs, cbs, crs, ccs, work_bytes;                                        \
    const T *a, *b;                                                                                                  \
    T *c;                                                                                                            \
    char *work;                                                                                                      \
    const weft_fused *fused;                                                                                         \
  } weft_batch_##D;                                                                                                  \
  WEFT_FN int weft_batch_one_##D(const weft_batch_##D *g, int64_t i, weft_pfor pfor, int threads, int worker,        \
                                 char *w) {                                                                          \
    weft_fused f = {0};                                                                                              \
    if (g->fused) f = *g->fused;                                                                                     \
    f.row = i * g->m, f.worker = worker;                                                                             \
    f.a_row = i * (f.a_turned ? g->k : g->m), f.b_row = i * (f.b_turned ? g->n : g->k);                              \
    return weft_gemm_##D(g->m, g->n, g->k, f.make_a ? g->a : g->a + i * g->abs, g->ars, g->acs,                      \
                         f.make_b ? g->b : g->b + i * g->bbs, g->brs, g->bcs, g->c ? g->c + i * g->cbs : NULL,       \
                         g->crs, g->ccs, pfor, threads, w, &f);                                                      \
  }                                                                                                                  \
  static void weft_batch_work_##D(void *arg, int64_t begin, int64_t end, int worker) {                               \
    const weft_batch_##D *g = (const weft_batch_##D *)arg;                                                           \
    for (int64_t i = begin; i < end; i++) {                                                                          \
      int ran = weft_batch_one_##D(g, i, 0, 1, worker, g->work + worker * g->work_bytes);                            \
      if (!ran && g->fused && g->fused->whole)                                                                       \
        g->fused->body(g->fused->body_arg, i * g->m, (i + 1) * g->m, worker);                                        \
    }                                                                                                                \
  }                                                                                                                  \
  /* bytes: a workspace a thread, or one for all */                                                                  \
  WEFT_FN int64_t weft_gemm_batch_workspace_##D(int64_t batch, int64_t m, int64_t n, int64_t k, int threads,         \
                                                int in_memory, const weft_fused *f) {                                \
    int64_t many = threads < 1 ? 1 : threads, one = weft_gemm_workspace_##D(m, n, k, 1, in_memory, f) * many;        \
    int64_t all = weft_gemm_workspace_##D(m, n, k, (int)many, in_memory, f);                                         \
    return batch >= many && one > all ? one : all;                                                                   \
  }                                                                                                                  \
  /* `whole` may be WEFT_WHOLE_ROWS. Whether `body` has been run, for all of them. */                                \
  WEFT_UNUSED int weft_gemm_batch_##D(int64_t batch, int64_t m, int64_t n, int64_t k, const T *a, int64_t abs,       \
                                      int64_t ars, int64_t acs, const T *b, int64_t bbs, int64_t brs, int64_t bcs,   \
                                      T *c, int64_t cbs, int64_t crs, int64_t ccs, weft_pfor pfor, int threads,      \
                                      void *work, const weft_fused *fused) {                                         \
    if (m <= 0 || n <= 0 || batch <= 0) return 0;                                                                    \
    weft_batch_##D g = {m, n, k, abs, ars, acs, bbs, brs, bcs, cbs, crs, ccs,                                        \
                        weft_gemm_workspace_##D(m, n, k, 1, c != NULL, fused), a, b, c, (char *)work, fused};        \
    if (!pfor || threads < 2 || batch >= threads) {                                                                  \
      if (pfor && threads > 1) pfor(batch, 1 + 200000 / (m * n * (k + 1)), threads, weft_batch_work_##D, &g);        \
      else weft_batch_work_##D(&g, 0, batch, 0);                                                                     \
      return 1;                                                                                                      \
    }                                                                                                                \
    weft_fused apart = {0};                                                                                          \
    if (fused) apart = *fused;                                                                                       \
    apart.whole = 0, g.fused = &apart;                                                                               \
    for (int64_t i = 0; i < batch; i++) weft_batch_one_##D(&g, i, pfor, threads, 0, (char *)work);                   \
    return 0;                                                                                                        \
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

