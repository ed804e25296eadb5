/* weft_pool.c: a fork-join pthread pool. See weft_pool.h for what it promises.
 *
 * Every worker watches a word of its own, `todo`. A loop of t threads sets those of workers 1 to t-1; whoever takes a
 * word back to NOTHING has the chunk: the worker, or anybody who is done with his own. So a worker that the system has
 * not scheduled is not waited for, and a busy neighbour costs what it takes and no more; workers that a loop has no
 * chunk for do not hear of it and sleep. The job's fields are read only by who holds a chunk, and written only when
 * all chunks are finished.
 *
 * Spinning alone collapses when another process holds a core, sleeping alone costs microseconds: workers and caller
 * spin some thousands of pauses, then sleep, and sleep at once where one would hold the processor that the other
 * needs. Sleeping is safe by the usual order: the sleeper says so, then looks at the word; the waker writes the word,
 * then looks who sleeps (all sequentially consistent).
 *
 * To wake a sleeper costs the caller a system call, of 2 us on some machines and of 15 on others, and the sleeper comes
 * 5 or 50 us later. A loop not worth it runs on whoever is awake and is added to what is owed; when that is worth
 * several such calls, the sleepers are woken, so that neither rare small loops nor a row of them lose more than a part.
 * What it takes is learned from whether those who are woken come before their chunks are taken.
 */
#define _GNU_SOURCE
#include "weft_pool.h"

#include <ctype.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef WEFT_POOL_ROOT /* tests put a file system of their own here */
#define WEFT_POOL_ROOT ""
#endif

enum { MAX_THREADS = 1024, SPIN = 4000 };
enum { WORTH_LEAST = 4, WORTH_MOST = 64, DEBT = 4 };
enum { NOTHING, CHUNK, QUIT };

typedef struct {
  _Alignas(128) atomic_int todo;
  atomic_int asleep;
  atomic_int cpu;     /* where the thread was when it took its last chunk */
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_t thread;
} worker_t;

static worker_t workers[MAX_THREADS]; /* worker 0 is whoever calls */

static struct {
  weft_body body;
  void *arg;
  int64_t n;
  int t;
} job;

