typedef struct {
    int64_t n0;
    int64_t n1;
    const float *p0;
    const float *p1;
    const float *p2;
    const float *p3;
    const float *p4;
    float *p5;
    float *p6;
    float *p7;
} k0_args;

static void k0_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const float *const p0 = a->p0;
    const float *const p1 = a->p1;
    const float *const p2 = a->p2;
    const float *const p3 = a->p3;
    const float *const p4 = a->p4;
    float *const p5 = a->p5;
    float *const p6 = a->p6;
    float *const p7 = a->p7;
    (void)a, (void)worker;
    const float t0 = p4[0];
    const int64_t far = (a->n0 * a->n1) > 131072 ? (a->n0 * a->n1) : 0;
    for (int64_t u = begin; u < end; u += 128) {
        for (int64_t q = u + 256; q < weft_min64(u + 384, far); q += 16) {
            __builtin_prefetch(&p0[q]);
            __builtin_prefetch(&p1[q]);
            __builtin_prefetch(&p5[q], 1);
            __builtin_prefetch(&p2[q]);
            __builtin_prefetch(&p6[q], 1);
            __builtin_prefetch(&p3[q]);
            __builtin_prefetch(&p7[q], 1);
        }
        const int64_t y = weft_min64(u + 128, end);
        #pragma GCC ivdep
        for (int64_t i2 = u; i2 < y; i2++) {
            const float t1 = p0[i2];
            const float t2 = p1[i2];
            const float t3 = (0.875f * t1) + (0.125f * t2);
            const float t4 = p2[i2];
            const float t5 = (0.96875f * t4) + (0.03125f * (t2 * t2));
            const float t6 = p3[i2];
            p5[i2] = t3;
            p6[i2] = t5;
            p7[i2] = t6 - ((t0 * t3) / (weft_sqrt_f32(t5) + 0.0009765625f));
        }
    }
}

static void k0(weft_call *call, int64_t n0, int64_t n1, const float *p0, const float *p1, const float *p2, const float *p3, const float *p4, float *p5, float *p6, float *p7) {
    k0_args args = {.n0 = n0, .n1 = n1, .p0 = p0, .p1 = p1, .p2 = p2, .p3 = p3, .p4 = p4, .p5 = p5, .p6 = p6, .p7 = p7};
    k0_args *const a = &args;
    const int64_t rounds = (a->n0 * a->n1);
    const int64_t grain = 1 + 200000 / (68 + 1);
    call->parallel_for(rounds, grain, call->threads, k0_body, a);
}
