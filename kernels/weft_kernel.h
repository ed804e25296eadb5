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
#include "weft_inject.h"
#endif
#include "weft_scalar.h"
#include "weft_random.h"

/* Where the rest of a row begins. gcc 12 with 512 bits took it, for some rows of a constant length, from a pointer that had
 * moved on to the next row already, and read there: so it is not to know. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__)
#define WEFT_HIDDEN(j) __asm__("" : "+r"(j))
#else
#define WEFT_HIDDEN(j) (void)(j)
#endif

/* The float that an integer made of a float becomes: of (double)(int)x gcc 12 makes trunc(x), which may be -0.0. It does
 * not see through an fma. */
#if defined(WEFT_DEVICE)
#define WEFT_TRUNCATED(T, D, MADE) WEFT_FN T weft_truncated_##D(T x) { return x; }
#else
#define WEFT_TRUNCATED(T, D, MADE) WEFT_FN T weft_truncated_##D(T x) { return MADE; }
#endif
WEFT_TRUNCATED(float, f16, weft_fma_f32(x, 1, 0))
WEFT_TRUNCATED(float, bf16, weft_fma_f32(x, 1, 0))
WEFT_TRUNCATED(float, f32, weft_fma_f32(x, 1, 0))
WEFT_TRUNCATED(double, f64, weft_fma_f64(x, 1, 0))
WEFT_TRUNCATED(weft_c64, c64, weft_complex_c64(weft_fma_f32(x.re, 1, 0), 0))
WEFT_TRUNCATED(weft_c128, c128, weft_complex_c128(weft_fma_f64(x.re, 1, 0), 0))

/* Whether a vector under a mask costs little more than a whole one. A masked store of AVX2 may cost more than the
 * elements that it saves: layer norm of rows of 119 floats took 1.3 times as long (AMD EPYC). */
#if defined(__AVX512F__) || defined(__ARM_FEATURE_SVE)
#define WEFT_MASKED 1
#else
#define WEFT_MASKED 0
#endif

#define WEFT_BLOCK 1024 /* elements of a reduction between two flushes of its lanes (docs/numerics.md) */
#define WEFT_PART 256   /* and of a block between two flushes into its lanes */
#define WEFT_SHIFT 16   /* consecutive elements, at each of four places in a block, whose mean is its shift */
#define WEFT_TILE 128   /* columns of a column reduction worked on at once */
#define WEFT_STRIP 256  /* elements after which it is asked whether an argument was hard for a fast function */

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
        int32_t none = 0; /* one thread reports, the first that meets one; the host reads it after the kernel */
        if (!__atomic_load_n(&fault->flag, __ATOMIC_RELAXED) &&
            __atomic_compare_exchange_n(&fault->flag, &none, 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            fault->index = i;
            fault->length = n;
        }
#endif
        return 0;
    }
    return j;
}

/* The same for vectors: whether it is out of range, as all ones, is gathered by the caller. */
WEFT_FN int64_t weft_wrapped(int64_t i, int64_t n) {
    int64_t j = i + (n & (i >> 63));
    return (uint64_t)j < (uint64_t)n ? j : 0;
}
WEFT_FN int64_t weft_outside(int64_t i, int64_t n) {
    return -(int64_t)((uint64_t)(i + (n & (i >> 63))) >= (uint64_t)n);
}

/* An argument of a kernel that a product runs on its rectangles: a scalar or an array. */
typedef union {
    int64_t n;
    const void *p;
} weft_argument;

/* An index of uint64; one that no int64 holds is out of range as this is. */
WEFT_FN int64_t weft_place_u64(uint64_t i) { return (int64_t)(i >> 63 ? ~UINT64_C(0) >> 1 : i); }

WEFT_FN int64_t weft_min64(int64_t a, int64_t b) { return a < b ? a : b; }
WEFT_FN int64_t weft_max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* Puts places between the first and the last of them in order, what lies beyond these at them. */
WEFT_FN void weft_in_order(int64_t *places, int count) {
    const int64_t first = places[0], last = places[count - 1];
    for (int k = 1; k < count - 1; k++) {
        const int64_t p = weft_max64(first, weft_min64(places[k], last));
        int at = k;
        for (; at > 1 && places[at - 1] > p; at--) places[at] = places[at - 1];
        places[at] = p;
    }
}

/* Blocks of a sum, added with what rounding took of each addition kept apart (Knuth, TAOCP 2, 4.2.2: TwoSum): the error of
 * a sum does not grow with the number of its blocks. `low` of an overflown sum is NaN and does not count. */
#define WEFT_JOIN(D, T)                                        \
    WEFT_LANE void weft_join_##D(T *sum, T *low, T x) {        \
        T s = *sum + x, t = s - *sum;                          \
        *low += (*sum - (s - t)) + (x - t);                    \
        *sum = s;                                              \
    }                                                          \
    WEFT_LANE T weft_joined_##D(T sum, T low) { return low == low ? sum + low : sum; }
