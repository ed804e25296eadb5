/* weft_gemm_float.h: products of float32 and float64 matrices. A template, included by weft_gemm.h once for each: WEFT_T is
 * the element, WEFT_N(x) and WEFT_H(x) are the names of x for it and for its half vectors.
 *
 * C is computed in its own orientation or transposed, whichever lets B's rows be read in place; the bits are the same. The
 * threads share it as a grid of rectangles, or, where it is too small for that and k is long, they share the blocks of k
 * and the sums of the blocks are added afterwards. A rectangle is worked through by blocks of k, then by blocks of A that
 * stay in the second cache, then by panels of B's columns, then by tiles.
 *
 * An operand is packed only where reading in place does not work or is slow: columns of B that are not contiguous, and
 * rows a multiple of 1 KiB apart, which fall on the same few places of a cache. Columns that fill no vector are read with
 * the ones before them, and not stored a second time.
 */
enum {
  WEFT_N(weft_block_rows) = 262144 / (int)sizeof(WEFT_T) / WEFT_GEMM_K, /* of A at a time: 256 KiB */
  WEFT_N(weft_pair) = 2 * WEFT_N(weft_lanes),                          /* columns of a packed panel */
  WEFT_N(weft_line) = WEFT_GEMM_K + 16,                                /* of a packed row of A */
  WEFT_N(weft_row_line) = WEFT_N(weft_block_rows) + 16,                /* of a packed column */
  WEFT_N(weft_one_scratch) = WEFT_N(weft_line) * WEFT_N(weft_row_line),
  WEFT_N(weft_grain) = 3000 * WEFT_N(weft_lanes) * 4                   /* fmas that are worth a thread */
};

typedef struct {
  int64_t k, ars, acs, brs, crs, ccs, from, to; /* columns `from` to `to` of a tile are stored */
  int add, plain;                               /* plain: all of them, contiguous */
} WEFT_N(weft_panel);

typedef struct {
  int64_t m, n, k, ars, acs, brs, bcs, crs, ccs;
  const WEFT_T *a, *b;
  WEFT_T *c, *packed_b, *scratch;
  int64_t column, deep;      /* the first column of this band; k from one packed panel to the next */
  int64_t down, across, rounds; /* of the grid; blocks of k shared by the threads */
  int pack_a, pack_b, flipped, add, last;
  weft_epilogue epilogue;
  void *epilogue_arg;
} WEFT_N(weft_gemm_job);

/* A tile that is not stored as it lies: part of its columns, or C's columns contiguous, or neither. */
WEFT_APART void WEFT_N(weft_edge)(const WEFT_N(weft_panel) * g, int64_t rows, int64_t width, const WEFT_T *x, WEFT_T *c) {
  int64_t i = 0, crs = g->crs, ccs = g->ccs;
  if (crs == 1 && ccs != 1 && g->from == 0) {
    int64_t whole = g->to / WEFT_N(weft_lanes) * WEFT_N(weft_lanes);
    for (; i + WEFT_N(weft_lines) <= rows; i += WEFT_N(weft_lines)) {
      const WEFT_T *from = x + i * width;
      WEFT_T *to = c + i;
      for (int64_t j = 0; j < whole; j += WEFT_N(weft_lanes))
        if (g->add) WEFT_N(weft_four)(from + j, width, to + j * ccs, ccs, 1);
        else WEFT_N(weft_four)(from + j, width, to + j * ccs, ccs, 0);
      for (int64_t j = whole; j < g->to; j++)
        for (int64_t l = 0; l < WEFT_N(weft_lines); l++)
          to[l + j * ccs] = g->add ? to[l + j * ccs] + from[l * width + j] : from[l * width + j];
    }
  }
  for (; i < rows; i++) {
    const WEFT_T *from = x + i * width;
    WEFT_T *to = c + i * crs;
    if (ccs == 1 && !g->add)
      for (int64_t j = g->from; j < g->to; j++) to[j] = from[j];
    else if (ccs == 1)
      for (int64_t j = g->from; j < g->to; j++) to[j] += from[j];
    else
      for (int64_t j = g->from; j < g->to; j++) to[j * ccs] = g->add ? to[j * ccs] + from[j] : from[j];
  }
}

