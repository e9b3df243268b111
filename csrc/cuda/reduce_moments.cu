// Reductions about a center, norms and products of rows.
#include "cuda/reduce_kinds.h"

namespace tg::cuda {

void var(const Call& c, Stream stream) {
  const int64_t n = elements_over(c, c.axes);
  const double left = static_cast<double>(n) - c.attribute[2].value();
  with_floating(dtype_of(c.in[0]), [&](auto t) {
    using T = decltype(t);
    auto mean = floats<Reduce::sum>(c, scratch<T>(c, numel(c.out[0])));
    mean.end = End::divided;
    mean.by = static_cast<T>(n);
    reduce(c, c.axes, mean, stream);
    auto squares = floats<Reduce::squares>(c, result<T>(c));
    squares.centers = mean.out;
    squares.end = End::divided;
    squares.by = static_cast<T>(left > 0 ? left : 0);
    reduce(c, c.axes, squares, stream);
  });
}

void logsumexp(const Call& c, Stream stream) {
  with_floating(dtype_of(c.in[0]), [&](auto t) {
    using T = decltype(t);
    auto largest = floats<Reduce::max>(c, scratch<T>(c, numel(c.out[0])));
    largest.end = End::finite;  // x - inf would be NaN; exp(x) is 0 or inf by itself
    reduce(c, c.axes, largest, stream);
    auto exps = floats<Reduce::exps>(c, result<T>(c));
    exps.centers = largest.out;
    exps.end = End::log_added;
    reduce(c, c.axes, exps, stream);
  });
}

void norm(const Call& c, Stream stream) {
  with_floating(dtype_of(c.in[0]), [&](auto t) {
    using T = decltype(t);
    if (c.attribute[2].value() == 1) return reduce(c, c.axes, floats<Reduce::absolute>(c, result<T>(c)), stream);
    auto squares = floats<Reduce::squares>(c, result<T>(c));
    squares.end = End::root;
    reduce(c, c.axes, squares, stream);
  });
}

void dot(const Call& c, Stream stream) {
  with_floating(dtype_of(c.in[0]), [&](auto t) {
    using T = decltype(t);
    auto products = floats<Reduce::dot>(c, result<T>(c));
    products.y = static_cast<const T*>(c.in[1].data);
    Reduction<2> r;
    reduction_over<2>({&c.in[0], &c.in[1]}, 1u << (c.in[0].rank - 1), 0, &r);
    reduce(r, products, stream, [&](int64_t bytes) { return scratch<unsigned char>(c, bytes); });
  });
}

}  // namespace tg::cuda
