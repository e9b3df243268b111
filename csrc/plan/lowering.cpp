#include "plan/lowering.h"

#include <algorithm>
#include <numeric>
#include <string_view>

namespace tg::plan {
namespace {

constexpr int64_t kMostElements = 1 << 15;  // of an optimizer's step that is cut by parameters
constexpr int64_t kCostOfMember = 64;       // of a parameter, in elements

class Lowering {
 public:
  Lowering(const Program& from, int64_t rows, int threads) : from_(from), rows_(rows), threads_(threads) {
    made_.program.buffers = from.buffers;
    made_.program.inputs = from.inputs;
    made_.program.outputs = from.outputs;
  }

  Lowered run() {
    for (at_ = 0; at_ < from_.instructions.size(); at_++) {
      const Instruction& i = from_.instructions[at_];
      switch (i.op ? i.op->id : OpId{kAllOps}) {
        case op_cross_entropy: cross_entropy(i); break;
        case op_cross_entropy_backward: cross_entropy_backward(i); break;
        case op_bce_with_logits: bce(i); break;
        case op_batch_norm: batch_norm(i); break;
        case op_batch_norm_backward: batch_norm_backward(i); break;
        default: i.op && (i.op->flags & kUpdates) ? update(i) : keep(i);
      }
    }
    return std::move(made_);
  }

 private:
  bool is_batch(const View& v) const { return v.defined() && !v.shape.empty() && v.shape[0] == rows_; }
  void keep(const Instruction& i) {
    made_.program.instructions.push_back(i);
    made_.origin.push_back(static_cast<int>(at_));
  }
  Instruction& add(OpId id, std::vector<View> in, std::vector<View> out) {
    Instruction i;
    i.op = &op(id);
    i.overwrites.assign(in.size(), false);
    for (size_t k = 0; k < out.size(); k++)
      if (i.op->writes[k] >= 0 && out[k].defined()) i.overwrites[static_cast<size_t>(i.op->writes[k])] = true;
    i.in = std::move(in);
    i.out = std::move(out);
    keep(i);
    return made_.program.instructions.back();
  }
  View temporary(const Dims& shape, Dtype dtype) {
    View v{static_cast<int>(made_.program.buffers.size()), 0, shape, contiguous_strides(shape), dtype};
    Buffer b;
    b.bytes = static_cast<size_t>(v.numel() * size_of(dtype));
    made_.program.buffers.push_back(b);
    return v;
  }
  bool written_anywhere(int buffer) const {
    for (const Instruction& i : from_.instructions)
      if (i.writes(buffer)) return true;
    return false;
  }
  void sum_of(const View& x, const View& to, bool first_axis) {
    Instruction& i = add(op_sum, {x}, {to});
    if (first_axis) i.attrs.add(Dims{0});
    else i.attrs.add(Attr{});
    i.attrs.add(Attr::boolean(false));
    i.attrs.add(Attr{});
  }

  // The total of the targets' weights, which needs no logits; the losses of the rows; their sum.
  void cross_entropy(const Instruction& i) {
    const View &x = i.in[0], &target = i.in[1], &weight = i.in[2];
    if (!is_batch(x)) return keep(i);
    const bool constant = !written_anywhere(target.buffer);
    Instruction& total = add(op_class_total, {target, weight}, {i.out[2]});
    total.attrs.add(Attr::integer(x.shape[1]));
    total.attrs.add(Attr::integer(i.attrs.integer(0)));
    if (constant) checked_.push_back({target, x.shape[1], i.attrs.integer(0)});
    const std::string_view reduction = i.attrs.text(1);
    Instruction rows = i;
    rows.checked = constant;
    rows.attrs.values[1] = Attr::word("none");
    if (reduction != "none") rows.out[0] = temporary({x.shape[0]}, x.dtype);
    rows.out[2] = View{};
    const View losses = rows.out[0];
    keep(rows);
    if (reduction == "none") return;
    const View sum = reduction == "sum" ? i.out[0] : temporary({}, x.dtype);
    sum_of(losses, sum, false);
    if (reduction == "mean") add(id_div, {sum, i.out[2]}, {i.out[0]});
  }

  void cross_entropy_backward(const Instruction& i) {
    Instruction copy = i;
    for (const Checked& c : checked_)
      copy.checked |= same(c.target, i.in[2]) && c.classes == i.in[1].shape[1] && c.ignore == i.attrs.integer(0);
    keep(copy);
  }

