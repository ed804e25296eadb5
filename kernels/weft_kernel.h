/* What generated kernels stand on: the calling interface, scalar functions, random numbers, checked indices.
 * As CUDA (through weft_kernel.cuh) the same without the calling interface. */
#ifndef WEFT_KERNEL_H
#define WEFT_KERNEL_H
#if defined(__CUDACC__) || defined(WEFT_CUDA)
#define WEFT_DEVICE 1
#else
#include <stdlib.h>
#include <string.h>
#include "weft_abi.h"
#endif
#include "weft_scalar.h"
#include "weft_random.h"

#define WEFT_BLOCK 1024 /* elements of a reduction between two flushes of its lanes (docs/numerics.md) */
#define WEFT_TILE 64    /* columns of a column reduction worked on at once */

/* A function compiled as it stands: one too long for the optimiser. */
#if defined(__clang__)
#define WEFT_PLAIN __attribute__((optnone, noinline))
#else
#define WEFT_PLAIN __attribute__((optimize("O0"), noinline))
#endif

/* The first index found out of range by a kernel, for the host to report. */
typedef struct {
    int32_t flag;
    int64_t index, length;
} weft_fault;

/* i as an index of n elements: negative counts from the end; 0 and a fault where it is out of range. */
WEFT_FN int64_t weft_checked(int64_t i, int64_t n, weft_fault *fault) {
    int64_t j = i < 0 ? i + n : i;
    if (__builtin_expect((uint64_t)j >= (uint64_t)n, 0)) {
#ifdef WEFT_DEVICE
        if (atomicCAS(&fault->flag, 0, 1) == 0) { /* one thread reports; the host reads it after the kernel */
            fault->index = i;
            fault->length = n;
        }
#else
        __atomic_store_n(&fault->index, i, __ATOMIC_RELAXED);
        __atomic_store_n(&fault->length, n, __ATOMIC_RELAXED);
        __atomic_store_n(&fault->flag, 1, __ATOMIC_RELEASE);
#endif
        return 0;
    }
    return j;
}

WEFT_FN int64_t weft_min64(int64_t a, int64_t b) { return a < b ? a : b; }
WEFT_FN int64_t weft_max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* Whether v replaces b as the maximum so far: larger, or the first NaN. */
#define WEFT_BETTER(v, b) ((v) > (b) || ((v) != (v) && (b) == (b)))

#endif
