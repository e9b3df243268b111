// Kernels that are wrong on purpose, and one that is right: what emulated_threads.h is there to see. CMakeLists.txt runs each by its
// name and looks for the words.
#include <cstdio>
#include <cstring>
#include <vector>

#include "cuda/lines.h"
#include "cuda/pipeline.h"

namespace tg::cuda {
namespace {

constexpr int kBlocks = 9;

struct Numbers {
  int at[kThreads];
};
__device__ int neighbour(int thread) { return (thread + 1) % kThreads; }

__global__ void right(int* out) {
  TG_SHARED(Numbers, shared);
  const int t = int(threadIdx.x);
  copy_ahead<4>(&shared.at[t], &out[int(blockIdx.x) * kThreads + t]);
  close_step();
  wait_for_step<0>();
  __syncthreads();
  const int sum = shared.at[t] + shared.at[neighbour(t)];
  __syncthreads();
  shared.at[t] = sum + exchanged(sum, 3, ~0u);
  __syncthreads();
  out[int(blockIdx.x) * kThreads + t] = shared.at[neighbour(t)];
}
__global__ void no_barrier_after_writing(int* out) {
  TG_SHARED(Numbers, shared);
  const int t = int(threadIdx.x);
  shared.at[t] = t;
  out[int(blockIdx.x) * kThreads + t] = shared.at[neighbour(t)];
}
__global__ void no_barrier_after_reading(int* out) {
  TG_SHARED(Numbers, shared);
  const int t = int(threadIdx.x);
  shared.at[t] = t;
  __syncthreads();
  const int other = shared.at[neighbour(t)];
  shared.at[t] = out[t] + other;
}
__global__ void an_exchange_is_no_barrier(int* out) {
  TG_SHARED(Numbers, shared);
  const int t = int(threadIdx.x);
  shared.at[t] = exchanged(t, 1, ~0u);
  out[int(blockIdx.x) * kThreads + t] = shared.at[t ^ 1];
}
__global__ void between_blocks(int* out) { out[threadIdx.x] = int(blockIdx.x); }
__global__ void not_waited_for(int* out) {
  TG_SHARED(Numbers, shared);
  const int t = int(threadIdx.x);
  copy_ahead<4>(&shared.at[t], &out[t]);
  close_step();
  __syncthreads();
  wait_for_step<0>();
  out[int(blockIdx.x) * kThreads + t] = shared.at[neighbour(t)];
}
__global__ void a_barrier_for_some(int*) {
  if (threadIdx.x < 100) __syncthreads();
}
__global__ void two_barriers(int*) {
  if (threadIdx.x < 100) __syncthreads();
  else __syncthreads();
}
__global__ void an_exchange_with_nobody(int* out) {
  if (threadIdx.x % 32 < 16) out[threadIdx.x] = exchanged(1, 1, ~0u);
}

struct Named {
  const char* name;
  void (*kernel)(int*);
};
#define TG_NAMED(name) {#name, name}
constexpr Named kernels[] = {TG_NAMED(right),
                             TG_NAMED(no_barrier_after_writing),
                             TG_NAMED(no_barrier_after_reading),
                             TG_NAMED(an_exchange_is_no_barrier),
                             TG_NAMED(between_blocks),
                             TG_NAMED(not_waited_for),
                             TG_NAMED(a_barrier_for_some),
                             TG_NAMED(two_barriers),
                             TG_NAMED(an_exchange_with_nobody)};

}  // namespace
}  // namespace tg::cuda

int main(int count, char** arguments) {
  using namespace tg::cuda;
  std::vector<int> out(kBlocks * kThreads, 1);
  for (const Named& k : kernels) {
    if (count != 2 || std::strcmp(k.name, arguments[1]) != 0) continue;
    launch(k.kernel, kBlocks, kThreads, 0, Stream{}, out.data());
    std::printf("%s has run: %d\n", k.name, out[0]);
    return k.kernel == right && out[0] != 4;  // each sum is 2, and its exchange doubles it
  }
  return 2;
}
