/* weft_library.h: what a program calls rather than contains. Its parts are compiled once and linked into the programs
 * that call them; weft_library.c compiled as it is holds them all. The functions are hidden, so a shared library exports
 * nothing of them.
 *
 * D is a dtype's suffix, T the type it is stored in (f16, bf16: uint16_t), I the type of sparse indices: i32 or i64.
 * Arrays are contiguous unless strides are given, in elements. pfor may be NULL: serial. Threads never show in a
 * result. A dtype is missing where the operation is not defined for it: bool has no sums.
 *
 * Where a `fault` is taken, every index is checked before the first element is written: a bad one is reported there,
 * and the output is as it was.
 */
#ifndef WEFT_LIBRARY_H
#define WEFT_LIBRARY_H
#include "weft_abi.h"
#include "weft_fused.h"
#include "weft_kernel.h"

/* The flag of a fault: an index out of range, or an indptr that does not ascend from 0 to the number of elements
 * (fault->length; fault->index is its first entry that is wrong). */
enum { WEFT_FAULT_INDEX = 1, WEFT_FAULT_INDPTR = 2 };

#define WEFT_LIB_NUMBERS(X)                                                                              \
  X(i8, int8_t) X(i16, int16_t) X(i32, int32_t) X(i64, int64_t) X(u8, uint8_t) X(u16, uint16_t)          \
  X(u32, uint32_t) X(u64, uint64_t) X(f16, uint16_t) X(bf16, uint16_t) X(f32, float) X(f64, double)      \
  X(c64, weft_c64) X(c128, weft_c128)
#define WEFT_LIB_TYPES(X) X(b, uint8_t) WEFT_LIB_NUMBERS(X)

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(hidden)

/* ---- memory ----------------------------------------------------------------------------------------------- */

/* s->base with room for `bytes`, aligned to 64: grown by half at least, its content lost then. NULL: no memory. */
void *weft_lib_grow(weft_segment *s, int64_t bytes);

/* slot->data with room for `bytes`: as it is, or a new block (aligned to 64, freed with free) in its place, from `memory`
 * where that is not NULL. The old block is left to whoever made it. NULL: no memory, and the slot is as it was. */
void *weft_lib_output(weft_array *slot, int64_t bytes, weft_memory_fn memory);

/* Arithmetic as the language says: round to nearest even, denormals kept, no traps. `saved` is what to go back to. */
void weft_lib_fp_enter(uint32_t *saved);
void weft_lib_fp_leave(const uint32_t *saved);

/* ---- profiles: call->profile (weft_abi.h) --------------------------------------------------------------------- */

int64_t weft_lib_clock(void); /* nanoseconds */

/* A step has run that began at `since`. */
void weft_lib_spent(weft_spent *row, int64_t since, int64_t bytes, int64_t flops);

/* A call of so many steps has ended with `code`. What one that failed has counted is dropped. */
void weft_lib_called(weft_spent *profile, int64_t steps, int32_t code, int64_t since);

/* ---- faults: what routines report with -----------------------------------------------------------------------

 * The fault becomes that of an index; whether index[0..count-1] are all within an axis of n, negative ones counted from
 * its end: if not, the fault is reported. */
void weft_lib_report(weft_fault *fault, int32_t flag, int64_t index, int64_t length);
int weft_lib_within(const int64_t *index, int64_t count, int64_t n, weft_fault *fault);

/* ---- products: weft_gemm.h ----------------------------------------------------------------------------------- */

#define WEFT_LIB_DECLARE(D, T)                                                                                       \
  /* bytes of `work`, which need not be there yet; and what computes the product (weft_fused.h) */                   \
  int64_t weft_lib_product_workspace_##D(const weft_product *p);                                                     \
  int weft_lib_product_##D(const weft_product *p);                                                                   \
  void weft_lib_gemv_##D(int64_t m, int64_t k, const T *a, int64_t ars, int64_t acs, const T *x, int64_t incx, T *y, \
                         int64_t incy, weft_parallel_for_fn pfor, int threads);                                      \
  void weft_lib_dot_##D(int64_t n, const T *x, int64_t incx, const T *y, int64_t incy, T *out);                      \
  /* running sums along the middle axis of [outer, n, inner], with `work` of so many bytes; out may be x */           \
  int64_t weft_lib_cumsum_workspace_##D(int64_t outer, int64_t n, int64_t inner);                                    \
  void weft_lib_cumsum_##D(const T *x, T *out, int64_t outer, int64_t n, int64_t inner, int reverse,                 \
                           weft_parallel_for_fn pfor, int threads, void *work);                                      \
  /* bytes of `work` for a csr_dot_t with an output of [columns, m] */                                               \
  int64_t weft_lib_csr_dot_t_workspace_##D(int64_t columns, int64_t m);
WEFT_LIB_NUMBERS(WEFT_LIB_DECLARE)
#undef WEFT_LIB_DECLARE

/* ---- order and places: weft_sort.h ----------------------------------------------------------------------------- */

