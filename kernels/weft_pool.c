/* weft_pool.c: a fork-join pthread pool. See weft_pool.h for what it promises.
 *
 * One 64-bit word publishes a loop: its serial number and the thread count in the low bits. A worker whose index is
 * below that count takes part, and the caller waits for exactly those; a worker that is late for a loop it has no
 * share in reads nothing but the word, so the job's fields are never written while somebody reads them.
 *
 * A worker claims its chunk before it runs it. The caller, done with its own, claims those that nobody has begun: a
 * worker that the system has not scheduled is not waited for, so a busy neighbour costs what it takes and no more.
 *
 * Spinning alone collapses when another process holds a core, sleeping alone costs microseconds: workers and caller
 * spin some thousands of pauses, then sleep. Sleeping is safe by the usual order: the sleeper counts itself, then
 * looks at the word; the waker writes the word, then looks at the count (both sequentially consistent).
 */
#define _GNU_SOURCE
#include "weft_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_THREADS = 1024, SPIN = 4000, COUNT_BITS = 16, QUIT = 0xffff };

static struct {
  weft_body body;
  void *arg;
  int64_t n;
} job;

static _Atomic uint64_t published;  /* serial << COUNT_BITS | threads of the loop */
static _Atomic uint64_t claims[MAX_THREADS]; /* the word of the loop whose chunk w nobody has begun */
static atomic_int pending;          /* chunks of workers that are not finished */
static atomic_int sleepers;         /* workers on `wake` */
static atomic_int caller_sleeps;
static atomic_flag busy = ATOMIC_FLAG_INIT;
static atomic_int wanted;           /* 0: not asked yet */
static int started;                 /* threads running, the caller counted; guarded by busy */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static __thread int inside;

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* A new thread inherits its creator's rounding and flush modes; a worker must not. */
static void default_float_mode(void) {
#if defined(__SSE__)
  __builtin_ia32_ldmxcsr(0x1f80);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, xzr");
#endif
}

/* ---- how many threads ---- */

static int count_from(const char *name) {
  const char *text = getenv(name);
  int n = text ? atoi(text) : 0; /* OMP_NUM_THREADS may be a list: its first entry counts */
  return n < 0 ? 0 : n;
}

