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
  WEFT_N(weft_made_line) = WEFT_GEMM_TILES * WEFT_TILE_ROWS + WEFT_N(weft_high), /* of a made block of A, turned */
  WEFT_N(weft_warm) = WEFT_GEMM_WARM / (int)sizeof(WEFT_T),
  WEFT_N(weft_packed_a) = WEFT_N(weft_high) * WEFT_N(weft_line),     /* of a packed tile, either way */
  WEFT_N(weft_grain) = 3000 * WEFT_N(weft_lanes) * 4                 /* fmas that are worth a thread */
};

typedef struct {
  int64_t k, ars, acs, brs, crs, ccs, from, to; /* columns `from` to `to` of a tile are stored */
  int add, plain;                               /* plain: all of them, contiguous */
} WEFT_N(weft_panel);

typedef struct { int64_t a, b, made, c, all; } WEFT_N(weft_room); /* elements of scratch of a thread, and for what */

typedef struct {
  int64_t m, n, k, ars, acs, brs, bcs, crs, ccs;
  const WEFT_T *a, *b;                  /* of no use where they are made */
  WEFT_T *c, *scratch;                  /* c NULL: a rectangle lies in scratch until it has been seen */
  int64_t k_from;                       /* where in k this product begins, as what is made counts it */
  int64_t band, unit, down, across;     /* columns worked on at a time; the grid, its columns cut at multiples of unit */
  int64_t a_row, b_row;
  weft_rectangle make_a, make_b;
  void *a_arg, *b_arg;
  int a_turned, b_turned, pack_a, pack_b, flipped, whole;
  const weft_fused *fused;
  WEFT_N(weft_room) room;
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

/* `rows` rows of a band of made columns, to where pack_band and pack_panel would put rows q on of the band. */
WEFT_APART void WEFT_N(weft_spread)(int64_t rows, int64_t columns, int64_t k, int64_t q, const WEFT_T *x, WEFT_T *p) {
  enum { lanes = WEFT_N(weft_lanes), pair = WEFT_N(weft_pair) };
  for (int64_t j = 0; j < columns; j += pair, p += k * pair) {
    int64_t lines = weft_least_(columns - j, pair), width = lines <= lanes ? lanes : pair;
    for (int64_t u = 0; u < rows; u++) {
      WEFT_T *to = p + (q + u) * width;
      for (int64_t l = 0; l < lines; l++) to[l] = x[u * columns + j + l];
      for (int64_t l = lines; l < width; l++) to[l] = 0;
    }
  }
}

/* Columns j0 to j1 of C's rows c, which are h: panels of B from left to right. b and c begin at j0. */
WEFT_INLINE void WEFT_N(weft_gemm_row)(const WEFT_N(weft_gemm_job) * g, WEFT_N(weft_panel) * t, int64_t h, int64_t j0,
                                       int64_t j1, const WEFT_T *a, const WEFT_T *b, WEFT_T *c) {
  enum { lanes = WEFT_N(weft_lanes), pair = WEFT_N(weft_pair) };
  if (g->pack_b) {
    t->from = 0;
    for (int64_t j = j0; j < j1; j += pair) {
      int kind = j1 - j > lanes;
      t->brs = kind ? pair : lanes;
      t->to = weft_least_(j1 - j, t->brs);
      t->plain = t->ccs == 1 && t->to == t->brs;
      WEFT_N(weft_tiles)[kind][h](t, a, b + (j - j0) * t->k, c + (j - j0) * t->ccs);
    }
    return;
  }
  int wide = WEFT_TILE_ROWS == 12 ? (h == 1 ? 4 : h <= 3 ? 3 : h <= 6 ? 2 : 1) : h == 1 ? 3 : h <= 3 ? 2 : 1;
  t->plain = t->ccs == 1;
  int64_t j = j0;
  for (t->from = 0; wide >= 0; wide--) {
    const WEFT_N(weft_tile_fn) tile = WEFT_N(weft_tiles)[wide][h];
    for (t->to = (int64_t)lanes << wide; j + t->to <= j1; j += t->to) tile(t, a, b + (j - j0), c + (j - j0) * t->ccs);
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
    WEFT_H(weft_tiles)[0][h](t, a, b + (start - j0), c + (start - j0) * t->ccs);
    return;
  }
#endif
  WEFT_N(weft_tiles)[0][h](t, a, b + (start - j0), c + (start - j0) * t->ccs);
}

/* Columns j to end of B for k elements from k0 on, packed. */
WEFT_APART void WEFT_N(weft_pack_b)(const WEFT_N(weft_gemm_job) * g, int64_t k0, int64_t k, int64_t j, int64_t end,
                                    WEFT_T *packed, WEFT_T *made, int worker) {
  enum { lanes = WEFT_N(weft_lanes), pair = WEFT_N(weft_pair) };
  const WEFT_T *b = g->make_b ? NULL : g->b + k0 * g->brs + j * g->bcs;
  int64_t q = j, row = g->b_row, from = g->k_from + k0;
  worker += g->fused->worker;
  if (g->make_b && !g->b_turned) {
    for (q = 0; q < k; q += WEFT_MADE_ROWS) {
      int64_t rows = weft_least_(k - q, WEFT_MADE_ROWS);
      g->make_b(g->b_arg, row + from + q, row + from + q + rows, j, end, made, end - j, worker);
      WEFT_N(weft_spread)(rows, end - j, k, q, made, packed);
    }
    return;
  }
  if (!g->make_b && g->bcs == 1) q += WEFT_N(weft_pack_band)((end - j) / pair, k, b, g->brs, packed);
  for (; q < end; q += pair) {
    int64_t lines = weft_least_(end - q, pair), width = lines <= lanes ? lanes : pair;
    if (g->make_b) {
      g->make_b(g->b_arg, row + q, row + q + lines, from, from + k, made, WEFT_N(weft_line), worker);
      WEFT_N(weft_pack_panel)(lines, width, k, made, 1, WEFT_N(weft_line), packed + (q - j) * k);
    } else
      WEFT_N(weft_pack_panel)(lines, width, k, b + (q - j) * g->bcs, g->brs, g->bcs, packed + (q - j) * k);
  }
}

/* What follows: rows i to stop and columns j to end are final, of which c holds the first element; `rows`, `columns`:
 * nothing of C is left beyond. */
WEFT_APART void WEFT_N(weft_finished)(const WEFT_N(weft_gemm_job) * g, int64_t i, int64_t stop, int64_t j, int64_t end,
                                      WEFT_T *c, int64_t line, int rows, int columns, int worker) {
  const weft_fused *f = g->fused;
  int64_t row = f->row;
  worker += f->worker;
  if (f->then && g->flipped) f->then(f->then_arg, row + j, row + end, i, stop, c, line, worker);
  else if (f->then) f->then(f->then_arg, row + i, row + stop, j, end, c, line, worker);
  if (g->whole == WEFT_WHOLE_ROWS && columns) f->body(f->body_arg, row + i, row + stop, worker);
  if (g->whole != WEFT_WHOLE_COLUMNS || !rows) return;
  if (g->flipped) f->body(f->body_arg, row + j, row + end, worker);
  else f->body(f->body_arg, j / WEFT_COLUMNS, (end + WEFT_COLUMNS - 1) / WEFT_COLUMNS, worker);
}

/* Rows i0 to i1 and columns j0 to j1 over all of k. Tiles differ by one row at most: 32 = 11 + 11 + 10. */
WEFT_APART void WEFT_N(weft_gemm_range)(const WEFT_N(weft_gemm_job) * g, int64_t i0, int64_t i1, int64_t j0, int64_t j1,
                                        WEFT_T *scratch, int worker) {
  if (i0 >= i1 || j0 >= j1) return;
  int64_t tiles = (i1 - i0 + WEFT_TILE_ROWS - 1) / WEFT_TILE_ROWS, low = (i1 - i0) / tiles, more = (i1 - i0) % tiles;
  int turned = g->make_a ? g->a_turned : g->acs != 1 && g->ars == 1, follows = g->fused->then || g->whole;
  WEFT_T *packed_b = scratch + g->room.a, *made = packed_b + g->room.b, *own = made + g->room.made;
  for (int64_t k0 = 0; k0 < g->k; k0 += WEFT_GEMM_K) {
    int64_t k = weft_least_(g->k - k0, WEFT_GEMM_K), from = g->k_from + k0;
    int last = follows && k0 + k == g->k;
    WEFT_N(weft_panel) t = {k, g->ars, g->acs, g->brs, g->crs, g->ccs, 0, 0, k0 > 0, 0};
    for (int64_t j = j0, end; j < j1; j = end) {
      end = j1 - j > g->band + WEFT_N(weft_pair) ? j + g->band : j1;
      const WEFT_T *b = packed_b;
      if (g->pack_b) WEFT_N(weft_pack_b)(g, k0, k, j, end, packed_b, made, worker);
      else b = g->b + k0 * g->brs + j * g->bcs;
      /* rows between two calls of what follows */
      int64_t wide = end - j, group = WEFT_N(weft_warm) / (g->whole == WEFT_WHOLE_ROWS ? g->n : wide);
      if (!g->c) {
        t.crs = g->flipped ? 1 : wide;
        t.ccs = g->flipped ? weft_most_(group + 1, WEFT_TILE_ROWS) : 1;
      }
      for (int64_t s = 0, i = i0, done = i0; s < tiles; s++) {
        int64_t h = low + (s < more), batch = weft_least_(tiles - s, WEFT_GEMM_TILES);
        const WEFT_T *a = scratch;
        if (turned && g->pack_a) {
          if (s % WEFT_GEMM_TILES == 0 && g->make_a) {
            int64_t rows = batch * low + (more <= s ? 0 : weft_least_(more - s, batch));
            g->make_a(g->a_arg, g->a_row + from, g->a_row + from + k, i, i + rows, made, WEFT_N(weft_made_line),
                      worker + g->fused->worker);
            WEFT_N(weft_pack_columns)(batch, low, more - s, WEFT_N(weft_made_line), k, made, WEFT_N(weft_made_line),
                                      scratch);
          } else if (s % WEFT_GEMM_TILES == 0)
            WEFT_N(weft_pack_columns)(batch, low, more - s, g->m - i, k, g->a + i * g->ars + k0 * g->acs, g->acs,
                                      scratch);
          a = scratch + s % WEFT_GEMM_TILES * WEFT_N(weft_packed_a);
          t.acs = WEFT_N(weft_high);
        } else if (g->make_a) {
          g->make_a(g->a_arg, g->a_row + i, g->a_row + i + h, from, from + k, scratch, WEFT_N(weft_line),
                    worker + g->fused->worker);
          t.ars = WEFT_N(weft_line), t.acs = 1;
        } else if (g->pack_a) {
          WEFT_N(weft_pack_rows)(h, k, g->a + i * g->ars + k0 * g->acs, g->ars, g->acs, scratch);
          t.ars = WEFT_N(weft_line), t.acs = 1;
        } else
          a = g->a + i * g->ars + k0 * g->acs;
        WEFT_T *c = g->c ? g->c + done * g->crs + j * g->ccs : own;
        WEFT_N(weft_gemm_row)(g, &t, h, j, end, a, b, c + (i - done) * t.crs);
        i += h;
        if (last && (i == i1 || i + low - done > group)) {
          WEFT_N(weft_finished)(g, done, i, j, end, c, g->flipped ? t.ccs : t.crs, i == i1, end == j1, worker);
          done = i;
        }
      }
    }
  }
}

/* Rectangles `begin` to `end` of the grid. Columns are cut at whole vectors. */
static void WEFT_N(weft_gemm_work)(void *arg, int64_t begin, int64_t end, int worker) {
  const WEFT_N(weft_gemm_job) *g = (const WEFT_N(weft_gemm_job) *)arg;
  int64_t unit = g->unit, units = (g->n + unit - 1) / unit;
  for (int64_t q = begin; q < end; q++) {
    int64_t i = q / g->across, j = q % g->across;
    WEFT_N(weft_gemm_range)(g, i * g->m / g->down, (i + 1) * g->m / g->down, j * units / g->across * unit,
                            weft_least_((j + 1) * units / g->across * unit, g->n), g->scratch + worker * g->room.all,
                            worker);
  }
}

/* Blocks of k, each into a matrix of its own. */
static void WEFT_N(weft_gemm_partial)(void *arg, int64_t begin, int64_t end, int worker) {
  const WEFT_N(weft_gemm_job) *g = (const WEFT_N(weft_gemm_job) *)arg;
  for (int64_t q = begin; q < end; q++) {
    WEFT_N(weft_gemm_job) one = *g;
    one.k_from += q * WEFT_GEMM_K;
    if (!g->make_a) one.a += q * WEFT_GEMM_K * g->acs;
    if (!g->make_b) one.b += q * WEFT_GEMM_K * g->brs;
    one.k = weft_least_(g->k - q * WEFT_GEMM_K, WEFT_GEMM_K);
    one.c = g->c + q * g->m * g->n;
    WEFT_N(weft_gemm_range)(&one, 0, g->m, 0, g->n, g->scratch + worker * g->room.all, worker);
  }
}

/* ---- what to do for a size: numbers here are measured, and show in no result ------------------------------------ */

WEFT_FN int WEFT_N(weft_aliased)(int64_t stride) {
  int64_t bytes = (stride < 0 ? -stride : stride) * (int64_t)sizeof(WEFT_T);
  return bytes >= 2048 && bytes % 1024 == 0;
}

/* The grid: the one whose rectangles have the least to do, fmas first, then reading. What it costs, with `whole` rows or
 * columns. */
WEFT_FN double WEFT_N(weft_grid)(WEFT_N(weft_gemm_job) * g, int64_t threads, int whole) {
  int64_t unit = g->unit, units = (g->n + unit - 1) / unit;
  double best = 0, of_a = g->make_a ? 12 : 4, of_b = g->make_b ? 16 : 8;
  g->down = g->across = 1;
  for (int64_t t = 1; t <= threads; t++)
    for (int64_t down = 1; down <= t; down++) {
      int64_t across = t / down;
      if (t % down || down > g->m || across > units) continue;
      if ((whole == WEFT_WHOLE_ROWS && across > 1) || (whole == WEFT_WHOLE_COLUMNS && down > 1)) continue;
      int64_t rows = (g->m + down - 1) / down, columns = (units + across - 1) / across * unit;
      double low = rows < WEFT_TILE_ROWS / 2 && down > 1 ? 1.3 : 1;
      double cost = low * ((double)rows * (double)columns + of_a * (double)rows + of_b * (double)columns);
      if (best == 0 || cost < best * 0.98) best = cost, g->down = down, g->across = across;
    }
  return best;
}

/* How many blocks of k are computed at a time, each by one thread: where C is so small that a share of it would be less
 * than a tile. 0: k is not cut. */
WEFT_FN int64_t WEFT_N(weft_rounds)(int64_t m, int64_t n, int64_t k, int64_t threads) {
  int64_t blocks = (k + WEFT_GEMM_K - 1) / WEFT_GEMM_K;
  int64_t tiles = ((m + 5) / 6) * ((n + WEFT_N(weft_lanes) - 1) / WEFT_N(weft_lanes));
  if (threads < 2 || blocks < 2 || tiles >= 2 * threads) return 0;
  return weft_least_(1048576 / (m * n), blocks);
}

/* Columns worked on at a time: what stays in the second cache, there with whole rows or columns of C where they are
 * wanted; 0 where they are too long for that. */
WEFT_FN int64_t WEFT_N(weft_columns)(int64_t m, int64_t n, int64_t k, int whole) {
  int64_t fit = WEFT_GEMM_BAND / (int)sizeof(WEFT_T) / weft_least_(weft_most_(k, 1), WEFT_GEMM_K);
  if (whole == WEFT_WHOLE_ROWS) return n <= fit + WEFT_N(weft_pair) ? n : 0;
  if (whole == WEFT_WHOLE_COLUMNS) {
    fit = weft_least_(WEFT_N(weft_band), WEFT_GEMM_BAND / 2 / (int)sizeof(WEFT_T) / m);
    return fit / WEFT_COLUMNS * WEFT_COLUMNS;
  }
  return WEFT_N(weft_band);
}

/* Whether an operand that is made is made at once, as a whole, in front of the product: where each element of it takes
 * part in `uses` products, and computing it in between takes more time than memory does. */
WEFT_FN int WEFT_N(weft_made_first)(int64_t uses) { return uses > WEFT_GEMM_USES; }

/* Elements of scratch that a thread needs, in either orientation. */
WEFT_FN WEFT_N(weft_room) WEFT_N(weft_rooms)(int64_t m, int64_t n, int64_t k, int in_memory, const weft_fused *f) {
  int64_t longer = weft_most_(m, n), part = weft_least_(k, WEFT_GEMM_K), columns = WEFT_N(weft_band);
  if (f && f->whole == WEFT_WHOLE_ROWS) columns = weft_most_(columns, WEFT_N(weft_columns)(m, n, k, WEFT_WHOLE_ROWS));
  columns = weft_least_(longer, columns + WEFT_N(weft_pair)) + WEFT_N(weft_lanes);
  int64_t tiles = weft_least_((longer + WEFT_TILE_ROWS - 1) / WEFT_TILE_ROWS, WEFT_GEMM_TILES);
  WEFT_N(weft_room) r = {tiles * WEFT_N(weft_packed_a), (columns * part + 15) / 16 * 16, 0, 0, 0};
  if (f && (f->make_a || f->make_b)) {
    r.made = weft_most_(part * WEFT_N(weft_made_line), WEFT_N(weft_pair) * WEFT_N(weft_line));
    r.made = (weft_most_(r.made, WEFT_MADE_ROWS * columns) + 15) / 16 * 16;
  }
  if (!in_memory) r.c = (WEFT_N(weft_warm) + (WEFT_TILE_ROWS + 1) * columns + 15) / 16 * 16;
  r.all = r.a + r.b + r.made + r.c;
  return r;
}

/* Bytes of workspace, 64 of them for alignment. `in_memory`: C is not NULL. */
WEFT_FN int64_t WEFT_N(weft_gemm_workspace)(int64_t m, int64_t n, int64_t k, int threads, int in_memory,
                                            const weft_fused *f) {
  if (m <= 0 || n <= 0) return 64;
  if (k <= 0) return in_memory ? 64 : 64 + WEFT_GEMM_WARM;
  int64_t many = threads < 1 ? 1 : threads, r = WEFT_N(weft_rounds)(m, n, k, many);
  int64_t q = WEFT_N(weft_rounds)(n, m, k, many);
  int64_t c = in_memory || k <= WEFT_GEMM_K ? 0 : (m * n + 15) / 16 * 16;
  int64_t room = WEFT_N(weft_rooms)(m, n, k, in_memory || c, f).all;
  int64_t made = f && f->make_a && WEFT_N(weft_made_first)(n) ? (m * k + 15) / 16 * 16 : 0;
  if (f && f->make_b && WEFT_N(weft_made_first)(m)) made += (k * n + 15) / 16 * 16;
  return (many * room + weft_most_(r, q) * m * n + c + made) * (int64_t)sizeof(WEFT_T) + 64;
}

/* The grid, and whether the rectangles are to be whole rows or columns (of C as it is computed): not where they would be
 * too few for the threads, or too long for a cache. */
WEFT_FN void WEFT_N(weft_whole)(WEFT_N(weft_gemm_job) * g, int64_t rounds, int64_t threads) {
  g->down = g->across = 1, g->band = WEFT_N(weft_band);
  if (rounds > 1) return;
  double best = WEFT_N(weft_grid)(g, threads, 0);
  int64_t down = g->down, across = g->across, whole = g->fused->whole;
  if (!whole || !g->c || (whole == WEFT_WHOLE_COLUMNS && g->flipped)) return;
  if (g->flipped) whole = WEFT_WHOLE_COLUMNS;
  int64_t band = WEFT_N(weft_columns)(g->m, g->n, g->k, (int)whole);
  if (!band) return;
  g->unit = whole == WEFT_WHOLE_COLUMNS && !g->flipped ? WEFT_COLUMNS : g->unit;
  if (WEFT_N(weft_grid)(g, threads, (int)whole) <= best * 1.1) g->whole = (int)whole, g->band = band;
  else g->unit = WEFT_N(weft_lanes), g->down = down, g->across = across;
}

typedef struct {
  weft_rectangle make;
  void *arg;
  WEFT_T *x;
  int64_t row, columns;
  int worker;
} WEFT_N(weft_making);
static void WEFT_N(weft_make_rows)(void *arg, int64_t begin, int64_t end, int worker) {
  const WEFT_N(weft_making) *g = (const WEFT_N(weft_making) *)arg;
  g->make(g->arg, g->row + begin, g->row + end, 0, g->columns, g->x + begin * g->columns, g->columns,
          g->worker + worker);
}

/* An operand as its maker has it in memory, `rows` of `columns` elements, at x; for a batch from `row` on. */
WEFT_APART const WEFT_T *WEFT_N(weft_make_all)(weft_rectangle make, void *arg, int64_t row, int64_t rows,
                                               int64_t columns, WEFT_T *x, const weft_fused *f, weft_pfor pfor,
                                               int threads) {
  WEFT_N(weft_making) g = {make, arg, x, row, columns, f->worker};
  if (pfor && threads > 1) pfor(rows, 1 + 16384 / columns, threads, WEFT_N(weft_make_rows), &g);
  else WEFT_N(weft_make_rows)(&g, 0, rows, 0);
  return x;
}

WEFT_APART void WEFT_N(weft_gemm_split_k)(WEFT_N(weft_gemm_job) g, int64_t rounds, WEFT_T *partial, weft_pfor pfor,
                                          int threads) {
  static const weft_fused nothing = {0};
  WEFT_T *c = g.c;
  int64_t k = g.k, crs = g.crs, ccs = g.ccs, m = g.m, n = g.n;
  const weft_fused *f = g.fused;
  const WEFT_T *a = g.a, *b = g.b;
  g.fused = &nothing, g.crs = n, g.ccs = 1, g.c = partial;
  for (int64_t k0 = 0; k0 < k; k0 += rounds * WEFT_GEMM_K) {
    g.k = weft_least_(k - k0, rounds * WEFT_GEMM_K), g.k_from = k0;
    if (!g.make_a) g.a = a + k0 * g.acs;
    if (!g.make_b) g.b = b + k0 * g.brs;
    int64_t blocks = (g.k + WEFT_GEMM_K - 1) / WEFT_GEMM_K;
    pfor(blocks, 0, threads, WEFT_N(weft_gemm_partial), &g);
    for (int64_t q = 0; q < blocks; q++)
      for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
          WEFT_T x = partial[(q * m + i) * n + j];
          c[i * crs + j * ccs] = k0 || q ? c[i * crs + j * ccs] + x : x;
        }
  }
  g.fused = f;
  WEFT_N(weft_finished)(&g, 0, m, 0, n, c, g.flipped ? ccs : crs, 1, 1, 0);
}

