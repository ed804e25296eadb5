/* Runs a program as C on the calls in a file and writes what it gives: numerics_main CALLS RESULTS.
 *
 * Numbers are int64. CALLS: how many calls, inputs, states, outputs, segments; each output's number of dimensions and
 * size of an element; each state; for each call each input. An array is its number of dimensions, its lengths, how many
 * bytes, the bytes. RESULTS: for each call each output's lengths and bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "weft_abi.h"
#include "weft_pool.h"

int32_t weft_main(weft_call *call);

static int64_t number(FILE *f) {
  int64_t n;
  if (fread(&n, 8, 1, f) != 1) exit(10);
  return n;
}

static void array(FILE *f, weft_array *a, int writable) {
  int64_t ndim = number(f);
  for (int64_t k = 0; k < ndim; k++) a->dims[k] = number(f);
  int64_t bytes = number(f);
  free(a->data);
  a->data = aligned_alloc(64, (size_t)(bytes + 64) & ~(size_t)63);
  a->capacity = writable ? bytes : 0;
  if (bytes && fread(a->data, 1, (size_t)bytes, f) != (size_t)bytes) exit(11);
}

int main(int argc, char **argv) {
  if (argc != 3) return 12;
  FILE *f = fopen(argv[1], "rb"), *g = fopen(argv[2], "wb");
  if (!f || !g) return 13;
  int64_t calls = number(f), inputs = number(f), states = number(f), outputs = number(f), segments = number(f);
  volatile int32_t stop = 0;
  weft_call call = {0};
  call.inputs = calloc((size_t)inputs + 1, sizeof(weft_array));
  call.outputs = calloc((size_t)outputs + 1, sizeof(weft_array));
  call.states = calloc((size_t)states + 1, sizeof(weft_state *));
  call.segments = calloc((size_t)segments + 1, sizeof(weft_segment));
  int64_t *ndims = calloc((size_t)outputs + 1, 8), *items = calloc((size_t)outputs + 1, 8);
  for (int64_t k = 0; k < outputs; k++) ndims[k] = number(f), items[k] = number(f);
  for (int64_t k = 0; k < states; k++) {
    call.states[k] = calloc(1, sizeof(weft_state));
    array(f, &call.states[k]->now, 1);
  }
  call.parallel_for = weft_parallel_for;
  call.stop = &stop;
  call.threads = weft_pool_threads();
  for (int64_t c = 0; c < calls; c++) {
    for (int64_t k = 0; k < inputs; k++) array(f, &call.inputs[k], 0);
    if (weft_main(&call) != WEFT_OK) return 16;
    for (int64_t k = 0; k < outputs; k++) {
      weft_array *a = &call.outputs[k];
      int64_t bytes = items[k];
      for (int64_t d = 0; d < ndims[k]; d++) {
        bytes *= a->dims[d];
        fwrite(&a->dims[d], 8, 1, g);
      }
      fwrite(a->data, 1, (size_t)bytes, g);
    }
  }
  fclose(f);
  return fclose(g) ? 18 : 0;
}
