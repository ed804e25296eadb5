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

/* ---- blocks that wait to be used again ---- */

enum { LEAST_RECYCLED = 65536, MOST_BLOCKS = 64 };

static struct { void *data; size_t bytes; } kept[MOST_BLOCKS]; /* the one given last stands last */
static int blocks;
static size_t kept_bytes;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t kept_once = PTHREAD_ONCE_INIT;

static void lock_kept(void) { pthread_mutex_lock(&kept_lock); }
static void unlock_kept(void) { pthread_mutex_unlock(&kept_lock); }
static void over_fork(void) { pthread_atfork(lock_kept, unlock_kept, unlock_kept); }

static void *drop(int k) {
  void *data = kept[k].data;
  kept_bytes -= kept[k].bytes;
  memmove(&kept[k], &kept[k + 1], (size_t)(--blocks - k) * sizeof *kept);
  return data;
}

void weft_recycle(void *data) {
  size_t bytes = data ? malloc_usable_size(data) : 0;
  if (bytes < LEAST_RECYCLED || bytes > WEFT_RECYCLED) {
    free(data);
    return;
  }
  void *old[MOST_BLOCKS];
  int gone = 0;
  pthread_once(&kept_once, over_fork);
  lock_kept();
  while (blocks == MOST_BLOCKS || kept_bytes + bytes > WEFT_RECYCLED) old[gone++] = drop(0);
  kept[blocks].data = data;
  kept[blocks++].bytes = bytes;
  kept_bytes += bytes;
  unlock_kept();
  while (gone) free(old[--gone]);
}

/* A kept block of at least `bytes` and not much more, or NULL. */
static void *take(int64_t bytes) {
  void *data = NULL;
  lock_kept();
  for (int k = blocks - 1; k >= 0 && !data; k--)
    if (kept[k].bytes >= (size_t)bytes && kept[k].bytes <= (size_t)bytes + (size_t)bytes / 4) data = drop(k);
  unlock_kept();
  return data;
}

/* ---- frames ---- */

void *weft_alloc(int64_t bytes) {
  void *p = NULL;
  return posix_memalign(&p, 64, bytes > 0 ? (size_t)bytes : 1) ? NULL : p;
}

weft_frame *weft_frame_new(int32_t inputs, int32_t outputs, int32_t states, int32_t segments) {
  size_t words = 2 * (size_t)inputs + 3 * (size_t)states + (size_t)outputs;
  size_t bytes = sizeof(weft_frame) + ((size_t)inputs + (size_t)outputs) * sizeof(weft_array) +
                 (size_t)segments * sizeof(weft_segment) + words * sizeof(void *) +
                 ((size_t)inputs + 2 * (size_t)outputs) * sizeof(int32_t);
  weft_frame *f = calloc(1, bytes);
  if (!f) return NULL;
  f->inputs = inputs;
  f->outputs = outputs;
  f->states = states;
  f->segments = segments;
  f->call.inputs = (weft_array *)(f + 1);
  f->call.outputs = f->call.inputs + inputs;
  f->call.segments = (weft_segment *)(f->call.outputs + outputs);
  f->objects = (uintptr_t *)(f->call.segments + segments);
  f->descrs = f->objects + inputs;
  f->call.states = (weft_state **)(f->descrs + inputs);
  f->before = (void **)(f->call.states + states);
  f->lent = f->before + 2 * states;
  f->ndims = (int32_t *)(f->lent + outputs);
  f->out_ndims = f->ndims + inputs;
  f->out_items = f->out_ndims + outputs;
  f->call.parallel_for = weft_parallel_for;
  return f;
}

static void free_outputs(weft_frame *f) {
  for (int32_t k = 0; k < f->outputs; k++) {
    free(f->call.outputs[k].data);
    f->call.outputs[k].data = NULL;
  }
}

/* An output that was large the last time gets a kept block of that size. */
static void lend(weft_frame *f) {
  for (int32_t k = 0; k < f->outputs; k++) {
    weft_array *slot = &f->call.outputs[k];
    f->lent[k] = slot->capacity >= LEAST_RECYCLED ? take(slot->capacity) : NULL;
    slot->data = f->lent[k];
  }
}

/* Takes back what the call did not use, and what is far too large for what it wrote there. */
static void take_back(weft_frame *f) {
  for (int32_t k = 0; k < f->outputs; k++) {
    weft_array *slot = &f->call.outputs[k];
    void *lent = f->lent[k];
    if (!lent) continue;
    f->lent[k] = NULL;
    if (slot->data != lent) {
      free(lent);
    } else {
      int64_t bytes = f->out_items[k];
      for (int d = 0; d < f->out_ndims[k]; d++) bytes *= slot->dims[d];
      if (bytes >= slot->capacity - slot->capacity / 4) continue;
      void *fitting = weft_alloc(bytes);
      if (!fitting) continue;
      memcpy(fitting, lent, (size_t)bytes);
      slot->data = fitting;
      slot->capacity = bytes;
      weft_recycle(lent);
    }
  }
}

void weft_frame_free(weft_frame *f) {
  if (!f) return;
  free_outputs(f);
  for (int32_t k = 0; k < f->segments; k++) free(f->call.segments[k].base);
  free(f);
}

/* ---- a call ---- */

enum { C_CONTIGUOUS = 0x1, ALIGNED = 0x100 };

static int bind(weft_frame *f) {
  for (int32_t k = 0; k < f->inputs; k++) {
    if (!f->objects[k]) continue;
    const weft_ndarray *a = (const weft_ndarray *)(f->objects[k] + (uintptr_t)f->header);
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
  lend(f);
  c->stop = is_main ? &stop : &never;
  c->check = 0;
  memset(c->values, 0, sizeof c->values);
  c->threads = least(least(weft_pool_threads(), f->limit), limit);
  WEFT_PASSES(ENTRY);
  int32_t code = f->main(c);
  WEFT_PASSES(RETURN);
  f->committed = code == WEFT_OK;
  take_back(f);
  for (int32_t k = 0; k < f->states; k++) {
    void *a = c->states[k]->now.data, *b = c->states[k]->spare.data, **was = &f->before[2 * k];
    if (!((a == was[0] && b == was[1]) || (a == was[1] && b == was[0]))) f->moved = 1;
  }
  if (code != WEFT_OK) free_outputs(f);
  return code;
}