/* Zeros, and what follows in pieces of C that a cache holds; without C in memory they lie in `work`. */
WEFT_APART void WEFT_N(weft_gemm_zeros)(const WEFT_N(weft_gemm_job) * g, WEFT_T *work) {
  int64_t columns = weft_least_(g->n, WEFT_N(weft_band)), rows = WEFT_N(weft_warm) / columns;
  for (int64_t i0 = 0; i0 < g->m; i0 += rows)
    for (int64_t j0 = 0; j0 < g->n; j0 += columns) {
      int64_t i1 = weft_least_(g->m, i0 + rows), j1 = weft_least_(g->n, j0 + columns);
      WEFT_T *c = g->c ? g->c + i0 * g->crs + j0 * g->ccs : work;
      int64_t crs = g->c ? g->crs : columns, ccs = g->c ? g->ccs : 1;
      for (int64_t i = 0; i < i1 - i0; i++)
        for (int64_t j = 0; j < j1 - j0; j++) c[i * crs + j * ccs] = 0;
      WEFT_N(weft_finished)(g, i0, i1, j0, j1, c, crs, 0, 0, 0);
    }
}

/* `work`: weft_gemm_workspace_D bytes for the same sizes. pfor may be NULL, threads >= 1. C overlaps nothing; NULL where
 * only `then` is to see it. Strides of operands that are made are their own affair. Whether `body` has been run: where
 * whole rows or columns would cost more than they save it is not. */
