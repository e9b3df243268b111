// What an op is (a row of data), what a call of it carries, and what listens to calls.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "ops/ids.h"

namespace tg {

// ---- attributes: everything of a call that is not a tensor. Positional, in the order of the op's signature.
struct Attr {
  enum class Kind : uint8_t { None, Int, Float, Bool, Type, Text, List };
  Kind kind = Kind::None;
  union {
    int64_t i = 0;     // Int, Bool, Type (a Dtype)
    double f;          // Float
    const char* text;  // Text: a static string out of the parameter's choices
  };
  static Attr integer(int64_t v) {
    Attr a;
    a.kind = Kind::Int;
    a.i = v;
    return a;
  }
  static Attr real(double v) {
    Attr a;
    a.kind = Kind::Float;
    a.f = v;
    return a;
  }
  static Attr boolean(bool v) {
    Attr a;
    a.kind = Kind::Bool;
    a.i = v;
    return a;
  }
  static Attr type(Dtype v) {
    Attr a;
    a.kind = Kind::Type;
    a.i = static_cast<int64_t>(v);
    return a;
  }
  static Attr word(const char* v) {
    Attr a;
    a.kind = Kind::Text;
    a.text = v;
    return a;
  }
  static Attr list() {
    Attr a;
    a.kind = Kind::List;
    return a;
  }  // its values are in Attrs::list
};

inline constexpr int kMaxAttrs = 8, kMaxInputs = 8, kMaxOutputs = 5;  // inputs: but for the members of a list

struct Attrs {
  Attr values[kMaxAttrs];
  int n = 0;
  Dims list;  // the one attribute of kind List (axes or a shape)

  void add(Attr a) { values[n++] = a; }
  void add(const Dims& d) {
    list = d;
    values[n++] = Attr::list();
  }
  bool has(int k) const { return k < n && values[k].kind != Attr::Kind::None; }
  int64_t integer(int k) const {
    return values[k].kind == Attr::Kind::Float ? static_cast<int64_t>(values[k].f) : values[k].i;
  }
  double real(int k) const {
    return values[k].kind == Attr::Kind::Float ? values[k].f : static_cast<double>(values[k].i);
  }
  bool boolean(int k) const { return values[k].i != 0; }
  Dtype type(int k) const { return static_cast<Dtype>(values[k].i); }
  const char* text(int k) const { return values[k].text; }
};

// ---- a row of the table
struct Param {
  enum class Kind : uint8_t { Tensor, OptionalTensor, Tensors, Int, Float, Number, Bool, Type, Text, Axes, Shape };
  std::string name;
  Kind kind;
  bool has_default = false;
  bool nullable = false;  // None is accepted and arrives as Attr::Kind::None
  Attr fallback;          // the default of an attribute
  bool is_tensor() const { return kind == Kind::Tensor || kind == Kind::OptionalTensor || kind == Kind::Tensors; }
};

// One output as the shape rule declares it.
struct OutSpec {
  Dims shape;
  Dtype dtype = Dtype::Float32;
};

// Reads inputs' shapes, dtypes and the attributes; fills `outs`; may set `compute` so that the door casts the inputs.
struct Inference {
  Inference(const char* op, OpId id, std::span<const Tensor> in, const Attrs& attrs)
      : op(op), id(id), in(in), attrs(attrs) {}
  const char* op;  // the name, for errors
  OpId id;
  std::span<const Tensor> in;
  const Attrs& attrs;
  OutSpec outs[kMaxOutputs];
  int n_outs = 1;
  // The dtype (as int) to which the door casts input i before the kernel runs; `keep` leaves it. The members of a list
  // share the entry of the parameter that holds them.
  static constexpr int keep = -1;
  int cast[kMaxInputs] = {keep, keep, keep, keep, keep, keep, keep, keep};
};

enum OpFlags : uint32_t {
  kNone = 0,
  kInplace = 1,  // may be called in place: the output may replace input 0
  kRandom = 2,   // takes (seed, stream, step): a pure function of them
  kElementwise =
      4,          // element i of the output needs element i of the inputs alone: an input may be the view it overwrites
  kUpdates = 8,   // has no output: overwrites members of its list, ops/update.h says which
  kRefuses = 16,  // its kernel looks at values (indices, divisors, …) and may refuse them, before it writes
};

// What an empty list of axes means: all of them, as does None, or, for these ops, none (as in PyTorch).
inline bool no_axes_means_none(OpId id) { return id == op_logsumexp || id == op_any || id == op_all; }

struct Op {
  OpId id = 0;
  std::string name;
  std::string signature;                 // "sum(Tensor input, Axes? dim=None, Bool keepdim=False, Type? dtype=None)"
  std::vector<Param> params;             // parsed from it, in the order of Python's arguments
  std::vector<int> tensors, attributes;  // which of them are tensors, which attributes
  bool variadic = false;                 // the last tensor parameter is a list, whose members follow the other inputs
  int n_outputs = 1;
  int writes[kMaxOutputs] = {-1, -1, -1, -1, -1};  // the input that output k overwrites; -1: a fresh tensor
  void (*infer)(Inference&) = nullptr;
  uint32_t flags = kNone;

