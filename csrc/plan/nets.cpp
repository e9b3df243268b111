#include "plan/nets.h"

#include <algorithm>
#include <string_view>

#include "math/pointwise_reads.h"

namespace tg::plan {
namespace {

bool is(const Instruction& i, OpId id) { return i.op && i.op->id == id; }

// y = f(x) with a derivative, the next row
bool is_function(const Instruction& i) {
  return i.op && i.op->id < kPointwiseOps && kPointwiseInfo[i.op->id].differentiable &&
         kPointwiseInfo[i.op->id].arity == 1;
}

bool is_matrix(const View& v) { return v.defined() && v.shape.size() == 2; }
bool is_number(const View& v) { return v.defined() && v.numel() == 1; }

bool is_whole(const Instruction& sum) {  // over all axes
  return !sum.attrs.has(0) && sum.out[0].numel() == 1;
}

bool is_half(const View& v) { return v.defined() && size_of(v.dtype) == 2 && is_floating(v.dtype); }
// A cast to 16 bits, and one from there to float32.
bool narrows(const Instruction& i) { return is(i, op_cast) && is_half(i.out[0]) && i.out[0].contiguous(); }
bool widens(const Instruction& i) {
  return is(i, op_cast) && is_half(i.in[0]) && i.out[0].dtype == Dtype::Float32 && i.out[0].contiguous();
}

// Reads a net from some instruction on, as far as it goes.
class Reader {
 public:
  Reader(const Program& p, size_t first) : p_(p), list_(p.instructions), first_(first), at_(first) {}

  size_t end() const { return at_; }

  bool layers() {
    while (layer()) ends_.push_back(at_);
    if (!ends_.empty()) at_ = ends_.back();
    return !ends_.empty();
  }
  // Gives the last layer back.
  bool shorten() {
    layers_.pop_back();
    ends_.pop_back();
    if (ends_.empty()) return false;
    at_ = ends_.back();
    return true;
  }
  size_t depth() const { return layers_.size(); }

  // A loss of the last layer's result, and its gradient.
  bool loss() {
    const View& y = layers_.back().wide;
    const Instruction* i = next();
    if (!i || i->out.empty() || !y.defined() || !same(i->in[0], y)) return false;
    if (is(*i, op_cross_entropy) || is(*i, op_bce_with_logits)) {
      const bool classes = is(*i, op_cross_entropy);
      for (const View& v : i->out) show(v);
      const View* scale = seed();
      const Instruction* d = scale ? next() : nullptr;
      if (!d || !is(*d, classes ? op_cross_entropy_backward : op_bce_with_logits_backward)) return false;
      // (grad, x, target, lse, total, weight) of (x, target, weight); (grad, x, target, weight, pos_weight) of (x, target, ..)
      bool alike = same(d->in[0], *scale) && same(d->in[1], y) && same(d->in[2], i->in[1]);
      if (classes) alike &= same(d->in[3], i->out[1]) && same(d->in[4], i->out[2]) && equal(d->in[5], i->in[2]);
      else alike &= equal(d->in[3], i->in[2]) && equal(d->in[4], i->in[3]);
      for (int k = 0; k < i->attrs.n; k++) alike &= equal(i->attrs.values[k], d->attrs.values[k]);
      gradient_ = d->out[0];
      return alike;
    }
    if (!is(*i, id_sub) || !(i->in[1].shape == y.shape)) return false;
    const Instruction *square = next(), *sum = next();
    if (!sum || !is(*square, id_square) || !same(square->in[0], i->out[0])) return false;
    if ((!is(*sum, op_mean) && !is(*sum, op_sum)) || !is_whole(*sum) || !same(sum->in[0], square->out[0])) return false;
    show(sum->out[0]);
    const View* scale = seed();
    if (!scale) return false;
    if (is(*sum, op_mean)) {
      const Instruction* div = next();
      if (!div || !is(*div, id_div) || !same(div->in[0], *scale) || !is_number(div->in[1])) return false;
      scale = &div->out[0];
    }
    const Instruction* d = next();
    if (!d || !is(*d, id_square_backward) || !same(d->in[1], i->out[0])) return false;
    gradient_ = d->out[0];
    const View& of = d->in[0];  // the number, spread out
    bool spread = of.buffer == scale->buffer && of.offset == scale->offset;
    for (int k = 0; k < of.shape.size(); k++) spread &= of.strides[k] == 0 || of.shape[k] == 1;
    return spread;
  }

