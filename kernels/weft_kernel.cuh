// weft_kernel.cuh: what generated CUDA kernels stand on: scalar functions, random numbers, checked indices, block folds.
//
// A fold joins one value of every thread of a block and gives the result to all of them, in an order fixed by the
// position of the threads: the same bits in every run. `part` is shared memory of WEFT_PART bytes; folds follow one
// another in it, so each waits for the readers of the one before. Every thread of the block must arrive, and a block is
// whole warps.
//
// Compiles by NVRTC and nvcc (--fmad=false), and as C++17 under emulation.h.
#ifndef WEFT_KERNEL_CUH
#define WEFT_KERNEL_CUH
#ifdef __CUDACC_RTC__  // which has no <stdint.h>
#define INT64_C(x) x##l
#define UINT64_C(x) x##ul
#define INT64_MIN (-9223372036854775807l - 1)
#endif
#include "weft_kernel.h"

#define WEFT_ROW 256     // threads on a row: element e of a row belongs to thread e mod 256
#define WEFT_COLUMNS 32  // columns a block works on at once, one a lane
#define WEFT_DEPTH 16    // threads on a column: element e of a column belongs to warp e mod 16
#define WEFT_PART_ROW (32 * 24)
#define WEFT_PART_COLUMN (WEFT_COLUMNS * WEFT_DEPTH * 24)

// A maximum with its place; `index` is -1 where nothing was seen yet.
template <class T>
struct weft_best {
  T value;
  int64_t index;
};
// The better of two: larger, or NaN; the earlier one where they are equal.
template <class T>
__device__ inline weft_best<T> weft_better(weft_best<T> a, weft_best<T> b) {
  if (b.index < 0) return a;
  if (a.index < 0) return b;
  if (WEFT_BETTER(b.value, a.value)) return b;
  if (WEFT_BETTER(a.value, b.value)) return a;
  return b.index < a.index ? b : a;
}

// Elements seen: how many, their mean, and their sum of squared deviations from it.
template <class T>
struct weft_devsq {
  T count, mean, sum;
};
// Those of both (Chan, Golub and LeVeque, 1979); the same bits in either order, for both sides of a butterfly compute it.
template <class T>
__device__ inline weft_devsq<T> weft_devsq_both(weft_devsq<T> a, weft_devsq<T> b) {
  if (b.count > a.count || (b.count == a.count && b.mean < a.mean)) {
    const weft_devsq<T> c = a;
    a = b, b = c;
  }
  if (b.count == 0) return a;
  const T count = a.count + b.count, share = b.count / count, gap = b.mean - a.mean;
  return weft_devsq<T>{count, a.mean + gap * share, a.sum + b.sum + gap * (gap * (a.count * share))};
}

template <class T>
__device__ inline T weft_shuffle(T v, int with) {
  return (T)__shfl_xor_sync(0xffffffffu, v, with);
}
__device__ inline weft_c64 weft_shuffle(weft_c64 v, int with) {
  return weft_complex_c64(weft_shuffle(v.re, with), weft_shuffle(v.im, with));
}
__device__ inline weft_c128 weft_shuffle(weft_c128 v, int with) {
  return weft_complex_c128(weft_shuffle(v.re, with), weft_shuffle(v.im, with));
}
template <class T>
__device__ inline weft_best<T> weft_shuffle(weft_best<T> v, int with) {
  return weft_best<T>{weft_shuffle(v.value, with), weft_shuffle(v.index, with)};
}
template <class T>
__device__ inline weft_devsq<T> weft_shuffle(weft_devsq<T> v, int with) {
  return weft_devsq<T>{weft_shuffle(v.count, with), weft_shuffle(v.mean, with), weft_shuffle(v.sum, with)};
}

// Over all threads: a butterfly within each warp, then warp after warp.
template <class T, class Fold>
__device__ inline T weft_fold_block(T v, unsigned char *part, Fold fold) {
  const int warps = (int)blockDim.x / 32, warp = (int)threadIdx.x / 32;
  T *const parts = (T *)part;
  for (int with = 16; with; with /= 2) v = fold(v, weft_shuffle(v, with));
  if (warps == 1) return v;
  __syncthreads();  // the fold before has been read
  if (threadIdx.x % 32 == 0) parts[warp] = v;
  __syncthreads();  // every warp has written
  v = parts[0];
  for (int w = 1; w < warps; w++) v = fold(v, parts[w]);
  return v;
}

// Over the threads of the same lane, warp after warp: each lane is a column.
template <class T, class Fold>
__device__ inline T weft_fold_column(T v, unsigned char *part, Fold fold) {
  const int warps = (int)blockDim.x / 32, warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
  T *const parts = (T *)part;
  if (warps == 1) return v;
  __syncthreads();  // the fold before has been read
  parts[32 * warp + lane] = v;
  __syncthreads();  // every warp has written
  v = parts[lane];
  for (int w = 1; w < warps; w++) v = fold(v, parts[32 * w + lane]);
  return v;
}

#endif
