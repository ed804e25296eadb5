typedef struct {
    int64_t n0;
    int64_t n1;
    const float *p0;
    int64_t *p1;
} k0_args;

static void k0_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const float *restrict const p0 = a->p0;
    int64_t *restrict const p1 = a->p1;
    (void)a, (void)worker;
    for (int64_t i0 = begin; i0 < end; i0++) {
        const int64_t t0 = a->n1 * i0;
        int64_t acc0 = 0;
        float best0 = (-WEFT_INF_f32);
        for (int64_t b = 0; b < a->n1; b += WEFT_BLOCK) {
            const int64_t e = weft_min64(b + WEFT_BLOCK, a->n1);
            float lane0[16], end0[16], all0[16];
            for (int l = 0; l < 16; l++) all0[l] = (-WEFT_INF_f32);
            for (int64_t p = b; p < e; p += WEFT_PART) {
                const int64_t f = weft_min64(p + WEFT_PART, e);
                for (int l = 0; l < 16; l++) lane0[l] = (-WEFT_INF_f32);
                int64_t j = p;
                for (; j + 16 <= f; j += 16) {
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i1 = j + l;
                        lane0[l] = weft_maximum_f32(lane0[l], p0[t0 + i1]);
                    }
                }
                if (j < f) {
                    const int rest = (int)(f - j);
                    WEFT_HIDDEN(j);
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i1 = j + l;
                        end0[l] = weft_maximum_f32(lane0[l], (l < rest ? ((l < rest) ? p0[t0 + i1] : 0.0f) : (-WEFT_INF_f32)));
                    }
                } else {
                    for (int l = 0; l < 16; l++) end0[l] = lane0[l];
                }
                for (int l = 0; l < 16; l++) all0[l] = weft_maximum_f32(all0[l], end0[l]);
            }
            float all0_8[8];
            for (int l = 0; l < 8; l++) all0_8[l] = weft_maximum_f32(all0[l], all0[l + 8]);
            float all0_4[4];
            for (int l = 0; l < 4; l++) all0_4[l] = weft_maximum_f32(all0_8[l], all0_8[l + 4]);
            float all0_2[2];
            for (int l = 0; l < 2; l++) all0_2[l] = weft_maximum_f32(all0_4[l], all0_4[l + 2]);
            const float block0 = weft_maximum_f32(all0_2[0], all0_2[1]);
            if (b == 0 || WEFT_BETTER(block0, best0)) {
                int32_t at0 = WEFT_BLOCK;
                for (int64_t i1 = b; i1 < e; i1++) {
                    const float v = p0[t0 + i1];
                    const int same = v == block0 || (v != v && block0 != block0);
                    const int32_t here = same ? i1 - b : WEFT_BLOCK;
                    at0 = here < at0 ? here : at0;
                }
                best0 = block0, acc0 = b + at0;
            }
        }
        p1[i0] = acc0;
    }
}

static void k0_short_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const float *restrict const p0 = a->p0;
    int64_t *restrict const p1 = a->p1;
    (void)a, (void)worker, (void)p0, (void)p1;
    const int64_t tiles = (a->n0 + WEFT_TILE - 1) / WEFT_TILE;
    for (int64_t o = begin; o < end; o++) {
        const int64_t first = o % tiles * WEFT_TILE;
        const int64_t width = weft_min64(WEFT_TILE, a->n0 - first);
        int64_t acc0[WEFT_TILE];
        {
            const int count = (int)a->n1;
            int used = 1;
            while (used < 16 && used < count) used *= 2;
            float lane0[1][WEFT_TILE];
            int32_t at0[1][WEFT_TILE];
            for (int c = 0; c < WEFT_TILE; c++) lane0[0][c] = (-WEFT_INF_f32), at0[0][c] = 0;
            for (int64_t i1 = 0; i1 < count; i1++) {
                float *const into0 = lane0[0];
                const int32_t row0 = (int32_t)i1;
                #pragma GCC ivdep
                #pragma GCC unroll 1
                for (int64_t c = 0; c < width; c++) {
                    const int64_t i0 = first + c;
                    const float v0 = p0[(a->n1 * i0) + i1];
                    at0[0][c] += -(int32_t)WEFT_BETTER(v0, into0[c]) & (row0 - at0[0][c]);
                    into0[c] = weft_maximum_f32(into0[c], v0);
                }
            }
            for (int c = 0; c < WEFT_TILE; c++) acc0[c] = at0[0][c];
        }
        #pragma GCC ivdep
        #pragma GCC unroll 1
        for (int64_t c = 0; c < width; c++) {
            const int64_t i0 = first + c;
            p1[i0] = acc0[c];
        }
    }
}

static void k0(weft_call *call, int64_t n0, int64_t n1, const float *p0, int64_t *p1) {
    k0_args args = {.n0 = n0, .n1 = n1, .p0 = p0, .p1 = p1};
    k0_args *const a = &args;
    if (a->n1 > 0 && a->n1 <= 48) {
        const int64_t rounds = ((a->n0 + WEFT_TILE - 1) / WEFT_TILE);
        const int64_t grain = 1 + 200000 / (WEFT_TILE * ((a->n1 * 47) + 16) + 1);
        call->parallel_for(rounds, grain, call->threads, k0_short_body, a);
        return;
    }
    const int64_t rounds = a->n0;
    const int64_t grain = 1 + 200000 / (((a->n1 * 19) + 516) + 1);
    call->parallel_for(rounds, grain, call->threads, k0_body, a);
}
