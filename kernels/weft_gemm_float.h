/* weft_gemm_float.h: products of float32, float64 and integer matrices. A template, included by weft_gemm.h for each:
 * WEFT_T is the element, WEFT_N(x) the name of x for it, WEFT_H(x) for its half vectors where WEFT_NARROW;
 * WEFT_TILE_ROWS is 6 or 12.
 *
 * C is computed in its own orientation or transposed, whichever lets B's rows be read in place; the bits are the same.
 * The threads share it as a grid of rectangles, or, where it is too small for that and k is long, they share the blocks
 * of k and the sums of the blocks are added afterwards. A rectangle is worked through by blocks of k, then by bands of
 * B's columns that stay in the second cache, then by tiles' rows of A that stay in the first, then by panels of
 * columns.
 *
 * An operand is packed only where reading in place does not work or is slow: columns of B that are not contiguous, and
 * rows a multiple of 1 KiB apart, which fall on the same few places of a cache, and what is large. Columns that fill no
 * vector are read with the ones before them, and not stored a second time.
 */
enum {
  WEFT_N(weft_pair) = 2 * WEFT_N(weft_lanes),                        /* columns of a panel of B */
  WEFT_N(weft_band) = WEFT_GEMM_BAND / (int)sizeof(WEFT_T) / WEFT_GEMM_K, /* columns worked on at a time */
  WEFT_N(weft_line) = WEFT_GEMM_K + 16,                              /* of a packed row of A */
  /* of a packed column of A: whole vectors */
  WEFT_N(weft_high) = (WEFT_TILE_ROWS + WEFT_N(weft_lanes) - 1) / WEFT_N(weft_lanes) * WEFT_N(weft_lanes),
  WEFT_N(weft_packed_a) = WEFT_N(weft_high) * WEFT_N(weft_line),     /* of a packed tile, either way */
  WEFT_N(weft_grain) = 3000 * WEFT_N(weft_lanes) * 4                 /* fmas that are worth a thread */
};

typedef struct {
  int64_t k, ars, acs, brs, crs, ccs, from, to; /* columns `from` to `to` of a tile are stored */
  int add, plain;                               /* plain: all of them, contiguous */
} WEFT_N(weft_panel);

typedef struct {
  int64_t m, n, k, ars, acs, brs, bcs, crs, ccs;
  const WEFT_T *a, *b;
  WEFT_T *c, *scratch;
  int64_t room, room_a, down, across; /* scratch of a thread, of it A's; rectangles of the grid */
  int pack_a, pack_b, flipped;
  weft_epilogue epilogue;
  void *epilogue_arg;
} WEFT_N(weft_gemm_job);

