// How good predictions are. Plain functions over float64; every event has a weight, which may be negative, as event
// generators beyond leading order make them.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace tg {

using Numbers = std::span<const double>;

// Thresholds from the highest to the lowest score, one for each distinct score; the first, +inf, accepts nothing. At each, the
// sums of the weights of the accepted events of both classes.
struct Roc {
  std::vector<double> threshold, accepted[2];
  double total[2];    // sums of weights: background, signal
  double squares[2];  // sums of their squares
  double area;        // P(score of signal > score of background), ties count half
};
Roc roc(Numbers score, std::span<const uint8_t> label, Numbers weight);

// What passes a threshold (score >= threshold): sums of weights and of their squares.
struct Passing {
  double sum, squares, total, total_squares;
};
Passing passing(Numbers score, Numbers weight, double threshold);

// The share of weight of the rows whose target is among the k greatest of its row, prediction(rows, classes). Of equal
// numbers the first counts as the greater; NaN counts as greatest, as in sorts.
double top_k(int64_t rows, int64_t classes, const double* prediction, std::span<const int64_t> target, int64_t k,
             Numbers weight);

double mean_absolute_error(Numbers prediction, Numbers target, Numbers weight);
// 1 - (sum of squared errors) / (sum of squares around the weighted mean)
double r2(Numbers prediction, Numbers target, Numbers weight);

}  // namespace tg