#define WEFT_V(x) WEFT_N(x)
#define WEFT_WIDE 1
#include "weft_gemm_tile.h"
#undef WEFT_WIDE
#undef WEFT_V
#if WEFT_HALVES
#define WEFT_V(x) WEFT_H(x)
#define WEFT_WIDE 0
#include "weft_gemm_tile.h"
#undef WEFT_WIDE
#undef WEFT_V
#endif

/* One panel of B for k elements: p[q * width + j] = b[q * brs + j * bcs], zeros beyond `lines` columns. */
WEFT_APART void WEFT_N(weft_pack_panel)(int64_t lines, int64_t width, int64_t k, const WEFT_T *b, int64_t brs, int64_t bcs,
                                        WEFT_T *p) {
  int64_t q = 0, l = 0;
  if (bcs == 1 && lines == WEFT_N(weft_pair)) {
    for (; q < k; q++) memcpy(p + q * WEFT_N(weft_pair), b + q * brs, WEFT_N(weft_pair) * sizeof(WEFT_T));
    return;
  }
  if (brs == 1) {
    int64_t whole = k / WEFT_N(weft_lanes) * WEFT_N(weft_lanes);
    for (; l + WEFT_N(weft_lines) <= lines; l += WEFT_N(weft_lines)) {
      for (q = 0; q < whole; q += WEFT_N(weft_lanes)) WEFT_N(weft_four)(b + q + l * bcs, bcs, p + q * width + l, width, 0);
      for (; q < k; q++)
        for (int64_t u = l; u < l + WEFT_N(weft_lines); u++) p[q * width + u] = b[q + u * bcs];
    }
  }
  for (q = 0; q < k; q++) {
    for (int64_t u = l; u < lines; u++) p[q * width + u] = b[q * brs + u * bcs];
    for (int64_t u = lines; u < width; u++) p[q * width + u] = 0;
  }
}

/* rows x k of A, rows a line apart, or columns where those of A are contiguous: what it copies is contiguous if it can be */
WEFT_APART void WEFT_N(weft_pack_rows)(int64_t rows, int64_t k, const WEFT_T *a, int64_t ars, int64_t acs, WEFT_T *p) {
  if (acs == 1)
    for (int64_t i = 0; i < rows; i++) memcpy(p + i * WEFT_N(weft_line), a + i * ars, (size_t)k * sizeof(WEFT_T));
  else if (ars == 1)
    for (int64_t q = 0; q < k; q++) memcpy(p + q * WEFT_N(weft_row_line), a + q * acs, (size_t)rows * sizeof(WEFT_T));
  else
    for (int64_t i = 0; i < rows; i++)
      for (int64_t q = 0; q < k; q++) p[i * WEFT_N(weft_line) + q] = a[i * ars + q * acs];
}

static void WEFT_N(weft_gemm_pack)(void *arg, int64_t begin, int64_t end, int worker) {
  const WEFT_N(weft_gemm_job) *g = (const WEFT_N(weft_gemm_job) *)arg;
  (void)worker;
  for (int64_t q = begin; q < end; q++) {
    int64_t j = q * WEFT_N(weft_pair), lines = weft_least_(g->n - j, WEFT_N(weft_pair));
    int64_t width = lines <= WEFT_N(weft_lanes) ? WEFT_N(weft_lanes) : WEFT_N(weft_pair);
    WEFT_N(weft_pack_panel)(lines, width, g->k, g->b + j * g->bcs, g->brs, g->bcs, g->packed_b + j * g->k);
  }
}

/* One panel's tiles over a block of rows, in heights that differ by one at most: 32 = 11 + 11 + 10. */
WEFT_INLINE void WEFT_N(weft_column)(WEFT_N(weft_panel) * t, int kind, int64_t tiles, int64_t low, int64_t more,
                                     const WEFT_T *a, const WEFT_T *b, WEFT_T *c) {
#if WEFT_HALVES
  const WEFT_N(weft_tile_fn) *tile = kind < 0 ? WEFT_H(weft_tiles)[0] : WEFT_N(weft_tiles)[kind];
#else
  const WEFT_N(weft_tile_fn) *tile = WEFT_N(weft_tiles)[kind];
#endif
  for (int64_t s = 0; s < tiles; s++) {
    int64_t h = low + (s < more);
    tile[h](t, a, b, c);
    a += h * t->ars;
    c += h * t->crs;
  }
}

