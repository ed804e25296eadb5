/* weft_run.c: see weft_run.h. */
#define _GNU_SOURCE
#include "weft_run.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "weft_inject.h"
#include "weft_memory.h"
#include "weft_pool.h"

#ifdef __linux__
#include <malloc.h>
#else
#define malloc_usable_size(p) ((void)(p), (size_t)0) /* nothing is recycled */
#endif

int32_t weft_run_abi(void) { return WEFT_ABI; }

/* ---- the stop flag ---- */

static volatile int32_t stop, never;
static pthread_t main_thread;
static struct sigaction python; /* what was there when the handler was first installed */
static int installed;
static int64_t next_look; /* of the main thread, in ticks */

enum { TICK = 50 * 1000 * 1000 }; /* ns between two looks whether the handler is still there */

static int64_t ticks(void) {
  struct timespec t;
#ifdef CLOCK_MONOTONIC_COARSE
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
#else
  clock_gettime(CLOCK_MONOTONIC, &t);
#endif
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Python first: when the flag stops a call, Python has the signal to raise. */
static void on_interrupt(int signal, siginfo_t *info, void *context) {
  int saved = errno;
  if (python.sa_flags & SA_SIGINFO) python.sa_sigaction(signal, info, context);
  else python.sa_handler(signal);
  stop = 1;
  errno = saved;
}

static int is_ours(const struct sigaction *a) { return (a->sa_flags & SA_SIGINFO) && a->sa_sigaction == on_interrupt; }

static int is_python(const struct sigaction *a) {
  if ((a->sa_flags ^ python.sa_flags) & SA_SIGINFO) return 0;
  return a->sa_flags & SA_SIGINFO ? a->sa_sigaction == python.sa_sigaction : a->sa_handler == python.sa_handler;
}

/* The one thread of a child is its main thread. */
static void after_fork(void) { main_thread = pthread_self(); }

int32_t weft_stop_install(uintptr_t thread) {
  struct sigaction now;
  if (sigaction(SIGINT, NULL, &now)) return 0;
  if (is_ours(&now)) return 1;
  if (!installed) {
    if (!(now.sa_flags & SA_SIGINFO) && (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN)) return 0;
    python = now;
    main_thread = (pthread_t)thread;
    pthread_atfork(NULL, NULL, after_fork);
  } else if (!is_python(&now)) {
    return 0; /* somebody's who may chain to ours: to chain to theirs would be a circle */
  }
  struct sigaction ours = python;
  ours.sa_flags |= SA_SIGINFO;
  ours.sa_sigaction = on_interrupt;
  installed = 1;
  return sigaction(SIGINT, &ours, NULL) == 0;
}

static int handler_is_gone(void) {
  int64_t now = ticks();
  if (!installed || now < next_look) return 0;
  next_look = now + TICK;
  struct sigaction a;
  return sigaction(SIGINT, NULL, &a) == 0 && !is_ours(&a);
}

/* ---- blocks that wait to be used again ----
 *
 * Small ones wait in stacks by size: multiples of 64 bytes up to 1024, then four sizes an octave. A block's size is what
 * the C library says, rounded down to one of these; a request is rounded up. */

/* What the C library says of a block of SMALL bytes is less than LARGE. */
enum { SMALL = 65536, LARGE = SMALL + 4096, SIZES = 41, MOST_SMALL = 2 << 20, MOST_LARGE = 64, EACH = 16 };

typedef struct small { struct small *next; } small;

static struct { small *first; int count; } stacks[SIZES];
static struct { void *data; size_t bytes; } large[MOST_LARGE]; /* the one given last stands last */
static int larges;
static size_t small_bytes, large_bytes;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t kept_once = PTHREAD_ONCE_INIT;

static void lock_kept(void) { pthread_mutex_lock(&kept_lock); }
static void unlock_kept(void) { pthread_mutex_unlock(&kept_lock); }
static void over_fork(void) { pthread_atfork(lock_kept, unlock_kept, unlock_kept); }

static void lock_blocks(void) {
  pthread_once(&kept_once, over_fork);
  lock_kept();
}

/* How far apart the sizes are (in units of 64 bytes) where this many units belong; the number of its size in *number. */
static size_t step_of(size_t units, int *number) {
  if (units <= 16) {
    *number = (int)units - 1;
    return 1;
  }
  int octave = 63 - __builtin_clzll((unsigned long long)units);
  *number = 16 + 4 * (octave - 4) + (int)(units >> (octave - 2) & 3);
  return (size_t)1 << (octave - 2);
}

/* The number of the least size that holds `bytes` (1 to SMALL); it in *rounded. */
static int size_above(size_t bytes, size_t *rounded) {
  int number;
  size_t units = (bytes + 63) / 64, step = step_of(units, &number);
  units = (units + step - 1) / step * step;
  *rounded = units * 64;
  step_of(units, &number);
  return number;
}

static void *drop(int k) {
  void *data = large[k].data;
  large_bytes -= large[k].bytes;
  memmove(&large[k], &large[k + 1], (size_t)(--larges - k) * sizeof *large);
  return data;
}

/* A block of so many bytes, usable, waits; what has to go for it is put into `old`, how many is returned. */
static int keep_large(void *data, size_t bytes, void **old) {
  int gone = 0;
  while (larges == MOST_LARGE || large_bytes + bytes > WEFT_RECYCLED) old[gone++] = drop(0);
  large[larges].data = data;
  large[larges++].bytes = bytes;
  large_bytes += bytes;
  return gone;
}

static int keep_small(void *data, size_t bytes) {
  int number;
  size_t units = bytes >= SMALL ? SMALL / 64 : bytes / 64;
  step_of(units, &number);
  if (stacks[number].count == EACH || small_bytes + units * 64 > MOST_SMALL) return 0;
  small *block = data;
  block->next = stacks[number].first;
  stacks[number].first = block;
  stacks[number].count++;
  small_bytes += units * 64;
  return 1;
}

void weft_recycle(void *data) {
  size_t bytes = data ? malloc_usable_size(data) : 0;
  void *old[MOST_LARGE];
  int gone = 0;
  if (bytes < 64 || bytes > WEFT_RECYCLED || (uintptr_t)data % 64) {
    free(data);
    return;
  }
  lock_blocks();
  if (bytes >= LARGE) gone = keep_large(data, bytes, old);
  else if (!keep_small(data, bytes)) old[gone++] = data;
  unlock_kept();
  while (gone) free(old[--gone]);
}

/* A block of a large size that waits and is not much larger, or NULL. What the C library says of one on huge pages counts
 * what it left free behind it, up to a page. */
static void *take_large(size_t bytes) {
  size_t most = bytes + bytes / 4 + (bytes >= WEFT_HUGE_PAGE ? WEFT_HUGE_PAGE : 0);
  for (int k = larges - 1; k >= 0; k--)
    if (large[k].bytes >= bytes && large[k].bytes <= most) return drop(k);
  return NULL;
}

static void *take_small(int number) {
  small *block = stacks[number].first;
  if (!block) return NULL;
  stacks[number].first = block->next;
  stacks[number].count--;
  size_t bytes = malloc_usable_size(block);
  small_bytes -= bytes >= SMALL ? SMALL : bytes / 64 * 64;
  return block;
}

void weft_trim(void) {
  void *old[MOST_LARGE];
  int gone = 0;
  lock_blocks();
  for (int k = 0; k < SIZES; k++)
    while (stacks[k].count) free(take_small(k));
  while (larges) old[gone++] = drop(0);
  unlock_kept();
  while (gone) free(old[--gone]);
}

/* Huge pages of new outputs. One is dear where the system has to look for it: it moves other pages first, or, on a virtual
 * machine, asks the host for memory that it gave back: 2.7 ms, where its 512 small ones took 0.45 (Firecracker, Linux
 * 6.18). That pays for blocks that are used again and again, not where each call needs a new one. So dear ones have a
 * budget, which blocks used again fill up; without it a block now and then tells whether they are still dear. */
#ifndef WEFT_DEAR
#define WEFT_DEAR 1000000 /* ns; a page that is at hand takes 100,000 to 250,000 */
#endif

enum { DEAR_BLOCK = 16, BUDGET = 4 * DEAR_BLOCK, BETWEEN = 32 };

static int budget = BUDGET, small_ones; /* under kept_lock; blocks without huge pages since the last trial */

static int64_t touch(volatile char *p) {
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  *p = 0;
  clock_gettime(CLOCK_MONOTONIC, &b);
  return (int64_t)(b.tv_sec - a.tv_sec) * 1000000000 + (b.tv_nsec - a.tv_nsec);
}

static void choose_pages(char *data, size_t bytes) {
#ifdef MADV_HUGEPAGE
  size_t huge = bytes / WEFT_HUGE_PAGE * WEFT_HUGE_PAGE;
  if (!huge) return;
  lock_kept();
  int rich = budget >= DEAR_BLOCK, trial = !rich && small_ones >= BETWEEN;
  small_ones = rich || trial ? 0 : small_ones + 1;
  unlock_kept();
  if (!rich && !trial) {
    madvise(data, huge, MADV_NOHUGEPAGE);
  } else if (touch(data) >= WEFT_DEAR) {
    if (trial && huge > WEFT_HUGE_PAGE) madvise(data + WEFT_HUGE_PAGE, huge - WEFT_HUGE_PAGE, MADV_NOHUGEPAGE);
    lock_kept();
    budget = budget > DEAR_BLOCK ? budget - DEAR_BLOCK : 0;
    unlock_kept();
  } else if (trial) {
    lock_kept();
    budget = DEAR_BLOCK;
    unlock_kept();
  }
#endif
}

void *weft_memory(int64_t bytes, int64_t *size) {
  if (bytes < 0) return NULL;
  size_t n = bytes ? (size_t)bytes : 1;
  if (n > SMALL && n < LARGE) n = LARGE; /* so that it is found again as what it was asked for as */
  void *data;
  lock_blocks();
  if (n <= SMALL) data = take_small(size_above(n, &n));
  else data = take_large(n);
  if (data && n > SMALL && budget < BUDGET) budget++;
  unlock_kept();
  *size = (int64_t)n;
  if (data) return data;
  if (!(data = weft_block((int64_t)n, size))) {
    weft_trim(); /* blocks of other sizes may be what is missing */
    data = weft_block((int64_t)n, size);
  }
  if (data) choose_pages(data, (size_t)*size);
  return data;
}

/* ---- frames ---- */

void *weft_alloc(int64_t bytes) {
  int64_t size;
  return weft_block(bytes, &size);
}

weft_frame *weft_frame_new(int32_t inputs, int32_t outputs, int32_t states, int32_t segments) {
  size_t words = 2 * (size_t)inputs + 3 * (size_t)states + (size_t)outputs;
  size_t bytes = sizeof(weft_frame) + ((size_t)inputs + (size_t)outputs) * sizeof(weft_array) +
                 (size_t)segments * sizeof(weft_segment) + (size_t)outputs * sizeof(int64_t) + words * sizeof(void *) +
                 (size_t)inputs * sizeof(int32_t);
  weft_frame *f = calloc(1, bytes);
  if (!f) return NULL;
  f->inputs = inputs;
  f->outputs = outputs;
  f->states = states;
  f->segments = segments;
  f->call.inputs = (weft_array *)(f + 1);
  f->call.outputs = f->call.inputs + inputs;
  f->call.segments = (weft_segment *)(f->call.outputs + outputs);
  f->own_bytes = (int64_t *)(f->call.segments + segments);
  f->objects = (uintptr_t *)(f->own_bytes + outputs);
  f->descrs = f->objects + inputs;
  f->call.states = (weft_state **)(f->descrs + inputs);
  f->before = (void **)(f->call.states + states);
  f->own = f->before + 2 * states;
  f->ndims = (int32_t *)(f->own + outputs);
  f->call.parallel_for = weft_parallel_for;
  f->call.memory = weft_memory;
  return f;
}

static void free_outputs(weft_frame *f) {
  for (int32_t k = 0; k < f->outputs; k++) {
    if (f->call.outputs[k].data != f->own[k]) weft_recycle(f->call.outputs[k].data);
    f->call.outputs[k].data = NULL;
  }
}

static int within(const void *data, const void *block, int64_t bytes) {
  return (uintptr_t)data - (uintptr_t)block < (uintptr_t)bytes;
}

/* Outputs that the caller keeps memory for are written there, unless it is what this call reads. */
static void lend_own(weft_frame *f) {
  const weft_call *c = &f->call;
  for (int32_t k = 0; k < f->outputs; k++) {
    void *block = f->own[k];
    for (int32_t j = 0; block && j < f->inputs; j++)
      if (within(c->inputs[j].data, block, f->own_bytes[k])) block = NULL;
    for (int32_t j = 0; block && j < f->states; j++)
      if (within(c->states[j]->now.data, block, f->own_bytes[k])) block = NULL;
    c->outputs[k].data = block;
    if (block) c->outputs[k].capacity = f->own_bytes[k];
  }
}

void weft_frame_free(weft_frame *f) {
  if (!f) return;
  free_outputs(f);
  for (int32_t k = 0; k < f->segments; k++) free(f->call.segments[k].base);
  free(f);
}

/* ---- a call ---- */

static const uintptr_t *elements(const weft_frame *f, uintptr_t tuple) {
  return (const uintptr_t *)(tuple + (uintptr_t)f->first);
}

static const weft_ndarray *fields(const weft_frame *f, uintptr_t array) {
  return (const weft_ndarray *)(array + (uintptr_t)f->header);
}

enum { C_CONTIGUOUS = 0x1, ALIGNED = 0x100 };

static int bind(weft_frame *f) {
  for (int32_t k = 0; k < f->inputs; k++) {
    if (!f->objects[k]) continue;
    const weft_ndarray *a = fields(f, f->objects[k]);
    if (a->nd != f->ndims[k] || (uintptr_t)a->descr != f->descrs[k] ||
        (a->flags & (C_CONTIGUOUS | ALIGNED)) != (C_CONTIGUOUS | ALIGNED)) {
      f->call.check = k;
      return 0;
    }
    weft_array *slot = &f->call.inputs[k];
    slot->data = a->data;
    for (int d = 0; d < a->nd; d++) {
      if (a->dimensions[d] > INT64_C(1) << 48) { /* of an empty array: Python says so */
        f->call.check = k;
        return 0;
      }
      slot->dims[d] = a->dimensions[d];
    }
  }
  return 1;
}

static __thread int32_t limit; /* of calls from this thread */

int32_t weft_run_limit(int32_t threads) {
  int32_t before = limit;
  limit = threads < 0 ? 0 : threads;
  return before;
}

static int32_t least(int32_t threads, int32_t most) { return most > 0 && most < threads ? most : threads; }

int32_t weft_run(weft_frame *f) {
  weft_call *c = &f->call;
  int is_main = installed && pthread_equal(pthread_self(), main_thread);
  f->moved = 0;
  if (is_main && stop) {
    stop = 0;
    return WEFT_RUN_STALE;
  }
  if (is_main && handler_is_gone()) return WEFT_RUN_HANDLER;
  if (!bind(f)) return WEFT_RUN_ARGUMENT;
  free_outputs(f); /* those of a call that was interrupted before Python took them */
  for (int32_t k = 0; k < f->states; k++) {
    f->before[2 * k] = c->states[k]->now.data;
    f->before[2 * k + 1] = c->states[k]->spare.data;
  }
  lend_own(f);
  c->stop = is_main ? &stop : &never;
  c->check = 0;
  memset(c->values, 0, sizeof c->values);
  c->threads = least(least(weft_pool_threads(), f->limit), limit);
  WEFT_PASSES(ENTRY);
  int32_t code = f->main(c);
  WEFT_PASSES(RETURN);
  f->committed = code == WEFT_OK;
  for (int32_t k = 0; k < f->states; k++) {
    void *a = c->states[k]->now.data, *b = c->states[k]->spare.data, **was = &f->before[2 * k];
    if (!((a == was[0] && b == was[1]) || (a == was[1] && b == was[0]))) f->moved = 1;
  }
  if (code != WEFT_OK) free_outputs(f);
  return code;
}

/* The type of an object: the last word of its header. */
static uintptr_t type_of(const weft_frame *f, uintptr_t object) {
  return *(const uintptr_t *)(object + (uintptr_t)f->header - sizeof(uintptr_t));
}

int32_t weft_quick(weft_frame *f, uintptr_t arguments, uintptr_t results) {
  const uintptr_t *in = elements(f, arguments), *out = elements(f, results);
  for (int32_t k = 0; k < f->given; k++) {
    if (type_of(f, in[k]) != f->array) return WEFT_RUN_ARGUMENT;
    f->objects[k] = in[k];
  }
  for (int32_t k = 0; k < f->outputs; k++) f->own[k] = fields(f, out[k])->data;
  int32_t code = weft_run(f), same = 1;
  for (int32_t k = 0; k < f->outputs; k++) {
    weft_array *slot = &f->call.outputs[k];
    const weft_ndarray *a = fields(f, out[k]);
    if (slot->data == f->own[k]) slot->data = NULL; /* Python's */
    else same = 0;
    for (int d = 0; d < a->nd; d++) same &= slot->dims[d] == a->dimensions[d];
    f->own[k] = NULL;
  }
  return code == WEFT_OK && !same ? WEFT_RUN_OTHER : code;
}
