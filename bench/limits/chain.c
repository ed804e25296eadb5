/* tanh(0.7 x + y) sigmoid(x) + 0.5 exp(-y y) - x y.
 *
 * With E = exp(2 (0.7 x + y)) - 1 the product is E / ((E + 2) (1 + exp(-x))): one division. Exponents are held where
 * what is lost is below 1e-25 beside terms that are not, or rounds away, so that 2^n is one float. */
#include "limits.h"

typedef struct {
  int64_t n;
  const float *x, *y;
  float *out;
} job;

static void body(void *arg, int64_t begin, int64_t end, int worker) {
  const job *j = arg;
  const float *RESTRICT x = j->x, *RESTRICT y = j->y;
  float *RESTRICT out = j->out;
  (void)worker;
  end = at_most(end * LINE, j->n);
  for (int64_t from = begin * LINE; from < end; from += STRIP) {
    const int64_t to = at_most(from + STRIP, end);
    for (int64_t i = from + AHEAD; j->n > FAR && i < from + AHEAD + STRIP; i += LINE) {
      __builtin_prefetch(x + i);
      __builtin_prefetch(y + i);
      __builtin_prefetch(out + i, 1);
    }
    for (int64_t i = from; i < to; i++) {
      float a = x[i], b = y[i];
      float e = expm1_of(clamped(1.4f * a + 2.0f * b, 30.0f)), f = exp_of(-clamped(a, 60.0f));
      out[i] = (e / ((e + 2.0f) * (1.0f + f)) + 0.5f * exp_of(-at_most_f32(b * b, 87.0f))) - a * b;
    }
  }
}

FULL void limit_chain(int64_t n, const float *x, const float *y, float *out) {
  job j = {n, x, y, out};
  share(n, 100, body, &j);
}