/* Rows i0 to i1 and columns j0 to j1 over all of the job's k. */
WEFT_APART void WEFT_N(weft_gemm_range)(const WEFT_N(weft_gemm_job) * g, int64_t i0, int64_t i1, int64_t j0, int64_t j1,
                                        WEFT_T *scratch, int worker) {
  enum { lanes = WEFT_N(weft_lanes), pair = WEFT_N(weft_pair) };
  if (i0 >= i1 || j0 >= j1) return;
  int wide = 0; /* vectors of the widest tile for so few rows, as a power of two */
  if (!g->pack_b) wide = i1 - i0 <= (WEFT_TILE_ROWS == 12 ? 3 : 1) ? 3 : i1 - i0 <= (WEFT_TILE_ROWS == 12 ? 6 : 3) ? 2 : 1;
  for (int64_t k0 = 0; k0 < g->k; k0 += WEFT_GEMM_K) {
    int64_t k = weft_least_(g->k - k0, WEFT_GEMM_K);
    int last = g->last && k0 + k == g->k;
    for (int64_t ib = i0; ib < i1; ib += WEFT_N(weft_block_rows)) {
      int64_t rows = weft_least_(i1 - ib, WEFT_N(weft_block_rows));
      int64_t tiles = (rows + WEFT_TILE_ROWS - 1) / WEFT_TILE_ROWS, low = rows / tiles, more = rows % tiles;
      WEFT_N(weft_panel) t = {k, g->ars, g->acs, g->brs, g->crs, g->ccs, 0, 0, g->add || k0, 0};
      const WEFT_T *a = g->a + ib * g->ars + k0 * g->acs;
      if (g->pack_a) {
        WEFT_N(weft_pack_rows)(rows, k, a, t.ars, t.acs, scratch);
        a = scratch;
        if (t.acs != 1 && t.ars == 1) t.acs = WEFT_N(weft_row_line);
        else t.ars = WEFT_N(weft_line), t.acs = 1;
      }
      int64_t group = 65536 / (rows * (int64_t)sizeof(WEFT_T)) / pair * pair; /* columns between two epilogues */
      if (group < pair) group = pair;
      for (int64_t j = j0, done = j0; j < j1;) {
        int64_t left = j1 - j, n = 0, start = j;
        int kind;
        const WEFT_T *b;
        if (g->pack_b) {
          n = weft_least_(left, pair);
          kind = g->n - j / pair * pair > lanes;
          t.brs = kind ? pair : lanes;
          b = g->packed_b + j / pair * pair * g->k + k0 * t.brs;
          t.from = 0, t.to = n;
          t.plain = g->ccs == 1 && n == t.brs;
        } else {
          for (kind = wide; kind > 0 && left < (int64_t)lanes << kind; kind--) {}
          t.from = 0, t.to = n = (int64_t)lanes << kind;
          if (left < n) { /* the last columns, with some that are done */
            n = left;
            start = j1 - lanes;
            if (WEFT_HALVES && n <= lanes / 2) kind = -1, start = j1 - lanes / 2;
            t.from = j - start, t.to = j1 - start;
          }
          b = g->b + start + k0 * g->brs;
          t.plain = g->ccs == 1 && t.from == 0;
        }
        WEFT_N(weft_column)(&t, kind, tiles, low, more, a, b, g->c + ib * g->crs + start * g->ccs);
        j += n;
        if (last && g->epilogue && (j == j1 || j - done >= group)) {
          int64_t from = g->column + done, to = g->column + j;
          if (g->flipped) g->epilogue(g->epilogue_arg, from, to, ib, ib + rows, worker);
          else g->epilogue(g->epilogue_arg, ib, ib + rows, from, to, worker);
          done = j;
        }
      }
    }
  }
}

WEFT_FN WEFT_T *WEFT_N(weft_scratch)(const WEFT_N(weft_gemm_job) * g, int worker) {
  return g->scratch + worker * (int64_t)WEFT_N(weft_one_scratch);
}

