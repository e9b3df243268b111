// The steps of the optimizers: all parameters of a call as one range of elements, cut where threads want it.
#include "cpu/update.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "cpu/aside.h"
#include "cpu/contiguous.h"
#include "cpu/isa.h"
#include "cpu/kernels.h"
#include "cpu/rows_driver.h"
#include "ops/update.h"

namespace tg {
namespace {

constexpr double kNanoseconds = 0.4;  // a guess of the time per element

struct Segment {
  int64_t first, length;                     // its place in the range of all elements
  std::byte* member[2 + kUpdateMostStates];  // parameter, gradient, states
  Dtype dtype;
  UpdateNumbers numbers;
};

struct Update {
  int rule, states;
  std::span<Segment> segments;

  template <class T>
  void step(UpdateStep<T> kernel, const Segment& s, int64_t first, int64_t last) const {
    T* state[kUpdateMostStates] = {};
    for (int k = 0; k < states; k++) state[k] = reinterpret_cast<T*>(s.member[2 + k]) + first;
    kernel(&s.numbers, reinterpret_cast<T*>(s.member[0]) + first, reinterpret_cast<const T*>(s.member[1]) + first,
           state, last - first);
  }

  // The elements first .. last - 1 of the whole range.
  void operator()(int64_t first, int64_t last) const {
    const UpdateTable& table = *isa().update;
    auto s = std::upper_bound(segments.begin(), segments.end(), first,
                              [](int64_t at, const Segment& segment) { return at < segment.first + segment.length; });
    for (; s != segments.end() && s->first < last; ++s) {
      const int64_t from = std::max(first - s->first, int64_t{0}), to = std::min(last - s->first, s->length);
      if (s->dtype == Dtype::Float32) step(table.step_f32[rule][states], *s, from, to);
      else step(table.step_f64[rule][states], *s, from, to);
    }
  }
};

double read(const Tensor& t) {
  return t.dtype == Dtype::Float32 ? static_cast<double>(*t.data<float>()) : *t.data<double>();
}
void write(const Tensor& t, double value) {
  if (t.dtype == Dtype::Float32) *t.data<float>() = static_cast<float>(value);
  else *t.data<double>() = value;
}

}  // namespace

void k_update(const Call& c) {
  const UpdateLayout layout = update_layout(c.op, c.attrs);
  const size_t n = c.in.size() / static_cast<size_t>(layout.groups()), members = 2 + static_cast<size_t>(layout.states);
  const Tensor list = aside({static_cast<int64_t>(n * sizeof(Segment))}, Dtype::UInt8);
  Update u{c.op.id - op_sgd, layout.states, {reinterpret_cast<Segment*>(list.data()), n}};
  std::uninitialized_default_construct(u.segments.begin(), u.segments.end());

  std::vector<std::pair<size_t, Tensor>> copies;  // of the inputs that are not contiguous
  int64_t total = 0;
  for (size_t j = 0; j < n; j++) {
    Segment& s = u.segments[j];
    s.first = total;
    total += s.length = c.in[j].numel();
    s.dtype = c.in[j].dtype;
    for (size_t k = 0; k < members; k++) {
      const Tensor& t = c.in[k * n + j];
      if (!t.contiguous()) copies.emplace_back(k * n + j, contiguous(t));
      s.member[k] = (t.contiguous() ? t : copies.back().second).data();
    }
  }

  double attributes[kMaxAttrs] = {};
  for (int k = 0; k < c.attrs.n; k++) attributes[k] = c.attrs.real(k);
  double before[kUpdateMostScalars] = {}, after[kUpdateMostScalars] = {};
  for (size_t j = 0; j < n; j++) {
    double scalar[kUpdateMostScalars] = {};
    for (size_t k = 0; k < static_cast<size_t>(layout.scalars); k++) scalar[k] = read(c.in[(members + k) * n + j]);
    if (j &&
        std::equal(scalar, scalar + kUpdateMostScalars, before)) {  // as a rule all parameters are at the same step
      u.segments[j].numbers = u.segments[j - 1].numbers;
    } else {
      std::copy(scalar, scalar + kUpdateMostScalars, before);
      isa().update->prepare[u.rule](attributes, scalar, &u.segments[j].numbers);
      std::copy(scalar, scalar + kUpdateMostScalars, after);
    }
    for (size_t k = 0; k < static_cast<size_t>(layout.scalars); k++) write(c.in[(members + k) * n + j], after[k]);
  }

  split(total, kNanoseconds, [&](int64_t first, int64_t last) { u(first, last); });

  for (const auto& [i, values] : copies)
    if (overwrites(layout, i, c.in.size())) copy(c.in[i], values);
}

}  // namespace tg
