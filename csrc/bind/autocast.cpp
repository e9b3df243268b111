#include "bind/autocast.h"

#include <algorithm>

#include "bind/tape.h"
#include "bind/tensor_type.h"
#include "ops/dispatch.h"

namespace tg::bind {

int threads_autocasting = 0;
constinit thread_local bool autocasting = false;

namespace {

thread_local Dtype chosen = Dtype::Float16;

bool is_half(Dtype t) { return t == Dtype::Float16 || t == Dtype::BFloat16; }
bool on_gpu(const Tensor& t) { return t.defined() && !t.number && t.device() == Device::Cuda; }

// Those that move elements, or overwrite them, take any dtype; those that make gradients of layers take 16 bits.
bool stays(const Op& op) {
  return op.id == op_cast || op.writes[0] >= 0 || (op.flags & kUpdates) ||
         (op.id >= op_dense_grad_input && op.id <= op_dense_grad_bias);
}

}  // namespace

std::optional<Dtype> autocast_dtype() { return autocasting ? std::optional(chosen) : std::nullopt; }
void set_autocast(std::optional<Dtype> dtype) {
  threads_autocasting += dtype.has_value() - autocasting;
  autocasting = dtype.has_value();
  if (dtype) chosen = *dtype;
  dispatch::allow_here(autocasting ? kHalves : kExact);
}

std::unique_ptr<Autocast> autocast(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in) {
  if (stays(op)) return nullptr;
  const bool narrow = op.id == op_dense || op.id == op_matmul;
  std::unique_ptr<Autocast> c;
  for (size_t i = 0; i < in.size(); i++) {
    if (!on_gpu(in[i])) continue;
    const Dtype from = in[i].dtype, to = narrow ? chosen : Dtype::Float32;
    if (from == to || !(is_half(from) || (narrow && from == Dtype::Float32))) continue;
    if (!c) {
      c = std::make_unique<Autocast>();
      c->objects.resize(in.size());
      c->in.resize(in.size());
      for (size_t k = 0; k < in.size(); k++) c->objects[k] = objects[k], c->in[k] = in[k];
    }
    c->made.push_back(cast_object(objects[i], to));
    c->objects[i] = c->made.back().get();
    c->in[i] = value_of(c->objects[i]);
  }
  return c;
}

}  // namespace tg::bind
