// CUDA's words for kernels of threads (csrc/cuda/launch.h), on the host: each thread of a block has a stack of its own and goes on
// until it has to wait for others. Blocks run one after the other, threads in turn, in an order that in_some_order (csrc/cuda/host.h)
// draws; but to the thread sanitizer they are threads side by side, which know of each other what barriers tell them and nothing
// else. So of two accesses without a barrier between it reports what a GPU might mix up, although here they come one by one. Its
// clocks are few: threads share `kIdentities` of them, dealt out anew for each launch, and blocks `kGroups`, so a pair of
// threads that share one is seen in another launch.
//
// A barrier that a part of a block reaches, or that threads reach at different places, and an exchange with a thread that is not there,
// end the program with a word. Memory of a block holds NaN at first; beyond its end is nothing. What is copied ahead is there when it
// was waited for, and until then NaN.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <functional>

namespace tg::cuda::emulated {

struct Place {
  unsigned x;
};
Place thread_index();
Place block_index();
Place grid_size();

void run(int64_t blocks, int threads, size_t bytes, const std::function<void()>& kernel);
void* shared_memory(size_t bytes);                            // of this thread's block; 0: as many as the launch says
bool barrier(bool, const char* file, int line);               // of all that was brought: is it true?
uint32_t exchanged(unsigned mask, uint32_t word, int apart);  // no barrier for memory
void let_others_go();                                         // who waits for something else asks in a loop
void copy_ahead(void* shared, const void* from, size_t bytes);
void close_step();
void wait_for_step(int ahead);

}  // namespace tg::cuda::emulated

#define TRIGRAD_EMULATED_THREADS
#define __global__
#define __device__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
#define threadIdx tg::cuda::emulated::thread_index()
#define blockIdx tg::cuda::emulated::block_index()
#define gridDim tg::cuda::emulated::grid_size()
#define TG_SHARED(Type, name) Type& name = *static_cast<Type*>(tg::cuda::emulated::shared_memory(sizeof(Type)))
#define TG_SHARED_BYTES(name) \
  unsigned char* const name = static_cast<unsigned char*>(tg::cuda::emulated::shared_memory(0))

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  tg::cuda::emulated::barrier(true, file, line);
}
inline bool __syncthreads_and(bool b, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return tg::cuda::emulated::barrier(b, file, line);
}
inline uint32_t __shfl_xor_sync(unsigned mask, uint32_t word, int apart) {
  return tg::cuda::emulated::exchanged(mask, word, apart);
}
