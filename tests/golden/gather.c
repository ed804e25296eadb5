typedef struct {
    int64_t n0;
    int64_t n1;
    int64_t n2;
    const float *p0;
    const int64_t *p1;
    float *p2;
    weft_fault *fault;
} k0_args;

static void k0_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const float *restrict const p0 = a->p0;
    const int64_t *restrict const p1 = a->p1;
    float *restrict const p2 = a->p2;
    weft_fault *const fault = a->fault;
    (void)a, (void)worker;
    #pragma GCC ivdep
    for (int64_t i0 = begin; i0 < end; i0++) {
        const int64_t t0 = a->n1 * i0;
        const int64_t t1 = p1[i0];
        const int64_t t2 = weft_checked(t1, a->n0, fault);
        #pragma GCC ivdep
        #pragma GCC unroll 1
        for (int64_t i1 = 0; i1 < a->n1; i1++) {
            p2[t0 + i1] = p0[(a->n1 * t2) + i1] * 2.0f;
        }
    }
}

static void k0(weft_call *call, int64_t n0, int64_t n1, int64_t n2, const float *p0, const int64_t *p1, float *p2, weft_fault *fault) {
    k0_args args = {.n0 = n0, .n1 = n1, .n2 = n2, .p0 = p0, .p1 = p1, .p2 = p2, .fault = fault};
    k0_args *const a = &args;
    const int64_t rounds = a->n2;
    const int64_t grain = 1 + 200000 / (((a->n1 * 18) + 500) + 1);
    call->parallel_for(rounds, grain, call->threads, k0_body, a);
}
