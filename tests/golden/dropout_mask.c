typedef struct {
    int64_t n0;
    int64_t n1;
    const uint64_t *p0;
    const float *p1;
    float *p2;
} k0_args;

static void k0_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const uint64_t *restrict const p0 = a->p0;
    const float *restrict const p1 = a->p1;
    float *restrict const p2 = a->p2;
    (void)a, (void)worker;
    const uint64_t t0 = p0[0];
    const uint64_t t1 = p0[1];
    const int64_t far = (a->n0 * a->n1) > 131072 ? (a->n0 * a->n1) : 0;
    for (int64_t u = begin; u < end; u += 128) {
        for (int64_t q = u + 256; q < weft_min64(u + 384, far); q += 16) {
            __builtin_prefetch(&p1[q]);
            __builtin_prefetch(&p2[q], 1);
        }
        const int64_t y = weft_min64(u + 128, end);
        #pragma GCC ivdep
        for (int64_t i2 = u; i2 < y; i2++) {
            const float t2 = p1[i2];
            p2[i2] = (weft_uniform_f32(t0, t1, i2) < 0.5f) ? (t2 * 2.0f) : 0.0f;
        }
    }
}

static void k0(weft_call *call, int64_t n0, int64_t n1, const uint64_t *p0, const float *p1, float *p2) {
    k0_args args = {.n0 = n0, .n1 = n1, .p0 = p0, .p1 = p1, .p2 = p2};
    k0_args *const a = &args;
    const int64_t rounds = (a->n0 * a->n1);
    const int64_t grain = 1 + 200000 / (170 + 1);
    call->parallel_for(rounds, grain, call->threads, k0_body, a);
}

typedef struct {
    const uint64_t *p0;
    uint64_t *p1;
} k1_args;

static void k1_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k1_args *a = arg;
    const uint64_t *const p0 = a->p0;
    uint64_t *const p1 = a->p1;
    (void)a, (void)worker;
    #pragma GCC ivdep
    for (int64_t i0 = begin; i0 < end; i0++) {
        const uint64_t t0 = p0[i0];
        p1[i0] = t0 + ((i0 == 1) ? UINT64_C(1) : UINT64_C(0));
    }
}

static void k1(weft_call *call, const uint64_t *p0, uint64_t *p1) {
    k1_args args = {.p0 = p0, .p1 = p1};
    k1_args *const a = &args;
    const int64_t rounds = 2;
    const int64_t grain = 1 + 200000 / (30 + 1);
    call->parallel_for(rounds, grain, call->threads, k1_body, a);
}
