typedef struct {
    int64_t n0;
    float *p0;
} k0_args;

static void k0_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    float *restrict const p0 = a->p0;
    (void)a, (void)worker;
    (void)begin, (void)end;
    p0[0] = (-1.0f) / weft_cast_i64_f32(a->n0);
}

static void k0(weft_call *call, int64_t n0, float *p0) {
    k0_args args = {.n0 = n0, .p0 = p0};
    k0_args *const a = &args;
    (void)call, k0_body(a, 0, 1, 0);
}

typedef struct {
    int64_t n0;
    int64_t n1;
    int64_t n2;
    const float *p0;
    const int64_t *p1;
    const float *p2;
    float *p3;
    float *p4;
    float *p5;
    float *s1;
    weft_fault *fault;
} k1_args;

static void k1_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k1_args *a = arg;
    const float *restrict const p0 = a->p0;
    const int64_t *restrict const p1 = a->p1;
    const float *restrict const p2 = a->p2;
    float *restrict const p3 = a->p3;
    float *restrict const p4 = a->p4;
    float *restrict const p5 = a->p5;
    float *restrict const s1 = a->s1 + worker * (a->n1 + 32);
    weft_fault *const fault = a->fault;
    (void)a, (void)worker;
    const float t0 = p2[0];
    for (int64_t i0 = begin; i0 < end; i0++) {
        const int64_t nexti0 = i0 + (i0 + 1 < end && a->n1 <= 8192);
        const int64_t t1 = a->n1 * i0;
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
                        lane0[l] = weft_maximum_f32(lane0[l], p0[t1 + i1]);
                    }
                }
                if (j < f) {
                    const int rest = (int)(f - j);
                    WEFT_HIDDEN(j);
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i1 = j + l;
                        end0[l] = weft_maximum_f32(lane0[l], (l < rest ? ((l < rest) ? p0[t1 + i1] : 0.0f) : (-WEFT_INF_f32)));
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
        const int64_t t2 = a->n1 * i0;
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
                    __builtin_prefetch(&p5[(a->n1 * i0) + j], 1);
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i1 = j + l;
                        const int64_t t3 = t2 + i1;
                        const float t4 = p0[t3] - acc0;
                        const float t5 = weft_exp_nonpositive_f32(t4);
                        s1[i1] = t5;
                        p3[t3] = t4;
                        lane1[l] = lane1[l] + t5;
                    }
                }
                if (j < f) {
                    const int rest = (int)(f - j);
                    WEFT_HIDDEN(j);
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i1 = j + l;
                        const int64_t t6 = t2 + i1;
                        const float t7 = ((l < rest) ? p0[t6] : 0.0f) - acc0;
                        const float t8 = weft_exp_nonpositive_f32(t7);
                        if (l < rest) s1[i1] = t8;
                        if (l < rest) p3[t6] = t7;
                        end1[l] = lane1[l] + (l < rest ? t8 : 0.0f);
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
        p4[i0] = acc1;
        const int64_t t9 = a->n1 * i0;
        const float t10 = weft_reciprocal_f32(acc1);
        const uint8_t t11 = i0 < weft_minimum_i64(a->n0, a->n2);
        const int64_t t12 = t11 ? weft_checked(t11 ? p1[i0] : 0, a->n1, fault) : 0;
        #pragma GCC ivdep
        #pragma GCC unroll 1
        for (int64_t i1 = 0; i1 < a->n1; i1++) {
            const float t13 = t11 ? p2[0] : 0.0f;
            const float t14 = ((i1 == (t11 ? t12 : -1)) ? t0 : 0.0f) - ((s1[i1] * t10) * (t11 ? t13 : 0.0f));
            p5[t9 + i1] = t14;
        }
    }
}

static void k1(weft_call *call, int64_t n0, int64_t n1, int64_t n2, const float *p0, const int64_t *p1, const float *p2, float *p3, float *p4, float *p5, float *s1, weft_fault *fault) {
    k1_args args = {.n0 = n0, .n1 = n1, .n2 = n2, .p0 = p0, .p1 = p1, .p2 = p2, .p3 = p3, .p4 = p4, .p5 = p5, .s1 = s1, .fault = fault};
    k1_args *const a = &args;
    const int64_t rounds = a->n0;
    const int64_t grain = 1 + 200000 / (((a->n1 * 77) + 1508) + 1);
    call->parallel_for(rounds, grain, call->threads, k1_body, a);
}

typedef struct {
    int64_t n0;
    int64_t n1;
    int64_t n2;
    const float *p0;
    const float *p1;
    const int64_t *p2;
    float *p3;
    float *s1;
    float acc0;
    weft_fault *fault;
} k2_args;

