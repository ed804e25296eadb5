/* Layer norm and the GELU by tanh: 0.5 z (1 + tanh u) = z / (1 + exp(-2 u)). Two passes over a row in the first cache
 * for mean and deviations, a third for the rest; the next row is fetched meanwhile. */
#include "limits.h"

enum { LANES = 4 * LINE };
#define EPSILON 1e-5f
#define SCALE 0.79788456f /* sqrt(2 / pi) */

typedef struct {
  int64_t rows, columns;
  const float *x, *gain, *bias;
  float *out;
} job;

static inline float joined(float *lanes) {
  for (int h = LANES / 2; h; h /= 2)
    for (int l = 0; l < h; l++) lanes[l] += lanes[l + h];
  return lanes[0];
}

static void row_of(
    int64_t n, const float *RESTRICT x, const float *next, const float *RESTRICT gain, const float *RESTRICT bias,
    float *RESTRICT out) {
  int64_t whole = n / LANES * LANES;
  float sum[LANES], square[LANES];
  for (int l = 0; l < LANES; l++) sum[l] = 0, square[l] = 0;
  for (int64_t i = 0; i < whole; i += LANES)
    for (int l = 0; l < LANES; l++) sum[l] += x[i + l];
  for (int64_t i = whole; i < n; i++) sum[i - whole] += x[i];
  const float mean = joined(sum) / (float)n;
  for (int64_t i = 0; i < whole; i += LANES)
    for (int l = 0; l < LANES; l++) square[l] += (x[i + l] - mean) * (x[i + l] - mean);
  for (int64_t i = whole; i < n; i++) square[i - whole] += (x[i] - mean) * (x[i] - mean);
  const float scale = 1.0f / __builtin_sqrtf(joined(square) / (float)n + EPSILON);
  for (int64_t i = 0; i < whole; i += LINE) __builtin_prefetch(next + i);
  for (int64_t i = 0; i < n; i++) {
    float z = (x[i] - mean) * scale * gain[i] + bias[i];
    float u = z * (2 * SCALE + 2 * SCALE * 0.044715f * (z * z));
    out[i] = z / (1.0f + exp_of(-clamped(u, 87.0f)));
  }
}

static void body(void *arg, int64_t begin, int64_t end, int worker) {
  const job *j = arg;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const float *x = j->x + i * j->columns;
    row_of(j->columns, x, i + 1 < end ? x + j->columns : x, j->gain, j->bias, j->out + i * j->columns);
  }
}

FULL void limit_layernorm_gelu(
    int64_t rows, int64_t columns, const float *x, const float *gain, const float *bias, float *out) {
  job j = {rows, columns, x, gain, bias, out};
  weft_parallel_for(rows, 1 + 1000 / columns, 0, body, &j);
}
