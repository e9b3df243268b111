// The rows. A signature lists parameters in the order of Python's arguments: "name(Tensor a, Tensor? b=None, Int dim=0)".
// The last tensor may be a list, "name(Tensors tensors, Int dim=0)": its members follow the other inputs of a call.
#include "ops/table.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/float_env.h"
#include "ops/refusals.h"
#include "ops/rules.h"

namespace tg {
namespace {

struct Row {
  OpId id;
  const char* signature;
  int n_outputs;
  void (*infer)(Inference&);
  uint32_t flags = kNone;
  std::vector<int> writes = {};  // per output: the input that it overwrites, or -1
};

const Row kKernelRows[] = {
    {op_where, "where(Tensor condition, Tensor input, Tensor other)", 1, rules::where},
    {op_cast, "cast(Tensor input, Type dtype)", 1, rules::cast},
    {op_copy_, "copy_(Tensor self, Tensor source)", 1, rules::copy_, kElementwise, {0}},
    {op_fill_, "fill_(Tensor self, Number value)", 1, rules::fill_, kElementwise, {0}},
    {op_arange, "native_arange(Number start, Number step, Int n, Type dtype)", 1, rules::arange},

    {op_sum, "sum(Tensor input, Axes? dim=None, Bool keepdim=False, Type? dtype=None)", 1, rules::sum},
    {op_mean, "mean(Tensor input, Axes? dim=None, Bool keepdim=False, Type? dtype=None)", 1, rules::mean},
    {op_nansum, "nansum(Tensor input, Axes? dim=None, Bool keepdim=False, Type? dtype=None)", 1, rules::sum},
    {op_prod, "prod(Tensor input, Axes? dim=None, Bool keepdim=False, Type? dtype=None)", 1, rules::sum},
    {op_amax, "amax(Tensor input, Axes? dim=None, Bool keepdim=False)", 1, rules::extremum},
    {op_amin, "amin(Tensor input, Axes? dim=None, Bool keepdim=False)", 1, rules::extremum},
    {op_var, "var(Tensor input, Axes? dim=None, Bool keepdim=False, Float correction=1.0)", 1, rules::mean},
    {op_logsumexp, "logsumexp(Tensor input, Axes dim, Bool keepdim=False)", 1, rules::mean},
    {op_argmax, "argmax(Tensor input, Axes? dim=None, Bool keepdim=False)", 1, rules::arg_extremum},
    {op_argmin, "argmin(Tensor input, Axes? dim=None, Bool keepdim=False)", 1, rules::arg_extremum},

    {op_any, "any(Tensor input, Axes? dim=None, Bool keepdim=False)", 1, rules::truth},
    {op_all, "all(Tensor input, Axes? dim=None, Bool keepdim=False)", 1, rules::truth},
    // The norm of order p = 1 or 2; the others are made of other rows.
    {op_norm, "native_norm(Tensor input, Axes? dim=None, Bool keepdim=False, Float p=2.0)", 1, rules::norm},

    // y = activation(x Wᵀ + b): x (..., K), weight (N, K), bias (N,). `activation` is any one-argument row of
    // pointwise.def, or "identity"; p and q are its parameters, by default that row's own.
    {op_dense,
     "dense(Tensor input, Tensor weight, Tensor? bias=None, Text activation='identity', Float? p=None, Float? q=None)",
     1, rules::dense},
    {op_dense_grad_input, "dense_grad_input(Tensor grad, Tensor weight)", 1, rules::dense_grad_input},
    {op_dense_grad_weight, "dense_grad_weight(Tensor grad, Tensor input)", 1, rules::dense_grad_weight},
    {op_dense_grad_bias, "dense_grad_bias(Tensor grad)", 1, rules::dense_grad_bias},
    {op_matmul, "matmul(Tensor input, Tensor other)", 1, rules::matmul},
    {op_dot, "native_dot(Tensor input, Tensor other)", 1, rules::dot},  // (..., n) and (..., n) -> (...)

    {op_softmax, "softmax(Tensor input, Int dim)", 1, rules::softmax},
    {op_softmax_backward, "softmax_backward(Tensor grad, Tensor output, Int dim)", 1, rules::softmax_backward},
    {op_log_softmax, "log_softmax(Tensor input, Int dim)", 1, rules::softmax},
    {op_log_softmax_backward, "log_softmax_backward(Tensor grad, Tensor output, Int dim)", 1, rules::softmax_backward},
    // Outputs: loss (a scalar, or (M,) for reduction 'none'), the rows' logsumexp (M,), the targets' total weight (scalar).
    {op_cross_entropy,
     "native_cross_entropy(Tensor input, Tensor target, Tensor? weight=None, Int ignore_index=-100, Text "
     "reduction='mean', "
     "Float label_smoothing=0.0)",
     3, rules::cross_entropy, kRefuses},
    {op_cross_entropy_backward,
     "cross_entropy_backward(Tensor grad, Tensor input, Tensor target, Tensor logsumexp, Tensor total_weight, "
     "Tensor? weight=None, Int ignore_index=-100, Text reduction='mean', Float label_smoothing=0.0)",
     1, rules::cross_entropy_backward, kRefuses},
    {op_bce_with_logits,
     "binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, "
     "Text reduction='mean')",
     1, rules::bce_with_logits},
    {op_bce_with_logits_backward,
     "binary_cross_entropy_with_logits_backward(Tensor grad, Tensor input, Tensor target, Tensor? weight=None, "
     "Tensor? pos_weight=None, Text reduction='mean')",
     1, rules::bce_with_logits_backward},
    // Outputs: y, the batch's mean and 1/sqrt(var + eps) (C,), then the running statistics, which overwrite inputs 1, 2.
    {op_batch_norm,
     "native_batch_norm(Tensor input, Tensor? running_mean=None, Tensor? running_var=None, Tensor? weight=None, "
     "Tensor? bias=None, Bool training=False, Float momentum=0.1, Float eps=1e-05)",
     5,
     rules::batch_norm,
     kNone,
     {-1, -1, -1, 1, 2}},
    {op_batch_norm_backward,
     "batch_norm_backward(Tensor grad, Tensor input, Tensor mean, Tensor invstd, Tensor? weight=None)", 3,
     rules::batch_norm_backward},

    // `first`: the place of the first element among those that are drawn for, a multiple of 32: a part of a larger call.
    {op_dropout, "native_dropout(Tensor input, Float p, Int seed, Int stream, Int step, Int first=0)", 1,
     rules::dropout, kRandom},
    {op_dropout_mask, "dropout_mask(Shape size, Float p, Int seed, Int stream, Int step)", 1, rules::dropout_mask,
     kRandom},
    {op_uniform, "uniform(Shape size, Float low, Float high, Int seed, Int stream, Int step, Type dtype=float32)", 1,
     rules::random_real, kRandom},
    {op_normal, "normal(Shape size, Float mean, Float std, Int seed, Int stream, Int step, Type dtype=float32)", 1,
     rules::random_real, kRandom},
    {op_bernoulli, "native_bernoulli(Tensor input, Int seed, Int stream, Int step)", 1, rules::bernoulli,
     kRandom | kRefuses},
    {op_integers, "integers(Shape size, Int low, Int high, Int seed, Int stream, Int step, Type dtype=int64)", 1,
     rules::integers, kRandom},
    {op_permutation, "permutation(Int n, Int seed, Int stream, Int step)", 1, rules::permutation, kRandom},

    // ---- indexing
    // k index tensors, of one shape B after broadcasting, address the axes dim .. dim + k - 1:
    // result input.shape[:dim] + B + input.shape[dim + k:]. `wrap`: negative indices count from the end.
    {op_index, "native_index(Tensor input, Tensors indices, Int dim=0, Bool wrap=True)", 1, rules::index, kRefuses},
    {op_index_put,
     "native_index_put(Tensor input, Tensor values, Tensors indices, Int dim=0, Bool accumulate=False, "
     "Bool wrap=True)",
     1, rules::index_put, kInplace | kRefuses},
    {op_gather, "gather(Tensor input, Int dim, Tensor index)", 1, rules::gather, kRefuses},
    {op_scatter, "scatter(Tensor input, Int dim, Tensor index, Tensor src)", 1, rules::scatter, kInplace | kRefuses},
    {op_scatter_add, "scatter_add(Tensor input, Int dim, Tensor index, Tensor src)", 1, rules::scatter,
     kInplace | kRefuses},
    {op_masked_fill, "masked_fill(Tensor input, Tensor mask, Number value)", 1, rules::masked_fill,
     kElementwise | kInplace},
    // Output: (dimensions, n), the coordinates of the n elements that are not 0, in order.
    {op_nonzero, "native_nonzero(Tensor input, Int n)", 1, rules::nonzero, kRefuses},
    {op_count_nonzero, "native_count_nonzero(Tensor input)", 1, rules::count_nonzero},
    {op_searchsorted,
     "native_searchsorted(Tensor sorted_sequence, Tensor input, Bool right=False, Bool out_int32=False)", 1,
     rules::searchsorted},

    // ---- shaping
    {op_cat, "cat(Tensors tensors, Int dim=0)", 1, rules::cat},
    // `pad` counts elements before and behind the last dimension, then the last but one, ...; negative ones are cut off.
    {op_pad, "native_pad(Tensor input, Shape pad, Number value=0.0)", 1, rules::pad},
    {op_tril, "tril(Tensor input, Int diagonal=0)", 1, rules::triangle, kInplace | kElementwise},
    {op_triu, "triu(Tensor input, Int diagonal=0)", 1, rules::triangle, kInplace | kElementwise},

    // ---- ordering: sorts and scans
    {op_cumsum, "cumsum(Tensor input, Int dim, Type? dtype=None)", 1, rules::scan},
    {op_cumprod, "cumprod(Tensor input, Int dim, Type? dtype=None)", 1, rules::scan},
    // Outputs of these three: values, and their indices along dim. Equal values stand in the order of their indices.
    {op_sort, "native_sort(Tensor input, Int dim=-1, Bool descending=False)", 2, rules::sort},
    {op_topk, "native_topk(Tensor input, Int k, Int dim=-1, Bool largest=True)", 2, rules::topk},
    // The k-th smallest; without k the median, the lower of two, of a line without NaN or (skip_nan) of its other values.
    {op_kthvalue, "native_kthvalue(Tensor input, Int? k=None, Int dim=-1, Bool keepdim=False, Bool skip_nan=False)", 2,
     rules::kthvalue},

    // ---- norms
    // Outputs: y, and of each row of the last axes its mean and 1/sqrt(var + eps).
    {op_layer_norm,
     "native_layer_norm(Tensor input, Shape normalized_shape, Tensor? weight=None, Tensor? bias=None, Float eps=1e-05)",
     3, rules::layer_norm},
    {op_layer_norm_backward,
     "layer_norm_backward(Tensor grad, Tensor input, Shape normalized_shape, Tensor mean, Tensor rstd, "
     "Tensor? weight=None)",
     3, rules::layer_norm_backward},

    // ---- optimizers: lists of parameters, gradients, states (s) and single numbers (n), see ops/update.h
    // s: momentum_buffer, if momentum is not 0. `l1` is the weight of a proximal step, which leaves exact zeros.
    {op_sgd,
     "sgd_(Tensors tensors, Float lr, Float momentum=0.0, Float dampening=0.0, Float weight_decay=0.0, Bool "
     "nesterov=False, Bool maximize=False, Float l1=0.0)",
     0, rules::update, kUpdates},
    // s: sum; n: step
    {op_adagrad,
     "adagrad_(Tensors tensors, Float lr, Float lr_decay=0.0, Float weight_decay=0.0, Float eps=1e-10, Bool "
     "maximize=False)",
     0, rules::update, kUpdates},
    // s: square_avg, acc_delta; n: step
    {op_adadelta,
     "adadelta_(Tensors tensors, Float lr, Float rho=0.9, Float eps=1e-06, Float weight_decay=0.0, Bool "
     "maximize=False)",
     0, rules::update, kUpdates},
    // s: square_avg, grad_avg if centered, momentum_buffer if momentum is not 0; n: step
    {op_rmsprop,
     "rmsprop_(Tensors tensors, Float lr, Float alpha=0.99, Float eps=1e-08, Float weight_decay=0.0, Float "
     "momentum=0.0, Bool centered=False, Bool maximize=False)",
     0, rules::update, kUpdates},
    // s: exp_avg, exp_avg_sq, max_exp_avg_sq if amsgrad; n: step
    {op_adam,
     "adam_(Tensors tensors, Float lr, Float beta1=0.9, Float beta2=0.999, Float eps=1e-08, Float weight_decay=0.0, "
     "Bool amsgrad=False, Bool maximize=False, Bool decoupled_weight_decay=False)",
     0, rules::update, kUpdates},
    // s: exp_avg, exp_inf; n: step
    {op_adamax,
     "adamax_(Tensors tensors, Float lr, Float beta1=0.9, Float beta2=0.999, Float eps=1e-08, Float weight_decay=0.0, "
     "Bool maximize=False)",
     0, rules::update, kUpdates},
    // s: exp_avg, exp_avg_sq; n: step, mu_product
    {op_nadam,
     "nadam_(Tensors tensors, Float lr, Float beta1=0.9, Float beta2=0.999, Float eps=1e-08, Float weight_decay=0.0, "
     "Float momentum_decay=0.004, Bool decoupled_weight_decay=False, Bool maximize=False)",
     0, rules::update, kUpdates},
    // s: exp_avg, exp_avg_sq; n: step
    {op_radam,
     "radam_(Tensors tensors, Float lr, Float beta1=0.9, Float beta2=0.999, Float eps=1e-08, Float weight_decay=0.0, "
     "Bool decoupled_weight_decay=False, Bool maximize=False)",
     0, rules::update, kUpdates},
    // s: ax; n: step, eta, mu
    {op_asgd,
     "asgd_(Tensors tensors, Float lr, Float lambd=0.0001, Float alpha=0.75, Float t0=1000000.0, Float "
     "weight_decay=0.0, Bool maximize=False)",
     0, rules::update, kUpdates},
    // s: prev, step_size; n: step
    {op_rprop,
     "rprop_(Tensors tensors, Float eta_minus=0.5, Float eta_plus=1.2, Float step_min=1e-06, Float step_max=50.0, Bool "
     "maximize=False)",
     0, rules::update, kUpdates},
};
static_assert(std::size(kKernelRows) == static_cast<size_t>(kOps) - kPointwiseOps, "one row per kernel op");

// What plans take rows apart into. The sums over the rows of a batch (R, C) are those of batch order.
const Row kPlanRows[] = {
    // What native_cross_entropy divides by: the sum of the targets' weights. Refuses what that row refuses.
    {op_class_total, "class_total(Tensor target, Tensor? weight, Int classes, Int ignore_index)", 1, nullptr, kRefuses},
    // sum over rows of (x - total / count)^2 and of g (x - mean)
    {op_channel_squares, "channel_squares(Tensor input, Tensor total, Int count)", 1, nullptr},
    {op_channel_dot, "channel_dot(Tensor grad, Tensor input, Tensor mean)", 1, nullptr},
    // From these sums what native_batch_norm leaves, after its first output; then s and t (2, C) with y = fma(x, s, t).
    {op_channel_factors,
     "channel_factors(Tensor total, Tensor squares, Tensor? running_mean, Tensor? running_var, Tensor? weight, Tensor? "
     "bias, Int count, Float momentum, Float eps)",
     5,
     nullptr,
     kNone,
     {-1, -1, 2, 3, -1}},
    // dweight, and what the gradient of the input needs of all rows: (3, C)
    {op_channel_gradients, "channel_gradients(Tensor total, Tensor dot, Tensor invstd, Tensor? weight, Int count)", 2,
     nullptr},
    {op_channel_affine, "channel_affine(Tensor input, Tensor factors)", 1, nullptr},
    {op_channel_backward, "channel_backward(Tensor grad, Tensor input, Tensor mean, Tensor factors)", 1, nullptr},
    // Rows of a table into a batch, from place `first` of the order on; without one as they lie. All are contiguous.
    {op_batches, "batches(Tensor batch, Tensor table, Tensor? order, Int first)", 1, nullptr, kRefuses, {0}},
};
static_assert(std::size(kPlanRows) == static_cast<size_t>(kAllOps) - kOps, "one row per part");

// ---------------------------------------------------------------- signatures

[[noreturn]] void broken(const std::string& signature, std::string_view what) {
  fail(ErrorKind::Runtime, "op table: ", what, " in \"", signature, "\"");
}

Attr parse_default(const std::string& signature, Param::Kind kind, const std::string& text) {
  if (text == "None") return Attr{};
  switch (kind) {
    case Param::Kind::Int: return Attr::integer(std::strtoll(text.c_str(), nullptr, 10));
    case Param::Kind::Number:
      if (text.find('.') == std::string::npos) return Attr::integer(std::strtoll(text.c_str(), nullptr, 10));
      [[fallthrough]];
    case Param::Kind::Float: return Attr::real(std::strtod(text.c_str(), nullptr));
    case Param::Kind::Bool: return Attr::boolean(text == "True");
    case Param::Kind::Text: return Attr::word(intern(text.substr(1, text.size() - 2)));
    case Param::Kind::Type:
      for (int t = 0; t < kDtypes; t++)
        if (text == kDtypeInfo[t].name) return Attr::type(static_cast<Dtype>(t));
      break;
    default: break;
  }
  broken(signature, "unreadable default");
}

Param parse_param(const std::string& signature, const std::string& text) {
  static const std::unordered_map<std::string, Param::Kind> kinds = {
      {"Tensor", Param::Kind::Tensor}, {"Tensors", Param::Kind::Tensors}, {"Int", Param::Kind::Int},
      {"Float", Param::Kind::Float},   {"Number", Param::Kind::Number},   {"Bool", Param::Kind::Bool},
      {"Type", Param::Kind::Type},     {"Text", Param::Kind::Text},       {"Axes", Param::Kind::Axes},
      {"Shape", Param::Kind::Shape},
  };
  const size_t space = text.find(' '), equals = text.find('=');
  std::string type = text.substr(0, space);
  Param p;
  p.nullable = type.back() == '?';
  if (p.nullable) type.pop_back();
  const auto kind = kinds.find(type);
  if (space == std::string::npos || kind == kinds.end()) broken(signature, "unknown type");
  p.kind = p.nullable && kind->second == Param::Kind::Tensor ? Param::Kind::OptionalTensor : kind->second;
  p.name = text.substr(space + 1, equals == std::string::npos ? equals : equals - space - 1);
  p.has_default = equals != std::string::npos;
  if (p.has_default) p.fallback = parse_default(signature, p.kind, text.substr(equals + 1));
  return p;
}

Op parse(OpId id, std::string signature, int n_outputs, void (*infer)(Inference&), uint32_t flags) {
  Op op;
  op.id = id;
  op.signature = std::move(signature);
  op.n_outputs = n_outputs;
  op.infer = infer;
  op.flags = flags;
  const size_t open = op.signature.find('(');
  op.name = op.signature.substr(0, open);
  for (size_t at = open + 1; at + 1 < op.signature.size();) {
    size_t end = op.signature.find(", ", at);
    if (end == std::string::npos) end = op.signature.size() - 1;
    op.params.push_back(parse_param(op.signature, op.signature.substr(at, end - at)));
    const auto last = static_cast<int>(op.params.size()) - 1;
    if (op.params.back().is_tensor() && op.variadic) broken(op.signature, "a tensor after the list of tensors");
    (op.params.back().is_tensor() ? op.tensors : op.attributes).push_back(last);
    op.variadic |= op.params.back().kind == Param::Kind::Tensors;
    at = end + 2;
  }
  return op;
}

// ---------------------------------------------------------------- pointwise rows

void infer_pointwise(Inference& c) {
  const PointwiseInfo& row = kPointwiseInfo[c.id];
  rules::pointwise(c, row.arity, row.cls, row.to_bool);
  if (*row.params) rules::pointwise_parameters(c);
}

// "tanh(Tensor input)", "add(Tensor input, Tensor other)", "tanh_backward(Tensor grad, Tensor input, Tensor output)", ...
std::string pointwise_signature(const PointwiseInfo& row) {
  std::string s = std::string(row.name) + "(";
  for (int i = 0; i < row.arity; i++) s += std::string(i ? ", " : "") + "Tensor " + row.inputs[i];
  if (*row.params) s += std::string(", ") + row.params;
  return s + ")";
}

// What a row of pointwise.def may and may not: all of them in place but those that turn numbers into truths; quotients of
// integers refuse a divisor of 0.
uint32_t pointwise_flags(int id, const PointwiseInfo& row) {
  uint32_t flags = kElementwise;
  if (!row.to_bool || row.arity != 1 || id == id_logical_not) flags |= kInplace;
  if (divides(id)) flags |= kRefuses;
  return flags;
}

std::vector<Op> build() {
  const FloatEnv env;  // defaults such as 0.1 are read under our rounding, whatever is set outside
  std::vector<Op> all;
  for (int i = 0; i < kPointwiseOps; i++) {
    const PointwiseInfo& row = kPointwiseInfo[i];
    all.push_back(parse(static_cast<OpId>(i), pointwise_signature(row), 1, infer_pointwise, pointwise_flags(i, row)));
  }
  auto add = [&](const Row& r) {
    if (r.id != static_cast<OpId>(all.size())) broken(r.signature, "row out of order");
    all.push_back(parse(r.id, r.signature, r.n_outputs, r.infer, r.flags));
    std::copy(r.writes.begin(), r.writes.end(), all.back().writes);
  };
  for (const Row& r : kKernelRows) add(r);
  for (const Row& r : kPlanRows) add(r);
  return all;
}

// Those of plans lie behind those that users see.
const std::vector<Op>& all_ops() {
  static const std::vector<Op> all = build();
  return all;
}

}  // namespace

const char* intern(std::string_view text) {
  static std::mutex mutex;
  static std::unordered_set<std::string> words;
  std::lock_guard lock(mutex);
  return words.emplace(text).first->c_str();
}

std::span<const Op> ops() { return std::span(all_ops()).first(kOps); }

const Op& op(OpId id) { return all_ops()[id]; }

const Op* find_op(std::string_view name) {
  static const auto index = [] {
    std::unordered_map<std::string_view, const Op*> m;
    for (const Op& o : ops()) m.emplace(o.name, &o);
    return m;
  }();
  const auto it = index.find(name);
  return it == index.end() ? nullptr : it->second;
}

}  // namespace tg