/* A tile that is not stored as it lies: part of its columns, or C's columns contiguous, or neither. */
WEFT_APART void WEFT_N(weft_edge)(const WEFT_N(weft_panel) * g, int64_t rows, int64_t width, const WEFT_T *x,
                                  WEFT_T *c) {
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
#if WEFT_NARROW
#define WEFT_V(x) WEFT_H(x)
#define WEFT_WIDE 0
#include "weft_gemm_tile.h"
#undef WEFT_WIDE
#undef WEFT_V
#endif

/* One panel of B for k elements: p[q * width + j] = b[q * brs + j * bcs], zeros beyond `lines` columns. */
WEFT_APART void WEFT_N(weft_pack_panel)(int64_t lines, int64_t width, int64_t k, const WEFT_T *b, int64_t brs,
                                        int64_t bcs, WEFT_T *p) {
  int64_t q = 0, l = 0;
  if (bcs == 1 && width == WEFT_N(weft_lanes)) {
    /* whole vectors, of which what lies beyond the columns goes into no result; not beyond the last row */
    for (; q < k && q * brs + width <= (k - 1) * brs + lines; q++)
      WEFT_N(weft_vstore)(p + q * WEFT_N(weft_lanes), WEFT_N(weft_vload)(b + q * brs));
    for (; q < k; q++)
      for (l = 0; l < width; l++) p[q * width + l] = l < lines ? b[q * brs + l] : 0;
    return;
  }
  if (brs == 1) {
    int64_t whole = k / WEFT_N(weft_lanes) * WEFT_N(weft_lanes);
    for (; l + WEFT_N(weft_lines) <= lines; l += WEFT_N(weft_lines)) {
      for (q = 0; q < whole; q += WEFT_N(weft_lanes))
        WEFT_N(weft_four)(b + q + l * bcs, bcs, p + q * width + l, width, 0);
      for (; q < k; q++)
        for (int64_t u = l; u < l + WEFT_N(weft_lines); u++) p[q * width + u] = b[q + u * bcs];
    }
  }
  for (q = 0; q < k; q++) {
    for (int64_t u = l; u < lines; u++) p[q * width + u] = b[q * brs + u * bcs];
    for (int64_t u = lines; u < width; u++) p[q * width + u] = 0;
  }
}

/* Whole panels of contiguous columns, their number returned in columns: some rows at a time from left to right, as
 * memory likes to be read. */
WEFT_APART int64_t WEFT_N(weft_pack_band)(int64_t panels, int64_t k, const WEFT_T *b, int64_t brs, WEFT_T *p) {
  enum { pair = WEFT_N(weft_pair) };
  for (int64_t q = 0; q < k; q += 4)
    for (int64_t s = 0; s < panels; s++)
      for (int64_t u = q; u < k && u < q + 4; u++)
        memcpy(p + (s * k + u) * pair, b + u * brs + s * pair, pair * sizeof(WEFT_T));
  return panels * pair;
}

/* A tile's rows of A, contiguous along k. */
WEFT_APART void WEFT_N(weft_pack_rows)(int64_t rows, int64_t k, const WEFT_T *a, int64_t ars, int64_t acs, WEFT_T *p) {
  if (acs == 1)
    for (int64_t i = 0; i < rows; i++) memcpy(p + i * WEFT_N(weft_line), a + i * ars, (size_t)k * sizeof(WEFT_T));
  else
    for (int64_t i = 0; i < rows; i++)
      for (int64_t q = 0; q < k; q++) p[i * WEFT_N(weft_line) + q] = a[i * ars + q * acs];
}

/* Some tiles of an A whose columns are contiguous, each contiguous along its rows: in whole vectors, of which what lies
 * beyond the tile goes into no result, but for what lies beyond A (`there`: the rows from the first of them). */
WEFT_APART void WEFT_N(weft_pack_columns)(int64_t tiles, int64_t low, int64_t more, int64_t there, int64_t k,
                                          const WEFT_T *a, int64_t acs, WEFT_T *p) {
  for (int64_t q = 0; q < k; q++)
    for (int64_t s = 0, i = 0; s < tiles; i += low + (s < more), s++) {
      WEFT_T *to = p + s * WEFT_N(weft_packed_a) + q * WEFT_N(weft_high);
      if (i + WEFT_N(weft_high) <= there)
        for (int64_t v = 0; v < WEFT_N(weft_high); v += WEFT_N(weft_lanes))
          WEFT_N(weft_vstore)(to + v, WEFT_N(weft_vload)(a + q * acs + i + v));
      else
        for (int64_t r = 0; r < low + (s < more); r++) to[r] = a[q * acs + i + r];
    }
}

/* Columns j0 to j1 of C's rows c, which are h: panels of B from left to right. b is the first of them. */
WEFT_INLINE void WEFT_N(weft_gemm_row)(const WEFT_N(weft_gemm_job) * g, WEFT_N(weft_panel) * t, int64_t h, int64_t j0,
                                       int64_t j1, const WEFT_T *a, const WEFT_T *b, WEFT_T *c) {
  enum { lanes = WEFT_N(weft_lanes), pair = WEFT_N(weft_pair) };
  if (g->pack_b) {
    t->from = 0;
    for (int64_t j = j0; j < j1; j += pair) {
      int kind = j1 - j > lanes;
      t->brs = kind ? pair : lanes;
      t->to = weft_least_(j1 - j, t->brs);
      t->plain = g->ccs == 1 && t->to == t->brs;
      WEFT_N(weft_tiles)[kind][h](t, a, b + (j - j0) * t->k, c + j * g->ccs);
    }
    return;
  }
  int wide = WEFT_TILE_ROWS == 12 ? (h == 1 ? 4 : h <= 3 ? 3 : h <= 6 ? 2 : 1) : h == 1 ? 3 : h <= 3 ? 2 : 1;
  t->plain = g->ccs == 1;
  int64_t j = j0;
  for (t->from = 0; wide >= 0; wide--) {
    const WEFT_N(weft_tile_fn) tile = WEFT_N(weft_tiles)[wide][h];
    for (t->to = (int64_t)lanes << wide; j + t->to <= j1; j += t->to) tile(t, a, b + (j - j0), c + j * g->ccs);
  }
  if (j == j1) return;
  /* the last columns, with some that are done */
  int64_t width = lanes;
#if WEFT_NARROW
  if (j1 - j <= lanes / 2) width = lanes / 2;
#endif
  int64_t start = j1 - width;
  t->from = j - start, t->to = width, t->plain = 0;
#if WEFT_NARROW
  if (width != lanes) {
    WEFT_H(weft_tiles)[0][h](t, a, b + (start - j0), c + start * g->ccs);
    return;
  }
#endif
  WEFT_N(weft_tiles)[0][h](t, a, b + (start - j0), c + start * g->ccs);
}

/* Rows i0 to i1 and columns j0 to j1 over all of k. Tiles differ by one row at most: 32 = 11 + 11 + 10. */
WEFT_APART void WEFT_N(weft_gemm_range)(const WEFT_N(weft_gemm_job) * g, int64_t i0, int64_t i1, int64_t j0, int64_t j1,
                                        WEFT_T *scratch, int worker) {
  enum { pair = WEFT_N(weft_pair) };
  if (i0 >= i1 || j0 >= j1) return;
  int64_t tiles = (i1 - i0 + WEFT_TILE_ROWS - 1) / WEFT_TILE_ROWS, low = (i1 - i0) / tiles, more = (i1 - i0) % tiles;
  int columns = g->acs != 1 && g->ars == 1;
  for (int64_t k0 = 0; k0 < g->k; k0 += WEFT_GEMM_K) {
    int64_t k = weft_least_(g->k - k0, WEFT_GEMM_K);
    weft_epilogue epilogue = k0 + k == g->k ? g->epilogue : 0;
    WEFT_N(weft_panel) t = {k, g->ars, g->acs, g->brs, g->crs, g->ccs, 0, 0, k0 > 0, 0};
    for (int64_t j = j0, end; j < j1; j = end) {
      end = j1 - j > WEFT_N(weft_band) + pair ? j + WEFT_N(weft_band) : j1;
      const WEFT_T *b = g->b + k0 * g->brs + j * g->bcs;
      WEFT_T *packed_b = scratch + g->room_a;
      if (g->pack_b) {
        int64_t q = j;
        if (g->bcs == 1) q += WEFT_N(weft_pack_band)((end - j) / pair, k, b, g->brs, packed_b);
        for (; q < end; q += pair) {
          int64_t lines = weft_least_(end - q, pair), width = lines <= WEFT_N(weft_lanes) ? WEFT_N(weft_lanes) : pair;
          WEFT_N(weft_pack_panel)(lines, width, k, b + (q - j) * g->bcs, g->brs, g->bcs, packed_b + (q - j) * k);
        }
        b = packed_b;
      }
      int64_t group = WEFT_GEMM_WARM / ((end - j) * (int64_t)sizeof(WEFT_T)); /* rows between two epilogues */
      for (int64_t s = 0, i = i0, done = i0; s < tiles; s++) {
        int64_t h = low + (s < more);
        const WEFT_T *a = g->a + i * g->ars + k0 * g->acs;
        if (g->pack_a && columns) {
          if (s % WEFT_GEMM_TILES == 0)
            WEFT_N(weft_pack_columns)(weft_least_(tiles - s, WEFT_GEMM_TILES), low, more - s, g->m - i, k, a,
                                      g->acs, scratch);
          a = scratch + s % WEFT_GEMM_TILES * WEFT_N(weft_packed_a);
          t.acs = WEFT_N(weft_high);
        } else if (g->pack_a) {
          WEFT_N(weft_pack_rows)(h, k, a, g->ars, g->acs, scratch);
          a = scratch, t.ars = WEFT_N(weft_line), t.acs = 1;
        }
        WEFT_N(weft_gemm_row)(g, &t, h, j, end, a, b, g->c + i * g->crs);
        i += h;
        if (epilogue && (i == i1 || i + low - done > group)) {
          if (g->flipped) epilogue(g->epilogue_arg, j, end, done, i, worker);
          else epilogue(g->epilogue_arg, done, i, j, end, worker);
          done = i;
        }
      }
    }
  }
}

/* Rectangles `begin` to `end` of the grid. Columns are cut at whole vectors. */
static void WEFT_N(weft_gemm_work)(void *arg, int64_t begin, int64_t end, int worker) {
  const WEFT_N(weft_gemm_job) *g = (const WEFT_N(weft_gemm_job) *)arg;
  int64_t unit = WEFT_N(weft_lanes), units = (g->n + unit - 1) / unit;
  for (int64_t q = begin; q < end; q++) {
    int64_t i = q / g->across, j = q % g->across;
    WEFT_N(weft_gemm_range)(g, i * g->m / g->down, (i + 1) * g->m / g->down, j * units / g->across * unit,
                            weft_least_((j + 1) * units / g->across * unit, g->n), g->scratch + worker * g->room,
                            worker);
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
    WEFT_N(weft_gemm_range)(&one, 0, g->m, 0, g->n, g->scratch + worker * g->room, worker);
  }
}

/* ---- what to do for a size: numbers here are measured, and show in no result ------------------------------------ */

WEFT_FN int WEFT_N(weft_aliased)(int64_t stride) {
  int64_t bytes = (stride < 0 ? -stride : stride) * (int64_t)sizeof(WEFT_T);
  return bytes >= 2048 && bytes % 1024 == 0;
}

/* The grid: the one whose rectangles have the least to do, fmas first, then reading. */
WEFT_FN void WEFT_N(weft_grid)(WEFT_N(weft_gemm_job) * g, int64_t threads) {
  int64_t unit = WEFT_N(weft_lanes), units = (g->n + unit - 1) / unit;
  double best = 0;
  g->down = g->across = 1;
  for (int64_t t = 1; t <= threads; t++)
    for (int64_t down = 1; down <= t; down++) {
      int64_t across = t / down;
      if (t % down || down > g->m || across > units) continue;
      int64_t rows = (g->m + down - 1) / down, columns = (units + across - 1) / across * unit;
      double low = rows < WEFT_TILE_ROWS / 2 && down > 1 ? 1.3 : 1;
      double cost = low * ((double)rows * (double)columns + 4.0 * (double)rows + 8.0 * (double)columns);
      if (best == 0 || cost < best * 0.98) best = cost, g->down = down, g->across = across;
    }
}

/* How many blocks of k are computed at a time, each by one thread: where C is so small that a share of it would be less
 * than a tile. 0: k is not cut. */
WEFT_FN int64_t WEFT_N(weft_rounds)(int64_t m, int64_t n, int64_t k, int64_t threads) {
  int64_t blocks = (k + WEFT_GEMM_K - 1) / WEFT_GEMM_K;
  int64_t tiles = ((m + 5) / 6) * ((n + WEFT_N(weft_lanes) - 1) / WEFT_N(weft_lanes));
  if (threads < 2 || blocks < 2 || tiles >= 2 * threads) return 0;
  return weft_least_(1048576 / (m * n), blocks);
}

/* elements of scratch that a thread needs for A, and in all, in either orientation */
WEFT_FN int64_t WEFT_N(weft_room_a)(int64_t m, int64_t n) {
  int64_t tiles = ((m > n ? m : n) + WEFT_TILE_ROWS - 1) / WEFT_TILE_ROWS;
  return weft_least_(tiles, WEFT_GEMM_TILES) * WEFT_N(weft_packed_a);
}
WEFT_FN int64_t WEFT_N(weft_room)(int64_t m, int64_t n, int64_t k) {
  int64_t columns = weft_least_(m > n ? m : n, WEFT_N(weft_band) + WEFT_N(weft_pair)) + WEFT_N(weft_lanes);
  return WEFT_N(weft_room_a)(m, n) + (columns * weft_least_(k, WEFT_GEMM_K) + 15) / 16 * 16;
}

/* bytes of workspace, 64 of them for alignment */
WEFT_FN int64_t WEFT_N(weft_gemm_workspace)(int64_t m, int64_t n, int64_t k, int threads) {
  if (m <= 0 || n <= 0 || k <= 0) return 64;
  int64_t many = threads < 1 ? 1 : threads, r = WEFT_N(weft_rounds)(m, n, k, many);
  int64_t q = WEFT_N(weft_rounds)(n, m, k, many);
  return (many * WEFT_N(weft_room)(m, n, k) + (r > q ? r : q) * m * n) * (int64_t)sizeof(WEFT_T) + 64;
}

WEFT_APART void WEFT_N(weft_gemm_split_k)(WEFT_N(weft_gemm_job) g, int64_t rounds, WEFT_T *partial, weft_pfor pfor,
                                          int threads) {
  WEFT_T *c = g.c;
  int64_t k = g.k, crs = g.crs, ccs = g.ccs, m = g.m, n = g.n;
  weft_epilogue epilogue = g.epilogue;
  const WEFT_T *a = g.a, *b = g.b;
  g.epilogue = 0, g.crs = n, g.ccs = 1, g.c = partial;
  for (int64_t k0 = 0; k0 < k; k0 += rounds * WEFT_GEMM_K) {
    g.k = weft_least_(k - k0, rounds * WEFT_GEMM_K);
    g.a = a + k0 * g.acs, g.b = b + k0 * g.brs;
    int64_t blocks = (g.k + WEFT_GEMM_K - 1) / WEFT_GEMM_K;
    pfor(blocks, 0, threads, WEFT_N(weft_gemm_partial), &g);
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
WEFT_APART void WEFT_N(weft_gemm_zeros)(int64_t m, int64_t n, WEFT_T *c, int64_t crs, int64_t ccs,
                                        weft_epilogue epilogue, void *epilogue_arg) {
  int64_t columns = weft_least_(n, WEFT_N(weft_band)), rows = WEFT_GEMM_WARM / (columns * (int64_t)sizeof(WEFT_T));
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
                                   weft_pfor pfor, int threads, void *work, weft_epilogue epilogue,
                                   void *epilogue_arg) {
  enum { lanes = WEFT_N(weft_lanes), pair = WEFT_N(weft_pair) };
  if (m <= 0 || n <= 0) return;
  if (k <= 0) {
    WEFT_N(weft_gemm_zeros)(m, n, c, crs, ccs, epilogue, epilogue_arg);
    return;
  }
  int flipped = m >= pair && ars == 1 && (bcs != 1 || n < pair);
  if (ccs != 1 && crs == 1) flipped = !(bcs == 1 && n >= lanes && k > 128);
  if (flipped) { /* C' = B' A' */
    const WEFT_T *x = a;
    int64_t s = m, xr = ars, xc = acs;
    m = n, n = s;
    a = b, ars = bcs, acs = brs;
    b = x, brs = xc, bcs = xr;
    s = crs, crs = ccs, ccs = s;
  }
  if (!pfor || threads < 1) threads = 1;
  WEFT_N(weft_gemm_job) g = {m, n, k, ars, acs, brs, bcs, crs, ccs, a, b, c, 0, 0, 0, 1, 1, 0, 0, flipped,
                             epilogue, epilogue_arg};
  g.scratch = (WEFT_T *)(((uintptr_t)work + 63) / 64 * 64);
  g.room = WEFT_N(weft_room)(m, n, k), g.room_a = WEFT_N(weft_room_a)(m, n);
  int64_t worth = (m + 3) * n * k / WEFT_N(weft_grain), use = worth < 1 ? 1 : weft_least_(worth, threads);
  int64_t rounds = WEFT_N(weft_rounds)(m, n, k, use);
  if (rounds < 2) WEFT_N(weft_grid)(&g, use);
  int64_t rows = rounds < 2 ? m / g.down : m, columns = rounds < 2 ? n / g.across : n;
  g.pack_b = bcs != 1 || n < lanes || (WEFT_N(weft_aliased)(brs) && k > 32 && rows > 24) ||
             (k * n > 200000 && rows > 48 && k > 32);
  g.pack_a = columns > 3 * pair && ((acs != 1 && ars != 1) || (ars == 1 && k > 32) ||
                                    (acs == 1 && m > 4 && (WEFT_N(weft_aliased)(ars) || k * m > 200000)));
  if (rounds > 1)
    WEFT_N(weft_gemm_split_k)(g, rounds, g.scratch + use * g.room, pfor, (int)use);
  else if (g.down * g.across > 1)
    pfor(g.down * g.across, 0, (int)use, WEFT_N(weft_gemm_work), &g);
  else
    WEFT_N(weft_gemm_range)(&g, 0, m, 0, n, g.scratch, 0);
}
