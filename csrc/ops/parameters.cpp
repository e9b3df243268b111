#include "ops/parameters.h"

#include <bit>
#include <limits>
#include <string_view>

#include "math/convert.h"
#include "ops/table.h"

namespace tg {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

double parameter(const Call& c, int k, bool floating) {
  const Attr& a = c.attrs.values[k];
  const bool given = c.attrs.has(k);
  if (floating) return given ? c.attrs.real(k) : k == 0 ? -inf : inf;
  using Limits = std::numeric_limits<int64_t>;
  const int64_t bits = !given                        ? (k == 0 ? Limits::min() : Limits::max())
                       : a.kind == Attr::Kind::Float ? convert<int64_t>(a.f)
                                                     : a.i;
  return std::bit_cast<double>(bits);
}

// Parameter k of the activation: the call's, or the default of the activation's own row (none: a bound that binds nothing).
double activation_parameter(const Call& c, const Op& activation, int k) {
  if (c.attrs.has(1 + k)) return c.attrs.real(1 + k);
  if (k >= static_cast<int>(activation.attributes.size())) return 0;
  const Attr& own = activation.attribute(k).fallback;
  return own.kind == Attr::Kind::Float ? own.f
         : own.kind == Attr::Kind::Int ? static_cast<double>(own.i)
         : k == 0                      ? -inf
                                       : inf;
}

}  // namespace

double pointwise_parameter(const Call& c, int k) {
  return *kPointwiseInfo[c.op.id].params ? parameter(c, k, is_floating(c.in[0].dtype)) : 0;
}

Activation activation_of(const Call& c) {
  const std::string_view name = c.attrs.text(0);
  if (name == "identity") return {nullptr, 0, 0};
  const Op& op = *find_op(name);
  return {&op, activation_parameter(c, op, 0), activation_parameter(c, op, 1)};
}

}  // namespace tg
