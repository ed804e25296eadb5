typedef struct {
    int64_t n0;
    int64_t n1;
    const float *p0;
    float *p1;
    float *s1;
} k0_args;

static void k0_blocks(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const float *restrict const p0 = a->p0;
    float *restrict const p1 = a->p1;
    float *restrict const s1 = a->s1;
    (void)a, (void)worker, (void)p0, (void)p1, (void)s1;
    const int64_t tiles = (a->n1 + WEFT_TILE - 1) / WEFT_TILE;
    const int64_t blocks = (a->n0 + WEFT_BLOCK - 1) / WEFT_BLOCK;
    for (int64_t u = begin; u < end; u++) {
        const int64_t o = u / tiles / blocks * tiles + u % tiles, b = u / tiles % blocks * WEFT_BLOCK;
        const int64_t first = o % tiles * WEFT_TILE;
        const int64_t width = weft_min64(WEFT_TILE, a->n1 - first);
        const int64_t e = weft_min64(b + WEFT_BLOCK, a->n0);
        int used16 = 1; /* lanes that a block of few rows reaches: the others would add nothing */
        while (used16 < 16 && used16 < e - b) used16 *= 2;
        float lane0[16][WEFT_TILE], all0[16][WEFT_TILE];
        float start0[WEFT_TILE];
        for (int64_t c = 0; c < width; c++) start0[c] = 0.0f;
        for (int64_t p = b; p < e; p += WEFT_PART) {
            const int64_t f = weft_min64(p + WEFT_PART, e);
            float (*const part0)[WEFT_TILE] = p == b ? all0 : lane0;
            for (int64_t l = f - p; l < used16; l++) for (int64_t c = 0; c < width; c++) part0[l][c] = 0.0f;
            for (int64_t i1 = p; i1 < f; i1++) {
                float *const into0 = part0[(i1 - p) % 16];
                const float *const from0 = i1 - p < 16 ? start0 : into0;
                #pragma GCC ivdep
                #pragma GCC unroll 1
                for (int64_t c = 0; c < width; c++) {
                    const int64_t i0 = first + c;
                    into0[c] = from0[c] + weft_sqr_f32(p0[(a->n1 * i1) + i0]);
                }
            }
            if (p > b) for (int l = 0; l < used16; l++) for (int64_t c = 0; c < width; c++) all0[l][c] = all0[l][c] + lane0[l][c];
        }
        if (e - b <= 32) {
            for (int l = 1; l < 16 && l < (int)(e - b); l++) for (int64_t c = 0; c < width; c++) all0[0][c] = all0[0][c] + all0[l][c];
        } else {
            int h = used16;
            for (; h >= 4; h /= 4) for (int l = 0; l < h / 4; l++) for (int64_t c = 0; c < width; c++) all0[l][c] = (all0[l][c] + all0[l + h / 2][c]) + (all0[l + h / 4][c] + all0[l + 3 * h / 4][c]);
            if (h == 2) for (int64_t c = 0; c < width; c++) all0[0][c] = all0[0][c] + all0[1][c];
        }
        for (int64_t c = 0; c < width; c++) s1[(o * blocks + b / WEFT_BLOCK) * WEFT_TILE + c] = all0[0][c];
    }
}

static void k0_join(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const float *restrict const p0 = a->p0;
    float *restrict const p1 = a->p1;
    float *restrict const s1 = a->s1;
    (void)a, (void)worker, (void)p0, (void)p1, (void)s1;
    const int64_t tiles = (a->n1 + WEFT_TILE - 1) / WEFT_TILE;
    const int64_t blocks = (a->n0 + WEFT_BLOCK - 1) / WEFT_BLOCK;
    for (int64_t o = begin; o < end; o++) {
        const int64_t first = o % tiles * WEFT_TILE;
        const int64_t width = weft_min64(WEFT_TILE, a->n1 - first);
        float acc0[WEFT_TILE];
        for (int64_t c = 0; c < width; c++) acc0[c] = 0.0f;
        float low0[WEFT_TILE];
        for (int64_t c = 0; c < width; c++) low0[c] = 0.0f;
        for (int64_t b = 0; b < blocks; b++) {
            for (int64_t c = 0; c < width; c++) if (b == 0) acc0[c] = s1[(o * blocks + b) * WEFT_TILE + c]; else weft_join_f32(&acc0[c], &low0[c], s1[(o * blocks + b) * WEFT_TILE + c]);
        }
        for (int64_t c = 0; c < width; c++) acc0[c] = weft_joined_f32(acc0[c], low0[c]);
        #pragma GCC ivdep
        #pragma GCC unroll 1
        for (int64_t c = 0; c < width; c++) {
            const int64_t i0 = first + c;
            p1[i0] = acc0[c];
        }
    }
}

static void k0(weft_call *call, int64_t n0, int64_t n1, const float *p0, float *p1, float *s1) {
    k0_args args = {.n0 = n0, .n1 = n1, .p0 = p0, .p1 = p1, .s1 = s1};
    k0_args *const a = &args;
    const int64_t rounds = ((a->n1 + WEFT_TILE - 1) / WEFT_TILE);
    const int64_t work = WEFT_TILE * ((a->n0 * 13) + 8);
    const int64_t blocks = rounds * ((a->n0 + WEFT_BLOCK - 1) / WEFT_BLOCK);
    call->parallel_for(blocks, 1 + 200000 * blocks / (work * rounds + 1), call->threads, k0_blocks, a);
    call->parallel_for(rounds, 64, call->threads, k0_join, a);
}
