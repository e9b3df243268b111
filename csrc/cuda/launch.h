// How kernels are written and run. A kernel is a body: a struct that holds its operands, with functions of the place in the
// grid and of nothing else. nvcc compiles it for the device; any other compiler makes loops over threads of it, which run the
// same functions on the host: so tests see what the device will compute, bit for bit.
//
//   each(stream, n, body)          body(i) for i < n, in any order, side by side
//   teams(stream, count, body)     `count` blocks of Body::threads threads that share memory:
//       struct Shared, struct Own  what a block shares, what a thread keeps
//       begin(block, thread, own)
//       for step < steps():        load(block, step, thread, shared); work(block, step, thread, shared, own), with a barrier behind each
//       end(block, thread, own)
//   crews(stream, blocks, bytes, body)   as many blocks as the device holds at a time (crews_at_once), or fewer, each with `bytes`
//                                  of shared memory, up to most_shared(), and with a list of things to do:
//       for round < rounds(block): for step < steps(): work(block, round, step, thread, shared), with a barrier behind each
#pragma once
#include <stdint.h>

#include "math/lane.h"

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#define TG_BODY __host__ __device__ __forceinline__
#define TG_UNROLLED _Pragma("unroll")  // before a loop over an array that is to stay in registers
#define TG_UNROLLED_BY_8 _Pragma("unroll 8")
#define TG_ROLLED _Pragma("unroll 1")  // before one whose body is long
#else
#include <functional>
#include <memory>
#include <vector>
#define TG_BODY inline
#define TG_UNROLLED
#define TG_UNROLLED_BY_8
#define TG_ROLLED
#endif

namespace tg::cuda {

inline constexpr int kThreads = 256;  // of a block of each()

struct alignas(16) Quad {
  float at[4];
};

#if defined(__CUDACC__)

using Stream = cudaStream_t;

template <class Body>
__global__ void __launch_bounds__(kThreads) run_each(int64_t n, const Body body) {
  const int64_t step = int64_t(gridDim.x) * kThreads;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += step) body(i);
}
template <class Body>
__global__ void __launch_bounds__(Body::threads) run_teams(const Body body) {
  __shared__ typename Body::Shared shared;
  typename Body::Own own;
  const int64_t block = blockIdx.x;
  const int thread = int(threadIdx.x);
  body.begin(block, thread, own);
  for (int64_t step = 0; step < body.steps(); step++) {
    body.load(block, step, thread, shared);
    __syncthreads();
    body.work(block, step, thread, shared, own);
    __syncthreads();
  }
  body.end(block, thread, own);
}

template <class Body>
__global__ void __launch_bounds__(Body::threads) run_crews(const __grid_constant__ Body body) {
  extern __shared__ Quad shared_by_crew[];
  for (int64_t round = 0; round < body.rounds(blockIdx.x); round++)
    for (int step = 0; step < body.steps(); step++) {
      body.work(blockIdx.x, round, step, int(threadIdx.x), &shared_by_crew[0].at[0]);
      __syncthreads();
    }
}

// More blocks than a grid of one dimension holds go round again.
template <class Body>
void each(Stream stream, int64_t n, const Body& body) {
  if (n == 0) return;
  const int64_t blocks = (n + kThreads - 1) / kThreads, most = int64_t(1) << 30;
  run_each<<<unsigned(blocks < most ? blocks : most), kThreads, 0, stream>>>(n, body);
}
template <class Body>
void teams(Stream stream, int64_t count, const Body& body) {
  if (count > 0) run_teams<<<unsigned(count), Body::threads, 0, stream>>>(body);
}

// Of the current device.
inline int device_attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&value, which, device);
  return value;
}
inline size_t most_shared() { return size_t(device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin)); }
// The limit is one for all threads of the host and for graphs to come, so nobody sets it to what a net alone takes.
template <class Body>
void raise_shared() {
  cudaFuncSetAttribute(run_crews<Body>, cudaFuncAttributeMaxDynamicSharedMemorySize, int(most_shared()));
}
template <class Body>
int crews_at_once(size_t bytes) {
  int blocks = 0;
  raise_shared<Body>();
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, run_crews<Body>, Body::threads, bytes);
  return (blocks > 0 ? blocks : 1) * device_attribute(cudaDevAttrMultiProcessorCount);
}
template <class Body>
void crews(Stream stream, int blocks, size_t bytes, const Body& body) {
  raise_shared<Body>();
  if (blocks > 0) run_crews<<<unsigned(blocks), Body::threads, bytes, stream>>>(body);
}

#else

// Works at once, or keeps the work to be done later, any number of times.
struct Stream {
  std::vector<std::function<void()>>* kept = nullptr;
  template <class Work>
  void start(const Work& work) const {
    if (kept) kept->emplace_back(work);
    else work();
  }
};

// From the last to the first: nothing may lean on an order.
template <class Body>
void each(Stream stream, int64_t n, const Body& body) {
  stream.start([n, body] {
    for (int64_t i = n - 1; i >= 0; i--) body(i);
  });
}
template <class Body>
void teams(Stream stream, int64_t count, const Body& body) {
  stream.start([count, body] {
    const auto shared = std::make_unique<typename Body::Shared>();
    std::vector<typename Body::Own> own(Body::threads);
    for (int64_t block = count - 1; block >= 0; block--) {
      for (int t = Body::threads - 1; t >= 0; t--) body.begin(block, t, own[size_t(t)]);
      for (int64_t step = 0; step < body.steps(); step++) {
        for (int t = Body::threads - 1; t >= 0; t--) body.load(block, step, t, *shared);
        for (int t = Body::threads - 1; t >= 0; t--) body.work(block, step, t, *shared, own[size_t(t)]);
      }
      for (int t = Body::threads - 1; t >= 0; t--) body.end(block, t, own[size_t(t)]);
    }
  });
}

inline size_t most_shared() { return 227 * 1024; }
template <class Body>
int crews_at_once(size_t) {
  return 7;
}
// The memory that a crew shares holds NaN at first.
template <class Body>
void crews(Stream stream, int blocks, size_t bytes, const Body& body) {
  stream.start([blocks, bytes, body] {
    std::vector<Quad> shared;
    for (int block = blocks - 1; block >= 0; block--) {
      shared.assign(bytes / sizeof(Quad),
                    {{__builtin_nanf(""), __builtin_nanf(""), __builtin_nanf(""), __builtin_nanf("")}});
      for (int64_t round = 0; round < body.rounds(block); round++)
        for (int step = 0; step < body.steps(); step++)
          for (int t = Body::threads - 1; t >= 0; t--) body.work(block, round, step, t, shared[0].at);
    }
  });
}

#endif

}  // namespace tg::cuda
