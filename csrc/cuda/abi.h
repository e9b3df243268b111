// What the extension and the CUDA module say to each other: plain data and C functions, so that either can be built, replaced
// or absent without the other. The module (csrc/cuda/*.cu) links nothing of the extension, and knows no tensor and no table.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cuda/event_net.h"
#include "ops/refusals.h"

namespace tg::cuda {

// Raised by every change of this file or of the numbers of rows.
inline constexpr int32_t kAbi = 4;
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
  enum Kind : int32_t { none, integer, real };
  Kind kind = none;
  int64_t i = 0;
  double f = 0;
  double value() const { return kind == real ? f : static_cast<double>(i); }
};

struct Call {
  int32_t op = 0;     // OpId
  int32_t index = 0;  // of the device
  int32_t inputs = 0, outputs = 0, attributes = 0;
  const Operand* in = nullptr;  // contiguous outputs, but for those that overwrite an input
  const Operand* out = nullptr;
  const Attribute* attribute = nullptr;  // in the order of the row; lists and texts are absent
  int32_t listed = 0;                    // entries of the attribute that is a list
  const int64_t* list = nullptr;
  uint32_t axes = 0;                // a reduction's, one bit each
  int32_t activation = -1;          // of dense: the pointwise op that follows, -1 for none
  double p = 0, q = 0;              // parameters of a pointwise op, or of the activation
  int32_t states = 0, scalars = 0;  // of an optimizer's step: ops/update.h
  enum Reduction : int32_t { unreduced, mean, sum };
  int32_t reduction = unreduced;  // of a loss
  int64_t batch = 0;              // ops/op.h
  // The call is captured: what it starts is not done now but with each launch of a graph. So it may neither wait for the device
  // nor copy to or from the host; what depends on values of the host is read through these.
  bool captured = false;
  const Attribute* live = nullptr;  // on the device: the attributes, which a launch may find changed; null: they stay
  // On the device: where a row that may refuse leaves the first bad place, kNothing so far. It writes within its memory all the same.
  uint64_t* note = nullptr;
  // Memory of the device that lives until the call is done, in each launch; null where there is none.
  void* (*scratch)(void* context, size_t bytes) = nullptr;
  void* context = nullptr;
};

inline constexpr uint64_t kNothing = ~uint64_t{0};  // noted

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

// Functions that can fail return false and say why. Each may be called from any thread; calls for one device are done in order,
// and all but the copies to and from the host return before they are done.
struct Module {
  int32_t abi, rows;  // kAbi and kAllOps of the tree that it was built from
  const char* version;
  int32_t (*devices)(Failure*);  // how many; negative where none can be asked for
  bool (*properties)(int32_t index, Properties*, Failure*);
  void* (*take)(int32_t index, size_t bytes);  // null: there is no room
  void (*give)(int32_t index, void* block);
  bool (*to_device)(int32_t index, void* to, const void* from, size_t bytes, Failure*);
  bool (*to_host)(int32_t index, void* to, const void* from, size_t bytes, Failure*);
  bool (*synchronize)(int32_t index, Failure*);
  bool (*has)(int32_t op);  // is there a kernel?
  bool (*run)(const Call*, Failure*);
  // Calls that are a net (ops/op.h, Together::net and, 1, Together::training) in one go. Can they be, wherever their operands will be?
  bool (*fits)(int32_t training, const Call*, int32_t calls);
  bool (*run_net)(int32_t training, const Call*, int32_t calls, Failure*);
  // Bytes of the host, few, which are read before it returns.
  bool (*put)(int32_t index, void* to, const void* from, size_t bytes, Failure*);
  // What this thread's calls start on the device from now on is kept, in their order, until the end of the capture: a graph, which
  // may be launched any number of times and is dropped at last. Null: it could not be made.
  bool (*begin_capture)(int32_t index, Failure*);
  void* (*end_capture)(int32_t index, Failure*);
  bool (*launch)(int32_t index, void* graph, Failure*);
  void (*drop)(int32_t index, void* graph);
  Predictors predictors;
};

// The one symbol of the module.
inline constexpr char kEntry[] = "trigrad_cuda_module";
using Entry = const Module* (*)();

}  // namespace tg::cuda