WEFT_JOIN(f32, float)
WEFT_JOIN(f64, double)
#define WEFT_JOIN_PARTS(D, C, R)                                                          \
    WEFT_LANE void weft_join_##D(C *sum, C *low, C x) {                                   \
        weft_join_##R(&sum->re, &low->re, x.re);                                          \
        weft_join_##R(&sum->im, &low->im, x.im);                                          \
    }                                                                                     \
    WEFT_LANE C weft_joined_##D(C sum, C low) {                                           \
        return weft_complex_##D(weft_joined_##R(sum.re, low.re), weft_joined_##R(sum.im, low.im)); \
    }
WEFT_JOIN_PARTS(c64, weft_c64, f32)
WEFT_JOIN_PARTS(c128, weft_c128, f64)

/* Sums of squared deviations from the mean. A block of n elements x is read about a shift that lies among them: d is the sum
 * of x - shift, s that of its squares. Blocks, each with its mean shift + step, are joined as by Chan, Golub and LeVeque
 * ("Updating formulae and a pairwise algorithm for computing sample variances", 1979); the mean so far is mean + rest, `sum`
 * and `low` are as above. What overflowed is infinite, what holds an infinity or NaN is NaN: as sum((x - mean) ** 2). */
#define WEFT_DEVSQ(D, T, MOST)                                                                          \
    WEFT_LANE T weft_devsq_block_##D(T d, T s, T n) {                                                   \
        T c = d * (d / n), m = s - (c < MOST ? c : MOST);                                               \
        return (m > 0 ? m : 0) + (d - d);                                                               \
    }                                                                                                   \
    WEFT_LANE void weft_devsq_join_##D(T *sum, T *low, T *mean, T *rest, T m, T shift, T step, T before, T n) { \
        T w = n / (before + n), gap = (shift - *mean) + (step - *rest);                                 \
        weft_join_##D(mean, rest, gap * w);                                                             \
        weft_join_##D(sum, low, m + gap * (gap * (before * w)));                                        \
    }
WEFT_DEVSQ(f32, float, 0x1.fffffep127f)
WEFT_DEVSQ(f64, double, 0x1.fffffffffffffp1023)

#ifndef WEFT_DEVICE
/* Sizes in memory. INT64_MAX stands for more than an int64 counts and stays that, whatever is done to it (no times that
 * is none); it is what no allocation gets. A size that wrapped would pass for a small one. */
WEFT_FN int64_t weft_size_mul(int64_t a, int64_t b) {
    int64_t c;
    if (__builtin_mul_overflow(a, b, &c)) return INT64_MAX;
    return a == INT64_MAX || b == INT64_MAX ? (c ? INT64_MAX : 0) : c;
}
WEFT_FN int64_t weft_size_add(int64_t a, int64_t b) {
    int64_t c;
    return a == INT64_MAX || b == INT64_MAX || __builtin_add_overflow(a, b, &c) ? INT64_MAX : c;
}
WEFT_FN int64_t weft_size_up(int64_t a) { return a < 0 || a > INT64_MAX - 63 ? INT64_MAX : (a + 63) & ~INT64_C(63); }

/* Bytes of an array; none where an axis is empty, but its other lengths have to be those of an array all the same. */
WEFT_FN int64_t weft_size_of(int64_t item, int ndim, const int64_t *dims) {
    int empty = 0;
    for (int a = 0; a < ndim; a++) {
        empty |= dims[a] == 0;
        item = dims[a] < 0 ? INT64_MAX : weft_size_mul(item, dims[a] ? dims[a] : 1);
    }
    return empty && item != INT64_MAX ? 0 : item;
}

/* Lengths and numbers of elements are at most this, far from where int64 wraps: LIMIT of ir/lengths.py. */
WEFT_FN int weft_too_long(int64_t n) { return n > INT64_C(1) << 48 || n < -(INT64_C(1) << 48); }

/* Results of a Python operation, whose memory is freed however the program leaves the block that they stand in. */
typedef struct {
    int32_t count;
    weft_array *arrays;
} weft_results;
#define WEFT_FREED __attribute__((cleanup(weft_free_results)))
WEFT_FN void weft_free_results(const weft_results *r) {
    for (int32_t k = 0; k < r->count; k++) free(r->arrays[k].data);
}

WEFT_FN int32_t weft_no_memory(weft_call *call, int64_t bytes) {
    call->values[0] = bytes < 0 ? INT64_MAX : bytes;
    return WEFT_NO_MEMORY;
}
#endif

/* Whether v replaces b as the maximum so far: larger, or the first NaN. */
#define WEFT_BETTER(v, b) ((v) > (b) || ((v) != (v) && (b) == (b)))

#endif