  bool gradients() {
    for (size_t l = layers_.size(); l-- > 0;) {
      const Layer& layer = layers_[l];
      const bool last = l + 1 == layers_.size();
      if (layer.activation) {
        const Instruction* d = next();
        const OpId id = derivative(layer);
        if (!d || !is(*d, id) || !same(d->in[0], gradient_)) return false;
        const PointwiseReads& reads = kPointwiseReads[id];
        const bool gate = id == id_relu_backward && same(d->in[1], layer.wide);  // open where the result is > 0 too
        if (reads.input && !gate && !same(d->in[1], layer.z)) return false;
        if (reads.output && !same(d->in[2], layer.wide)) return false;
        gradient_ = d->out[0];
      }
      if (layer.half && (layer.activation || last) && !casts(&gradient_, &narrows)) return false;
      if (!gradients_of(layer, l > 0 ? &layers_[l - 1] : nullptr)) return false;
    }
    return true;
  }

  // Does nobody see what is not shown, and nothing change that is read?
  bool is_closed() const {
    std::vector<int> made;
    for (size_t k = first_; k < at_; k++)
      for (const View& v : list_[k].out) {
        if (!v.defined()) continue;
        if (std::ranges::find(made, v.buffer) != made.end()) return false;
        made.push_back(v.buffer);
        const Buffer& b = p_.buffers[static_cast<size_t>(v.buffer)];
        const bool shown = std::ranges::find(shown_, v.buffer) != shown_.end() || v.buffer == layers_.back().y.buffer ||
                           v.buffer == layers_.back().wide.buffer;
        if (!shown && (b.role != Role::temporary || b.storage || seen_outside(v.buffer))) return false;
      }
    for (size_t k = first_; k < at_; k++)
      for (size_t j = 0; j < list_[k].in.size(); j++) {
        const View& v = list_[k].in[j];
        if (!v.defined() || list_[k].overwrites[j]) continue;
        for (size_t later = k; later < at_; later++)
          if (list_[later].writes(v.buffer)) return false;
      }
    return true;
  }

 private:
  // In 16 bits: what it makes is widened, goes through the activation in float32, and is rounded for the next one.
  struct Layer {
    View x, w, z;
    View y, wide;  // the result, as the next layer and as a loss take it; either may be absent
    const PointwiseInfo* activation;
    bool half;
  };

  bool layer() {
    const size_t first = at_;
    while (at_ < list_.size() && narrows(list_[at_])) at_++;
    if (at_ == list_.size() || !is(list_[at_], op_dense)) return false;
    const Instruction& dense = list_[at_];
    View x = dense.in[0];
    for (size_t k = first; k < at_; k++) {
      if (std::ranges::count_if(dense.in, [&](const View& v) { return same(v, list_[k].out[0]); }) != 1) return false;
      if (same(x, list_[k].out[0])) x = list_[k].in[0];
    }
    if (!is_matrix(dense.in[0]) || !dense.out[0].contiguous()) return false;
    if (!layers_.empty() && !same(x, same(x, dense.in[0]) ? layers_.back().y : layers_.back().wide)) return false;
    at_++;
    const View& z = dense.out[0];
    Layer layer{dense.in[0], dense.in[1], z, z, {}, nullptr, is_half(z)};
    const std::string_view fused = dense.attrs.text(0);
    if (layer.half) {
      if (fused != "identity") return false;
      if (casts(&layer.z, &widens)) layer.wide = layer.z;
      if (layer.wide.defined() && is_followed(layer)) {
        layer.y = layer.wide = list_[at_++].out[0];
        if (!casts(&layer.y, &narrows)) layer.y = {};
      }
    } else {
      if (fused != "identity") layer.activation = find(fused);
      else if (is_followed(layer)) layer.y = list_[at_++].out[0];
      layer.wide = layer.y;
    }
    layers_.push_back(layer);
    return true;
  }
  // Is the next one the activation of z?
  bool is_followed(Layer& layer) const {
    if (at_ == list_.size() || !is_function(list_[at_]) || !same(list_[at_].in[0], layer.z)) return false;
    const View& y = list_[at_].out[0];
    if (!y.contiguous() || y.dtype != layer.z.dtype) return false;
    layer.activation = &kPointwiseInfo[list_[at_].op->id];
    return true;
  }
  // Is the next one such a cast of v? Then its result takes v's place.
  bool casts(View* v, bool (*kind)(const Instruction&)) {
    if (at_ == list_.size() || !kind(list_[at_]) || !same(list_[at_].in[0], *v)) return false;
    *v = list_[at_++].out[0];
    return true;
  }
  // The gradient of a loss, a number: 1, or that times another number.
  const View* seed() {
    const Instruction* fill = next();
    if (!fill || !is(*fill, op_fill_)) return nullptr;
    const View* scale = &fill->out[0];
    if (at_ < list_.size() && is(list_[at_], id_mul_backward_a) && list_[at_].live < 0 &&
        same(list_[at_].in[0], *scale) && is_number(list_[at_].in[2]))
      scale = &list_[at_++].out[0];
    return scale;
  }
  static OpId derivative(const Layer& layer) { return static_cast<OpId>(layer.activation - kPointwiseInfo + 1); }

