/* weft_fused.h: what a matrix product runs beside multiplying: the kernels before and after it, while their elements are
 * in a cache. C = A B has m rows and n columns. Every function is called on the thread that needs what it does, with
 * that thread's number as `worker`.
 */
#ifndef WEFT_FUSED_H
#define WEFT_FUSED_H
#include "weft_abi.h"

/* Rows i0 to i1 and columns j0 to j1 of a matrix, of which `at` holds element (i0, j0) and, `line` elements after each
 * row, the next one; columns lie side by side. */
typedef void (*weft_rectangle)(void *arg, int64_t i0, int64_t i1, int64_t j0, int64_t j1, void *at, int64_t line,
                               int worker);

enum { WEFT_WHOLE_ROWS = 1, WEFT_WHOLE_COLUMNS = 2, WEFT_COLUMNS = 128 };

typedef struct {
  /* Called for rectangles of C that are final: disjoint, together all of C. It may read and write C there. */
  weft_rectangle then;
  void *then_arg;
  /* Called for rows of C (WEFT_WHOLE_ROWS, a round each), or columns (WEFT_WHOLE_COLUMNS, a round for WEFT_COLUMNS of
   * them), that are final and that `then` has seen. */
  weft_body_fn body; /* as parallel loops have it */
  void *body_arg;
  int64_t whole;
  /* In place of an operand in memory: writes a rectangle of it, or of its transpose (`turned`), as often as it is
   * needed. Not of halves or complex numbers. */
  weft_rectangle make_a, make_b;
  void *a_arg, *b_arg;
  int a_turned, b_turned;
  /* Of one product of a batch, whose rows are numbered through: its first row in C and in what makes the operands, and
   * the thread that computes it. */
  int64_t row, a_row, b_row;
  int worker;
} weft_fused;

/* A matrix product, or a batch of them. Strides count elements. */
typedef struct weft_product {
  int64_t batch, m, n, k;
  const void *a, *b;
  void *c; /* row-major, one product after another; NULL where only `then` is to see it */
  int64_t abs, ars, acs, bbs, brs, bcs;
  weft_parallel_for_fn parallel_for; /* NULL: serial */
  int threads;
  void *work; /* as many bytes as its workspace function says */
  weft_fused fused;
  /* Computes it. Whether `body` has been run: where whole rows or columns would cost more than they save it has not. */
  int (*run)(const struct weft_product *p);
} weft_product;

#endif
