/* weft_pool.h: the one thread pool of a process. Generated code is handed weft_parallel_for as a pointer.
 *
 * n items are cut into contiguous chunks, one a thread: chunk w of t is [w*n/t, (w+1)*n/t), up to the remainder
 * spread over the first ones. The cut follows from n, grain and the thread count alone; which thread runs a chunk does
 * not: the caller also runs those that no worker has begun.
 */
#ifndef WEFT_POOL_H
#define WEFT_POOL_H
#include <stdint.h>

typedef void (*weft_body)(void *arg, int64_t begin, int64_t end, int worker);
typedef void (*weft_pfor)(int64_t n, int64_t grain, int max_threads, weft_body body, void *arg);

#ifdef __cplusplus
extern "C" {
#endif

/* body(arg, begin, end, worker) over [0, n), `worker` the number of the chunk. No chunk is smaller than grain (where n
 * allows), and a loop of few grains may not be worth waking threads for; grain 0: each item is worth a thread.
 * max_threads <= 0 means no limit but the pool's. Runs serially, as worker 0, when called from inside a body or while
 * another thread uses the pool. Returns when all is done. */
void weft_parallel_for(int64_t n, int64_t grain, int max_threads, weft_body body, void *arg);

/* The thread count: set, or WEFT_THREADS, or OMP_NUM_THREADS, or what affinity and cgroup allow. */
int weft_pool_threads(void);

/* n <= 0 returns to the environment's count. Takes effect with the next loop. */
void weft_pool_set_threads(int n);

/* What loops on several threads have met in this process, for tests and measurements. */
typedef struct {
  int64_t loops; /* handed to workers */
  int64_t taken; /* chunks that the caller ran in place of a worker that had not begun */
  int64_t woken; /* workers that were woken from sleep */
  int64_t slept; /* loops whose caller went to sleep before its workers were done */
} weft_pool_counts;

/* Waits for a loop of another thread; not for calls from a body. */
void weft_pool_count(weft_pool_counts *out);

#ifdef __cplusplus
}
#endif
#endif
