/* Euclidean distances of all pairs of rows of x and y: tiles of ROWS rows by COLUMNS columns in registers, over all
 * features; y is turned first so that neighbouring columns lie side by side. */
#include <stdlib.h>

#include "limits.h"

enum { ROWS = 4, COLUMNS = 4 * LINE };

typedef float line __attribute__((vector_size(4 * LINE), aligned(4)));

typedef struct {
  int64_t n, m, features, wide; /* wide: m, rounded up to whole tiles */
  const float *x, *y;
  float *turned, *out;
} job;

static void turn(void *arg, int64_t begin, int64_t end, int worker) {
  const job *j = arg;
  (void)worker;
  for (int64_t c = begin * COLUMNS; c < end * COLUMNS; c++)
    for (int64_t k = 0; k < j->features; k++)
      j->turned[c / COLUMNS * COLUMNS * j->features + k * COLUMNS + c % COLUMNS] =
          c < j->m ? j->y[c * j->features + k] : 0;
}

static inline __attribute__((always_inline)) void tile(const job *j, int64_t i, int64_t c, int rows) {
  const float *RESTRICT y = j->turned + c * j->features, *RESTRICT x = j->x + i * j->features;
  line sum[ROWS][COLUMNS / LINE];
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int v = 0; v < COLUMNS / LINE; v++) sum[r][v] = (line){0};
  for (int64_t k = 0; k < j->features; k++)
#pragma GCC unroll 4
    for (int v = 0; v < COLUMNS / LINE; v++) {
      line b = *(const line *)(y + k * COLUMNS + v * LINE);
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++) {
        line d = x[r * j->features + k] - b;
        sum[r][v] += d * d;
      }
    }
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++) {
    float *RESTRICT out = j->out + (i + r) * j->m + c;
    float done[COLUMNS];
    const int whole = j->m - c >= COLUMNS;
    float *to = whole ? out : done;
#pragma GCC unroll 4
    for (int v = 0; v < COLUMNS / LINE; v++) {
      line s = sum[r][v];
      for (int l = 0; l < LINE; l++) to[v * LINE + l] = __builtin_sqrtf(s[l]);
    }
    if (!whole)
      for (int64_t l = 0; l < j->m - c; l++) out[l] = done[l];
  }
}

static void body(void *arg, int64_t begin, int64_t end, int worker) {
  const job *j = arg;
  (void)worker;
  for (int64_t b = begin; b < end; b++) {
    const int64_t i = b * ROWS, rows = at_most(ROWS, j->n - i);
    for (int64_t c = 0; c < j->m; c += COLUMNS)
      if (rows == ROWS) {
        tile(j, i, c, ROWS);
      } else {
        for (int64_t r = 0; r < rows; r++) tile(j, i + r, c, 1);
      }
  }
}

FULL int limit_distances(int64_t n, int64_t m, int64_t features, const float *x, const float *y, float *out) {
  static float *turned;
  static int64_t size;
  int64_t tiles = (m + COLUMNS - 1) / COLUMNS, needed = tiles * COLUMNS * features;
  if (needed > size) {
    free(turned);
    size = needed;
    turned = aligned_alloc(64, sizeof(float) * (size_t)((needed + LINE - 1) / LINE * LINE));
    if (!turned) return size = 0;
  }
  job j = {n, m, features, tiles * COLUMNS, x, y, turned, out};
  weft_parallel_for(tiles, 1 + 20000 / (COLUMNS * features), 0, turn, &j);
  weft_parallel_for((n + ROWS - 1) / ROWS, 1 + 20000 / (ROWS * m * features), 0, body, &j);
  return 1;
}