WEFT_UNUSED int WEFT_N(weft_gemm)(int64_t m, int64_t n, int64_t k, const WEFT_T *a, int64_t ars, int64_t acs,
                                  const WEFT_T *b, int64_t brs, int64_t bcs, WEFT_T *c, int64_t crs, int64_t ccs,
                                  weft_pfor pfor, int threads, void *work, const weft_fused *fused) {
  static const weft_fused nothing = {0};
  enum { lanes = WEFT_N(weft_lanes), pair = WEFT_N(weft_pair) };
  if (m <= 0 || n <= 0) return 0;
  if (!fused) fused = &nothing;
  if (!pfor || threads < 1) threads = 1;
  WEFT_T *scratch = (WEFT_T *)(((uintptr_t)work + 63) / 64 * 64);
  WEFT_N(weft_gemm_job) g = {.m = m, .n = n, .k = k, .crs = crs, .ccs = ccs, .c = c, .unit = lanes, .fused = fused};
  if (k <= 0) {
    WEFT_N(weft_gemm_zeros)(&g, scratch);
    return 0;
  }
  g.room = WEFT_N(weft_rooms)(m, n, k, c || k > WEFT_GEMM_K, fused);
  if (!c && k > WEFT_GEMM_K) {
    g.c = c = scratch, g.crs = crs = n, g.ccs = ccs = 1;
    scratch += (m * n + 15) / 16 * 16;
  }
  weft_rectangle make_a = fused->make_a, make_b = fused->make_b;
  int a_turned = fused->a_turned, b_turned = fused->b_turned;
  if (make_a) ars = a_turned ? 1 : k, acs = a_turned ? m : 1;
  if (make_b) brs = b_turned ? 1 : n, bcs = b_turned ? k : 1;
  if (make_a && WEFT_N(weft_made_first)(n)) {
    a = WEFT_N(weft_make_all)(make_a, fused->a_arg, fused->a_row, a_turned ? k : m, a_turned ? m : k, scratch, fused,
                              pfor, threads);
    make_a = 0, scratch += (m * k + 15) / 16 * 16;
  }
  if (make_b && WEFT_N(weft_made_first)(m)) {
    b = WEFT_N(weft_make_all)(make_b, fused->b_arg, fused->b_row, b_turned ? n : k, b_turned ? k : n, scratch, fused,
                              pfor, threads);
    make_b = 0, scratch += (k * n + 15) / 16 * 16;
  }
  int flipped = m >= pair && ars == 1 && (bcs != 1 || n < pair);
  if (c && ccs != 1 && crs == 1) flipped = !(bcs == 1 && n >= lanes && k > 128);
  g.scratch = scratch, g.flipped = flipped;
  if (flipped) { /* C' = B' A' */
    g.m = n, g.n = m, g.crs = ccs, g.ccs = crs;
    g.a = b, g.ars = bcs, g.acs = brs;
    g.b = a, g.brs = acs, g.bcs = ars;
    g.make_a = make_b, g.a_arg = fused->b_arg, g.a_row = fused->b_row, g.a_turned = !b_turned;
    g.make_b = make_a, g.b_arg = fused->a_arg, g.b_row = fused->a_row, g.b_turned = !a_turned;
  } else {
    g.a = a, g.ars = ars, g.acs = acs;
    g.b = b, g.brs = brs, g.bcs = bcs;
    g.make_a = make_a, g.a_arg = fused->a_arg, g.a_row = fused->a_row, g.a_turned = a_turned;
    g.make_b = make_b, g.b_arg = fused->b_arg, g.b_row = fused->b_row, g.b_turned = b_turned;
  }
  int64_t worth = (g.m + 3) * g.n * k / WEFT_N(weft_grain), use = worth < 1 ? 1 : weft_least_(worth, threads);
  int64_t rounds = WEFT_N(weft_rounds)(g.m, g.n, k, use);
  WEFT_N(weft_whole)(&g, rounds, use);
  int64_t rows = rounds < 2 ? g.m / g.down : g.m, columns = rounds < 2 ? g.n / g.across : g.n;
  g.pack_b = g.make_b || g.bcs != 1 || g.n < lanes || (WEFT_N(weft_aliased)(g.brs) && k > 32 && rows > 24) ||
             (k * g.n > 200000 && rows > 48 && k > 32);
  g.pack_a = g.make_a || (columns > 3 * pair && ((g.acs != 1 && g.ars != 1) || (g.ars == 1 && k > 32) ||
                          (g.acs == 1 && g.m > 4 && (WEFT_N(weft_aliased)(g.ars) || k * g.m > 200000))));
  if (rounds > 1)
    WEFT_N(weft_gemm_split_k)(g, rounds, g.scratch + use * g.room.all, pfor, (int)use);
  else if (g.down * g.across > 1)
    pfor(g.down * g.across, 0, (int)use, WEFT_N(weft_gemm_work), &g);
  else
    WEFT_N(weft_gemm_range)(&g, 0, g.m, 0, g.n, g.scratch, 0);
  return g.whole != 0;
}
