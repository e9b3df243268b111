#include "cpu/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace tg {
namespace {

// A sum whose rounding errors are kept and added at the end (Neumaier): weights of both signs cancel.
class Sum {
 public:
  void add(double x) {
    const double s = sum_ + x;
    rest_ += std::fabs(sum_) >= std::fabs(x) ? (sum_ - s) + x : (x - s) + sum_;
    sum_ = s;
  }
  double value() const { return sum_ + rest_; }

 private:
  double sum_ = 0, rest_ = 0;
};

}  // namespace

Roc roc(Numbers score, std::span<const uint8_t> label, Numbers weight) {
  const size_t n = score.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score[a] > score[b]; });
  Roc r{};
  Sum total[2], squares[2], area;
  auto point = [&](double threshold) {
    r.threshold.push_back(threshold);
    for (int c = 0; c < 2; c++) r.accepted[c].push_back(total[c].value());
  };
  point(std::numeric_limits<double>::infinity());
  for (size_t i = 0; i < n;) {
    const double here = score[order[i]], before[2] = {total[0].value(), total[1].value()};
    for (; i < n && score[order[i]] == here; i++) {
      const int c = label[order[i]] != 0;
      const double w = weight[order[i]];
      total[c].add(w);
      squares[c].add(w * w);
    }
    point(here);
    // Trapezoid: background accepted here times the signal accepted before, and half of the signal accepted here.
    area.add((total[0].value() - before[0]) * (before[1] + (total[1].value() - before[1]) / 2));
  }
  for (int c = 0; c < 2; c++) r.total[c] = total[c].value(), r.squares[c] = squares[c].value();
  r.area = area.value() / (r.total[0] * r.total[1]);
  return r;
}

Passing passing(Numbers score, Numbers weight, double threshold) {
  Sum sum, squares, total, total_squares;
  for (size_t i = 0; i < score.size(); i++) {
    const double w = weight[i];
    total.add(w), total_squares.add(w * w);
    if (score[i] >= threshold) sum.add(w), squares.add(w * w);
  }
  return {sum.value(), squares.value(), total.value(), total_squares.value()};
}

double top_k(int64_t rows, int64_t classes, const double* prediction, std::span<const int64_t> target, int64_t k,
             Numbers weight) {
  Sum hit, total;
  for (int64_t i = 0; i < rows; i++, prediction += classes) {
    const int64_t t = target[static_cast<size_t>(i)];
    const double own = prediction[t];
    int64_t above = 0;
    for (int64_t c = 0; c < classes; c++) {
      const double p = prediction[c];
      const bool greater = p > own || (p != p && own == own), equal = p == own || (p != p && own != own);
      above += greater || (equal && c < t);
    }
    const double w = weight[static_cast<size_t>(i)];
    total.add(w);
    if (above < k) hit.add(w);
  }
  return hit.value() / total.value();
}

double mean_absolute_error(Numbers prediction, Numbers target, Numbers weight) {
  Sum error, total;
  for (size_t i = 0; i < prediction.size(); i++) {
    error.add(weight[i] * std::fabs(prediction[i] - target[i]));
    total.add(weight[i]);
  }
  return error.value() / total.value();
}

double r2(Numbers prediction, Numbers target, Numbers weight) {
  Sum sum, total, residual, spread;
  for (size_t i = 0; i < target.size(); i++) sum.add(weight[i] * target[i]), total.add(weight[i]);
  const double mean = sum.value() / total.value();
  for (size_t i = 0; i < target.size(); i++) {
    const double e = target[i] - prediction[i], d = target[i] - mean;
    residual.add(weight[i] * e * e), spread.add(weight[i] * d * d);
  }
  return 1 - residual.value() / spread.value();
}

}  // namespace tg