static void k2_stage0(void *arg, int64_t begin, int64_t end, int worker) {
    const k2_args *a = arg;
    const float *restrict const p0 = a->p0;
    const float *restrict const p1 = a->p1;
    const int64_t *restrict const p2 = a->p2;
    float *restrict const p3 = a->p3;
    float *restrict const s1 = a->s1;
    weft_fault *const fault = a->fault;
    (void)a, (void)worker, (void)p0, (void)p1, (void)p2, (void)p3, (void)s1;
    for (int64_t o = begin; o < end; o++) {
        const int64_t b = o * WEFT_BLOCK;
        const int64_t e = weft_min64(b + WEFT_BLOCK, a->n2);
        float lane0[16], end0[16], all0[16];
        int32_t hard4 = 0;
        int64_t hard8 = 0;
        {
            for (int l = 0; l < 16; l++) all0[l] = 0.0f;
            for (int64_t p = b; p < e; p += WEFT_PART) {
                const int64_t f = weft_min64(p + WEFT_PART, e);
                for (int l = 0; l < 16; l++) lane0[l] = 0.0f;
                int64_t j = p;
                for (; j + 16 <= f; j += 16) {
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i0 = j + l;
                        hard8 |= weft_outside(i0, a->n0);
                        const int64_t t0 = weft_wrapped(i0, a->n0);
                        hard8 |= weft_outside(p2[i0], a->n1);
                        const int64_t t1 = weft_wrapped(p2[i0], a->n1);
                        hard4 |= weft_log_is_hard_f32(p1[t0]);
                        lane0[l] = lane0[l] + (p0[(a->n1 * t0) + t1] - weft_log_fast_f32(p1[t0]));
                    }
                }
                if (j < f) {
                    const int rest = (int)(f - j);
                    WEFT_HIDDEN(j);
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i0 = j + l;
                        hard8 |= ((l < rest) ? weft_outside(i0, a->n0) : 0);
                        const int64_t t2 = (l < rest) ? weft_wrapped(i0, a->n0) : 0;
                        hard8 |= ((l < rest) ? weft_outside((l < rest) ? p2[i0] : 0, a->n1) : 0);
                        const int64_t t3 = (l < rest) ? weft_wrapped((l < rest) ? p2[i0] : 0, a->n1) : 0;
                        hard4 |= ((l < rest) ? weft_log_is_hard_f32((l < rest) ? p1[t2] : 0.0f) : 0);
                        const float t4 = ((l < rest) ? p0[(a->n1 * t2) + t3] : 0.0f) - weft_log_fast_f32((l < rest) ? p1[t2] : 0.0f);
                        end0[l] = lane0[l] + (l < rest ? t4 : 0.0f);
                    }
                } else {
                    for (int l = 0; l < 16; l++) end0[l] = lane0[l];
                }
                for (int l = 0; l < 16; l++) all0[l] = all0[l] + end0[l];
            }
        }
        if (hard4 | hard8) {
            for (int l = 0; l < 16; l++) all0[l] = 0.0f;
            for (int64_t p = b; p < e; p += WEFT_PART) {
                const int64_t f = weft_min64(p + WEFT_PART, e);
                for (int l = 0; l < 16; l++) lane0[l] = 0.0f;
                int64_t j = p;
                for (; j + 16 <= f; j += 16) {
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i0 = j + l;
                        const int64_t t5 = weft_checked(i0, a->n0, fault);
                        const int64_t t6 = weft_checked(p2[i0], a->n1, fault);
                        lane0[l] = lane0[l] + (p0[(a->n1 * t5) + t6] - weft_log_f32(p1[t5]));
                    }
                }
                if (j < f) {
                    const int rest = (int)(f - j);
                    WEFT_HIDDEN(j);
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 16; l++) {
                        const int64_t i0 = j + l;
                        const int64_t t7 = (l < rest) ? weft_checked(i0, a->n0, fault) : 0;
                        const int64_t t8 = (l < rest) ? weft_checked((l < rest) ? p2[i0] : 0, a->n1, fault) : 0;
                        const float t9 = ((l < rest) ? p0[(a->n1 * t7) + t8] : 0.0f) - weft_log_f32(((l < rest) ? p1[t7] : 0.0f));
                        end0[l] = lane0[l] + (l < rest ? t9 : 0.0f);
                    }
                } else {
                    for (int l = 0; l < 16; l++) end0[l] = lane0[l];
                }
                for (int l = 0; l < 16; l++) all0[l] = all0[l] + end0[l];
            }
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
        s1[o] = block0;
    }
}

static void k2(weft_call *call, int64_t n0, int64_t n1, int64_t n2, const float *p0, const float *p1, const int64_t *p2, float *p3, float *s1, weft_fault *fault) {
    k2_args args = {.n0 = n0, .n1 = n1, .n2 = n2, .p0 = p0, .p1 = p1, .p2 = p2, .p3 = p3, .s1 = s1, .fault = fault};
    k2_args *const a = &args;
    call->parallel_for(((a->n2 + WEFT_BLOCK - 1) / WEFT_BLOCK), 2, call->threads, k2_stage0, &args);
    a->acc0 = a->n2 > 0 ? a->s1[0] : 0.0f;
    float low0 = 0.0f;
    for (int64_t o = 1; o < ((a->n2 + WEFT_BLOCK - 1) / WEFT_BLOCK); o++) weft_join_f32(&a->acc0, &low0, a->s1[o]);
    a->acc0 = weft_joined_f32(a->acc0, low0);
    p3[0] = -(a->acc0 / weft_cast_i64_f32(a->n2));
}
