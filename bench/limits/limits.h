/* What the hand-tuned loops share. Each limit_* computes one case of cases_fused.py for the arrays it is given, on the
 * threads of the pool of kernels/, with the elementary functions of kernels/ (their errors are part of the bargain) or
 * with arithmetic that is no less exact. Only speed counts here: contraction is allowed, bits may differ.
 */
#ifndef LIMITS_H
#define LIMITS_H
#include <stdint.h>

#include "weft_pool.h"
#include "weft_scalar.h"

#define RESTRICT __restrict__
#define FULL __attribute__((visibility("default")))

/* Elementwise loops fetch a strip, of what they read and of what they write, while the one before the last is
 * computed. Where arrays of more than FAR elements come from memory or a far cache, that is a fifth to a third faster;
 * from the second cache some hundredths slower. */
enum { STRIP = 128, AHEAD = 256, FAR = 1 << 17 };

/* As many floats as a cache line, and a vector, holds. */
enum { LINE = 16 };

static inline int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

/* n elements shared out among the threads in whole lines, a thread at least `grain` of them. */
static inline void share(int64_t n, int64_t grain, weft_body body, void *arg) {
  weft_parallel_for((n + LINE - 1) / LINE, grain, 0, body, arg);
}

/* The smaller of y >= 0 and a constant, as integers: one instruction. */
static inline float at_most_f32(float y, float most) {
  return weft_at_most_f32_(y, most);
}
static inline float clamped(float x, float most) {
  return weft_signed_f32_(weft_at_most_f32_(weft_magnitude_f32_(x), most), x);
}

/* exp(x) and exp(x) - 1 where 2^n is a normal float: between -87 and 88. */
static inline float exp_of(float x) {
  const float magic = WEFT_MAGIC_F32_ + 127.0f;
  float t = weft_fma_f32(x, WEFT_LOG2E_F32_, magic), n = t - magic;
  float r = weft_fma_f32(n, -WEFT_LN2_LO_F32_, weft_fma_f32(n, -WEFT_LN2_HI_F32_, x));
  float s = weft_frombits_f32(weft_bits_f32(t) << 23);
  return weft_fma_f32(weft_exp_poly_f32_(r), s, s);
}
static inline float expm1_of(float x) {
  const float magic = WEFT_MAGIC_F32_ + 127.0f;
  float t = weft_fma_f32(x, WEFT_LOG2E_F32_, magic), n = t - magic;
  float r = weft_fma_f32(n, -WEFT_LN2_LO_F32_, weft_fma_f32(n, -WEFT_LN2_HI_F32_, x));
  float s = weft_frombits_f32(weft_bits_f32(t) << 23);
  return weft_fma_f32(weft_expm1_poly_f32_(r), s, s - 1.0f);
}

#endif
