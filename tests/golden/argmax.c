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
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i1 = j + l;
                        lane0[l] = weft_maximum_f32(lane0[l], p0[t0 + i1]);
                    }
                }
                if (j < f) {
                    const int rest = (int)(f - j);
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

static void k0(weft_call *call, int64_t n0, int64_t n1, const float *p0, int64_t *p1) {
    k0_args args = {.n0 = n0, .n1 = n1, .p0 = p0, .p1 = p1};
    k0_args *const a = &args;
    const int64_t rounds = a->n0;
    const int64_t grain = 1 + 200000 / (((a->n1 * 19) + 516) + 1);
    call->parallel_for(rounds, grain, call->threads, k0_body, a);
}
