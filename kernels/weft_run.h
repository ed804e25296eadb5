/* weft_run.h: how Python enters a compiled function: one C call that binds NumPy arrays, runs weft_main and sees to
 * what Python would otherwise look at after every call. Built with weft_pool.c into the one library a process has.
 *
 * The stop flag. SIGINT sets it, after Python's own C handler has noted the signal. Python raises KeyboardInterrupt in
 * the main thread only, so only calls of the main thread see the flag; a call of any other thread runs to its end.
 * The flag belongs to the call that runs when the signal comes. One that comes between two calls is Python's alone:
 * the next call finds the flag set, clears it and returns WEFT_RUN_STALE without running, so that Python raises what it
 * has noted (and calls again if that was raised and caught before). A signal after that look stops the call.
 */
#ifndef WEFT_RUN_H
#define WEFT_RUN_H
#include "weft_abi.h"

/* Returned by weft_run beside the codes of weft_main; nothing has run then. */
#define WEFT_RECYCLED 268435456  /* bytes of large blocks that wait to be used again */
#define WEFT_RUN_STALE -1    /* call again, once Python has looked at its signals */
#define WEFT_RUN_HANDLER -2  /* the SIGINT handler is not ours any more: install it if that is right, call again */
#define WEFT_RUN_ARGUMENT -3 /* input `call.check` is not an array as declared, as far as one look can tell */
#define WEFT_RUN_OTHER -4    /* of weft_quick: it has run, and some results are not where they were wanted */

/* The fields of a NumPy array after the object header (PyArrayObject_fields, stable in NumPy 1 and 2). */
typedef struct {
    char *data;
    int nd;
    intptr_t *dimensions, *strides;
    void *base, *descr;
    int flags;
} weft_ndarray;

/* What calls of a program reuse. One frame serves one call at a time. */
typedef struct {
    weft_call call;
    int32_t (*main)(weft_call *);
    int32_t inputs, outputs, states, segments;
    int32_t moved;      /* a state has other buffers than before the call */
    int32_t committed;  /* the last call has; the caller clears it */
    int32_t limit;      /* most threads that calls use; 0: the pool's, or what weft_run_limit says */
    int32_t header;     /* bytes of a Python object's header */
    uintptr_t *objects; /* the address of each input's array object; 0: the caller has filled call.inputs */
    uintptr_t *descrs;  /* the dtype object that each input's array has */
    int32_t *ndims;
    void **before;
    void **own;         /* of each output the block that the caller keeps for it from call to call, or NULL */
    int64_t *own_bytes;
    int32_t given;      /* inputs that a call gives: constants are bound once */
    int32_t first;      /* bytes from a tuple object to its first element */
    uintptr_t array;    /* the type object of arrays */
} weft_frame;

weft_frame *weft_frame_new(int32_t inputs, int32_t outputs, int32_t states, int32_t segments);
void weft_frame_free(weft_frame *frame);

/* Runs frame->main on frame->call. When it fails no output is left allocated. */
int32_t weft_run(weft_frame *frame);

/* weft_run on a tuple of array objects, whose results go into the arrays of another tuple: those have the right dtypes, and
 * `own_bytes` bytes; `own` is empty. After WEFT_RUN_OTHER an output without data lies in its array, with the shape
 * that its `dims` say. */
int32_t weft_quick(weft_frame *frame, uintptr_t arguments, uintptr_t results);

/* Most threads that calls from this thread use from now on; 0: no limit. Returns what it was. */
int32_t weft_run_limit(int32_t threads);

/* Installs the SIGINT handler in front of the one that Python's has; `thread` is the main one (a pthread_t). Called
 * while Python's own handler is the default one. Nonzero: it is (or was already) installed. */
int32_t weft_stop_install(uintptr_t thread);

/* Memory for results of a Python operation: 64-byte aligned, freed with free; NULL when there is none. */
void *weft_alloc(int64_t bytes);

/* Memory for an output: a block that weft_recycle was given, or a new one. */
void *weft_memory(int64_t bytes, int64_t *size);

/* Frees memory of C's allocator, or keeps it for the output of a later call: a repeated call then allocates nothing, and
 * filling fresh pages costs more than most kernels that write them. At most WEFT_RECYCLED bytes of large blocks are kept,
 * and 2 MiB of small ones (up to 64 KiB). */
void weft_recycle(void *block);

/* Frees what is kept so. */
void weft_trim(void);

int32_t weft_run_abi(void); /* WEFT_ABI of this build */

#endif
