typedef struct {
    int64_t n0;
    int64_t n1;
    const float *p0;
    float *p1;
    float *s1;
} k0_args;

static void k0_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const float *restrict const p0 = a->p0;
    float *restrict const p1 = a->p1;
    float *restrict const s1 = a->s1 + worker * (a->n1 + 32);
    (void)a, (void)worker;
    for (int64_t i0 = begin; i0 < end; i0++) {
        const int64_t nexti0 = i0 + (i0 + 1 < end && a->n1 <= 8192);
        const int64_t t0 = a->n1 * i0;
        float acc0 = (-WEFT_INF_f32);
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
            acc0 = b == 0 ? block0 : weft_maximum_f32(acc0, block0);
        }
        const int64_t t1 = a->n1 * i0;
        float acc1 = 0.0f;
        float low1 = 0.0f;
        for (int64_t b = 0; b < a->n1; b += WEFT_BLOCK) {
            const int64_t e = weft_min64(b + WEFT_BLOCK, a->n1);
            float lane1[16], end1[16], all1[16];
            for (int l = 0; l < 16; l++) all1[l] = 0.0f;
            for (int64_t p = b; p < e; p += WEFT_PART) {
                const int64_t f = weft_min64(p + WEFT_PART, e);
                for (int l = 0; l < 16; l++) lane1[l] = 0.0f;
                int64_t j = p;
                for (; j + 16 <= f; j += 16) {
                    __builtin_prefetch(&p0[(a->n1 * nexti0) + j]);
                    __builtin_prefetch(&p1[(a->n1 * i0) + j], 1);
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i1 = j + l;
                        const float t2 = weft_exp_nonpositive_f32((p0[t1 + i1] - acc0));
                        s1[i1] = t2;
                        lane1[l] = lane1[l] + t2;
                    }
                }
                if (j < f) {
                    const int rest = (int)(f - j);
                    WEFT_HIDDEN(j);
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i1 = j + l;
                        const float t3 = weft_exp_nonpositive_f32((((l < rest) ? p0[t1 + i1] : 0.0f) - acc0));
                        if (l < rest) s1[i1] = t3;
                        end1[l] = lane1[l] + (l < rest ? t3 : 0.0f);
                    }
                } else {
                    for (int l = 0; l < 16; l++) end1[l] = lane1[l];
                }
                for (int l = 0; l < 16; l++) all1[l] = all1[l] + end1[l];
            }
            float block1 = all1[0];
            if (e - b > 32) {
                float all1_8[8];
                for (int l = 0; l < 8; l++) all1_8[l] = all1[l] + all1[l + 8];
                float all1_4[4];
                for (int l = 0; l < 4; l++) all1_4[l] = all1_8[l] + all1_8[l + 4];
                float all1_2[2];
                for (int l = 0; l < 2; l++) all1_2[l] = all1_4[l] + all1_4[l + 2];
                block1 = all1_2[0] + all1_2[1];
            } else {
                for (int l = 1; l < 16 && l < (int)(e - b); l++) block1 = block1 + all1[l];
            }
            if (b == 0) acc1 = block1; else weft_join_f32(&acc1, &low1, block1);
        }
        acc1 = weft_joined_f32(acc1, low1);
        const int64_t t4 = a->n1 * i0;
        const float t5 = weft_reciprocal_f32(acc1);
        #pragma GCC ivdep
        #pragma GCC unroll 1
        for (int64_t i1 = 0; i1 < a->n1; i1++) {
            p1[t4 + i1] = s1[i1] * t5;
        }
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
        _Alignas(64) float s1[24 * WEFT_TILE];
        float lane0[16][WEFT_TILE];
        {
            const int count = (int)a->n1;
            int used = 1;
            while (used < 16 && used < count) used *= 2;
            float start0[WEFT_TILE];
            for (int c = 0; c < WEFT_TILE; c++) start0[c] = (-WEFT_INF_f32);
            for (int l = count; l < (used < 16 ? used : 16); l++) for (int c = 0; c < WEFT_TILE; c++) lane0[l][c] = (-WEFT_INF_f32);
            for (int64_t i1 = 0; i1 < count; i1++) {
                float *const into0 = lane0[i1 % 16];
                const float *const from0 = i1 < 16 ? start0 : into0;
                #pragma GCC ivdep
                #pragma GCC unroll 1
                for (int64_t c = 0; c < width; c++) {
                    const int64_t i0 = first + c;
                    into0[c] = weft_maximum_f32(from0[c], p0[(a->n1 * i0) + i1]);
                }
            }
            {
                int h = (used < 16 ? used : 16);
                for (; h >= 4; h /= 4) for (int l = 0; l < h / 4; l++) for (int c = 0; c < WEFT_TILE; c++) lane0[l][c] = weft_maximum_f32((weft_maximum_f32(lane0[l][c], lane0[l + h / 2][c])), (weft_maximum_f32(lane0[l + h / 4][c], lane0[l + 3 * h / 4][c])));
                if (h == 2) for (int c = 0; c < WEFT_TILE; c++) lane0[0][c] = weft_maximum_f32(lane0[0][c], lane0[1][c]);
            }
        }
        float lane1[16][WEFT_TILE];
        {
            const int count = (int)a->n1;
            int used = 1;
            while (used < 16 && used < count) used *= 2;
            float start1[WEFT_TILE];
            for (int c = 0; c < WEFT_TILE; c++) start1[c] = 0.0f;
            for (int l = count; l < (used < 16 ? used : 16); l++) for (int c = 0; c < WEFT_TILE; c++) lane1[l][c] = 0.0f;
            for (int64_t i1 = 0; i1 < count; i1++) {
                float *const into1 = lane1[i1 % 16];
                const float *const from1 = i1 < 16 ? start1 : into1;
                #pragma GCC ivdep
                #pragma GCC unroll 1
                for (int64_t c = 0; c < width; c++) {
                    const int64_t i0 = first + c;
                    const float t0 = weft_exp_nonpositive_f32((p0[(a->n1 * i0) + i1] - lane0[0][c]));
                    s1[(i1 * 128) + c] = t0;
                    into1[c] = from1[c] + t0;
                }
            }
            if (count <= 32) {
                for (int l = 1; l < 16 && l < (int)(count); l++) for (int c = 0; c < WEFT_TILE; c++) lane1[0][c] = lane1[0][c] + lane1[l][c];
            } else {
                int h = (used < 16 ? used : 16);
                for (; h >= 4; h /= 4) for (int l = 0; l < h / 4; l++) for (int c = 0; c < WEFT_TILE; c++) lane1[l][c] = (lane1[l][c] + lane1[l + h / 2][c]) + (lane1[l + h / 4][c] + lane1[l + 3 * h / 4][c]);
                if (h == 2) for (int c = 0; c < WEFT_TILE; c++) lane1[0][c] = lane1[0][c] + lane1[1][c];
            }
        }
        float t1[WEFT_TILE];
        #pragma GCC ivdep
        #pragma GCC unroll 1
        for (int64_t c = 0; c < width; c++) {
            const int64_t i0 = first + c;
            t1[c] = weft_reciprocal_f32(lane1[0][c]);
        }
        for (int64_t i1 = 0; i1 < a->n1; i1++) {
            #pragma GCC ivdep
            #pragma GCC unroll 1
            for (int64_t c = 0; c < width; c++) {
                const int64_t i0 = first + c;
                p1[(a->n1 * i0) + i1] = s1[(i1 * 128) + c] * t1[c];
            }
        }
    }
}

static void k0(weft_call *call, int64_t n0, int64_t n1, const float *p0, float *p1, float *s1) {
    k0_args args = {.n0 = n0, .n1 = n1, .p0 = p0, .p1 = p1, .s1 = s1};
    k0_args *const a = &args;
    if (a->n1 > 0 && a->n1 <= 24) {
        const int64_t rounds = ((a->n0 + WEFT_TILE - 1) / WEFT_TILE);
        const int64_t grain = 1 + 200000 / (WEFT_TILE * (a->n1 * 149) + 1);
        call->parallel_for(rounds, grain, call->threads, k0_short_body, a);
        return;
    }
    const int64_t rounds = a->n0;
    const int64_t grain = 1 + 200000 / (((a->n1 * 65) + 1500) + 1);
    call->parallel_for(rounds, grain, call->threads, k0_body, a);
}
