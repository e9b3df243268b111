// The device under predictors: memory that host and GPU share, graphs, the kernel that stays.
#include "cuda/predict_device.h"

#include <cstring>
#include <vector>

#include "cuda/check.h"

namespace tg::cuda::device {
namespace {

__device__ inline uint64_t nanoseconds() {
  uint64_t t;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t));
  return t;
}

__global__ void __launch_bounds__(kEventThreads) run_event(const EventBody body) {
  TG_SHARED_BYTES(chip);
  answer_events(body, int(threadIdx.x), reinterpret_cast<char*>(chip), [] { return nanoseconds(); });
}

}  // namespace

Room room(int index) {
  int chip = 0, multiprocessors = 0, watched = 0;
  check(cudaDeviceGetAttribute(&chip, cudaDevAttrMaxSharedMemoryPerBlockOptin, index), "the device's properties");
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, index), "the device's properties");
  check(cudaDeviceGetAttribute(&watched, cudaDevAttrKernelExecTimeout, index), "the device's properties");
  return {size_t(chip), (multiprocessors + 1) / 2, watched != 0};
}

struct Seat::Parts {
  cudaStream_t stream = nullptr;
  cudaGraphExec_t graph = nullptr;
  std::vector<void*> blocks, shared;
};

Seat::Seat(int index) : index_(index), parts_(new Parts) {
  const Use on(index);
  try {
    // Beside other streams, not after the default one, and before others where a multiprocessor is free.
    int least = 0, greatest = 0;
    check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "the device's streams");
    check(cudaStreamCreateWithPriority(&parts_->stream, cudaStreamNonBlocking, greatest), "making a stream");
    check(cudaFuncSetAttribute(run_event, cudaFuncAttributeMaxDynamicSharedMemorySize, int(room(index).chip)),
          "asking for the chip's memory");
  } catch (...) {
    if (parts_->stream) cudaStreamDestroy(parts_->stream);
    delete parts_;
    throw;
  }
}
Seat::~Seat() {
  try {
    const Use on(index_);
    if (parts_->graph) cudaGraphExecDestroy(parts_->graph);
    cudaStreamDestroy(parts_->stream);
    cudaGetLastError();
  } catch (const Refusal&) {}  // the context is lost, and the stream with it
  delete parts_;
}

void* Seat::take(const void* bytes, size_t count) {
  const Use on(index_);
  void* block = nullptr;
  check(cudaMalloc(&block, count), "memory for the net");
  parts_->blocks.push_back(block);
  check(cudaMemcpyAsync(block, bytes, count, cudaMemcpyHostToDevice, parts_->stream), "copying the net");
  check(cudaStreamSynchronize(parts_->stream), "copying the net");
  return block;
}
void* Seat::share(size_t count, void** on_device) {
  const Use on(index_);
  void* block = nullptr;
  check(cudaHostAlloc(&block, count, cudaHostAllocMapped | cudaHostAllocPortable), "memory that host and device share");
  parts_->shared.push_back(block);
  std::memset(block, 0, count);
  check(cudaHostGetDevicePointer(on_device, block, 0), "memory that host and device share");
  return block;
}
void Seat::free() {
  try {
    const Use on(index_);
    for (void* b : parts_->blocks) cudaFree(b);
    for (void* b : parts_->shared) cudaFreeHost(b);
    cudaGetLastError();
  } catch (const Refusal&) {}
  parts_->blocks.clear();
  parts_->shared.clear();
}

void Seat::run(const EventBody& body, Stream stream) const {
  run_event<<<1, kEventThreads, EventBody::bytes(body.net), stream>>>(body);
}
void Seat::capture(const std::function<void(Stream)>& work) {
  const Use on(index_);
  // Relaxed: kernels that are launched for the first time are loaded meanwhile.
  check(cudaStreamBeginCapture(parts_->stream, cudaStreamCaptureModeRelaxed), "capturing a graph");
  work(parts_->stream);
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(parts_->stream, &graph), "capturing a graph");
  const cudaError_t made = cudaGraphInstantiate(&parts_->graph, graph, 0);
  cudaGraphDestroy(graph);
  check(made, "making a graph");
  check(cudaGraphUpload(parts_->graph, parts_->stream), "making a graph");
}
void Seat::launch() {
  const Use on(index_);
  check(cudaGraphLaunch(parts_->graph, parts_->stream), "launching the graph");
}
void Seat::start(const EventBody& body) {
  const Use on(index_);
  run(body, parts_->stream);
  check(cudaGetLastError(), "starting the kernel");
}
bool Seat::idle() {
  const Use on(index_);
  const cudaError_t e = cudaStreamQuery(parts_->stream);
  if (e == cudaErrorNotReady) return false;
  check(e, "the device");
  return true;
}

}  // namespace tg::cuda::device