/* Rectangles `begin` to `end` of the grid. Columns are cut at whole panels. */
static void WEFT_N(weft_gemm_work)(void *arg, int64_t begin, int64_t end, int worker) {
  const WEFT_N(weft_gemm_job) *g = (const WEFT_N(weft_gemm_job) *)arg;
  int64_t unit = g->pack_b ? WEFT_N(weft_pair) : WEFT_N(weft_lanes), units = (g->n + unit - 1) / unit;
  for (int64_t q = begin; q < end; q++) {
    int64_t i = q / g->across, j = q % g->across;
    WEFT_N(weft_gemm_range)(g, i * g->m / g->down, (i + 1) * g->m / g->down, j * units / g->across * unit,
                            weft_least_((j + 1) * units / g->across * unit, g->n), WEFT_N(weft_scratch)(g, worker), worker);
  }
}

/* Blocks of k, each into a matrix of its own. */
static void WEFT_N(weft_gemm_partial)(void *arg, int64_t begin, int64_t end, int worker) {
  const WEFT_N(weft_gemm_job) *g = (const WEFT_N(weft_gemm_job) *)arg;
  for (int64_t q = begin; q < end; q++) {
    WEFT_N(weft_gemm_job) one = *g;
    one.a += q * WEFT_GEMM_K * g->acs;
    one.b += q * WEFT_GEMM_K * g->brs;
    one.k = weft_least_(g->k - q * WEFT_GEMM_K, WEFT_GEMM_K);
    one.c = g->c + q * g->m * g->n;
    if (g->pack_b) {
      one.packed_b = g->packed_b + worker * (int64_t)WEFT_GEMM_K * (g->n + WEFT_N(weft_pair));
      WEFT_N(weft_gemm_pack)(&one, 0, (g->n + WEFT_N(weft_pair) - 1) / WEFT_N(weft_pair), 0);
    }
    WEFT_N(weft_gemm_range)(&one, 0, g->m, 0, g->n, WEFT_N(weft_scratch)(g, worker), worker);
  }
}

/* ---- what to do for a size: numbers here are measured, and show in no result -------------------------------------- */

WEFT_FN int WEFT_N(weft_aliased)(int64_t stride) {
  int64_t bytes = (stride < 0 ? -stride : stride) * (int64_t)sizeof(WEFT_T);
  return bytes >= 2048 && bytes % 1024 == 0;
}

/* The grid: the one whose rectangles have the least to do, fmas first, then reading. */
WEFT_FN void WEFT_N(weft_grid)(WEFT_N(weft_gemm_job) * g, int64_t threads) {
  int64_t unit = g->pack_b ? WEFT_N(weft_pair) : WEFT_N(weft_lanes), units = (g->n + unit - 1) / unit;
  double best = 0;
  g->down = g->across = 1;
  for (int64_t t = 1; t <= threads; t++)
    for (int64_t down = 1; down <= t; down++) {
      int64_t across = t / down;
      if (t % down || down > g->m || across > units) continue;
      int64_t rows = (g->m + down - 1) / down, columns = (units + across - 1) / across * unit;
      double low = rows < WEFT_TILE_ROWS / 2 && down > 1 ? 1.3 : 1;
      double cost = low * ((double)rows * (double)columns + 4.0 * (double)(rows + columns));
      if (best == 0 || cost < best * 0.98) best = cost, g->down = down, g->across = across;
    }
}

/* k from 512 on is cut for the threads when C is so small that each would get less than a tile. */
WEFT_FN int64_t WEFT_N(weft_rounds)(int64_t m, int64_t n, int64_t k, int threads) {
  int64_t blocks = (k + WEFT_GEMM_K - 1) / WEFT_GEMM_K;
  int64_t tiles = ((m + 5) / 6) * ((n + WEFT_N(weft_lanes) - 1) / WEFT_N(weft_lanes));
  if (threads < 2 || blocks < 2 || tiles >= 2 * threads || m * n * k < 2 * WEFT_N(weft_grain)) return 0;
  int64_t room = 1048576 / (m * n); /* elements of the partial sums */
  return room < blocks ? room : blocks;
}

enum { WEFT_N(weft_packed) = 8388608 / (int)sizeof(WEFT_T) }; /* elements of B packed at a time */

