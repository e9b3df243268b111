// The device of CUDA's runtime. Each thread's calls go to the legacy default stream of the device: they are done in order.
#include "cuda/device.h"

namespace tg::cuda::device {
namespace {

void check(cudaError_t e, const char* what) {
  if (e == cudaSuccess) return;
  cudaGetLastError();  // the next call starts anew, unless the context itself is lost
  const ErrorKind kind = e == cudaErrorMemoryAllocation ? ErrorKind::Memory : ErrorKind::Runtime;
  throw Refusal{kind, std::string(what) + ": " + cudaGetErrorString(e) + " (" + cudaGetErrorName(e) + ")"};
}

// The stream of this thread's capture. It waits for no other, so that memory can be taken meanwhile.
thread_local cudaStream_t capturing = nullptr;

}  // namespace

int count() {
  int n = 0;
  const cudaError_t e = cudaGetDeviceCount(&n);
  cudaGetLastError();
  switch (e) {
    case cudaSuccess: return n;
    case cudaErrorNoDevice: return 0;
    case cudaErrorInsufficientDriver: {
      int driver = 0;
      cudaDriverGetVersion(&driver);
      if (driver == 0) throw Refusal{ErrorKind::Runtime, "no driver of an NVIDIA GPU is here; install one"};
      throw Refusal{ErrorKind::Runtime, "the driver is of CUDA " + std::to_string(driver / 1000) + "." +
                                            std::to_string(driver % 1000 / 10) + ", older than the module's " +
                                            std::to_string(CUDART_VERSION / 1000) + "; renew the driver"};
    }
    default: throw Refusal{ErrorKind::Runtime, std::string(cudaGetErrorString(e)) + " (" + cudaGetErrorName(e) + ")"};
  }
}

Properties properties(int index) {
  cudaDeviceProp p;
  check(cudaGetDeviceProperties(&p, index), "the device's properties");
  Properties found;
  for (size_t i = 0; i + 1 < sizeof found.name && p.name[i]; i++) found.name[i] = p.name[i];
  found.major = p.major;
  found.minor = p.minor;
  found.multiprocessors = p.multiProcessorCount;
  found.memory = p.totalGlobalMem;
  return found;
}

void* take(int index, size_t bytes) {
  void* block = nullptr;
  try {
    const Use on(index);
    if (cudaMalloc(&block, bytes) == cudaSuccess) return block;
  } catch (const Refusal&) {}
  cudaGetLastError();
  return nullptr;
}
void give(int index, void* block) {
  try {
    const Use on(index);
    cudaFree(block);
  } catch (const Refusal&) {}  // the process is ending, or the context is lost: the memory is gone with it
}

void to_device(int index, void* to, const void* from, size_t bytes) {
  const Use on(index);
  check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "copying to the device");
}
void to_host(int index, void* to, const void* from, size_t bytes) {
  const Use on(index);
  check(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "copying from the device");
}
void synchronize(int index) {
  const Use on(index);
  check(cudaDeviceSynchronize(), "waiting for the device");
}

void begin_capture(int index) {
  const Use on(index);
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  if (const cudaError_t e = cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed); e != cudaSuccess) {
    cudaStreamDestroy(stream);
    check(e, "beginning to capture");
  }
  capturing = stream;
}

void* end_capture(int index) {
  const cudaStream_t stream = capturing;
  capturing = nullptr;
  const Use on(index);
  cudaGraph_t kept = nullptr;
  cudaGraphExec_t graph = nullptr;
  cudaError_t e = cudaStreamEndCapture(stream, &kept);
  if (e == cudaSuccess) e = cudaGraphInstantiate(&graph, kept, 0);
  if (kept) cudaGraphDestroy(kept);
  cudaStreamDestroy(stream);
  check(e, "capturing");
  return graph;
}

void launch(int index, void* graph) {
  const Use on(index);
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), on.stream()), "launching a graph");
}

// One that is at work is gone when it is done.
void drop(int index, void* graph) {
  try {
    const Use on(index);
    cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
  } catch (const Refusal&) {}  // as above
}

Use::Use(int index) : index_(index) {
  check(cudaGetDevice(&before_), "the current device");
  if (before_ != index) check(cudaSetDevice(index), "choosing the device");
  if (capturing) stream_ = capturing;
}
Use::~Use() {
  if (before_ != index_) cudaSetDevice(before_);
}
void Use::started() const { check(cudaGetLastError(), "starting the kernel"); }

}  // namespace tg::cuda::device
