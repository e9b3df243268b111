// How kernels are written and run. A kernel is a body: a struct that holds its operands, with functions of the place in the
// grid and of nothing else. nvcc compiles it for the device; any other compiler makes loops over threads of it, which run the
// same functions on the host: so tests see what the device will compute, bit for bit. Behind tests/cpp/emulated_threads.h
// it compiles what nvcc does, for threads that the host makes: so the thread sanitizer sees their races.
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
#define TG_THREADS  // kernels are made of threads
#define TG_BODY __host__ __device__ __forceinline__
#define TG_UNROLLED _Pragma("unroll")  // before a loop over an array that is to stay in registers
#define TG_PRAGMA(words) _Pragma(#words)
#define TG_UNROLLED_BY(n) TG_PRAGMA(unroll n)  // n: a constant, of a template too
#define TG_ROLLED _Pragma("unroll 1")          // before one whose body is long
#define TG_SHARED(Type, name) __shared__ Type name
#define TG_SHARED_BYTES(name) extern __shared__ __align__(16) unsigned char name[]  // as many as the launch says
#else
#include <memory>

#include "cuda/host.h"
#define TG_BODY inline
#define TG_UNROLLED
#define TG_UNROLLED_BY(n)
#define TG_ROLLED
#if defined(TRIGRAD_EMULATED_THREADS)
#define TG_THREADS
#endif
#endif

namespace tg::cuda {

inline constexpr int kThreads = 256;  // of a block of each()

struct alignas(16) Quad {
  float at[4];
};

#if defined(TG_THREADS)

#if defined(__CUDACC__)
using Stream = cudaStream_t;

inline constexpr int64_t kMostBlocks = int64_t(1) << 30;  // of a grid of one dimension
template <class... A, class... B>
void launch(void (*kernel)(A...), int64_t blocks, int threads, size_t bytes, Stream stream, const B&... arguments) {
  if (blocks > 0) kernel<<<unsigned(blocks), threads, bytes, stream>>>(arguments...);
}
inline int current_device() {
  int device = 0;
  cudaGetDevice(&device);
  return device;
}
inline int device_attribute(cudaDeviceAttr which) {
  int value = 0;
  cudaDeviceGetAttribute(&value, which, current_device());
  return value;
}
inline size_t most_shared() { return size_t(device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin)); }
// The limit is one for all threads of the host and for graphs to come, so nobody sets it to what a net alone takes.
template <class... A>
void raise_shared(void (*kernel)(A...)) {
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(most_shared()));
}
template <class... A>
int blocks_at_once(void (*kernel)(A...), int threads, size_t bytes) {
  int blocks = 0;
  raise_shared(kernel);
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, bytes);
  return (blocks > 0 ? blocks : 1) * device_attribute(cudaDevAttrMultiProcessorCount);
}
#else
inline constexpr int64_t kMostBlocks = 7;
template <class... A, class... B>
void launch(void (*kernel)(A...), int64_t blocks, int threads, size_t bytes, Stream stream, const B&... arguments) {
  stream.start([=] { emulated::run(blocks, threads, bytes, [&] { kernel(arguments...); }); });
}
inline int current_device() { return 0; }
template <class... A>
void raise_shared(void (*)(A...)) {}
template <class... A>
int blocks_at_once(void (*)(A...), int, size_t) {
  return kCrewsAtOnce;
}
#endif

template <class Body>
__global__ void __launch_bounds__(kThreads) run_each(int64_t n, const Body body) {
  const int64_t step = int64_t(gridDim.x) * kThreads;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += step) body(i);
}
template <class Body>
__global__ void __launch_bounds__(Body::threads) run_teams(const Body body) {
  TG_SHARED(typename Body::Shared, shared);
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
  TG_SHARED_BYTES(shared_by_crew);
  for (int64_t round = 0; round < body.rounds(blockIdx.x); round++)
    for (int step = 0; step < body.steps(); step++) {
      body.work(blockIdx.x, round, step, int(threadIdx.x), reinterpret_cast<float*>(shared_by_crew));
      __syncthreads();
    }
}

// More blocks than a grid holds go round again.
template <class Body>
void each(Stream stream, int64_t n, const Body& body) {
  const int64_t blocks = (n + kThreads - 1) / kThreads;
  launch(run_each<Body>, blocks < kMostBlocks ? blocks : kMostBlocks, kThreads, 0, stream, n, body);
}
template <class Body>
void teams(Stream stream, int64_t count, const Body& body) {
  launch(run_teams<Body>, count, Body::threads, 0, stream, body);
}
template <class Body>
int crews_at_once(size_t bytes) {
  return blocks_at_once(run_crews<Body>, Body::threads, bytes);
}
template <class Body>
void crews(Stream stream, int blocks, size_t bytes, const Body& body) {
  raise_shared(run_crews<Body>);
  launch(run_crews<Body>, blocks, Body::threads, bytes, stream, body);
}

#else

template <class Body>
void each(Stream stream, int64_t n, const Body& body) {
  stream.start([n, body] { in_some_order(n, body); });
}
template <class Body>
void teams(Stream stream, int64_t count, const Body& body) {
  stream.start([count, body] {
    constexpr int threads = Body::threads;
    const auto shared = std::make_unique<typename Body::Shared>();
    std::vector<typename Body::Own> own(threads);
    in_some_order(count, [&](int64_t block) {
      in_some_order<threads>([&](int t) { body.begin(block, t, own[size_t(t)]); });
      for (int64_t step = 0; step < body.steps(); step++) {
        in_some_order<threads>([&](int t) { body.load(block, step, t, *shared); });
        in_some_order<threads>([&](int t) { body.work(block, step, t, *shared, own[size_t(t)]); });
      }
      in_some_order<threads>([&](int t) { body.end(block, t, own[size_t(t)]); });
    });
  });
}

template <class Body>
int crews_at_once(size_t) {
  return kCrewsAtOnce;
}
// The memory that a crew shares holds NaN at first.
template <class Body>
void crews(Stream stream, int blocks, size_t bytes, const Body& body) {
  stream.start([blocks, bytes, body] {
    std::vector<Quad> shared;
    in_some_order(blocks, [&](int64_t block) {
      shared.assign(bytes / sizeof(Quad),
                    {{__builtin_nanf(""), __builtin_nanf(""), __builtin_nanf(""), __builtin_nanf("")}});
      for (int64_t round = 0; round < body.rounds(block); round++)
        for (int step = 0; step < body.steps(); step++)
          in_some_order<Body::threads>([&](int t) { body.work(block, round, step, t, shared[0].at); });
    });
  });
}

#endif

}  // namespace tg::cuda
