// The device of CUDA's runtime. The default stream is the legacy one, which other libraries' default streams are too.
#include "cuda/device.h"

#include <dlfcn.h>

#include "cuda/check.h"

namespace tg::cuda::device {
namespace {

// An error of a kernel, after which CUDA answers each call of this process with the same error.
bool fatal(cudaError_t e) {
  switch (e) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable: return true;
    default: return false;
  }
}

// Is it that the module has no code for this GPU, or none that its driver can make code of?
bool without_code(cudaError_t e) {
  switch (e) {
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorInvalidPtx:
    case cudaErrorJitCompilerNotFound: return true;
    default: return false;
  }
}

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(void* event) { return static_cast<cudaEvent_t>(event); }

// Is what was asked done?
bool over(cudaError_t e, const char* what) {
  if (e == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  check(e, what);
  return true;
}

// The stream of this thread's capture. It waits for no other, so that memory can be taken meanwhile.
thread_local cudaStream_t capturing = nullptr;

// The driver's context of this thread, null: none yet. To choose a device by the runtime makes a context on it, hundreds of megabytes,
// so the one before is put back as it was.
struct Contexts {
  int (*get)(void**) = nullptr;
  int (*set)(void*) = nullptr;
  Contexts() {
    if (void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)) {
      get = reinterpret_cast<int (*)(void**)>(dlsym(driver, "cuCtxGetCurrent"));
      set = reinterpret_cast<int (*)(void*)>(dlsym(driver, "cuCtxSetCurrent"));
    }
  }
};
const Contexts& contexts() {
  static const Contexts found;
  return found;
}

#define TG_TEXT(...) #__VA_ARGS__
#define TG_EXPANDED(...) TG_TEXT(__VA_ARGS__)
constexpr char kArchitectures[] = TG_EXPANDED(__CUDA_ARCH_LIST__);

}  // namespace

void check(cudaError_t e, const char* what) {
  if (e == cudaSuccess) return;
  cudaGetLastError();  // the next call starts anew, unless the device is lost
  const ErrorKind kind = e == cudaErrorMemoryAllocation ? ErrorKind::DeviceMemory : ErrorKind::Runtime;
  std::string text = std::string(what) + ": " + cudaGetErrorString(e) + " (" + cudaGetErrorName(e) + ")";
  if (fatal(e)) text += "; the GPU is lost to this process, in which a kernel failed: start it anew";
  int index = 0, major = 0, minor = 0;
  if (without_code(e) && cudaGetDevice(&index) == cudaSuccess &&
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index) == cudaSuccess &&
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index) == cudaSuccess)
    text += without_code(kArchitectures, major, minor);
  throw Refusal{kind, text};
}

Versions versions() {
  Versions v;
  cudaDriverGetVersion(&v.driver);
  cudaGetLastError();
  v.runtime = CUDART_VERSION;
  for (size_t i = 0; i + 1 < sizeof v.architectures && kArchitectures[i]; i++) v.architectures[i] = kArchitectures[i];
  return v;
}

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

Traits traits(int index) {
  int major = 0, minor = 0, multiprocessors = 0, of_one = 0, of_block = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index);
  cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, index);
  cudaDeviceGetAttribute(&of_one, cudaDevAttrMaxSharedMemoryPerMultiprocessor, index);
  cudaDeviceGetAttribute(&of_block, cudaDevAttrMaxSharedMemoryPerBlockOptin, index);
  constexpr int kReserved = 1024;  // of each block, by the driver
  const int half = of_one / 2 - kReserved;
  return {10 * major + minor, multiprocessors, static_cast<size_t>(half < of_block ? half : of_block)};
}

void* take(int index, size_t bytes) {
  const Use on(index);
  void* block = nullptr;
  const cudaError_t e = cudaMalloc(&block, bytes);
  if (e != cudaErrorMemoryAllocation) check(e, "taking memory");
  cudaGetLastError();
  return block;
}
void give(int index, void* block) {
  try {
    const Use on(index);
    cudaFree(block);
    cudaGetLastError();        // the next kernel is not to blame
  } catch (const Refusal&) {}  // the process is ending, or the context is lost: the memory is gone with it
}

void memory(int index, uint64_t* free, uint64_t* total) {
  const Use on(index);
  size_t left = 0, all = 0;
  check(cudaMemGetInfo(&left, &all), "the device's memory");
  *free = left;
  *total = all;
}

