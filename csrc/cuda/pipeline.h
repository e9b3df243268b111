// Blocks of threads whose loads run ahead of their work: while a block works on one stage of shared memory, the next ones are on
// their way. Bodies as those of teams() (launch.h):
//
//   pipelined(stream, count, extra, body)     `count` blocks of Body::threads threads with Body::stages stages of shared memory
//       struct Stage, struct Own                  a step's operands; what a thread keeps
//       int blocks                                of them are to find room on a multiprocessor at once
//       int64_t steps(block)
//       begin(block, thread, own, memory)         memory: the stages, and behind them `extra` bytes that the body may use
//       for step < steps(block):  load(block, step, thread, stage, own), ahead; work(block, step, thread, stage, own, memory)
//       for part < parts:  put(block, part, thread, own, memory); take(block, part, thread, memory), with a barrier behind each
#pragma once
#include <atomic>

#include "cuda/launch.h"

namespace tg::cuda {

// Bytes from the device's memory to a block's, which are there when the step is worked on.
template <int Bytes>
TG_BODY void copy_ahead(void* shared, const void* from) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  const unsigned to = unsigned(__cvta_generic_to_shared(shared));
  if constexpr (Bytes == 16) asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
  else asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(to), "l"(from), "n"(Bytes) : "memory");
#elif defined(TRIGRAD_EMULATED_THREADS)
  emulated::copy_ahead(shared, from, Bytes);
#else
  struct alignas(Bytes) Word {
    unsigned char bytes[Bytes];
  };
  *static_cast<Word*>(shared) = *static_cast<const Word*>(from);
#endif
}

#if defined(TG_THREADS)

// What this thread has asked for is one step's.
TG_BODY void close_step() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#elif defined(TRIGRAD_EMULATED_THREADS)
  emulated::close_step();
#endif
}
// Waits until all but the last `ahead` steps are there.
template <int Ahead>
TG_BODY void wait_for_step() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(Ahead) : "memory");
#elif defined(TRIGRAD_EMULATED_THREADS)
  emulated::wait_for_step(Ahead);
#endif
}

// A stage is filled again after the barrier behind which all have done with it: one barrier a step.
template <class Body>
__global__ void __launch_bounds__(Body::threads, Body::blocks) run_pipelined(const Body body) {
  TG_SHARED_BYTES(memory);
  auto* const stages = reinterpret_cast<typename Body::Stage*>(memory);
  typename Body::Own own;
  const int64_t block = blockIdx.x;
  const int thread = int(threadIdx.x);
  const int64_t steps = body.steps(block);
  body.begin(block, thread, own, memory);
  TG_UNROLLED
  for (int s = 0; s + 1 < Body::stages; s++) {
    if (s < steps) body.load(block, s, thread, stages[s], own);
    close_step();
  }
  int at = 0;
  for (int64_t step = 0; step < steps; step++) {
    wait_for_step<Body::stages - 2>();
    __syncthreads();
    const int64_t next = step + Body::stages - 1;
    if (next < steps) body.load(block, next, thread, stages[at == 0 ? Body::stages - 1 : at - 1], own);
    close_step();
    body.work(block, step, thread, stages[at], own, memory);
    at = at + 1 == Body::stages ? 0 : at + 1;
  }
  TG_UNROLLED
  for (int part = 0; part < Body::parts; part++) {
    __syncthreads();
    body.put(block, part, thread, own, memory);
    __syncthreads();
    body.take(block, part, thread, memory);
  }
}

template <class Body>
void pipelined(Stream stream, int64_t count, size_t extra, const Body& body) {
  const size_t bytes = Body::stages * sizeof(typename Body::Stage) + extra;
  static std::atomic<uint64_t> raised{0};  // the devices on which this kernel may take more than 48 KB
  if (count > 0 && bytes > 48 * 1024) {
    const uint64_t device = uint64_t(1) << current_device();
    if (!(raised.load() & device)) {
      raise_shared(run_pipelined<Body>);
      raised |= device;
    }
  }
  launch(run_pipelined<Body>, count, Body::threads, bytes, stream, body);
}

#else

template <class Body>
void pipelined(Stream stream, int64_t count, size_t extra, const Body& body) {
  using Stage = typename Body::Stage;
  constexpr int ahead = Body::stages - 1;
  struct alignas(16) Vector {
    unsigned char bytes[16];
  };
  stream.start([count, extra, body] {
    std::vector<Vector> all((Body::stages * sizeof(Stage) + extra + 15) / 16);
    unsigned char* const memory = all.data()->bytes;
    auto* const stages = reinterpret_cast<Stage*>(memory);
    std::vector<typename Body::Own> own(Body::threads);
    constexpr int threads = Body::threads;
    in_some_order(count, [&](int64_t block) {
      const int64_t steps = body.steps(block);
      auto load = [&](int64_t step) {
        if (step >= steps) return;
        in_some_order<threads>([&](int t) { body.load(block, step, t, stages[step % Body::stages], own[size_t(t)]); });
      };
      in_some_order<threads>([&](int t) { body.begin(block, t, own[size_t(t)], memory); });
      for (int64_t step = 0; step < ahead; step++) load(step);
      for (int64_t step = 0; step < steps; step++) {
        load(step + ahead);
        in_some_order<threads>(
            [&](int t) { body.work(block, step, t, stages[step % Body::stages], own[size_t(t)], memory); });
      }
      for (int part = 0; part < Body::parts; part++) {
        in_some_order<threads>([&](int t) { body.put(block, part, t, own[size_t(t)], memory); });
        in_some_order<threads>([&](int t) { body.take(block, part, t, memory); });
      }
    });
  });
}

#endif

}  // namespace tg::cuda
