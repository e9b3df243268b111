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

// Reads a net from some instruction on, as far as it goes.
class Reader {
 public:
  Reader(const Program& p, size_t first) : p_(p), list_(p.instructions), first_(first), at_(first) {}

  size_t end() const { return at_; }

  bool layers() {
    while (at_ < list_.size() && is(list_[at_], op_dense) && is_matrix(list_[at_].in[0]) &&
           list_[at_].out[0].contiguous() && (layers_.empty() || same(list_[at_].in[0], layers_.back().y))) {
      const Instruction& dense = list_[at_++];
      Layer layer{dense.in[0], dense.in[1], dense.out[0], dense.out[0], nullptr, dense.in[2].defined()};
      const std::string_view fused = dense.attrs.text(0);
      if (fused != "identity") {
        layer.activation = find(fused);
      } else if (at_ < list_.size() && is_function(list_[at_]) && same(list_[at_].in[0], layer.z) &&
                 list_[at_].out[0].contiguous() && list_[at_].out[0].dtype == layer.z.dtype) {
        layer.activation = &kPointwiseInfo[list_[at_].op->id];
        layer.y = list_[at_++].out[0];
      }
      layers_.push_back(layer);
      ends_.push_back(at_);
    }
    return !layers_.empty();
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
    const View& y = layers_.back().y;
    const Instruction* i = next();
    if (!i || i->out.empty() || !same(i->in[0], y)) return false;
    shown_ = {y.buffer};
    if (is(*i, op_cross_entropy) || is(*i, op_bce_with_logits)) {
      const bool classes = is(*i, op_cross_entropy);
      for (const View& v : i->out) show(v);
      const Instruction *seed = next(), *d = next();
      if (!d || !is(*seed, op_fill_) || !is(*d, classes ? op_cross_entropy_backward : op_bce_with_logits_backward))
        return false;
      // (grad, x, target, lse, total, weight) of (x, target, weight); (grad, x, target, weight, pos_weight) of (x, target, ..)
      bool alike = same(d->in[0], seed->out[0]) && same(d->in[1], y) && same(d->in[2], i->in[1]);
      if (classes) alike &= same(d->in[3], i->out[1]) && same(d->in[4], i->out[2]) && equal(d->in[5], i->in[2]);
      else alike &= equal(d->in[3], i->in[2]) && equal(d->in[4], i->in[3]);
      for (int k = 0; k < i->attrs.n; k++) alike &= equal(i->attrs.values[k], d->attrs.values[k]);
      gradient_ = d->out[0];
      return alike;
    }
    if (!is(*i, id_sub) || !(i->in[1].shape == y.shape)) return false;
    const Instruction *square = next(), *sum = next(), *seed = next();
    if (!seed || !is(*square, id_square) || !same(square->in[0], i->out[0]) || !is(*seed, op_fill_)) return false;
    if ((!is(*sum, op_mean) && !is(*sum, op_sum)) || !is_whole(*sum) || !same(sum->in[0], square->out[0])) return false;
    show(sum->out[0]);
    View scale = seed->out[0];
    if (is(*sum, op_mean)) {
      const Instruction* div = next();
      if (!div || !is(*div, id_div) || !same(div->in[0], scale) || !is_number(div->in[1])) return false;
      scale = div->out[0];
    }
    const Instruction* d = next();
    if (!d || !is(*d, id_square_backward) || !same(d->in[1], i->out[0])) return false;
    gradient_ = d->out[0];
    const View& of = d->in[0];  // the number, spread out
    return of.buffer == scale.buffer && of.offset == scale.offset &&
           std::ranges::all_of(of.strides, [&](int64_t stride) { return stride == 0; });
  }

  bool gradients() {
    for (size_t l = layers_.size(); l-- > 0;) {
      const Layer& layer = layers_[l];
      if (layer.activation) {
        const Instruction* d = next();
        const auto id = static_cast<OpId>(layer.activation - kPointwiseInfo + 1);
        if (!d || !is(*d, id) || !same(d->in[0], gradient_)) return false;
        const PointwiseReads& reads = kPointwiseReads[id];
        if ((reads.input && !same(d->in[1], layer.z)) || (reads.output && !same(d->in[2], layer.y))) return false;
        gradient_ = d->out[0];
      }
      int found = 0;
      for (; found < 2 && at_ < list_.size(); found++, at_++) {
        const Instruction& i = list_[at_];
        const bool weight = is(i, op_dense_grad_weight);
        if ((!weight && !is(i, op_dense_grad_bias)) || !same(i.in[0], gradient_) ||
            (weight && !same(i.in[1], layer.x)) || !i.out[0].contiguous())
          break;
        show(i.out[0]);
      }
      if (!found) return false;
      if (l == 0) return true;
      const Instruction* dx = next();
      if (!dx || !is(*dx, op_dense_grad_input) || !same(dx->in[0], gradient_) || !same(dx->in[1], layer.w))
        return false;
      gradient_ = dx->out[0];
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
        const bool shown = std::ranges::find(shown_, v.buffer) != shown_.end() ||
                           (shown_.empty() && v.buffer == layers_.back().y.buffer);
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
  struct Layer {
    View x, w, z, y;
    const PointwiseInfo* activation;
    bool bias;
  };
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
  std::vector<int> shown_;    // what others may see; of layers alone the last result
};

}  // namespace

void find_nets(Program& p, const std::function<bool(Together, std::span<const Instruction>)>& fits) {
  for (size_t k = 0; k < p.instructions.size(); k++) {
    if (!is(p.instructions[k], op_dense)) continue;
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
    for (bool more = net.layers(); more && net.depth() > 1; more = net.shorten())
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