static _Alignas(128) atomic_int pending; /* chunks of workers that are not finished */
static atomic_int unbegun;          /* those of them that nobody has taken; a hint where to look */
static atomic_int caller_sleeps;
static atomic_int sharing;          /* threads of the loop */
static atomic_flag busy = ATOMIC_FLAG_INIT;
static atomic_int wanted;           /* 0: not asked yet */
static int started;                 /* threads running, the caller counted; this and the next two guarded by busy */
static int64_t worth = 8;           /* grains for which a loop wakes sleepers; grows when they come too late */
static int64_t owed;                /* grains of loops that left sleepers asleep; from DEBT * worth on they are woken */
static weft_pool_counts counts;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* The processor this thread is on, -1 where the system does not tell. */
static int processor(void) {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
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

/* A whole number, or 0. OMP_NUM_THREADS may be a list: its first entry counts. */
static int count_from(const char *name) {
  const char *text = getenv(name);
  while (text && isspace((unsigned char)*text)) text++;
  if (!text || !isdigit((unsigned char)*text)) return 0;
  char *end;
  long n = strtol(text, &end, 10);
  while (isspace((unsigned char)*end)) end++;
  return *end && *end != ',' ? 0 : n > MAX_THREADS ? MAX_THREADS : (int)n;
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

/* ceil(quota / period) of one cgroup v1 folder, 0 where it sets none */
static int quota_of_v1(const char *folder) {
  char path[4200];
  snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
  int quota = number_in(path);
  snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
  int period = number_in(path);
  return quota > 0 && period > 0 ? (int)(((int64_t)quota + period - 1) / period) : 0;
}

/* The least quota from folder root/inner up to root. */
static int least_quota(const char *root, const char *inner, int (*quota)(const char *)) {
  char folder[4096];
  int limit = 0;
  snprintf(folder, sizeof folder, "%s%s", root, inner);
  while (strlen(folder) >= strlen(root)) {
    int n = quota(folder);
    if (n && (!limit || n < limit)) limit = n;
    *strrchr(folder, '/') = 0;
  }
  return limit;
}

/* The least quota of the process's own cgroups and those above them, of version 2 and 1. In a container the path may
 * be the host's, which is not there: then what is mounted counts. */
static int cgroup_limit(void) {
  static const char v2[] = WEFT_POOL_ROOT "/sys/fs/cgroup", v1[] = WEFT_POOL_ROOT "/sys/fs/cgroup/cpu";
  char line[2048], inner2[2048] = "", inner1[2048] = "";
  FILE *f = fopen(WEFT_POOL_ROOT "/proc/self/cgroup", "r");
  while (f && fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = 0;
    char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
    if (!path) continue;
    *path++ = 0;
    if (!names[1]) strcpy(inner2, path);
    for (char *name = strtok(names + 1, ","); name; name = strtok(NULL, ","))
      if (!strcmp(name, "cpu")) strcpy(inner1, path);
  }
  if (f) fclose(f);
  int a = least_quota(v2, inner2, quota_of), b = least_quota(v1, inner1, quota_of_v1);
  return !a || (b && b < a) ? b : a;
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

static void run_chunk(int w) {
  int64_t each = job.n / job.t, rest = job.n % job.t;
  int64_t begin = w * each + (w < rest ? w : rest);
  int64_t end = begin + each + (w < rest);
  job.body(job.arg, begin, end, w);
}

static int take(int w) {
  int chunk = CHUNK;
  if (atomic_load_explicit(&workers[w].todo, memory_order_relaxed) != CHUNK) return 0;
  if (!atomic_compare_exchange_strong(&workers[w].todo, &chunk, NOTHING)) return 0;
  atomic_fetch_sub_explicit(&unbegun, 1, memory_order_relaxed);
  return 1;
}

/* A chunk for thread w: its own, or the last that nobody has begun; 0: there is none. */
static int next_chunk(int w) {
  if (w && take(w)) return w;
  if (atomic_load_explicit(&unbegun, memory_order_relaxed) <= 0) return 0;
  for (int v = atomic_load_explicit(&sharing, memory_order_relaxed) - 1; v > 0; v--)
    if (take(v)) return v;
  return 0;
}

static void finish_chunk(void) {
  if (atomic_fetch_sub(&pending, 1) != 1 || !atomic_load(&caller_sleeps)) return;
  pthread_mutex_lock(&lock);
  pthread_cond_signal(&done);
  pthread_mutex_unlock(&lock);
}

static void wake(worker_t *s) {
  pthread_mutex_lock(&s->lock);
  pthread_cond_signal(&s->wake);
  pthread_mutex_unlock(&s->lock);
}

/* The sleepers that have a chunk, as a tree: each worker wakes two, if it had to be woken itself. */
static void wake_below(int w) {
  for (int v = w ? 2 * w : 1; v <= 2 * w + 1 && v < MAX_THREADS; v++)
    if (atomic_load(&workers[v].asleep) && atomic_load(&workers[v].todo) == CHUNK) wake(&workers[v]);
}

/* ---- workers ---- */

static int wait_for_work(worker_t *me) {
  int what;
  for (int i = 0; i < SPIN; i++) {
    if ((what = atomic_load_explicit(&me->todo, memory_order_acquire)) != NOTHING) return what;
    relax();
  }
  pthread_mutex_lock(&me->lock);
  atomic_store(&me->asleep, 1);
  while ((what = atomic_load(&me->todo)) == NOTHING) pthread_cond_wait(&me->wake, &me->lock);
  atomic_store(&me->asleep, 0);
  pthread_mutex_unlock(&me->lock);
  wake_below((int)(me - workers));
  return what;
}

static void *work(void *p) {
  worker_t *me = p;
  int w = (int)(me - workers);
  default_float_mode();
  while (wait_for_work(me) != QUIT) {
    atomic_store_explicit(&me->cpu, processor(), memory_order_relaxed);
    for (int chunk; (chunk = next_chunk(w)) > 0;) {
      run_chunk(chunk);
      finish_chunk();
    }
  }
  return NULL;
}

/* Only the forking thread lives on in the child: it starts with an empty pool. */
static void after_fork(void) {
  started = 0;
  owed = 0;
  atomic_flag_clear(&busy);
  atomic_store(&pending, 0);
  atomic_store(&unbegun, 0);
  atomic_store(&caller_sleeps, 0);
  pthread_mutex_init(&lock, NULL);
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
    worker_t *s = &workers[started];
    atomic_store(&s->todo, NOTHING);
    atomic_store(&s->asleep, 0);
    atomic_store(&s->cpu, -1);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    if (pthread_create(&s->thread, NULL, work, s)) break;
    started++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return started < t ? started : t;
}

/* A library that is unloaded under its threads leaves them running in whatever is mapped there next: when this one
 * goes (dlclose or exit), its workers go first. A pool in use at exit is left alone. */
__attribute__((destructor)) static void stop_workers(void) {
  if (started <= 1 || atomic_flag_test_and_set(&busy)) return;
  for (int w = 1; w < started; w++) {
    atomic_store(&workers[w].todo, QUIT);
    wake(&workers[w]);
  }
  for (int w = 1; w < started; w++) pthread_join(workers[w].thread, NULL);
  started = 0;
  atomic_flag_clear(&busy);
}

/* Hands out chunks 1 to t-1 of a loop of so many grains. Returns the number of workers that had to be woken. */
static int publish(int t, int64_t grains) {
  for (int w = 1; w < t; w++) __builtin_prefetch(&workers[w], 1);
  atomic_store_explicit(&sharing, t, memory_order_relaxed);
  atomic_store_explicit(&unbegun, t - 1, memory_order_relaxed);
  atomic_store_explicit(&pending, t - 1, memory_order_relaxed);
  for (int w = 1; w < t; w++) atomic_store(&workers[w].todo, CHUNK);
  int asleep = 0;
  for (int w = 1; w < t; w++) asleep += atomic_load(&workers[w].asleep);
  counts.loops++;
  if (!asleep) return 0;
  owed += grains < worth ? grains : worth;
  if (grains < worth && owed < DEBT * worth) return 0;
  owed = 0;
  counts.woken += asleep;
  for (int w = 1; w < t; w++) /* the others' parents wake them */
    if (atomic_load(&workers[w].asleep) && (w == 1 || !atomic_load(&workers[w / 2].asleep))) wake(&workers[w]);
  return asleep;
}

/* Whether a chunk's thread may be waiting for the processor that this one spins on. */
static int in_the_way(void) {
  int here = processor();
  if (here < 0) return 0;
  for (int w = 1; w < job.t; w++)
    if (atomic_load_explicit(&workers[w].cpu, memory_order_relaxed) == here) return 1;
  return 0;
}

static void wait_for_workers(void) {
  for (int i = 0; i < SPIN; i++) {
    if (atomic_load_explicit(&pending, memory_order_acquire) == 0) return;
    if (i % 64 == 32 && in_the_way()) break;
    relax();
  }
  counts.slept++;
  pthread_mutex_lock(&lock);
  atomic_store(&caller_sleeps, 1);
  while (atomic_load(&pending)) pthread_cond_wait(&done, &lock);
  atomic_store(&caller_sleeps, 0);
  pthread_mutex_unlock(&lock);
}

void weft_parallel_for(int64_t n, int64_t grain, int max_threads, weft_body body, void *arg) {
  if (n <= 0) return;
  const int heavy = grain < 1;
  if (heavy) grain = 1;
  int t = weft_pool_threads();
  if (max_threads > 0 && max_threads < t) t = max_threads;
  if (n / grain < t) t = n / grain < 1 ? 1 : (int)(n / grain);
  if (t == 1 || atomic_flag_test_and_set(&busy)) { /* a loop in a loop finds the pool busy, too */
    body(arg, 0, n, 0);
    return;
  }
  t = grow(t);
  if (t > 1) {
    job.body = body;
    job.arg = arg;
    job.n = n;
    job.t = t;
    int64_t grains = heavy ? INT64_MAX : n / grain;
    int woken = publish(t, grains), taken = 0;
    run_chunk(0);
    for (int chunk; (chunk = next_chunk(0)) > 0; taken++) {
      run_chunk(chunk);
      atomic_fetch_sub(&pending, 1);
    }
    wait_for_workers();
    counts.taken += taken;
    if (woken && grains >= worth) { /* did they come in time? */
      if (2 * taken >= woken) worth = worth < WORTH_MOST ? 2 * worth : WORTH_MOST;
      else if (worth > WORTH_LEAST) worth /= 2;
    }
  } else {
    body(arg, 0, n, 0);
  }
  atomic_flag_clear(&busy);
}

void weft_pool_count(weft_pool_counts *out) {
  while (atomic_flag_test_and_set(&busy)) relax();
  *out = counts;
  atomic_flag_clear(&busy);
}
