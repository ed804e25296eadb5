/* weft_gemm_tile.h: tiles of C held in registers over one block of k. A template, included by weft_gemm_float.h once
 * for whole and once for half vectors: WEFT_T is the element, WEFT_V(x) names what belongs to the vector, WEFT_WIDE
 * says whether tiles of few rows are made wide.
 *
 * A tile has `rows` rows and `vectors` vectors of columns. A is read where it lies, at any strides, a number at a time;
 * of B whole vectors, so its columns are contiguous. Rows are reached from one pointer in three: gcc runs out of
 * registers when it keeps one a row.
 */
#define WEFT_TILE_NAME(R, W) WEFT_V(weft_tile_##R##x##W)

WEFT_INLINE void WEFT_V(weft_tile)(const int rows, const int vectors, const WEFT_N(weft_panel) * g, const WEFT_T *a,
                                   const WEFT_T *b, WEFT_T *c) {
  enum { lanes = WEFT_V(weft_lanes) };
  WEFT_V(weft_v) acc[24];
  const int64_t step = g->ars * (int64_t)sizeof(WEFT_T), acs = g->acs, brs = g->brs;
  const char *at[4];
  WEFT_UNROLL for (int i = 0; i < rows; i += 3) at[i / 3] = (const char *)(a + i * g->ars);
#define WEFT_A(i) (*(const WEFT_T *)(at[(i) / 3] + (i) % 3 * step))
  WEFT_UNROLL for (int i = 0; i < rows; i++)
    WEFT_UNROLL for (int v = 0; v < vectors; v++)
      acc[i * vectors + v] = WEFT_V(weft_vmul)(WEFT_V(weft_vall)(WEFT_A(i)), WEFT_V(weft_vload)(b + v * lanes));
  for (int64_t p = g->k - 1; p > 0; p--) {
    WEFT_UNROLL for (int i = 0; i < rows; i += 3) at[i / 3] += acs * (int64_t)sizeof(WEFT_T);
    b += brs;
    WEFT_V(weft_v) x[16];
    WEFT_UNROLL for (int v = 0; v < vectors; v++) x[v] = WEFT_V(weft_vload)(b + v * lanes);
    WEFT_UNROLL for (int i = 0; i < rows; i++) {
      WEFT_V(weft_v) y = WEFT_V(weft_vall)(WEFT_A(i));
      WEFT_UNROLL for (int v = 0; v < vectors; v++)
        acc[i * vectors + v] = WEFT_V(weft_vfma)(y, x[v], acc[i * vectors + v]);
    }
  }
#undef WEFT_A
  if (g->plain) {
    if (g->add)
      WEFT_UNROLL for (int i = 0; i < rows; i++)
        WEFT_UNROLL for (int v = 0; v < vectors; v++)
          acc[i * vectors + v] =
              WEFT_V(weft_vadd)(WEFT_V(weft_vload)(c + i * g->crs + v * lanes), acc[i * vectors + v]);
    WEFT_UNROLL for (int i = 0; i < rows; i++)
      WEFT_UNROLL for (int v = 0; v < vectors; v++)
        WEFT_V(weft_vstore)(c + i * g->crs + v * lanes, acc[i * vectors + v]);
    return;
  }
  WEFT_T edge[24 * lanes];
  WEFT_UNROLL for (int i = 0; i < rows * vectors; i++) WEFT_V(weft_vstore)(edge + i * lanes, acc[i]);
  WEFT_N(weft_edge)(g, rows, vectors * lanes, edge, c);
}

#define WEFT_TILE_OF(R, W)                                                                                             \
  WEFT_APART void WEFT_TILE_NAME(R, W)(const WEFT_N(weft_panel) * g, const WEFT_T *a, const WEFT_T *b, WEFT_T *c) { \
    WEFT_V(weft_tile)(R, W, g, a, b, c);                                                                            \
  }
WEFT_TILE_OF(1, 1) WEFT_TILE_OF(2, 1) WEFT_TILE_OF(3, 1) WEFT_TILE_OF(4, 1) WEFT_TILE_OF(5, 1) WEFT_TILE_OF(6, 1)
#if WEFT_TILE_ROWS == 12
WEFT_TILE_OF(7, 1) WEFT_TILE_OF(8, 1) WEFT_TILE_OF(9, 1) WEFT_TILE_OF(10, 1) WEFT_TILE_OF(11, 1) WEFT_TILE_OF(12, 1)
#endif
#if WEFT_WIDE
WEFT_TILE_OF(1, 2) WEFT_TILE_OF(2, 2) WEFT_TILE_OF(3, 2) WEFT_TILE_OF(4, 2) WEFT_TILE_OF(5, 2) WEFT_TILE_OF(6, 2)
WEFT_TILE_OF(1, 4) WEFT_TILE_OF(1, 8) WEFT_TILE_OF(2, 4) WEFT_TILE_OF(3, 4)
#if WEFT_TILE_ROWS == 12
WEFT_TILE_OF(7, 2) WEFT_TILE_OF(8, 2) WEFT_TILE_OF(9, 2) WEFT_TILE_OF(10, 2) WEFT_TILE_OF(11, 2) WEFT_TILE_OF(12, 2)
WEFT_TILE_OF(1, 16) WEFT_TILE_OF(2, 8) WEFT_TILE_OF(3, 8) WEFT_TILE_OF(4, 4) WEFT_TILE_OF(5, 4) WEFT_TILE_OF(6, 4)
#endif
#endif

typedef void (*WEFT_V(weft_tile_fn))(const WEFT_N(weft_panel) *, const WEFT_T *, const WEFT_T *, WEFT_T *);
/* one vector, two, four, eight, sixteen; by rows */
static const WEFT_V(weft_tile_fn) WEFT_V(weft_tiles)[][WEFT_TILE_ROWS + 1] = {
#define WEFT_TILES_6(W)                                                                                             \
  0, WEFT_TILE_NAME(1, W), WEFT_TILE_NAME(2, W), WEFT_TILE_NAME(3, W), WEFT_TILE_NAME(4, W), WEFT_TILE_NAME(5, W),  \
      WEFT_TILE_NAME(6, W)
#if WEFT_TILE_ROWS == 12
#define WEFT_TILES_ALL(W)                                                                                           \
  WEFT_TILES_6(W), WEFT_TILE_NAME(7, W), WEFT_TILE_NAME(8, W), WEFT_TILE_NAME(9, W), WEFT_TILE_NAME(10, W),         \
      WEFT_TILE_NAME(11, W), WEFT_TILE_NAME(12, W)
#else
#define WEFT_TILES_ALL(W) WEFT_TILES_6(W)
#endif
    {WEFT_TILES_ALL(1)},
#if WEFT_WIDE
    {WEFT_TILES_ALL(2)},
#if WEFT_TILE_ROWS == 12
    {WEFT_TILES_6(4)},
    {0, WEFT_TILE_NAME(1, 8), WEFT_TILE_NAME(2, 8), WEFT_TILE_NAME(3, 8)},
    {0, WEFT_TILE_NAME(1, 16)},
#else
    {0, WEFT_TILE_NAME(1, 4), WEFT_TILE_NAME(2, 4), WEFT_TILE_NAME(3, 4)},
    {0, WEFT_TILE_NAME(1, 8)},
#endif
#endif
};
#undef WEFT_TILE_OF
#undef WEFT_TILES_6
#undef WEFT_TILES_ALL
#undef WEFT_TILE_NAME
