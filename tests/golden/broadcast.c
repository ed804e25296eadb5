typedef struct {
    int64_t n0;
    int64_t n1;
    const float *p0;
    const float *p1;
    float *p2;
} k0_args;

static void k0_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const float *restrict const p0 = a->p0;
    const float *restrict const p1 = a->p1;
    float *restrict const p2 = a->p2;
    (void)a, (void)worker;
    #pragma GCC ivdep
    for (int64_t i0 = begin; i0 < end; i0++) {
        const int64_t t0 = a->n1 * i0;
        #pragma GCC ivdep
        #pragma GCC unroll 1
        for (int64_t i1 = 0; i1 < a->n1; i1++) {
            const int64_t t1 = t0 + i1;
            const float t2 = p1[i1];
            p2[t1] = (p0[t1] * t2) + t2;
        }
    }
}

static void k0(weft_call *call, int64_t n0, int64_t n1, const float *p0, const float *p1, float *p2) {
    k0_args args = {.n0 = n0, .n1 = n1, .p0 = p0, .p1 = p1, .p2 = p2};
    k0_args *const a = &args;
    const int64_t rounds = a->n0;
    const int64_t grain = 1 + 200000 / (((a->n1 * 22) + 500) + 1);
    call->parallel_for(rounds, grain, call->threads, k0_body, a);
}