  void bce(const Instruction& i) {
    const std::string_view reduction = i.attrs.text(0);
    if (!is_batch(i.in[0]) || reduction == "none") return keep(i);
    Instruction rows = i;
    rows.attrs.values[0] = Attr::word("none");
    rows.out[0] = temporary(i.in[0].shape, i.in[0].dtype);
    const View losses = rows.out[0];
    keep(rows);
    if (reduction == "sum") return sum_of(losses, i.out[0], false);
    Instruction& mean = add(op_mean, {losses}, {i.out[0]});
    mean.attrs.add(Attr{});
    mean.attrs.add(Attr::boolean(false));
    mean.attrs.add(Attr{});
  }

  // Sums, sums of squares, what follows from both, and an fma per element.
  void batch_norm(const Instruction& i) {
    const View& x = i.in[0];
    if (!is_batch(x) || x.shape.size() != 2 || !i.attrs.boolean(0) || i.live >= 0) return keep(i);
    const Dims channels{x.shape[1]};
    const View total = temporary(channels, x.dtype), squares = temporary(channels, x.dtype),
               factors = temporary({2, channels[0]}, x.dtype);
    const bool running = i.in[1].defined();
    sum_of(x, total, true);
    add(op_channel_squares, {x, total}, {squares}).attrs.add(Attr::integer(rows_));
    Instruction& rest = add(op_channel_factors, {total, squares, i.in[1], i.in[2], i.in[3], i.in[4]},
                            {i.out[1], i.out[2], running ? i.out[3] : View{}, running ? i.out[4] : View{}, factors});
    rest.attrs.add(Attr::integer(rows_));
    rest.attrs.add(i.attrs.values[1]);
    rest.attrs.add(i.attrs.values[2]);
    add(op_channel_affine, {x, factors}, {i.out[0]});
  }

  void batch_norm_backward(const Instruction& i) {
    const View &g = i.in[0], &x = i.in[1], &mean = i.in[2];
    if (!is_batch(x) || x.shape.size() != 2) return keep(i);
    const Dims channels{x.shape[1]};
    const View dot = temporary(channels, x.dtype), factors = temporary({3, channels[0]}, x.dtype);
    sum_of(g, i.out[2], true);
    add(op_channel_dot, {g, x, mean}, {dot});
    add(op_channel_gradients, {i.out[2], dot, i.in[3], i.in[4]}, {i.out[1], factors}).attrs.add(Attr::integer(rows_));
    add(op_channel_backward, {g, x, mean, factors}, {i.out[0]});
  }

  // An optimizer's step over some of the parameters for each thread. Many elements its kernel shares out better.
  void update(const Instruction& i) {
    // The list has groups of equal length, of which the second, the gradients, alone is not overwritten.
    const auto n =
        static_cast<size_t>(std::find(i.overwrites.begin(), i.overwrites.end(), false) - i.overwrites.begin());
    const auto elements = [&](size_t k) { return i.in[k].numel(); };
    int64_t all = 0;
    for (size_t k = 0; k < n; k++) all += elements(k);
    if (threads_ < 2 || n < 2 || i.in.size() % n || all > kMostElements) return keep(i);
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return elements(a) > elements(b); });
    std::vector<std::vector<size_t>> shares(static_cast<size_t>(threads_));
    std::vector<int64_t> load(shares.size(), 0);
    for (const size_t k : order) {
      const auto to = static_cast<size_t>(std::min_element(load.begin(), load.end()) - load.begin());
      shares[to].push_back(k);
      load[to] += elements(k) + kCostOfMember;
    }
    for (std::vector<size_t>& share : shares) {
      if (share.empty()) continue;
      std::sort(share.begin(), share.end());
      Instruction part = i;
      part.in.clear();
      part.overwrites.clear();
      for (size_t group = 0; group < i.in.size(); group += n)
        for (const size_t k : share) {
          part.in.push_back(i.in[group + k]);
          part.overwrites.push_back(i.overwrites[group + k]);
        }
      keep(part);
    }
  }

  struct Checked {
    View target;
    int64_t classes, ignore;
  };
  const Program& from_;
  int64_t rows_;
  int threads_;
  size_t at_ = 0;
  Lowered made_;
  std::vector<Checked> checked_;
};

}  // namespace

Lowered lowered(const Program& program, int64_t rows, int threads) { return Lowering(program, rows, threads).run(); }

}  // namespace tg::plan