#define WEFT_LIB_DECLARE(D, T)                                                                                       \
  /* `rows` rows of n elements; tmp has n. out may be x. */                                                          \
  void weft_lib_sort_##D(const T *x, T *out, int64_t rows, int64_t n, T *tmp);                                       \
  void weft_lib_argsort_##D(const T *x, int64_t *out, int64_t rows, int64_t n, int64_t *tmp);                        \
  int64_t weft_lib_nonzero_count_##D(const T *x, int64_t n);                                                         \
  /* fills out[0..ndim-1], each as long as the count says; ndim >= 1 */                                              \
  void weft_lib_nonzero_##D(const T *x, int ndim, const int64_t *dims, int64_t *const *out);                         \
  /* out holds x. Index tuple i of `count` is idx[0][i], ..., idx[nidx-1][i] for the leading axes of lengths xdims;  \
   * it selects `inner` elements of out, which are set to those of y (of equal tuples the last wins) or, `add`,      \
   * increased by them in ascending order. Negative indices count from the end. Element (i, j) of y is at            \
   * y[i * y_count_stride + j * y_inner_stride]; y is not part of out. */                                            \
  void weft_lib_scatter_##D(T *out, const T *y, int nidx, const int64_t *const *idx, const int64_t *xdims,           \
                            int64_t count, int64_t inner, int64_t y_count_stride, int64_t y_inner_stride, int add,   \
                            weft_fault *fault);
WEFT_LIB_TYPES(WEFT_LIB_DECLARE)
#undef WEFT_LIB_DECLARE

/* ---- sparse matrices: `count` elements in `rows` compressed rows, indptr[rows + 1]; indices do not wrap --------- */

/* Whether the matrix is well formed: indptr ascends from 0 to count, the indices are in [0, columns). rows is -1 for
 * an empty indptr, which is not. */
int weft_lib_csr_check_i32(int64_t rows, int64_t count, int64_t columns, const int32_t *indices, const int32_t *indptr,
                           weft_fault *fault);
int weft_lib_csr_check_i64(int64_t rows, int64_t count, int64_t columns, const int64_t *indices, const int64_t *indptr,
                           weft_fault *fault);

#define WEFT_LIB_DECLARE_CSR(D, T, I, IT)                                                                            \
  /* out[rows, m] = matrix * b[columns, m]: from +0 by fma, in stored order */                                       \
  void weft_lib_csr_dot_##D##_##I(int64_t rows, int64_t count, int64_t columns, int64_t m, const T *data,            \
                                  const IT *indices, const IT *indptr, const T *b, T *out,                           \
                                  weft_parallel_for_fn pfor, int threads, weft_fault *fault);                        \
  /* out[columns, m] = matrix' * g[rows, m]: from +0 by fma, in stored order */                                      \
  void weft_lib_csr_dot_t_##D##_##I(int64_t rows, int64_t count, int64_t columns, int64_t m, const T *data,          \
                                    const IT *indices, const IT *indptr, const T *g, T *out,                         \
                                    weft_parallel_for_fn pfor, int threads, void *work, weft_fault *fault);          \
  /* out[count]: for each place (r, c) the dot product of g[r] and b[c], for g[grows, k] and b[columns, k] */        \
  void weft_lib_csr_sample_##D##_##I(int64_t rows, int64_t count, int64_t grows, int64_t columns, int64_t k,         \
                                     const IT *indices, const IT *indptr, const T *g, const T *b, T *out,            \
                                     weft_parallel_for_fn pfor, int threads, weft_fault *fault);
#define WEFT_LIB_DECLARE(D, T) WEFT_LIB_DECLARE_CSR(D, T, i32, int32_t) WEFT_LIB_DECLARE_CSR(D, T, i64, int64_t)
WEFT_LIB_NUMBERS(WEFT_LIB_DECLARE)
#undef WEFT_LIB_DECLARE
#undef WEFT_LIB_DECLARE_CSR

/* ---- products by a BLAS with 32-bit integers ---------------------------------------------------------------------- */

/* c[m, n] = a b by cblas_?gemm on `threads` threads: 1, or 0 with c as it was where BLAS cannot read the operands: a
 * size or a stride of more than 32 bits, no axis with neighbours side by side, nothing to sum. */
int weft_lib_blas_gemm_f32(int64_t m, int64_t n, int64_t k, const float *a, int64_t ars, int64_t acs, const float *b,
                           int64_t brs, int64_t bcs, float *c, int threads, void *sgemm, void *get_threads,
                           void *set_threads);
int weft_lib_blas_gemm_f64(int64_t m, int64_t n, int64_t k, const double *a, int64_t ars, int64_t acs, const double *b,
                           int64_t brs, int64_t bcs, double *c, int threads, void *dgemm, void *get_threads,
                           void *set_threads);

/* ---- linear algebra, by Fortran routines with 32-bit integers ---------------------------------------------------- */

/* a[n, n] becomes its lower factor, the rest zero; only its lower triangle is read. 0; k when the leading minor of
 * order k is not positive (NaN included), and a is then of no use; -1 when n is too large for the routine. */
int64_t weft_lib_cholesky_f32(float *a, int64_t n, void *spotrf);
int64_t weft_lib_cholesky_f64(double *a, int64_t n, void *dpotrf);

/* b[n, m] becomes x with op(a) x = b; one triangle of a[n, n] is read. 0, or -1 for sizes too large. */
int64_t weft_lib_solve_triangular_f32(const float *a, float *b, int64_t n, int64_t m, int lower, int trans,
                                      void *strsm);
int64_t weft_lib_solve_triangular_f64(const double *a, double *b, int64_t n, int64_t m, int lower, int trans,
                                      void *dtrsm);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
