// The rows of the optimizers: which kernels serve a call, and its list cut into what a launch takes.
#include "cuda/update.h"

#include <vector>

namespace tg::cuda {
namespace {

// A call's list, whose members that are not contiguous are worked on in copies.
class List {
 public:
  List(const Call& c, Stream stream)
      : groups(2 + c.states + c.scalars), n(c.inputs / groups), call_(c), stream_(stream), in_(c.in, c.in + c.inputs) {
    for (int i = 0; i < n * (2 + c.states); i++) in_[size_t(i)] = contiguous(c, c.in[i], stream);
  }
  const Operand& operator()(int group, int j) const { return in_[size_t(group * n + j)]; }
  void write_back() const {
    for (int i = 0; i < n * (2 + call_.states); i++)
      if (i / n != 1 && in_[size_t(i)].data != call_.in[i].data) copied(in_[size_t(i)], call_.in[i], stream_);
  }
  const int groups, n;

 private:
  const Call& call_;
  Stream stream_;
  std::vector<Operand> in_;
};

template <class Rule, int states, class T>
void step(const Call& c, const List& list, Stream stream) {
  using Elements = UpdateElements<Rule, states, T>;
  UpdateAttributes attributes;
  for (int k = 0; k < UpdateAttributes::most; k++) attributes.of[k] = live(c, k);
  Parameters some;
  auto launch = [&] {
    if (some.count == 0) return;
    UpdateNumbers* numbers = nullptr;
    if (c.scalars) {
      numbers = scratch<UpdateNumbers>(c, some.count);
      each(stream, some.count, PrepareUpdate<Rule>{attributes, some, c.scalars, numbers});
    }
    teams(stream, some.blocks, Elements{attributes, some, numbers});
    some = {};
  };
  for (int j = 0; j < list.n; j++) {
    if (list(0, j).dtype != static_cast<int32_t>(sizeof(T) == 4 ? Dtype::Float32 : Dtype::Float64)) continue;
    if (some.count == Parameters::most) launch();
    Parameters::Parameter& p = some.of[some.count++];
    p.length = numel(list(0, j));
    p.first_block = some.blocks;
    some.blocks += (p.length + Elements::chunk - 1) / Elements::chunk;
    p.aligned = true;
    for (int g = 0; g < 2 + states; g++) {
      p.member[g] = list(g, j).data;
      p.aligned &= reinterpret_cast<uintptr_t>(p.member[g]) % sizeof(typename Elements::Vector) == 0;
    }
    for (int k = 0; k < c.scalars; k++) {
      p.scalar[k] = list(2 + states + k, j).data;
      p.wide[k] = dtype_of(list(2 + states + k, j)) == Dtype::Float64;
    }
  }
  launch();
}

template <class Rule, int states>
void step(const Call& c, Stream stream) {
  const List list(c, stream);
  step<Rule, states, float>(c, list, stream);
  step<Rule, states, double>(c, list, stream);
  list.write_back();
}

}  // namespace

void update(const Call& c, Stream stream) {
  switch (c.op) {
    case op_sgd: return c.states ? step<update_sgd, 1>(c, stream) : step<update_sgd, 0>(c, stream);
    case op_adagrad: return step<update_adagrad, 1>(c, stream);
    case op_adadelta: return step<update_adadelta, 2>(c, stream);
    case op_rmsprop:
      return c.states == 1   ? step<update_rmsprop, 1>(c, stream)
             : c.states == 2 ? step<update_rmsprop, 2>(c, stream)
                             : step<update_rmsprop, 3>(c, stream);
    case op_adam: return c.states == 2 ? step<update_adam, 2>(c, stream) : step<update_adam, 3>(c, stream);
    case op_adamax: return step<update_adamax, 2>(c, stream);
    case op_nadam: return step<update_nadam, 2>(c, stream);
    case op_radam: return step<update_radam, 2>(c, stream);
    case op_asgd: return step<update_asgd, 1>(c, stream);
    default: return step<update_rprop, 2>(c, stream);
  }
}

}  // namespace tg::cuda