/* ceil(quota / period) of one cgroup v2 folder, 0 where it sets none */
static int quota_of(const char *folder) {
  char path[4200], text[64];
  snprintf(path, sizeof path, "%s/cpu.max", folder);
  FILE *f = fopen(path, "r");
  if (!f) return 0;
  long long quota = 0, period = 0;
  int fields = fgets(text, sizeof text, f) ? sscanf(text, "%lld %lld", &quota, &period) : 0;
  fclose(f);
  return fields == 2 && quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

static int number_in(const char *path) {
  FILE *f = fopen(path, "r");
  int n = 0;
  if (!f) return 0;
  if (fscanf(f, "%d", &n) != 1) n = 0;
  fclose(f);
  return n;
}

/* The least quota from the process's own cgroup up to the root. */
static int cgroup_limit(void) {
  static const char root[] = "/sys/fs/cgroup";
  int limit = 0;
  char line[2048], folder[4096];
  FILE *f = fopen("/proc/self/cgroup", "r");
  snprintf(folder, sizeof folder, "%s", root);
  while (f && fgets(line, sizeof line, f))
    if (!strncmp(line, "0::", 3)) {
      line[strcspn(line, "\n")] = 0;
      snprintf(folder, sizeof folder, "%s%s", root, line + 3);
    }
  if (f) fclose(f);
  while (strlen(folder) >= sizeof root - 1) {
    int n = quota_of(folder);
    if (n && (!limit || n < limit)) limit = n;
    *strrchr(folder, '/') = 0;
  }
  int quota = number_in("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"); /* version 1 */
  int period = number_in("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (quota > 0 && period > 0 && (!limit || (quota + period - 1) / period < limit)) limit = (quota + period - 1) / period;
  return limit;
}

static int environment_threads(void) {
  int n = count_from("WEFT_THREADS");
  if (!n) n = count_from("OMP_NUM_THREADS");
  if (!n) {
    cpu_set_t set;
    n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    int limit = cgroup_limit();
    if (limit && limit < n) n = limit;
  }
  return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

int weft_pool_threads(void) {
  int n = atomic_load(&wanted);
  if (n) return n;
  int fresh = environment_threads(), none = 0;
  return atomic_compare_exchange_strong(&wanted, &none, fresh) ? fresh : none;
}

void weft_pool_set_threads(int n) {
  atomic_store(&wanted, n <= 0 ? environment_threads() : n > MAX_THREADS ? MAX_THREADS : n);
}

/* ---- the loop ---- */

static void run_chunk(int w, int t) {
  int64_t each = job.n / t, rest = job.n % t;
  int64_t begin = w * each + (w < rest ? w : rest);
  int64_t end = begin + each + (w < rest);
  job.body(job.arg, begin, end, w);
}

/* Whether chunk w of the loop published as `word` is this thread's to run. */
static int claim(int w, uint64_t word) { return atomic_compare_exchange_strong(&claims[w], &word, 0); }

static uint64_t next_loop(uint64_t seen) {
  for (int i = 0; i < SPIN; i++) {
    uint64_t word = atomic_load_explicit(&published, memory_order_acquire);
    if (word != seen) return word;
    relax();
  }
  pthread_mutex_lock(&lock);
  atomic_fetch_add(&sleepers, 1);
  uint64_t word;
  while ((word = atomic_load(&published)) == seen) pthread_cond_wait(&wake, &lock);
  atomic_fetch_sub(&sleepers, 1);
  pthread_mutex_unlock(&lock);
  return word;
}

static struct start { int index; uint64_t seen; pthread_t thread; } starts[MAX_THREADS];

static void *work(void *p) {
  struct start *s = p;
  uint64_t seen = s->seen;
  inside = 1;
  default_float_mode();
  for (;;) {
    seen = next_loop(seen);
    int t = (int)(seen & ((1u << COUNT_BITS) - 1));
    if (t == QUIT) return NULL;
    if (s->index >= t || !claim(s->index, seen)) continue;
    run_chunk(s->index, t);
    if (atomic_fetch_sub(&pending, 1) == 1 && atomic_load(&caller_sleeps)) {
      pthread_mutex_lock(&lock);
      pthread_cond_signal(&done);
      pthread_mutex_unlock(&lock);
    }
  }
}

/* Only the forking thread lives on in the child: it starts with an empty pool. */
static void after_fork(void) {
  started = 0;
  atomic_flag_clear(&busy);
  atomic_store(&pending, 0);
  atomic_store(&sleepers, 0);
  atomic_store(&caller_sleeps, 0);
  pthread_mutex_init(&lock, NULL);
  pthread_cond_init(&wake, NULL);
  pthread_cond_init(&done, NULL);
}

static void register_fork(void) { pthread_atfork(NULL, NULL, after_fork); }

/* Up to t threads, fewer where the system refuses. Signals stay with the threads the process already had. */
static int grow(int t) {
  if (started == 0) started = 1;
  if (started >= t) return t;
  pthread_once(&once, register_fork);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (started < t) {
    struct start *s = &starts[started];
    s->index = started;
    s->seen = atomic_load(&published);
    if (pthread_create(&s->thread, NULL, work, s)) break;
    started++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return started < t ? started : t;
}

static uint64_t publish(int t) {
  uint64_t serial = (atomic_load(&published) >> COUNT_BITS) + 1, word = serial << COUNT_BITS | (uint64_t)t;
  for (int w = 1; w < t && t != QUIT; w++) atomic_store_explicit(&claims[w], word, memory_order_relaxed);
  atomic_store(&published, word);
  if (atomic_load(&sleepers)) {
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
  }
  return word;
}

/* A library that is unloaded under its threads leaves them running in whatever is mapped there next: when this one
 * goes (dlclose or exit), its workers go first. A pool in use at exit is left alone. */
__attribute__((destructor)) static void stop_workers(void) {
  if (inside || started <= 1 || atomic_flag_test_and_set(&busy)) return;
  publish(QUIT);
  for (int i = 1; i < started; i++) pthread_join(starts[i].thread, NULL);
  started = 0;
  atomic_flag_clear(&busy);
}

static void wait_for_workers(void) {
  for (int i = 0; i < SPIN; i++) {
    if (atomic_load_explicit(&pending, memory_order_acquire) == 0) return;
    relax();
  }
  pthread_mutex_lock(&lock);
  atomic_store(&caller_sleeps, 1);
  while (atomic_load(&pending)) pthread_cond_wait(&done, &lock);
  atomic_store(&caller_sleeps, 0);
  pthread_mutex_unlock(&lock);
}

void weft_parallel_for(int64_t n, int64_t grain, int max_threads, weft_body body, void *arg) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  int t = weft_pool_threads();
  if (max_threads > 0 && max_threads < t) t = max_threads;
  if (n / grain < t) t = n / grain < 1 ? 1 : (int)(n / grain);
  if (t == 1 || inside || atomic_flag_test_and_set(&busy)) {
    body(arg, 0, n, 0);
    return;
  }
  t = grow(t);
  job.body = body;
  job.arg = arg;
  job.n = n;
  inside = 1;
  if (t > 1) {
    atomic_store(&pending, t - 1);
    uint64_t word = publish(t);
    run_chunk(0, t);
    for (int w = t - 1; w > 0; w--)
      if (claim(w, word)) {
        run_chunk(w, t);
        atomic_fetch_sub(&pending, 1);
      }
    wait_for_workers();
  } else {
    run_chunk(0, t);
  }
  inside = 0;
  atomic_flag_clear(&busy);
}
