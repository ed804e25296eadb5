// emulation.h: runs an unchanged .cu file on a CPU. Compile it with g++ -x c++ -DWEFT_CUDA -include emulation.h (C++17).
//
// The threads of a block are fibers; blocks run one after another. A fiber runs until it waits: __syncthreads waits for
// every live thread of the block, warp operations for the live threads of their mask. Threads start in ascending
// order, or descending with weft_emu_descending = true: run a kernel both ways, and a missing barrier shows in one.
//
//   weft_emu_launch(grid, block, kernel, args...);
//
// Differences to know: __shared__ is one static array a kernel (not cleared between blocks, as on a GPU); dynamic shared
// memory is WEFT_DYNAMIC_SHARED(type, name), its size weft_emu_shared_bytes. Atomics are plain: one fiber runs at a time.
// A wait that nobody can end aborts with a message. No exception may leave a kernel.
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mutex>
#include <type_traits>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static  // not thread_local: AddressSanitizer guards globals only
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define WEFT_DYNAMIC_SHARED(type, name) type *name = (type *)weft_emu.shared.data()

struct uint3 { unsigned x, y, z; };
struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
inline thread_local uint3 threadIdx, blockIdx;
inline thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

inline std::mutex weft_emu_mutex;  // one launch at a time: a __shared__ array exists once
inline bool weft_emu_descending = false;
inline size_t weft_emu_shared_bytes = 0;

// ---- the stack switch: what the calling convention asks a callee to keep, nothing else ----

#if defined(__x86_64__)
typedef void *weft_emu_context;
__attribute__((naked, noinline, unused)) static void weft_emu_switch(void **, void *) {
  __asm__ volatile(
      "pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n\t"
      "movq %rsp, (%rdi); movq %rsi, %rsp\n\t"
      "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp; ret");
}
inline void weft_emu_swap(weft_emu_context &from, weft_emu_context &to) { weft_emu_switch(&from, to); }
inline void weft_emu_prepare(weft_emu_context &c, char *stack, size_t size, void (*entry)()) {
  void **top = (void **)(((uintptr_t)(stack + size) & ~(uintptr_t)15) - 16);
  top[0] = (void *)entry;  // ret goes there, with the stack as after a call
  top[1] = nullptr;
  for (int i = 1; i <= 6; i++) top[-i] = nullptr;
  c = top - 6;
}
#else
#include <ucontext.h>
typedef ucontext_t weft_emu_context;
inline void weft_emu_swap(weft_emu_context &from, weft_emu_context &to) { swapcontext(&from, &to); }
inline void weft_emu_prepare(weft_emu_context &c, char *stack, size_t size, void (*entry)()) {
  getcontext(&c);
  c.uc_stack.ss_sp = stack;
  c.uc_stack.ss_size = size;
  c.uc_link = nullptr;
  makecontext(&c, entry, 0);
}
#endif

// ---- fibers of a block ----

enum weft_emu_state { WEFT_READY, WEFT_AT_BLOCK, WEFT_AT_WARP, WEFT_DONE };
struct weft_emu_fiber {
  weft_emu_context context;
  weft_emu_state state;
  unsigned mask;       // of the warp operation it waits in
  uint64_t slot;       // what it offers to the other lanes
};
struct weft_emu_block {
  enum { STACK = 64 * 1024 };
  std::vector<weft_emu_fiber> fibers;
  std::vector<char *> stacks;
  std::vector<char> shared;
  weft_emu_context scheduler;
  int current = 0;
  void (*call)(void *) = nullptr;
  void *kernel = nullptr;
  ~weft_emu_block() { for (char *s : stacks) free(s); }
};
inline thread_local weft_emu_block weft_emu;

inline void weft_emu_wait(weft_emu_state state) {
  weft_emu_fiber &f = weft_emu.fibers[weft_emu.current];
  f.state = state;
  weft_emu_swap(f.context, weft_emu.scheduler);
}
inline void weft_emu_entry() {
  weft_emu.call(weft_emu.kernel);
  weft_emu_wait(WEFT_DONE);
}
inline void weft_emu_resume(int t) {
  weft_emu.current = t;
  threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
  weft_emu_swap(weft_emu.scheduler, weft_emu.fibers[t].context);
}

// Lets go the lanes of one warp whose whole mask has arrived; whether any was.
inline bool weft_emu_release_warp(int first, int last) {
  unsigned waiting = 0, live = 0;
  for (int t = first; t < last; t++) {
    waiting |= (unsigned)(weft_emu.fibers[t].state == WEFT_AT_WARP) << (t - first);
    live |= (unsigned)(weft_emu.fibers[t].state != WEFT_DONE) << (t - first);
  }
  bool any = false;
  for (int t = first; t < last; t++) {
    weft_emu_fiber &f = weft_emu.fibers[t];
    if (f.state == WEFT_AT_WARP && (f.mask & live & ~waiting) == 0) f.state = WEFT_READY, any = true;
  }
  return any;
}

