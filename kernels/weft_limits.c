/* weft_limits.c: what this machine does at most, for profiles: bytes a second from memory and from the second cache,
 * fused multiply-adds a second. Measured through the pool, like the loops of programs, in some tenths of a second; of
 * every measurement the fastest round counts, for neighbours only make it slower.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "weft_abi.h"
#include "weft_memory.h"
#include "weft_vector.h"

/* What weft_limits fills: bytes a second of x[i] + 1 -> y[i] (read and written) and of a sum, in memory and in the second
 * cache; floating-point operations a second, two an fma. */
enum { COPY_MEMORY, READ_MEMORY, COPY_L2, READ_L2, FMA_F32, FMA_F64, LIMITS };

enum { ACCUMULATORS = 12, LEAST_ROUNDS = 3, MOST_ROUNDS = 40 };
static const double EACH = 0.06; /* seconds a measurement */

typedef struct {
  int what, threads;
  int64_t length, times; /* floats of an array that a thread goes over, and how often */
  float *from, *to;
  double sink[1024][16]; /* a line a thread: results that nobody reads keep no loop alive */
} job;

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void copy(const float *x, float *y, int64_t n) {
  const weft_v_f32 one = weft_vall_f32(1.0f);
  for (int64_t i = 0; i + 4 * weft_lanes_f32 <= n; i += 4 * weft_lanes_f32)
    WEFT_UNROLL for (int k = 0; k < 4; k++)
      weft_vstore_f32(y + i + k * weft_lanes_f32, weft_vadd_f32(weft_vload_f32(x + i + k * weft_lanes_f32), one));
}

static float sum(const float *x, int64_t n) {
  weft_v_f32 acc[8];
  for (int k = 0; k < 8; k++) acc[k] = weft_vall_f32(0.0f);
  for (int64_t i = 0; i + 8 * weft_lanes_f32 <= n; i += 8 * weft_lanes_f32)
    WEFT_UNROLL for (int k = 0; k < 8; k++) acc[k] = weft_vadd_f32(acc[k], weft_vload_f32(x + i + k * weft_lanes_f32));
  float out[weft_lanes_f32];
  for (int k = 1; k < 8; k++) acc[0] = weft_vadd_f32(acc[0], acc[k]);
  weft_vstore_f32(out, acc[0]);
  return out[0] + out[weft_lanes_f32 - 1];
}

#define WEFT_PEAK(D, T)                                                                                             \
  static T peak_##D(int64_t times, T x) {                                                                           \
    weft_v_##D acc[ACCUMULATORS], a = weft_vall_##D(x), b = weft_vall_##D((T)1 - x);                                \
    WEFT_UNROLL for (int k = 0; k < ACCUMULATORS; k++) acc[k] = weft_vall_##D((T)k);                                \
    for (int64_t i = 0; i < times; i++)                                                                             \
      WEFT_UNROLL for (int k = 0; k < ACCUMULATORS; k++) acc[k] = weft_vfma_##D(acc[k], a, b);                      \
    for (int k = 1; k < ACCUMULATORS; k++) acc[0] = weft_vadd_##D(acc[0], acc[k]);                                  \
    T out[weft_lanes_##D];                                                                                          \
    weft_vstore_##D(out, acc[0]);                                                                                   \
    return out[0];                                                                                                  \
  }
WEFT_PEAK(f32, float)
WEFT_PEAK(f64, double)

static void body(void *arg, int64_t begin, int64_t end, int worker) {
  job *j = arg;
  (void)worker;
  for (int64_t w = begin; w < end; w++) {
    const float *x = j->from + w * j->length;
    float *y = j->to + w * j->length;
    double *sink = j->sink[w];
    for (int64_t t = 0; t < j->times; t++) {
      if (j->what == COPY_MEMORY || j->what == COPY_L2) copy(x, y, j->length);
      else if (j->what == READ_MEMORY || j->what == READ_L2) *sink += sum(x, j->length);
      else if (j->what == FMA_F32) *sink += peak_f32(20000, 0.5f);
      else *sink += peak_f64(20000, 0.5);
    }
  }
}

/* The bytes or operations of one round. */
static double done(const job *j) {
  double each = (double)j->length * (double)sizeof(float);
  if (j->what == COPY_MEMORY || j->what == COPY_L2) each *= 2;
  if (j->what == FMA_F32) each = 20000.0 * ACCUMULATORS * weft_lanes_f32 * 2;
  if (j->what == FMA_F64) each = 20000.0 * ACCUMULATORS * weft_lanes_f64 * 2;
  return each * (double)j->times * j->threads;
}

static double fastest(job *j, weft_parallel_for_fn pfor) {
  double best = 0, start = seconds();
  for (int k = 0; k < MOST_ROUNDS && (k < LEAST_ROUNDS || seconds() - start < EACH); k++) {
    double before = seconds();
    pfor(j->threads, 0, j->threads, body, j);
    double rate = done(j) / (seconds() - before);
    if (rate > best) best = rate;
  }
  return best;
}

static int64_t cache(int name, int64_t otherwise) {
  long n = sysconf(name);
  return n > 0 ? (int64_t)n : otherwise;
}

/* Bytes of the second cache, of one core; 0 where the system does not say. */
__attribute__((visibility("default"))) int64_t weft_limits_cache(void) {
#ifdef _SC_LEVEL2_CACHE_SIZE
  return cache(_SC_LEVEL2_CACHE_SIZE, 0);
#else
  return 0;
#endif
}

/* Measures on so many threads. 0; -1 without memory for it. */
__attribute__((visibility("default"))) int32_t weft_limits(weft_parallel_for_fn pfor, int32_t threads, double *found) {
  int64_t second = weft_limits_cache(), third = 0, size;
  if (threads < 1 || threads > 1024) return -1;
#ifdef _SC_LEVEL3_CACHE_SIZE
  third = cache(_SC_LEVEL3_CACHE_SIZE, 0);
#endif
  if (second <= 0) second = 1 << 18;
  /* Arrays that the last cache does not hold, as far as it is ours: a virtual machine may see that of the whole host. */
  int64_t bytes = third * 2 < 64 << 20 ? 64 << 20 : third * 2 > 160 << 20 ? 160 << 20 : third * 2;
  job *j = calloc(1, sizeof *j);
  float *memory = j ? weft_block(2 * bytes, &size) : NULL;
  if (!memory) {
    free(j);
    return -1;
  }
  j->threads = threads;
  j->from = memory;
  j->to = memory + bytes / (int64_t)sizeof(float);
  memset(memory, 0, (size_t)(2 * bytes));
  for (j->what = 0; j->what < LIMITS; j->what++) {
    const int far = j->what == COPY_MEMORY || j->what == READ_MEMORY;
    j->length = far ? bytes / (int64_t)sizeof(float) / threads : second / 4 / (int64_t)sizeof(float);
    j->length = j->length / 128 * 128; /* whole vectors, whatever their width */
    if (j->length * threads * (int64_t)sizeof(float) > bytes) j->length = bytes / (int64_t)sizeof(float) / threads / 128 * 128;
    j->times = far ? 1 : j->what == COPY_L2 || j->what == READ_L2 ? (1 << 24) / j->length + 1 : 8;
    found[j->what] = fastest(j, pfor);
  }
  volatile double sink = j->sink[0][0]; /* results count as used */
  (void)sink;
  free(memory);
  free(j);
  return 0;
}