WEFT_FN int64_t WEFT_N(weft_packed_size)(int64_t n, int64_t k) {
  int64_t depth = (k + WEFT_GEMM_K - 1) / WEFT_GEMM_K * WEFT_GEMM_K, all = (n + WEFT_N(weft_pair)) * weft_least_(k, depth);
  return weft_least_(all, WEFT_N(weft_packed) + WEFT_GEMM_K * WEFT_N(weft_pair));
}

/* bytes of workspace, 64 of them for alignment; enough for either orientation */
WEFT_FN int64_t WEFT_N(weft_gemm_workspace)(int64_t m, int64_t n, int64_t k, int threads) {
  if (m <= 0 || n <= 0 || k <= 0) return 64;
  int64_t many = threads < 1 ? 1 : threads, wide = m > n ? m : n, rounds = WEFT_N(weft_rounds)(m, n, k, (int)many);
  int64_t size = many * WEFT_N(weft_one_scratch);
  if (WEFT_N(weft_rounds)(n, m, k, (int)many) > rounds) rounds = WEFT_N(weft_rounds)(n, m, k, (int)many);
  size += rounds ? rounds * m * n + many * WEFT_GEMM_K * (wide + WEFT_N(weft_pair)) : WEFT_N(weft_packed_size)(wide, k);
  return (size + WEFT_N(weft_packed_size)(wide, k)) * (int64_t)sizeof(WEFT_T) + 64;
}

WEFT_APART void WEFT_N(weft_gemm_split_k)(WEFT_N(weft_gemm_job) g, int64_t rounds, weft_pfor pfor, int threads) {
  WEFT_T *c = g.c, *partial = g.scratch + threads * WEFT_N(weft_one_scratch);
  int64_t k = g.k, crs = g.crs, ccs = g.ccs, m = g.m, n = g.n;
  weft_epilogue epilogue = g.epilogue;
  const WEFT_T *a = g.a, *b = g.b;
  g.epilogue = 0, g.crs = n, g.ccs = 1, g.c = partial, g.packed_b = partial + rounds * m * n;
  for (int64_t k0 = 0; k0 < k; k0 += rounds * WEFT_GEMM_K) {
    g.k = weft_least_(k - k0, rounds * WEFT_GEMM_K);
    g.a = a + k0 * g.acs, g.b = b + k0 * g.brs;
    int64_t blocks = (g.k + WEFT_GEMM_K - 1) / WEFT_GEMM_K;
    pfor(blocks, 1, threads, WEFT_N(weft_gemm_partial), &g);
    for (int64_t q = 0; q < blocks; q++)
      for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
          WEFT_T x = partial[(q * m + i) * n + j];
          c[i * crs + j * ccs] = k0 || q ? c[i * crs + j * ccs] + x : x;
        }
  }
  if (epilogue && g.flipped) epilogue(g.epilogue_arg, 0, n, 0, m, 0);
  else if (epilogue) epilogue(g.epilogue_arg, 0, m, 0, n, 0);
}

/* Zeros, and the epilogue in pieces of C that a cache holds. */
WEFT_APART void WEFT_N(weft_gemm_zeros)(int64_t m, int64_t n, WEFT_T *c, int64_t crs, int64_t ccs, weft_epilogue epilogue,
                                        void *epilogue_arg) {
  int64_t columns = weft_least_(n, 16384 / (int)sizeof(WEFT_T)), rows = 65536 / (columns * (int64_t)sizeof(WEFT_T));
  for (int64_t i0 = 0; i0 < m; i0 += rows)
    for (int64_t j0 = 0; j0 < n; j0 += columns) {
      int64_t i1 = weft_least_(m, i0 + rows), j1 = weft_least_(n, j0 + columns);
      for (int64_t i = i0; i < i1; i++)
        for (int64_t j = j0; j < j1; j++) c[i * crs + j * ccs] = 0;
      if (epilogue) epilogue(epilogue_arg, i0, i1, j0, j1, 0);
    }
}

