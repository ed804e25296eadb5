typedef struct {
    int64_t n0;
    int64_t n1;
    const float *p0;
    float *p1;
} k0_args;

static void k0_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const float *restrict const p0 = a->p0;
    float *restrict const p1 = a->p1;
    (void)a, (void)worker;
    for (int64_t i0 = begin; i0 < end; i0++) {
        const int64_t t0 = a->n1 * i0;
        float acc0 = 0.0f;
        float low0 = 0.0f;
        for (int64_t b = 0; b < a->n1; b += WEFT_BLOCK) {
            const int64_t e = weft_min64(b + WEFT_BLOCK, a->n1);
            float lane0[16], end0[16], all0[16];
            for (int l = 0; l < 16; l++) all0[l] = 0.0f;
            for (int64_t p = b; p < e; p += WEFT_PART) {
                const int64_t f = weft_min64(p + WEFT_PART, e);
                for (int l = 0; l < 16; l++) lane0[l] = 0.0f;
                int64_t j = p;
                for (; j + 16 <= f; j += 16) {
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i1 = j + l;
                        lane0[l] = lane0[l] + weft_sqr_f32(p0[t0 + i1]);
                    }
                }
                if (j < f) {
                    const int rest = (int)(f - j);
                    WEFT_HIDDEN(j);
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i1 = j + l;
                        end0[l] = lane0[l] + (l < rest ? weft_sqr_f32(((l < rest) ? p0[t0 + i1] : 0.0f)) : 0.0f);
                    }
                } else {
                    for (int l = 0; l < 16; l++) end0[l] = lane0[l];
                }
                for (int l = 0; l < 16; l++) all0[l] = all0[l] + end0[l];
            }
            float block0 = all0[0];
            if (e - b > 32) {
                float all0_8[8];
                for (int l = 0; l < 8; l++) all0_8[l] = all0[l] + all0[l + 8];
                float all0_4[4];
                for (int l = 0; l < 4; l++) all0_4[l] = all0_8[l] + all0_8[l + 4];
                float all0_2[2];
                for (int l = 0; l < 2; l++) all0_2[l] = all0_4[l] + all0_4[l + 2];
                block0 = all0_2[0] + all0_2[1];
            } else {
                for (int l = 1; l < 16 && l < (int)(e - b); l++) block0 = block0 + all0[l];
            }
            if (b == 0) acc0 = block0; else weft_join_f32(&acc0, &low0, block0);
        }
        acc0 = weft_joined_f32(acc0, low0);
        p1[i0] = acc0;
    }
}

static void k0_short_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const float *restrict const p0 = a->p0;
    float *restrict const p1 = a->p1;
    (void)a, (void)worker, (void)p0, (void)p1;
    const int64_t tiles = (a->n0 + WEFT_TILE - 1) / WEFT_TILE;
    for (int64_t o = begin; o < end; o++) {
        const int64_t first = o % tiles * WEFT_TILE;
        const int64_t width = weft_min64(WEFT_TILE, a->n0 - first);
        float lane0[16][WEFT_TILE];
        {
            const int count = (int)a->n1;
            int used = 1;
            while (used < 16 && used < count) used *= 2;
            float start0[WEFT_TILE];
            for (int c = 0; c < WEFT_TILE; c++) start0[c] = 0.0f;
            for (int l = count; l < (used < 16 ? used : 16); l++) for (int c = 0; c < WEFT_TILE; c++) lane0[l][c] = 0.0f;
            for (int64_t i1 = 0; i1 < count; i1++) {
                float *const into0 = lane0[i1 % 16];
                const float *const from0 = i1 < 16 ? start0 : into0;
                #pragma GCC ivdep
                #pragma GCC unroll 1
                for (int64_t c = 0; c < width; c++) {
                    const int64_t i0 = first + c;
                    into0[c] = from0[c] + weft_sqr_f32(p0[(a->n1 * i0) + i1]);
                }
            }
            if (count <= 32) {
                for (int l = 1; l < 16 && l < (int)(count); l++) for (int c = 0; c < WEFT_TILE; c++) lane0[0][c] = lane0[0][c] + lane0[l][c];
            } else {
                int h = (used < 16 ? used : 16);
                for (; h >= 4; h /= 4) for (int l = 0; l < h / 4; l++) for (int c = 0; c < WEFT_TILE; c++) lane0[l][c] = (lane0[l][c] + lane0[l + h / 2][c]) + (lane0[l + h / 4][c] + lane0[l + 3 * h / 4][c]);
                if (h == 2) for (int c = 0; c < WEFT_TILE; c++) lane0[0][c] = lane0[0][c] + lane0[1][c];
            }
        }
        #pragma GCC ivdep
        #pragma GCC unroll 1
        for (int64_t c = 0; c < width; c++) {
            const int64_t i0 = first + c;
            p1[i0] = lane0[0][c];
        }
    }
}

static void k0(weft_call *call, int64_t n0, int64_t n1, const float *p0, float *p1) {
    k0_args args = {.n0 = n0, .n1 = n1, .p0 = p0, .p1 = p1};
    k0_args *const a = &args;
    if (a->n1 > 0 && a->n1 <= 8) {
        const int64_t rounds = ((a->n0 + WEFT_TILE - 1) / WEFT_TILE);
        const int64_t grain = 1 + 200000 / (WEFT_TILE * ((a->n1 * 39) + 8) + 1);
        call->parallel_for(rounds, grain, call->threads, k0_short_body, a);
        return;
    }
    const int64_t rounds = a->n0;
    const int64_t grain = 1 + 200000 / (((a->n1 * 11) + 508) + 1);
    call->parallel_for(rounds, grain, call->threads, k0_body, a);
}
