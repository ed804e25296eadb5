/* One step of Adam in place: 16 bytes read and 12 written an element, which is what takes the time. The quotient of
 * the two roots is folded into rate and epsilon: one root and one division. */
#include <math.h>

#include "limits.h"

enum { FARTHER = 4 * AHEAD }; /* there is little to compute meanwhile */

typedef struct {
  int64_t n;
  float *p, *m, *v;
  const float *g;
  float rate, epsilon;
} job;

static void body(void *arg, int64_t begin, int64_t end, int worker) {
  const job *j = arg;
  float *RESTRICT p = j->p, *RESTRICT m = j->m, *RESTRICT v = j->v;
  const float *RESTRICT g = j->g;
  const float rate = j->rate, epsilon = j->epsilon;
  (void)worker;
  end = at_most(end * LINE, j->n);
  for (int64_t from = begin * LINE; from < end; from += STRIP) {
    const int64_t to = at_most(from + STRIP, end);
    for (int64_t i = from + FARTHER; j->n > FAR && i < from + FARTHER + STRIP; i += LINE) {
      __builtin_prefetch(p + i, 1);
      __builtin_prefetch(m + i, 1);
      __builtin_prefetch(v + i, 1);
      __builtin_prefetch(g + i);
    }
    for (int64_t i = from; i < to; i++) {
      float a = 0.9f * m[i] + 0.1f * g[i], b = 0.999f * v[i] + 0.001f * (g[i] * g[i]);
      m[i] = a;
      v[i] = b;
      p[i] -= rate * a / (__builtin_sqrtf(b) + epsilon);
    }
  }
}

FULL void limit_adam(int64_t n, int64_t count, float *p, float *m, float *v, const float *g) {
  double root = sqrt(1 - pow(0.999, (double)count));
  job j = {n, p, m, v, g, (float)(1e-3 / (1 - pow(0.9, (double)count)) * root), (float)(1e-8 * root)};
  share(n, 100, body, &j);
}
