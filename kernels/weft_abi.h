/* The C interface between a compiled function and whoever calls it: the Python runtime or a C program.
 *
 * Arrays are C-contiguous. A function never keeps a pointer from one call to the next except in its workspace.
 */
#ifndef WEFT_ABI_H
#define WEFT_ABI_H
#include <stdint.h>

#define WEFT_ABI 1
#define WEFT_MAX_NDIM 16

typedef struct {
    void *data;
    int64_t capacity; /* bytes that may be written at data; 0 for a read-only array */
    int64_t dims[WEFT_MAX_NDIM];
} weft_array;

/* A shared variable. A call writes the new value to `spare` (allocating it when too small) and swaps the two when it
 * commits, or updates `now` in place after it has committed. A buffer that it replaces by a larger one it does not free:
 * the caller owns what was there, and compares the pointers after the call (a failed one too). */
typedef struct {
    weft_array now, spare;
} weft_state;

/* Memory that a function keeps between calls: grown, never shrunk. */
typedef struct {
    void *base;
    int64_t capacity;
} weft_segment;

typedef void (*weft_body_fn)(void *arg, int64_t begin, int64_t end, int worker);
typedef void (*weft_parallel_for_fn)(int64_t n, int64_t grain, int max_threads, weft_body_fn body, void *arg);
/* Calls the Python operation `id`; fills outs (data allocated by the callee). 0, or nonzero when it raised. */
typedef int32_t (*weft_host_fn)(void *user, int32_t id, const weft_array *ins, weft_array *outs);

/* A block of at least `bytes`, 64-byte aligned, freed with free; its size in *size. NULL: there is no memory. */
typedef void *(*weft_memory_fn)(int64_t bytes, int64_t *size);

/* What a program that profiles itself counts: runs, the calling thread's time, bytes moved, floating-point operations. */
typedef struct {
    int64_t runs, ns, bytes, flops;
} weft_spent;

typedef struct {
    weft_array *inputs;
    /* data NULL, or `capacity` bytes there too few: the function takes a block from `memory` and says how large it is; what
     * it does not use stays the caller's */
    weft_array *outputs;
    weft_state **states;
    weft_segment *segments;
    weft_parallel_for_fn parallel_for;
    weft_host_fn host;
    void *user;
    void *const *library; /* pointers of library routines, in the order the manifest lists them */
    volatile int32_t *stop; /* nonzero: return WEFT_STOPPED before the next step that could still be undone */
    int32_t threads;
    int32_t check;      /* WEFT_CHECK: which obligation failed */
    int64_t values[4];  /* and the values it failed with */
    weft_memory_fn memory; /* NULL: the C library's */
    /* Of a program that profiles itself: calls that ended well, calls that failed, a row for each step of the call that
     * runs (all 0 between calls), then one for each step of all calls that ended well. Others do not look. */
    weft_spent *profile;
} weft_call;

enum { WEFT_OK = 0, WEFT_CHECK = 1, WEFT_NO_MEMORY = 2, WEFT_STOPPED = 3, WEFT_HOST_RAISED = 4 };

#endif