/* work: weft_gemm_workspace_D(m, n, k, threads) bytes. pfor may be NULL, threads >= 1. C overlaps nothing. */
WEFT_UNUSED void WEFT_N(weft_gemm)(int64_t m, int64_t n, int64_t k, const WEFT_T *a, int64_t ars, int64_t acs,
                                   const WEFT_T *b, int64_t brs, int64_t bcs, WEFT_T *c, int64_t crs, int64_t ccs,
                                   weft_pfor pfor, int threads, void *work, weft_epilogue epilogue, void *epilogue_arg) {
  enum { lanes = WEFT_N(weft_lanes), pair = WEFT_N(weft_pair) };
  if (m <= 0 || n <= 0) return;
  if (k <= 0) {
    WEFT_N(weft_gemm_zeros)(m, n, c, crs, ccs, epilogue, epilogue_arg);
    return;
  }
  int flipped = bcs != 1 || n < lanes ? ars == 1 && m >= lanes : 0;
  if (ccs != 1 && crs == 1 && !(bcs == 1 && n >= lanes && k > 128)) flipped = 1;
  if (flipped) { /* C' = B' A' */
    const WEFT_T *x = a;
    int64_t s = m, xr = ars, xc = acs;
    m = n, n = s;
    a = b, ars = bcs, acs = brs;
    b = x, brs = xc, bcs = xr;
    s = crs, crs = ccs, ccs = s;
  }
  if (!pfor || threads < 1) threads = 1;
  int64_t many = m * n * k / WEFT_N(weft_grain);
  int use = many < threads ? (many < 1 ? 1 : (int)many) : threads;
  WEFT_N(weft_gemm_job) g = {m, n, k, ars, acs, brs, bcs, crs, ccs, a, b, c, 0, 0, 0, k, 1, 1, 0, 0, 0, flipped, 0, 1,
                             epilogue, epilogue_arg};
  g.scratch = (WEFT_T *)(((uintptr_t)work + 63) / 64 * 64);
  g.packed_b = g.scratch + threads * WEFT_N(weft_one_scratch);
  g.pack_b = bcs != 1 || n < lanes || (WEFT_N(weft_aliased)(brs) && k > 32 && m > 24) || (k * n > 200000 && m > 64 && k > 32);
  g.pack_a = (acs != 1 && ars != 1) ||
             (acs == 1 && m > 4 && n > 3 * pair && (WEFT_N(weft_aliased)(ars) || k * m > 200000)) ||
             (ars == 1 && n > 3 * pair && k > 32);
  if (acs != 1 && ars != 1 && n <= 2 * pair) g.pack_a = 0;
  int64_t rounds = use > 1 ? WEFT_N(weft_rounds)(m, n, k, use) : 0;
  if (rounds > 1) {
    WEFT_N(weft_gemm_split_k)(g, rounds, pfor, use);
    return;
  }
  if (!g.pack_b) {
    WEFT_N(weft_grid)(&g, use);
    if (use > 1 && g.down * g.across > 1) pfor(g.down * g.across, 1, use, WEFT_N(weft_gemm_work), &g);
    else WEFT_N(weft_gemm_range)(&g, 0, m, 0, n, g.scratch, 0);
    return;
  }
  int64_t band = weft_least_(n, WEFT_N(weft_packed) / weft_least_(k, WEFT_GEMM_K) / pair * pair);
  int64_t depth = WEFT_N(weft_packed) / (band + pair) / WEFT_GEMM_K * WEFT_GEMM_K;
  if (depth < WEFT_GEMM_K) depth = WEFT_GEMM_K;
  for (int64_t j0 = 0; j0 < n; j0 += band)
    for (int64_t k0 = 0; k0 < k; k0 += depth) {
      g.n = weft_least_(n - j0, band);
      g.k = weft_least_(k - k0, depth);
      g.a = a + k0 * acs;
      g.b = b + k0 * brs + j0 * bcs;
      g.c = c + j0 * ccs;
      g.column = j0, g.add = k0 > 0, g.last = k0 + g.k == k;
      int64_t panels = (g.n + pair - 1) / pair;
      WEFT_N(weft_grid)(&g, use);
      if (use > 1 && g.down * g.across > 1) {
        pfor(panels, 1 + 32768 / (pair * g.k), use, WEFT_N(weft_gemm_pack), &g);
        pfor(g.down * g.across, 1, use, WEFT_N(weft_gemm_work), &g);
      } else {
        WEFT_N(weft_gemm_pack)(&g, 0, panels, 0);
        WEFT_N(weft_gemm_range)(&g, 0, m, 0, g.n, g.scratch, 0);
      }
    }
}
