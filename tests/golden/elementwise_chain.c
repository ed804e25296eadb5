typedef struct {
    int64_t n0;
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
    const int64_t far = a->n0 > 131072 ? a->n0 : 0;
    for (int64_t u = begin; u < end; u += 128) {
        for (int64_t q = u + 256; q < weft_min64(u + 384, far); q += 16) {
            __builtin_prefetch(&p0[q]);
            __builtin_prefetch(&p1[q]);
            __builtin_prefetch(&p2[q], 1);
        }
        const int64_t y = weft_min64(u + 128, end);
        #pragma GCC ivdep
        for (int64_t i0 = u; i0 < y; i0++) {
            const float t0 = p0[i0];
            p2[i0] = weft_tanh_f32(((t0 * 2.0f) + p1[i0])) - (t0 * t0);
        }
    }
}

static void k0(weft_call *call, int64_t n0, const float *p0, const float *p1, float *p2) {
    k0_args args = {.n0 = n0, .p0 = p0, .p1 = p1, .p2 = p2};
    k0_args *const a = &args;
    const int64_t rounds = a->n0;
    const int64_t grain = 1 + 200000 / (42 + 1);
    call->parallel_for(rounds, grain, call->threads, k0_body, a);
}