inline void weft_emu_run_block() {
  int n = (int)(blockDim.x * blockDim.y * blockDim.z), warps = (n + 31) / 32;
  while ((int)weft_emu.stacks.size() < n) weft_emu.stacks.push_back((char *)malloc(weft_emu_block::STACK));
  weft_emu.fibers.resize(n);
  weft_emu.shared.resize(weft_emu_shared_bytes);
  for (int t = 0; t < n; t++) {
    weft_emu_prepare(weft_emu.fibers[t].context, weft_emu.stacks[t], weft_emu_block::STACK, weft_emu_entry);
    weft_emu.fibers[t].state = WEFT_READY;
  }
  for (;;) {
    bool progress = false;
    for (int w = 0; w < warps; w++) {
      int warp = weft_emu_descending ? warps - 1 - w : w, first = 32 * warp, last = first + 32 < n ? first + 32 : n;
      do {
        for (int i = first; i < last; i++) {
          int t = weft_emu_descending ? first + last - 1 - i : i;
          if (weft_emu.fibers[t].state == WEFT_READY) weft_emu_resume(t), progress = true;
        }
      } while (weft_emu_release_warp(first, last));
    }
    int done = 0, at_block = 0;
    for (weft_emu_fiber &f : weft_emu.fibers) done += f.state == WEFT_DONE, at_block += f.state == WEFT_AT_BLOCK;
    if (done == n) return;
    if (done + at_block == n) {
      for (weft_emu_fiber &f : weft_emu.fibers)
        if (f.state == WEFT_AT_BLOCK) f.state = WEFT_READY;
    } else if (!progress) {
      fprintf(stderr, "emulation: block %u,%u,%u waits for ever: %d threads done, %d in __syncthreads, %d in warp operations\n",
              blockIdx.x, blockIdx.y, blockIdx.z, done, at_block, n - done - at_block);
      abort();
    }
  }
}

template <class Kernel, class... Args>
void weft_emu_launch(dim3 grid, dim3 block, Kernel kernel, Args... args) {
  std::lock_guard<std::mutex> hold(weft_emu_mutex);
  auto body = [&] { kernel(args...); };
  weft_emu.call = [](void *p) { (*(decltype(body) *)p)(); };
  weft_emu.kernel = &body;
  gridDim = grid;
  blockDim = block;
  for (unsigned z = 0; z < grid.z; z++)
    for (unsigned y = 0; y < grid.y; y++)
      for (unsigned x = 0; x < grid.x; x++) {
        blockIdx = {x, y, z};
        weft_emu_run_block();
      }
}

// ---- waiting and warp operations ----

inline void __syncthreads() { weft_emu_wait(WEFT_AT_BLOCK); }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  weft_emu.fibers[weft_emu.current].mask = mask;
  weft_emu_wait(WEFT_AT_WARP);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
T weft_emu_exchange(unsigned mask, T value, int lane, bool valid) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value, "a shuffle moves at most 8 bytes");
  int base = weft_emu.current & ~31;
  memcpy(&weft_emu.fibers[weft_emu.current].slot, &value, sizeof value);
  __syncwarp(mask);
  T got = value;
  if (valid && base + lane < (int)weft_emu.fibers.size()) memcpy(&got, &weft_emu.fibers[base + lane].slot, sizeof got);
  __syncwarp(mask);  // nobody offers again before everybody has read
  return got;
}
template <class T> T __shfl_sync(unsigned mask, T v, int from, int width = 32) {
  int lane = weft_emu.current & 31;
  return weft_emu_exchange(mask, v, (lane & ~(width - 1)) + (from & (width - 1)), true);
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32) {
  int lane = weft_emu.current & 31, to = lane ^ bits;
  return weft_emu_exchange(mask, v, to, to < (lane & ~(width - 1)) + width);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32) {
  int lane = weft_emu.current & 31;
  return weft_emu_exchange(mask, v, lane + (int)by, (lane & (width - 1)) + (int)by < width);
}
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32) {
  int lane = weft_emu.current & 31;
  return weft_emu_exchange(mask, v, lane - (int)by, (lane & (width - 1)) - (int)by >= 0);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  int base = weft_emu.current & ~31;
  unsigned bits = 0;
  weft_emu.fibers[weft_emu.current].slot = predicate != 0;
  __syncwarp(mask);
  for (int l = 0; l < 32 && base + l < (int)weft_emu.fibers.size(); l++)
    if (mask >> l & 1 && weft_emu.fibers[base + l].state != WEFT_DONE) bits |= (unsigned)weft_emu.fibers[base + l].slot << l;
  __syncwarp(mask);
  return bits;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

// ---- atomics and what else device code calls ----

#define WEFT_EMU_ATOMIC(name, result)                               \
  template <class T> T name(T *p, std::common_type_t<T> v) {        \
    T old = *p;                                                     \
    *p = (result);                                                  \
    return old;                                                     \
  }
WEFT_EMU_ATOMIC(atomicAdd, old + v)
WEFT_EMU_ATOMIC(atomicSub, old - v)
WEFT_EMU_ATOMIC(atomicMax, v > old ? v : old)
WEFT_EMU_ATOMIC(atomicMin, v < old ? v : old)
WEFT_EMU_ATOMIC(atomicOr, old | v)
WEFT_EMU_ATOMIC(atomicAnd, old & v)
WEFT_EMU_ATOMIC(atomicXor, old ^ v)
WEFT_EMU_ATOMIC(atomicExch, v)
template <class T> T atomicCAS(T *p, std::common_type_t<T> expected, std::common_type_t<T> v) {
  T old = *p;
  if (old == expected) *p = v;
  return old;
}
template <class T> T __ldg(const T *p) { return *p; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
