"""kernels/emulation.h: an ordinary .cu file, run on the CPU in both thread orders."""

import subprocess
from pathlib import Path

import pytest

KERNELS = Path(__file__).resolve().parent.parent / "kernels"

KERNEL = r"""
#include "weft_scalar.h"
#include "weft_random.h"
extern "C" __global__ void affine(float *y, const float *x, float a, long n) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = weft_maximum_f32(a * x[i], 0.0f);
}
__device__ float block_sum(float v) {
  __shared__ float part[32];
  for (int d = 16; d; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  if (lane == 0) part[warp] = v;
  BARRIER();
  v = lane < blockDim.x / 32 ? part[lane] : 0.0f;
  for (int d = 16; d; d /= 2) v += __shfl_down_sync(0xffffffffu, v, d);
  return __shfl_sync(0xffffffffu, v, 0);
}
__global__ void __launch_bounds__(256) row_sums(float *out, const float *x, int n) {
  float v = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) v += x[blockIdx.x * n + i];
  v = block_sum(v);
  if (threadIdx.x == blockDim.x - 1) out[blockIdx.x] = v;
}
__global__ void reverse(int *x) {
  WEFT_DYNAMIC_SHARED(int, s);
  int t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  int n = blockDim.x * blockDim.y * blockDim.z;
  s[t] = x[t];
  if (t == 1000000) return;
  __syncthreads();
  x[t] = s[n - 1 - t];
}
__global__ void count(unsigned *hist, int *most, unsigned *flags, unsigned *once) {
  unsigned t = blockIdx.x * blockDim.x + threadIdx.x;
  if (threadIdx.x >= 40) return;   // threads that leave early hold nobody up
  atomicAdd(&hist[t % 7], 1u);
  atomicMax(most, (int)t);
  atomicOr(flags, 1u << (t % 5));
  atomicCAS(once, 0u, t + 1);
  __syncthreads();
  unsigned b = __ballot_sync(0xffffffffu, threadIdx.x & 1);
  if (threadIdx.x == 0) hist[7] = b;
}
__global__ void draws(double *out) { out[threadIdx.x] = weft_normal_f64(7, 1, threadIdx.x); }
__global__ void stuck(int *x) { if (threadIdx.x == 0) __syncthreads(); else __syncwarp(); x[0] = 1; }
__global__ void outside(int *out) {
  __shared__ int s[32];
  s[threadIdx.x + STEP] = (int)threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = s[31 - threadIdx.x];
}
"""

MAIN = r"""
#define CHECK(c) do { if (!(c)) { fprintf(stderr, "line %d, order %d: %s\n", __LINE__, order, #c); return 1; } } while (0)
int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "stuck")) { int x; weft_emu_launch(1, 32, stuck, &x); return 0; }
  if (argc > 1) { int x[32]; weft_emu_launch(1, 32, outside, x); return x[0] != 31; }
  for (int order = 0; order < 2; order++) {
    weft_emu_descending = order;
    std::vector<float> x(10000), y(10000), sums(10);
    for (int i = 0; i < 10000; i++) x[i] = (float)(i % 97 - 48);
    weft_emu_launch(dim3(40), dim3(256), affine, y.data(), x.data(), 2.0f, 10000L);
    for (int i = 0; i < 10000; i++) CHECK(y[i] == (x[i] > 0 ? 2 * x[i] : 0));
    weft_emu_launch(10, 256, row_sums, sums.data(), x.data(), 1000);
    for (int i = 0; i < 10; i++) {
      float want = 0;
      for (int j = 0; j < 1000; j++) want += x[1000 * i + j];
      CHECK(sums[i] == want);
    }
    std::vector<int> r(120);
    for (int i = 0; i < 120; i++) r[i] = i;
    weft_emu_shared_bytes = 120 * sizeof(int);
    weft_emu_launch(1, dim3(4, 5, 6), reverse, r.data());
    for (int i = 0; i < 120; i++) CHECK(r[i] == 119 - i);
    unsigned hist[8] = {0}, flags = 0, once = 0; int most = -5;
    weft_emu_launch(3, 64, count, hist, &most, &flags, &once);
    unsigned total = 0; for (int i = 0; i < 7; i++) total += hist[i];
    CHECK(total == 120 && most == 128 + 39 && flags == 31 && once == (order ? 40u : 1u) && hist[7] == 0xaaaaaaaau);
    double out[64]; weft_emu_launch(1, 64, draws, out);
    for (int i = 0; i < 64; i++) CHECK(out[i] == weft_normal_f64(7, 1, i));
  }
  puts("ok");
  return 0;
}
"""


def run(folder, *argv, barrier="__syncthreads", step=0, flags=()):
    (folder / "k.cu").write_text(KERNEL + MAIN)
    subprocess.run(["g++", "-std=c++17", "-O1", "-ffp-contract=off", "-x", "c++", "-Wall", "-Wno-sign-compare", "-Wno-unused-function",
                    "-DWEFT_CUDA", f"-DBARRIER={barrier}", f"-DSTEP={step}", *flags, "-include", KERNELS / "emulation.h",
                    "-I", KERNELS, folder / "k.cu", "-o", folder / "k"], check=True)
    return subprocess.run([folder / "k", *argv], capture_output=True, text=True)


@pytest.mark.parametrize("flags", [[], ["-O3", "-march=native"], ["-fsanitize=address,undefined"]], ids=["O1", "O3", "asan"])
def test_kernels_in_both_orders(tmp_path, flags):
    done = run(tmp_path, flags=flags)
    assert done.returncode == 0 and done.stdout == "ok\n", done.stderr


def test_a_missing_barrier_shows(tmp_path):
    done = run(tmp_path, barrier="__syncwarp")
    assert done.returncode == 1 and "sums[i]" in done.stderr


def test_a_wait_for_ever_is_reported(tmp_path):
    done = run(tmp_path, "stuck")
    assert done.returncode != 0 and "waits for ever" in done.stderr and "1 in __syncthreads" in done.stderr


def test_shared_memory_out_of_bounds_is_caught(tmp_path):
    inside = run(tmp_path, "outside", flags=["-fsanitize=address"])
    assert inside.returncode == 0, inside.stderr
    done = run(tmp_path, "outside", step=1, flags=["-fsanitize=address"])
    assert done.returncode != 0 and "AddressSanitizer" in done.stderr
