// The kernels of the module, by family: each takes a call and starts its work on a stream.
#pragma once
#include <string>

#include "core/by_dtype.h"
#include "cuda/abi.h"
#include "cuda/launch.h"

namespace tg::cuda {

// What a kernel throws when it can not, and (refuse.h) when it will not; the module's entry turns it into a Failure.
struct Refusal {
  ErrorKind kind;
  std::string text;
};
struct Refused {
  Check check;
  Note note;
};

using Kernel = void (*)(const Call&, Stream);

void pointwise(const Call&, Stream);
void where(const Call&, Stream);
void cast(const Call&, Stream);
void copy_(const Call&, Stream);
void fill_(const Call&, Stream);
void sum(const Call&, Stream);
void mean(const Call&, Stream);
void nansum(const Call&, Stream);
void prod(const Call&, Stream);
void amax(const Call&, Stream);
void amin(const Call&, Stream);
void argmax(const Call&, Stream);
void argmin(const Call&, Stream);
void any(const Call&, Stream);
void all(const Call&, Stream);
void var(const Call&, Stream);
void logsumexp(const Call&, Stream);
void norm(const Call&, Stream);
void dot(const Call&, Stream);
void softmax(const Call&, Stream);
void log_softmax(const Call&, Stream);
void softmax_backward(const Call&, Stream);
void log_softmax_backward(const Call&, Stream);
void cross_entropy(const Call&, Stream);
void cross_entropy_backward(const Call&, Stream);
void class_total(const Call&, Stream);
void bce_with_logits(const Call&, Stream);
void bce_with_logits_backward(const Call&, Stream);
void dense(const Call&, Stream);
void dense_grad_input(const Call&, Stream);
void dense_grad_weight(const Call&, Stream);
void dense_grad_bias(const Call&, Stream);
void column_sums(const Call&, Stream);  // over all axes but the last, in batch order
void matmul(const Call&, Stream);
void dropout(const Call&, Stream);
void dropout_mask(const Call&, Stream);
void uniform(const Call&, Stream);
void index(const Call&, Stream);
void index_put(const Call&, Stream);
void gather(const Call&, Stream);
void scatter(const Call&, Stream);
void scatter_add(const Call&, Stream);
void masked_fill(const Call&, Stream);
void nonzero(const Call&, Stream);
void count_nonzero(const Call&, Stream);
void searchsorted(const Call&, Stream);
void cat(const Call&, Stream);
void pad(const Call&, Stream);
void tril(const Call&, Stream);
void triu(const Call&, Stream);
void cumsum(const Call&, Stream);
void cumprod(const Call&, Stream);
void sort(const Call&, Stream);
void topk(const Call&, Stream);
void kthvalue(const Call&, Stream);
void normal(const Call&, Stream);
void bernoulli(const Call&, Stream);
void integers(const Call&, Stream);
void permutation(const Call&, Stream);
void arange(const Call&, Stream);
void update(const Call&, Stream);
void batch_norm(const Call&, Stream);
void batch_norm_backward(const Call&, Stream);
void layer_norm(const Call&, Stream);
void layer_norm_backward(const Call&, Stream);
void channel_squares(const Call&, Stream);
void channel_dot(const Call&, Stream);
void channel_factors(const Call&, Stream);
void channel_gradients(const Call&, Stream);
void channel_affine(const Call&, Stream);
void channel_backward(const Call&, Stream);
void batches(const Call&, Stream);

// Calls that are a net (fused.cu): may they be done in one go, and doing so. `training`: with loss and gradients.
bool net_fits(bool training, const Call* calls, int n);
void run_net(bool training, const Call* calls, int n, Stream);

// Two calls in one go (abi.h, run_pair).
void parameter_gradients(const Call*, Stream);
void input_gradient(const Call*, Stream);

// `x` itself where it is contiguous, else a contiguous copy that lives until the call is done.
Operand contiguous(const Call&, const Operand& x, Stream);

// The pointwise op `op` of contiguous x, in place: what a dense call ends with.
void activate(int op, Dtype dtype, void* x, int64_t n, double p, double q, Stream);

// pointwise_<dtype>.cu: by PointwiseId, null where an op does not take the dtype.
using PointwiseLaunch = void (*)(const Operand* in, const Operand& out, double p, double q, Stream);
extern const PointwiseLaunch pointwise_float32[kPointwiseOps], pointwise_float64[kPointwiseOps],
    pointwise_int64[kPointwiseOps], pointwise_int32[kPointwiseOps], pointwise_uint8[kPointwiseOps],
    pointwise_bool[kPointwiseOps];

// ---- reading operands

inline Dtype dtype_of(const Operand& o) { return static_cast<Dtype>(o.dtype); }
inline int64_t numel(const Operand& o) {
  int64_t n = 1;
  for (int d = 0; d < o.rank; d++) n *= o.shape[d];
  return n;
}

template <class T>
T* scratch(const Call& c, int64_t n) {
  void* block = c.scratch(c.context, static_cast<size_t>(n) * sizeof(T));
  if (!block) throw Refusal{ErrorKind::Memory, "no room for " + std::to_string(n) + " partial results"};
  return static_cast<T*>(block);
}

// An element, wherever it is: in memory of the device, or a number that came with the call.
template <class T>
struct Reader {
  const T* data;
  T number;
  explicit Reader(const Operand& o) : data(o.kind == Operand::device ? static_cast<const T*>(o.data) : nullptr) {
    __builtin_memcpy(&number, &o.bits, sizeof number);
  }
  Reader() = default;
  TG_BODY T operator[](int64_t at) const { return data ? data[at] : number; }
};

// An attribute as kernels read it: the number of the call, or in a captured one what stands in its place at the launch.
struct Live {
  const Attribute* at;
  Attribute own;
  TG_BODY double real() const {
    const Attribute& a = at ? *at : own;
    return a.kind == Attribute::real ? a.f : double(a.i);
  }
  TG_BODY int64_t integer() const { return (at ? *at : own).i; }
};
inline Live live(const Call& c, int k) { return {c.live ? c.live + k : nullptr, c.attribute[k]}; }

// Elements to where they belong, of one dtype, broadcast; the number of an attribute as an operand.
void copied(const Operand& from, const Operand& to, Stream);
Operand filling(const Attribute&, Dtype);

// Bytes of the host, few, to the device: they travel with the launches, so a captured call puts them there each time.
void put(void* to, const void* from, size_t bytes, Stream);

inline int axis_of(int64_t axis, int rank) { return int(axis < 0 ? axis + rank : axis); }

// As an unsigned integer of so many bytes.
template <class F>
void with_bytes(Dtype t, F f) {
  switch (size_of(t)) {
    case 1: return f(uint8_t{});
    case 2: return f(uint16_t{});
    case 4: return f(uint32_t{});
    default: return f(uint64_t{});
  }
}

template <class F>
void with_floating(Dtype t, F f) {
  if (t == Dtype::Float32) return f(float{});
  if (t == Dtype::Float64) return f(double{});
  throw Refusal{ErrorKind::NotImplemented, std::string("has no cuda kernel for ") + name(t)};
}

}  // namespace tg::cuda
