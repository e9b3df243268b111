// What the extension and the CUDA module say to each other: plain data and C functions, so that either can be built, replaced
// or absent without the other. The module (csrc/cuda/*.cu) links nothing of the extension, and knows no tensor and no table.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cuda/event_net.h"
#include "ops/refusals.h"

namespace tg::cuda {

// Raised by every change of this file or of the numbers of rows.
inline constexpr int32_t kAbi = 7;
inline constexpr int kAbiRank = 8, kAbiOperands = 8;

inline constexpr int32_t kRefused = -1;

// Why something was not done. Kinds are those of core/error.h, by number.
struct Failure {
  int32_t kind = 0;  // 0: it was done; else 1 + ErrorKind, or kRefused: `check` and `note` say why
  char text[1000] = {};
  Check check;
  Note note;
};

struct Operand {
  enum Kind : int32_t { absent, device, number, unseen };  // unseen: has a shape, but no memory
  Kind kind = absent;
  int32_t dtype = 0;     // core/dtype.h, by number
  void* data = nullptr;  // of the first element, on the device
  uint64_t bits = 0;     // of a number, a single element that the host has: its bytes
  int32_t rank = 0;
  int64_t shape[kAbiRank] = {}, strides[kAbiRank] = {};  // strides count elements
};

struct Attribute {
  enum Kind : int32_t { none, integer, real, word };
  Kind kind = none;
  int64_t i = 0;
  double f = 0;
  const char* text = nullptr;  // the host's
  double value() const { return kind == real ? f : static_cast<double>(i); }
};

struct Call {
  int32_t op = 0;     // OpId
  int32_t index = 0;  // of the device
  int32_t inputs = 0, outputs = 0, attributes = 0;
  const Operand* in = nullptr;  // contiguous outputs, but for those that overwrite an input
  const Operand* out = nullptr;
  const Attribute* attribute = nullptr;  // in the order of the row; lists are absent
  int32_t listed = 0;                    // entries of the attribute that is a list
  const int64_t* list = nullptr;
  uint32_t axes = 0;                // a reduction's, one bit each
  int32_t activation = -1;          // of dense: the pointwise op that follows, -1 for none
  double p = 0, q = 0;              // parameters of a pointwise op, or of the activation
  int32_t states = 0, scalars = 0;  // of an optimizer's step: ops/update.h
  enum Reduction : int32_t { unreduced, mean, sum };
  int32_t reduction = unreduced;  // of a loss
  int64_t batch = 0;              // ops/op.h
  int32_t precision = 0;          // what it may give up (ops/ids.h)
  // The call is captured: what it starts is not done now but with each launch of a graph. So it may neither wait for the device
  // nor copy to or from the host; what depends on values of the host is read through these.
  bool captured = false;
  const Attribute* live = nullptr;  // on the device: the attributes, which a launch may find changed; null: they stay
  // On the device: where a row that may refuse leaves the first bad place, kNothing so far. It writes within its memory all the same.
  uint64_t* note = nullptr;
  void* stream = nullptr;  // null: the device's default one
  // Memory of the device that lives until the call is done, in each launch; null where there is none.
  void* (*scratch)(void* context, size_t bytes) = nullptr;
  void* context = nullptr;
};

inline constexpr uint64_t kNothing = ~uint64_t{0};  // noted

struct Versions {
  int32_t driver = 0, runtime = 0;  // 1000 major + 10 minor; driver 0: none
  char architectures[200] = {};     // what the module's kernels were compiled for: "750,800,900"
};

struct Properties {
  char name[256] = {};
  int32_t major = 0, minor = 0, multiprocessors = 0;
  uint64_t memory = 0;
};

// Nets for one event at a time (predictors.h).
struct Predictors {
  void* (*open)(int32_t index, const EventNet*, PredictorMode, double idle_seconds, Failure*);  // null where it cannot
  int32_t (*run)(void* predictor, const float* x, float* y, double seconds, Failure*);  // 1, 0: not yet, -1: failed
  void (*give_up)(void* predictor);
  bool (*close)(void* predictor, Failure*);
};

inline constexpr int32_t kHost = -1;  // an index that is no device's

struct Copy {
  void* to = nullptr;
  const void* from = nullptr;
  size_t bytes = 0;
  int32_t to_index = kHost, from_index = kHost;  // at least one is a device
  void* stream = nullptr;                        // of the device that is copied from, or else to
  bool wait = true;                              // until it is done; else the host's memory is page-locked
};

// Functions that can fail return false and say why. Each may be called from any thread. A device works through streams: each does
// its calls in order, beside the others. All but the copies that wait return before the device has done what they ask.
struct Module {
  int32_t abi, rows;  // kAbi and kAllOps of the tree that it was built from
  const char* version;
  void (*versions)(Versions*);
  int32_t (*devices)(Failure*);  // how many; negative where none can be asked for
  bool (*properties)(int32_t index, Properties*, Failure*);
  bool (*memory)(int32_t index, uint64_t* free, uint64_t* total, Failure*);
  void* (*take)(int32_t index, size_t bytes, Failure*);  // null without a failure: there is no room
  void (*give)(int32_t index, void* block);
  void* (*pin)(size_t bytes);  // page-locked memory of the host, null: there is no room
  void (*unpin)(void* block);
  bool (*copy)(const Copy*, Failure*);
  bool (*device_of)(const void* address, int32_t* index, Failure*);  // kHost: it is no device's
  bool (*synchronize)(int32_t index, Failure*);                      // waits for all streams of the device
  // A stream lives as long as the process; a higher priority has a lower number.
  bool (*new_stream)(int32_t index, int32_t priority, void** made, Failure*);
  bool (*stream_done)(int32_t index, void* stream, bool wait, bool* done, Failure*);
  // An event is the end of what its stream was asked when it was recorded; one that never was is over.
  bool (*new_event)(int32_t index, bool timed, void** made, Failure*);
  void (*drop_event)(int32_t index, void* event);
  bool (*record)(int32_t index, void* event, void* stream, Failure*);
  bool (*follow)(int32_t index, void* stream, void* event, Failure*);  // what it is asked from now on comes after
  bool (*event_done)(int32_t index, void* event, bool wait, bool* done, Failure*);
  bool (*elapsed)(int32_t index, void* begin, void* end, float* milliseconds, Failure*);
  bool (*has)(int32_t op);  // is there a kernel?
  bool (*run)(const Call*, Failure*);
  // Calls that are a net (ops/op.h, Together::net and, 1, Together::training) in one go. Can they be, wherever their operands will be?
  bool (*fits)(int32_t training, const Call*, int32_t calls);
  bool (*run_net)(int32_t training, const Call*, int32_t calls, Failure*);
  // Two calls in one go: the gradients of a layer's weight and bias, or that of its input and the derivative it goes through.
  bool (*run_pair)(int32_t input, const Call*, Failure*);
  // Bytes of the host, few, which are read before it returns.
  bool (*put)(int32_t index, void* to, const void* from, size_t bytes, void* stream, Failure*);
  // What this thread's calls start on the device from now on is kept, in their order, until the end of the capture: a graph, which
  // may be launched any number of times and is dropped at last. Null: it could not be made.
  bool (*begin_capture)(int32_t index, Failure*);
  void* (*end_capture)(int32_t index, Failure*);
  bool (*launch)(int32_t index, void* graph, void* stream, Failure*);
  void (*drop)(int32_t index, void* graph);
  Predictors predictors;
};

// The one symbol of the module.
inline constexpr char kEntry[] = "trigrad_cuda_module";
using Entry = const Module* (*)();

}  // namespace tg::cuda
