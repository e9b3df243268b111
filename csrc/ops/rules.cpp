#include "ops/rules.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "math/philox.h"
#include "ops/checks.h"

namespace tg::rules {
// ---------------------------------------------------------------- pointwise

void pointwise(Inference& c, int arity, PointwiseClass cls, bool to_bool) {
  // Promotion by priority: tensors with dimensions, then 0-d tensors, then Python numbers; a lower rank counts only
  // where it brings a higher category.
  Dtype best[3] = {};
  bool have[3] = {false, false, false}, mask = false;
  Dims shape = c.in[0].shape;
  for (int i = 0; i < arity; i++) {
    const Tensor& t = c.in[i];
    if (i) shape = broadcast(c.op, shape, t.shape);
    require_compute(c, t.dtype);
    mask |= t.dtype == Dtype::Bool;
    const int level = t.number ? 2 : t.rank() == 0 ? 1 : 0;
    best[level] = have[level] ? promote(best[level], t.dtype) : t.dtype;
    have[level] = true;
  }
  if (have[2] && category(best[2]) == Category::Floating) best[2] = default_dtype();
  Dtype compute = Dtype::Bool;
  bool started = false;
  for (int level = 0; level < 3; level++)
    if (have[level] && (!started || category(best[level]) > category(compute))) {
      compute = best[level];
      started = true;
    }
  if ((cls == PointwiseClass::Integral || cls == PointwiseClass::Bits) && is_floating(compute))
    refuse(c, ErrorKind::NotImplemented, "got ", name(compute), ", expected integers",
           cls == PointwiseClass::Bits ? " or bool" : "", "; cast them first, for instance .to(int64)");
  bool real_bound = false;  // clamp(min=0.5): a number counts as a Python number does
  for (int k = 0; k < c.attrs.n; k++) real_bound |= c.attrs.values[k].kind == Attr::Kind::Float;
  if ((cls == PointwiseClass::Floating || real_bound) && !is_floating(compute)) compute = default_dtype();
  if (((cls == PointwiseClass::Arithmetic || cls == PointwiseClass::Integral) && compute == Dtype::Bool) ||
      (c.id == id_sub && mask))  // 1 - mask: as in PyTorch
    refuse(c, ErrorKind::Type, "got bool, expected a number type; cast it first, for instance .to(int64)");
  c.outs[0].shape = shape;
  c.outs[0].dtype = to_bool ? Dtype::Bool : compute;
  for (int i = 0; i < arity; i++) c.cast[i] = static_cast<int>(compute);
}

void pointwise_parameters(const Inference& c) {
  const double p = c.attrs.real(0), q = c.attrs.real(1);
  if (c.id == id_celu && p == 0)
    refuse(c, ErrorKind::Runtime, "alpha is 0, expected another number; relu is the limit");
  if (c.id == id_softshrink && !(p >= 0)) refuse(c, ErrorKind::Runtime, "lambd is ", p, ", expected 0 or more");
  if (c.id == id_hardtanh && p > q)
    refuse(c, ErrorKind::Value, "min_val is ", p, " and max_val ", q, ", expected min_val not above max_val");
}

void where(Inference& c) {
  if (c.in[0].dtype != Dtype::Bool)
    refuse(c, ErrorKind::Type, "condition is ", name(c.in[0].dtype),
           ", expected bool; compare first, for instance condition != 0");
  Inference branches(c.op, c.id, c.in.subspan(1, 2), c.attrs);
  pointwise(branches, 2, PointwiseClass::Any, false);
  c.outs[0] = branches.outs[0];
  c.outs[0].shape = broadcast(c.op, c.in[0].shape, branches.outs[0].shape);
  c.cast[1] = c.cast[2] = branches.cast[0];
}

// ---------------------------------------------------------------- fill, copy, cast

void cast(Inference& c) { c.outs[0] = {c.in[0].shape, c.attrs.type(0)}; }

void copy_(Inference& c) {
  if (!(broadcast(c.op, c.in[0].shape, c.in[1].shape) == c.in[0].shape))
    refuse(c, ErrorKind::Runtime, "source ", c.in[1].shape, " does not broadcast to the destination ", c.in[0].shape);
  c.outs[0] = {c.in[0].shape, c.in[0].dtype};
  c.cast[1] = static_cast<int>(c.in[0].dtype);
}

void fill_(Inference& c) { c.outs[0] = {c.in[0].shape, c.in[0].dtype}; }

void arange(Inference& c) {
  if (c.attrs.integer(2) < 0)
    refuse(c, ErrorKind::Runtime, "got ", c.attrs.integer(2), " elements, expected 0 or more; check the sign of step");
  require_compute(c, c.attrs.type(3));
  if (c.attrs.type(3) == Dtype::Bool) refuse(c, ErrorKind::Type, "dtype is bool, expected a number type");
  c.outs[0] = {{c.attrs.integer(2)}, c.attrs.type(3)};
}

// ---------------------------------------------------------------- reductions

void sum(Inference& c) {
  require_compute(c, c.in[0].dtype);
  reduce_shape(c);
  Dtype t = c.attrs.has(2) ? c.attrs.type(2) : is_floating(c.in[0].dtype) ? c.in[0].dtype : Dtype::Int64;
  if (t != Dtype::Float32 && t != Dtype::Float64 && t != Dtype::Int64)
    refuse(c, ErrorKind::Type, "dtype is ", name(t), ", expected float32, float64 or int64");
  c.outs[0].dtype = t;
  c.cast[0] = static_cast<int>(t);
}

void mean(Inference& c) {
  require_compute(c, c.in[0].dtype);
  reduce_shape(c);
  const bool chosen = !std::strcmp(c.op, "mean") && c.attrs.has(2);
  const Dtype t = chosen ? c.attrs.type(2) : c.in[0].dtype;
  if (!chosen && !is_floating(t))
    refuse(c, ErrorKind::Runtime, "got ", name(t), ", expected a floating dtype; cast it with .float()",
           std::strcmp(c.op, "mean") ? "" : " or pass dtype=");
  c.outs[0].dtype = required_floating(c, t);
  c.cast[0] = static_cast<int>(t);
}

void extremum(Inference& c) {
  require_compute(c, c.in[0].dtype);
  require_elements(c, reduce_shape(c));
  c.outs[0].dtype = c.in[0].dtype;
}

void arg_extremum(Inference& c) {
  extremum(c);
  if (c.in[0].dtype == Dtype::Bool)
    refuse(c, ErrorKind::Type, "got bool, expected a number type; cast it first with .to(uint8)");
  c.outs[0].dtype = Dtype::Int64;
}

void truth(Inference& c) {
  require_compute(c, c.in[0].dtype);
  reduce_shape(c);
  c.outs[0].dtype = c.in[0].dtype == Dtype::UInt8 ? Dtype::UInt8 : Dtype::Bool;  // as in PyTorch
}

void norm(Inference& c) {
  c.outs[0].dtype = same_floating(c, {0});
  reduce_shape(c);
  const double p = c.attrs.real(2);
  if (p != 1 && p != 2) refuse(c, ErrorKind::Value, "p is ", p, ", expected 1 or 2");
}

// ---------------------------------------------------------------- dense and matmul

void dense(Inference& c) {
  const Tensor &x = c.in[0], &w = c.in[1], &b = c.in[2];
  const Dtype t = same_factors(c, {0, 1, 2});
  require_rank(c, 1, "weight", 2, "(out features, in features)");
  if (x.rank() < 1) refuse(c, ErrorKind::Runtime, "x has shape (), expected (..., features)");
  if (x.shape.back() != w.shape[1])
    refuse(c, ErrorKind::Runtime, "x has ", x.shape.back(), " features but weight expects ", w.shape[1], ": x ",
           x.shape, ", weight ", w.shape, "; check the layer's in_features");
  if (b.defined() && !(b.shape == Dims{w.shape[0]}))
    refuse(c, ErrorKind::Runtime, "bias has shape ", b.shape, ", expected ", Dims{w.shape[0]}, " to match weight ",
           w.shape);
  const char* activation = c.attrs.text(0);
  if (std::strcmp(activation, "identity")) {
    const Op* a = find_op(activation);
    if (!a || a->id >= kPointwiseOps || a->n_tensors() != 1 || kPointwiseInfo[a->id].to_bool ||
        !kPointwiseInfo[a->id].differentiable)
      refuse(c, ErrorKind::Value, "activation is '", activation,
             "', expected 'identity' or a pointwise op of one tensor, such as 'relu', 'tanh' or 'sigmoid'");
    for (int k = 0; k < static_cast<int>(a->attributes.size()); k++)
      if (!a->attribute(k).has_default && !c.attrs.has(1 + k))
        refuse(c, ErrorKind::Type, "activation '", activation, "' needs a number for ", a->attribute(k).name,
               ", expected it as ", k ? "q" : "p");
  }
  Dims shape = x.shape;
  shape.back() = w.shape[0];
  c.outs[0] = {shape, t};
}

void dense_grad_input(Inference& c) {
  const Tensor &g = c.in[0], &w = c.in[1];
  const Dtype t = same_factors(c, {0, 1});
  require_rank(c, 1, "weight", 2, "(out features, in features)");
  if (g.rank() < 1 || g.shape.back() != w.shape[0])
    refuse(c, ErrorKind::Runtime, "grad ", g.shape, " must end in the ", w.shape[0], " output features of weight ",
           w.shape);
  Dims shape = g.shape;
  shape.back() = w.shape[1];
  c.outs[0] = {shape, t};
}

void dense_grad_weight(Inference& c) {
  const Tensor &g = c.in[0], &x = c.in[1];
  const Dtype t = same_factors(c, {0, 1});
  bool match = g.rank() >= 1 && g.rank() == x.rank();
  for (int i = 0; match && i + 1 < g.rank(); i++) match = g.shape[i] == x.shape[i];
  if (!match)
    refuse(c, ErrorKind::Runtime, "grad ", g.shape, " and input ", x.shape,
           " must agree in all but the last dimension");
  c.outs[0] = {{g.shape.back(), x.shape.back()}, t};
}

void dense_grad_bias(Inference& c) {
  const Dtype t = same_factors(c, {0});
  if (c.in[0].rank() < 1) refuse(c, ErrorKind::Runtime, "grad has shape (), expected (..., out features)");
  c.outs[0] = {{c.in[0].shape.back()}, t};
}

void dot(Inference& c) {
  const Dims &a = c.in[0].shape, &b = c.in[1].shape;
  const Dtype t = same_floating(c, {0, 1});
  if (a.empty() || !(a == b))
    refuse(c, ErrorKind::Runtime, "got shapes ", a, " and ", b, ", expected one shape (..., n) for both");
  c.outs[0] = {Dims(a.begin(), a.size() - 1), t};
}

void matmul(Inference& c) {
  const Dims a = c.in[0].shape, b = c.in[1].shape;
  const Dtype t = c.in[0].dtype;
  if (is_floating(t) || is_floating(c.in[1].dtype)) same_factors(c, {0, 1});
  else require_compute(c, t);
  if (t == Dtype::Bool)
    refuse(c, ErrorKind::Type, "got bool, expected a number type; cast it first, for instance .float()");
  if (t != c.in[1].dtype)
    refuse(c, ErrorKind::Type, "inputs 0 and 1 are ", name(t), " and ", name(c.in[1].dtype),
           ", expected one dtype; cast one of them with .to()");
  if (a.empty() || b.empty())
    refuse(c, ErrorKind::Runtime, "got shapes ", a, " and ", b, ", expected at least one dimension each");
  const int64_t inner_a = a.back(), inner_b = b.size() == 1 ? b[0] : b[b.size() - 2];
  if (inner_a != inner_b)
    refuse(c, ErrorKind::Runtime, "the inner lengths differ: ", a, " @ ", b, " multiplies ", inner_a, " by ", inner_b,
           ", expected equal; transpose one of them?");
  const Dims lead_a(a.begin(), a.size() > 2 ? a.size() - 2 : 0), lead_b(b.begin(), b.size() > 2 ? b.size() - 2 : 0);
  Dims shape = broadcast(c.op, lead_a, lead_b);
  if (a.size() > 1) shape.push_back(a[a.size() - 2]);
  if (b.size() > 1) shape.push_back(b.back());
  c.outs[0] = {shape, t};
}

// ---------------------------------------------------------------- softmax and losses

void softmax(Inference& c) {
  const Dtype t = same_floating(c, {0});
  normalize_axis(c.op, c.attrs.integer(0), c.in[0].rank());
  c.outs[0] = {c.in[0].shape, t};
}

void softmax_backward(Inference& c) {
  const Dtype t = same_floating(c, {0, 1});
  if (!(c.in[0].shape == c.in[1].shape))
    refuse(c, ErrorKind::Runtime, "grad ", c.in[0].shape, " and output ", c.in[1].shape, " must have one shape");
  normalize_axis(c.op, c.attrs.integer(0), c.in[0].rank());
  c.outs[0] = {c.in[0].shape, t};
}

namespace {
// Input 0 of the op at `first`: logits (M, C); then target (M,), int64.
void check_classes(Inference& c, int logits, int target, int weight, int smoothing) {
  require_rank(c, logits, "input", 2, "(rows, classes)");
  const Dims& x = c.in[logits].shape;
  if (!(c.in[target].shape == Dims{x[0]}))
    refuse(c, ErrorKind::Runtime, "target has shape ", c.in[target].shape, ", expected ", Dims{x[0]}, " for input ", x);
  const Dtype t = c.in[target].dtype;
  if (is_floating(t) || t == Dtype::Bool)
    refuse(c, ErrorKind::Type, "target is ", name(t),
           ", expected class indices of an integer dtype; cast it with .to(int64)");
  c.cast[target] = static_cast<int>(Dtype::Int64);
  if (c.in[weight].defined() && !(c.in[weight].shape == Dims{x[1]}))
    refuse(c, ErrorKind::Runtime, "weight has shape ", c.in[weight].shape, ", expected one weight per class, ",
           Dims{x[1]});
  const double s = c.attrs.real(smoothing);
  if (!(s >= 0 && s <= 1)) refuse(c, ErrorKind::Value, "label_smoothing is ", s, ", expected 0 to 1");
}
}  // namespace

void cross_entropy(Inference& c) {
  const Dtype t = same_floating(c, {0, 2});
  check_classes(c, 0, 1, 2, 2);
  const Dims rows{c.in[0].shape[0]};
  c.n_outs = 3;
  c.outs[0] = {reduction_none(c, 1) ? rows : Dims{}, t};
  c.outs[1] = {rows, t};
  c.outs[2] = {{}, t};
}

void cross_entropy_backward(Inference& c) {
  const Dtype t = same_floating(c, {0, 1, 3, 4, 5});
  check_classes(c, 1, 2, 5, 2);
  const Dims rows{c.in[1].shape[0]};
  if (!(c.in[0].shape == (reduction_none(c, 1) ? rows : Dims{})))
    refuse(c, ErrorKind::Runtime, "grad has shape ", c.in[0].shape, ", expected that of the loss");
  if (!(c.in[3].shape == rows) || c.in[4].rank() != 0)
    refuse(c, ErrorKind::Runtime, "logsumexp ", c.in[3].shape, " and total_weight ", c.in[4].shape, " must be ", rows,
           " and ()");
  c.outs[0] = {c.in[1].shape, t};
}

namespace {
void check_bce(Inference& c, int first) {
  const Dims& x = c.in[first].shape;
  if (!(x == c.in[first + 1].shape))
    refuse(c, ErrorKind::Value, "target has shape ", c.in[first + 1].shape, ", expected that of the input, ", x);
  for (int i = first + 2; i < first + 4; i++)
    if (c.in[i].defined() && !(broadcast(c.op, x, c.in[i].shape) == x))
      refuse(c, ErrorKind::Runtime, i == first + 2 ? "weight " : "pos_weight ", c.in[i].shape,
             " does not broadcast to the input ", x);
}
}  // namespace

void bce_with_logits(Inference& c) {
  const Dtype t = same_floating(c, {0, 1, 2, 3});
  check_bce(c, 0);
  c.outs[0] = {reduction_none(c, 0) ? c.in[0].shape : Dims{}, t};
}

void bce_with_logits_backward(Inference& c) {
  const Dtype t = same_floating(c, {0, 1, 2, 3, 4});
  check_bce(c, 1);
  if (!(c.in[0].shape == (reduction_none(c, 0) ? c.in[1].shape : Dims{})))
    refuse(c, ErrorKind::Runtime, "grad has shape ", c.in[0].shape, ", expected that of the loss");
  c.outs[0] = {c.in[1].shape, t};
}

// ---------------------------------------------------------------- batch normalisation

void batch_norm(Inference& c) {
  const Tensor& x = c.in[0];
  const Dtype t = same_floating(c, {0, 1, 2, 3, 4});
  if (x.rank() < 2) refuse(c, ErrorKind::Value, "input has shape ", x.shape, ", expected (rows, channels, ...)");
  const Dims channels{x.shape[1]};
  const char* names[] = {"", "running_mean", "running_var", "weight", "bias"};
  for (int i = 1; i < 5; i++)
    if (c.in[i].defined() && !(c.in[i].shape == channels))
      refuse(c, ErrorKind::Runtime, names[i], " has shape ", c.in[i].shape, ", expected ", channels, " for input ",
             x.shape);
  if (c.in[1].defined() != c.in[2].defined())
    refuse(c, ErrorKind::Value, "got one of running_mean and running_var, expected both or neither");
  const bool training = c.attrs.boolean(0), running = c.in[1].defined();
  if (!training && !running)
    refuse(c, ErrorKind::Value, "evaluation needs running_mean and running_var; pass them, or training=True");
  if (training && x.shape[1] > 0 && x.numel() / x.shape[1] <= 1)
    refuse(c, ErrorKind::Value, "training needs more than 1 value per channel, got input ", x.shape);
  if (const double eps = c.attrs.real(2); !(training ? eps > 0 : eps >= 0))
    refuse(c, ErrorKind::Value, "eps is ", eps, ", expected ", training ? "a positive number" : "0 or more");
  c.outs[0] = {x.shape, t};
  c.outs[1] = {channels, t};
  c.outs[2] = {channels, t};
  c.n_outs = training && running ? 5 : 3;
  c.outs[3] = {channels, t};
  c.outs[4] = {channels, t};
}

void batch_norm_backward(Inference& c) {
  const Tensor& x = c.in[1];
  const Dtype t = same_floating(c, {0, 1, 2, 3, 4});
  if (x.rank() < 2 || !(c.in[0].shape == x.shape))
    refuse(c, ErrorKind::Runtime, "grad ", c.in[0].shape, " and input ", x.shape,
           " must have one shape (rows, channels, ...)");
  const Dims channels{x.shape[1]};
  for (int i = 2; i < 5; i++)
    if (c.in[i].defined() && !(c.in[i].shape == channels))
      refuse(c, ErrorKind::Runtime, "input ", i, " has shape ", c.in[i].shape, ", expected ", channels);
  c.n_outs = 3;
  c.outs[0] = {x.shape, t};
  c.outs[1] = {channels, t};
  c.outs[2] = {channels, t};
}

// ---------------------------------------------------------------- layer normalisation

namespace {
// The shape of the statistics: the input's with its last axes, those of the attribute normalized_shape, reduced to 1.
Dims row_statistics(const Inference& c, const Tensor& x) {
  const Dims& last = c.attrs.list;
  const int kept = x.rank() - last.size();
  bool match = !last.empty() && kept >= 0;
  for (int i = 0; match && i < last.size(); i++) match = x.shape[kept + i] == last[i];
  if (!match)
    refuse(c, ErrorKind::Runtime, "input has shape ", x.shape, ", expected one that ends in normalized_shape ", last);
  Dims shape = x.shape;
  for (int i = kept; i < x.rank(); i++) shape[i] = 1;
  return shape;
}

void require_shape(const Inference& c, int input, const char* what, const Dims& shape) {
  if (c.in[input].defined() && !(c.in[input].shape == shape))
    refuse(c, ErrorKind::Runtime, what, " has shape ", c.in[input].shape, ", expected ", shape);
}
}  // namespace

void layer_norm(Inference& c) {
  const Dtype t = same_floating(c, {0, 1, 2});
  const Dims statistics = row_statistics(c, c.in[0]);
  require_shape(c, 1, "weight", c.attrs.list);
  require_shape(c, 2, "bias", c.attrs.list);
  if (!(c.attrs.real(1) >= 0)) refuse(c, ErrorKind::Value, "eps is ", c.attrs.real(1), ", expected 0 or more");
  c.n_outs = 3;
  c.outs[0] = {c.in[0].shape, t};
  c.outs[1] = c.outs[2] = {statistics, t};
}

void layer_norm_backward(Inference& c) {
  const Dtype t = same_floating(c, {0, 1, 2, 3, 4});
  const Dims statistics = row_statistics(c, c.in[1]);
  require_shape(c, 0, "grad", c.in[1].shape);
  require_shape(c, 2, "mean", statistics);
  require_shape(c, 3, "rstd", statistics);
  require_shape(c, 4, "weight", c.attrs.list);
  c.n_outs = 3;
  c.outs[0] = {c.in[1].shape, t};
  c.outs[1] = c.outs[2] = {c.attrs.list, t};
}

// ---------------------------------------------------------------- random

namespace {
// The key of the numbers: the attributes first (seed, any 64 bits), first + 1 (stream), first + 2 (step).
void check_key(const Inference& c, int first) {
  const int64_t stream = c.attrs.integer(first + 1), step = c.attrs.integer(first + 2);
  if (stream < 0 || static_cast<uint64_t>(stream) >= random_streams)
    refuse(c, ErrorKind::Value, "stream is ", stream, ", expected 0 to ", random_streams - 1);
  if (step < 0 || static_cast<uint64_t>(step) >= random_steps)
    refuse(c, ErrorKind::Value, "step is ", step, ", expected 0 to ", random_steps - 1);
}
}  // namespace

void dropout(Inference& c) {
  check_key(c, 1);
  const Dtype t = same_floating(c, {0});
  require_probability(c, c.attrs.real(0));
  if (c.attrs.integer(4) < 0 || c.attrs.integer(4) % random_group_words)
    refuse(c, ErrorKind::Value, "first is ", c.attrs.integer(4), ", expected a multiple of ", random_group_words);
  c.outs[0] = {c.in[0].shape, t};
}

void dropout_mask(Inference& c) {
  check_key(c, 2);
  require_probability(c, c.attrs.real(1));
  checked_size(c);
  c.outs[0] = {c.attrs.list, Dtype::Bool};
}

void random_real(Inference& c) {
  check_key(c, 3);
  checked_size(c);
  const double a = c.attrs.real(1), b = c.attrs.real(2);
  if (!std::strcmp(c.op, "uniform")) {
    const bool narrow = c.attrs.type(6) == Dtype::Float32;
    const double span = narrow ? static_cast<float>(b) - static_cast<float>(a) : b - a;
    if (!(a <= b) || !std::isfinite(span))
      refuse(c, ErrorKind::Runtime, "low ", a, " and high ", b, ": expected low <= high, both finite");
  } else if (!(b >= 0)) {
    refuse(c, ErrorKind::Runtime, "std is ", b, ", expected 0 or more");
  }
  c.outs[0] = {c.attrs.list, required_floating(c, c.attrs.type(6))};
}

void bernoulli(Inference& c) {
  check_key(c, 0);
  c.outs[0] = {c.in[0].shape, same_floating(c, {0})};
}

void integers(Inference& c) {
  check_key(c, 3);
  checked_size(c);
  const int64_t low = c.attrs.integer(1), high = c.attrs.integer(2);
  if (low >= high) refuse(c, ErrorKind::Runtime, "low ", low, " and high ", high, ": expected low < high");
  const Dtype t = c.attrs.type(6);
  require_compute(c, t);
  const int64_t least = t == Dtype::Int32 ? std::numeric_limits<int32_t>::min() : 0;
  const int64_t most = t == Dtype::Int32 ? std::numeric_limits<int32_t>::max() : t == Dtype::UInt8 ? 255 : 1;
  if (t != Dtype::Int64 && !is_floating(t) && (low < least || high - 1 > most))
    refuse(c, ErrorKind::Runtime, "low ", low, " and high ", high, " do not fit dtype ", name(t),
           ", expected values of its range; choose another dtype");
  c.outs[0] = {c.attrs.list, t};
}

void permutation(Inference& c) {
  check_key(c, 1);
  if (c.attrs.integer(0) < 0) refuse(c, ErrorKind::Value, "n is ", c.attrs.integer(0), ", expected 0 or more");
  c.outs[0] = {{c.attrs.integer(0)}, Dtype::Int64};
}

}  // namespace tg::rules