void* pin(size_t bytes) {
  void* block = nullptr;
  if (cudaHostAlloc(&block, bytes, cudaHostAllocPortable) == cudaSuccess) return block;
  cudaGetLastError();
  return nullptr;
}
void unpin(void* block) {
  cudaFreeHost(block);
  cudaGetLastError();
}

void copy(const Copy& c) {
  const bool between = c.to_index != kHost && c.from_index != kHost && c.to_index != c.from_index;
  const Use on(c.from_index != kHost ? c.from_index : c.to_index, c.stream);
  if (between)
    check(cudaMemcpyPeerAsync(c.to, c.to_index, c.from, c.from_index, c.bytes, on.stream()), "copying between devices");
  else {
    const cudaMemcpyKind kind = c.from_index == kHost ? cudaMemcpyHostToDevice
                                : c.to_index == kHost ? cudaMemcpyDeviceToHost
                                                      : cudaMemcpyDeviceToDevice;
    check(cudaMemcpyAsync(c.to, c.from, c.bytes, kind, on.stream()), "copying");
  }
  if (c.wait) check(cudaStreamSynchronize(on.stream()), "copying");
}
int device_of(const void* address) {
  cudaPointerAttributes a{};
  check(cudaPointerGetAttributes(&a, address), "asking whose memory this is");
  return a.type == cudaMemoryTypeDevice || a.type == cudaMemoryTypeManaged ? a.device : kHost;
}
void synchronize(int index) {
  const Use on(index);
  check(cudaDeviceSynchronize(), "waiting for the device");
}

void* new_stream(int index, int priority) {
  const Use on(index);
  int least = 0, greatest = 0;  // the greatest has the lower number
  check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "the priorities of streams");
  cudaStream_t made = nullptr;
  check(cudaStreamCreateWithPriority(&made, cudaStreamNonBlocking,
                                     priority < greatest ? greatest
                                     : priority > least  ? least
                                                         : priority),
        "making a stream");
  return made;
}
bool stream_done(int index, void* stream, bool wait) {
  const Use on(index);
  return over(wait ? cudaStreamSynchronize(stream_of(stream)) : cudaStreamQuery(stream_of(stream)),
              "waiting for a stream");
}

void* new_event(int index, bool timed) {
  const Use on(index);
  cudaEvent_t made = nullptr;
  check(cudaEventCreateWithFlags(&made, timed ? cudaEventDefault : cudaEventDisableTiming), "making an event");
  return made;
}
void drop_event(int index, void* event) {
  try {
    const Use on(index);
    cudaEventDestroy(event_of(event));
  } catch (const Refusal&) {}  // as above
  cudaGetLastError();
}
void record(int index, void* event, void* stream) {
  const Use on(index);
  check(cudaEventRecord(event_of(event), stream_of(stream)), "recording an event");
}
void follow(int index, void* stream, void* event) {
  const Use on(index);
  check(cudaStreamWaitEvent(stream_of(stream), event_of(event), 0), "letting a stream wait");
}
bool event_done(int index, void* event, bool wait) {
  const Use on(index);
  return over(wait ? cudaEventSynchronize(event_of(event)) : cudaEventQuery(event_of(event)), "waiting for an event");
}
float elapsed(int index, void* begin, void* end) {
  const Use on(index);
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, event_of(begin), event_of(end)), "the time between two events");
  return milliseconds;
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

void launch(int index, void* graph, void* stream) {
  const Use on(index, stream);
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), on.stream()), "launching a graph");
}

// One that is at work is gone when it is done.
void drop(int index, void* graph) {
  try {
    const Use on(index);
    cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
  } catch (const Refusal&) {}  // as above
}

Use::Use(int index, void* stream) : stream_(stream_of(stream)), index_(index) {
  check(cudaGetDevice(&before_), "the current device");
  if (before_ != index) {
    if (const Contexts& driver = contexts(); driver.get && driver.set && driver.get(&context_) != 0) context_ = nullptr;
    check(cudaSetDevice(index), "choosing the device");
  }
  if (capturing) stream_ = capturing;
}
Use::~Use() {
  if (before_ == index_) return;
  if (const Contexts& driver = contexts(); driver.get && driver.set) driver.set(context_);
  else cudaSetDevice(before_);
}
void Use::started() const { check(cudaGetLastError(), "starting the kernel"); }

}  // namespace tg::cuda::device