  // dense_grad_weight, dense_grad_bias, dense_grad_input if there is a layer before, and their casts to float32, each at most once.
  bool gradients_of(const Layer& layer, const Layer* before) {
    const Instruction *weight = nullptr, *bias = nullptr, *input = nullptr;
    View dw, db, dx;
    for (; at_ < list_.size(); at_++) {
      const Instruction& i = list_[at_];
      if (is(i, op_dense_grad_weight) && !weight) {
        if (!same(i.in[0], gradient_) || !same(i.in[1], layer.x) || !i.out[0].contiguous()) return false;
        weight = &i, dw = i.out[0];
      } else if (is(i, op_dense_grad_bias) && !bias) {
        if (!same(i.in[0], gradient_) || !i.out[0].contiguous()) return false;
        bias = &i, db = i.out[0];
      } else if (before && is(i, op_dense_grad_input) && !input) {
        if (!same(i.in[0], gradient_) || !same(i.in[1], layer.w)) return false;
        input = &i, dx = i.out[0];
      } else if (!casts(&dw, &widens) && !casts(&db, &widens) && !casts(&dx, &widens)) {
        break;
      } else {
        at_--;
      }
    }
    show(dw);
    show(db);
    gradient_ = dx;
    return (weight || bias) && (input || !before);
  }
  static const PointwiseInfo* find(std::string_view name) {
    return std::ranges::find_if(kPointwiseInfo, [&](const PointwiseInfo& i) { return name == i.name; });
  }
  static bool equal(const View& a, const View& b) { return a.defined() == b.defined() && (!a.defined() || same(a, b)); }
  static bool equal(const Attr& a, const Attr& b) {
    if (a.kind != b.kind) return false;
    return a.kind == Attr::Kind::Text ? std::string_view(a.text) == b.text : a.kind == Attr::Kind::None || a.i == b.i;
  }
  const Instruction* next() {
    if (at_ == list_.size() || !list_[at_].op || list_[at_].live >= 0) return nullptr;
    return &list_[at_++];
  }
  void show(const View& v) {
    if (v.defined()) shown_.push_back(v.buffer);
  }
  bool seen_outside(int buffer) const {
    for (size_t k = 0; k < list_.size(); k++)
      if ((k < first_ || k >= at_) && (list_[k].reads(buffer) || list_[k].writes(buffer))) return true;
    return false;
  }

  const Program& p_;
  const std::vector<Instruction>& list_;
  size_t first_, at_;
  std::vector<Layer> layers_;
  std::vector<size_t> ends_;  // of each layer
  View gradient_;             // of the result that is looked at
  std::vector<int> shown_;    // what others may see beside the last result
};

}  // namespace

void find_nets(Program& p, const std::function<bool(Together, std::span<const Instruction>)>& fits) {
  for (size_t k = 0; k < p.instructions.size(); k++) {
    if (!is(p.instructions[k], op_dense) && !narrows(p.instructions[k])) continue;
    auto marked = [&](Together how, size_t end) {
      if (!fits(how, std::span<const Instruction>(p.instructions).subspan(k, end - k))) return false;
      p.instructions[k].together = how;
      p.instructions[k].calls = static_cast<int>(end - k);
      k = end - 1;
      return true;
    };
    Reader step(p, k);
    if (step.layers() && step.loss() && step.gradients() && step.is_closed() && marked(Together::training, step.end()))
      continue;
    Reader net(p, k);
    // A layer alone pays where there are casts to be saved.
    for (bool more = net.layers(); more && (net.depth() > 1 || net.end() - k > 2); more = net.shorten())
      if (net.is_closed() && marked(Together::net, net.end())) break;
  }
}

std::vector<bool> unseen(const Program& p) {
  std::vector<bool> found(p.buffers.size(), false);
  for (size_t k = 0; k < p.instructions.size(); k++) {
    const Instruction& first = p.instructions[k];
    if (first.together != Together::net && first.together != Together::training) continue;
    const size_t end = k + static_cast<size_t>(first.calls);
    for (size_t j = k; j < end; j++)
      for (const View& v : p.instructions[j].out)
        if (v.defined()) {
          const Buffer& b = p.buffers[static_cast<size_t>(v.buffer)];
          found[static_cast<size_t>(v.buffer)] = b.role == Role::temporary && !b.storage;
        }
    for (size_t j = 0; j < p.instructions.size(); j++) {
      if (j == k) j = end;
      if (j >= p.instructions.size()) break;
      for (const std::vector<View>* views : {&p.instructions[j].in, &p.instructions[j].out})
        for (const View& v : *views)
          if (v.defined()) found[static_cast<size_t>(v.buffer)] = false;
    }
    k = end - 1;
  }
  return found;
}

}  // namespace tg::plan