  int n_tensors() const { return static_cast<int>(tensors.size()); }
  // The parameter that input i came through.
  const Param& input(int i) const {
    return params[static_cast<size_t>(tensors[static_cast<size_t>(i < n_tensors() ? i : n_tensors() - 1)])];
  }
  const Param& attribute(int k) const { return params[static_cast<size_t>(attributes[static_cast<size_t>(k)])]; }
};

// A few values in place, any number on the heap: what a call takes in.
template <class T>
class Few {
 public:
  void resize(size_t n) {
    if (n > kMaxInputs) many_.resize(n);
    size_ = n;
  }
  size_t size() const { return size_; }
  T* data() { return many_.empty() ? few_ : many_.data(); }
  const T* data() const { return many_.empty() ? few_ : many_.data(); }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }

 private:
  T few_[kMaxInputs] = {};
  std::vector<T> many_;
  size_t size_ = 0;
};

// ---- plans on devices that keep calls and make them again all at once (graphs)

// What a call gets that is kept in a graph rather than made.
struct Kept {
  // Memory of the device that the graph owns. What one call works in the next one may work in, too.
  struct Block {
    StorageRef storage;
    bool taken = false;
  };
  std::vector<Block>* blocks;
  const void* live = nullptr;  // the attributes on the device, which a launch may find changed; null: they stay
  void* note = nullptr;  // on the device: where it leaves word that it refuses a value, 8 bytes, all bits set so far

  void* scratch(size_t bytes, Place place) const;
};

struct Graphs {
  // What this thread starts on the device between begin and end is kept. The graph may be launched any number of times.
  void (*begin)(int index);
  void* (*end)(int index);
  void (*launch)(int index, void* graph);
  void (*drop)(int index, void* graph);
  void (*put)(int index, void* to, const void* from, size_t bytes);  // few bytes of the host, in order with the calls
  void (*wait)(int index);                                           // until all calls are done
  void (*follow)(int index,
                 StreamId before);  // what this thread asks for next comes after what that stream was asked so far
  void (*encode)(const Attrs& attrs, void* to);  // `live_bytes` of them, as kernels read them
  size_t live_bytes;
};

// ---- one call on its way through the door
struct Call {
  const Op& op;
  std::span<const Tensor> in;  // after promotion; an optional input that was not given is undefined
  const Attrs& attrs;
  std::span<Tensor> out;  // allocated, or the input that the output overwrites
  int64_t batch = 0;      // > 0: this is a part of a call over so many rows, whose orders of sums it keeps
  uint8_t precision = kExact;
  const Kept* kept = nullptr;
};

using Kernel = void (*)(const Call&);

// Calls that a plan makes one right after the other, and that one kernel may do in one go, with the same bits. A result that
// none but the calls after it see may stay unwritten.
enum class Together : uint8_t {
  alone,
  parameter_gradients,  // dense_grad_weight and dense_grad_bias of one gradient
  input_gradient,       // dense_grad_input, and the derivative of the activation that it goes through
  // Layers, each on the result of the one before: dense, and a pointwise row if its activation is a call of its own. What
  // nobody sees but they has no memory: such a tensor is undefined, though it has its shape.
  net,
  // Layers; a loss: cross entropy, binary cross entropy with logits, or sub, square, mean or sum; fill_ (its gradient), for
  // a mean of squares div; the loss's derivative. Then from the last layer to the first: the derivative of its activation,
  // dense_grad_weight and dense_grad_bias or one of them, and for all but the first dense_grad_input.
  training,
  kinds
};
using TogetherKernel = void (*)(std::span<const Call>);

// The row of an id, those of plans included (ops/table.cpp).
const Op& op(OpId id);

// A backend fills one kernel table; null cells give the generated error.
struct Backend {
  const char* name;
  Device device;
  Kernel kernels[kAllOps];
  // Runs fn(ctx, 0) .. fn(ctx, tasks - 1) on its threads, of which there are num_threads() now. Null: it has one.
  void (*parallel)(int64_t tasks, void (*fn)(void* ctx, int64_t task), void* ctx) = nullptr;
  int (*num_threads)() = nullptr;
  TogetherKernel together[static_cast<int>(Together::kinds)] = {};  // null: such calls are made one by one
  // Can that of a net do these calls on device `index`? Their operands' memory may not be there yet. Null: nets are no matter of this
  // backend.
  bool (*fits)(int index, Together, std::span<const Call>) = nullptr;
  // Bytes from the host to this device and back, done on return, and between two of its kind, done before what they are asked
  // next. Null: the host reads and writes the device's memory itself.
  void (*to_device)(int index, void* to, const void* from, size_t bytes) = nullptr;
  void (*to_host)(int index, void* to, const void* from, size_t bytes) = nullptr;
  void (*between)(int to_index, void* to, int from_index, const void* from, size_t bytes) = nullptr;
  const Graphs* graphs = nullptr;  // null: plans make their calls one by one
};

namespace dispatch {
const Backend* backend(Device d);  // the one that is installed; null where there is none
}

// Does the call overwrite input i? As one of its outputs, or as a member of the list of a row with the flag kUpdates.
bool overwrites(const Call& call, size_t i);

// Listens to every call that passes the door. Thread-local, see dispatch.h.
class Recorder {
 public:
  virtual ~Recorder() = default;
  virtual void before(const Call&) {}  // nothing has been written yet
  virtual void record(const Call& call) = 0;
};

}  // namespace tg
