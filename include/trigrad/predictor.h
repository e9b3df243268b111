// Trained models that decide in nanoseconds, for C++: a header over the functions of predictor_c.h. Needs C++17 and the
// library trigrad_realtime (CMake: find_package(trigrad), target trigrad::realtime).
//
//   const trigrad::Predictor tagger("tagger.tgplan");
//   float x[16], y[5];
//   tagger.run(x, y);
#pragma once
#include <memory>
#include <stdexcept>
#include <string>

#include "predictor_c.h"

namespace trigrad {

struct Options {
  bool rows = false;             // many rows per call: pack for tiles of events as well
  bool flush_denormals = false;  // take denormals for zero: no longer the model's bits
  bool lock_memory = false;      // keep the weights from being swapped out
};

// An answer's threshold, made ready by Predictor::cut.
using Cut = trigrad_cut;

// A model, packed for this machine. Constant: threads may share it.
class Predictor {
 public:
  // From a plan file, validated and self-tested. Throws std::runtime_error, which says what is wrong.
  explicit Predictor(const std::string& path, Options options = {})
      : Predictor(trigrad_predictor_load(path.c_str(), bits(options))) {}
  static Predictor from_bytes(const void* bytes, std::size_t count, Options options = {}) {
    return Predictor(trigrad_predictor_from_bytes(bytes, count, bits(options)));
  }

  int inputs() const noexcept { return inputs_; }
  int outputs() const noexcept { return outputs_; }
  const char* isa() const noexcept { return trigrad_predictor_isa(handle_.get()); }

  // x[inputs()] -> y[outputs()]. False, and y as it was, if the plan refuses the event for a NaN.
  bool run(const float* x, float* y) const noexcept { return trigrad_predictor_run(handle_.get(), x, y) != 0; }
  // x[rows][inputs()] -> y[rows][outputs()]: `rows`, or the place of the first refused one.
  std::int64_t run(const float* x, std::int64_t rows, float* y) const noexcept {
    return trigrad_predictor_run_rows(handle_.get(), x, rows, y);
  }

  // passes(x, cut(t)) is y[output] >= t.
  Cut cut(float threshold) const noexcept { return trigrad_predictor_cut(handle_.get(), threshold); }
  bool passes(const float* x, const Cut& cut, int output = 0) const noexcept {
    return trigrad_predictor_passes(handle_.get(), x, cut, output) != 0;
  }

 private:
  struct Free {
    void operator()(trigrad_predictor* p) const noexcept { trigrad_predictor_free(p); }
  };
  explicit Predictor(trigrad_predictor* handle) : handle_(handle) {
    if (!handle) throw std::runtime_error(trigrad_last_error());
    inputs_ = trigrad_predictor_inputs(handle);
    outputs_ = trigrad_predictor_outputs(handle);
  }
  static std::uint32_t bits(const Options& o) noexcept {
    return (o.rows ? std::uint32_t(TRIGRAD_ROWS) : 0u) |
           (o.flush_denormals ? std::uint32_t(TRIGRAD_FLUSH_DENORMALS) : 0u) |
           (o.lock_memory ? std::uint32_t(TRIGRAD_LOCK_MEMORY) : 0u);
  }
  std::unique_ptr<trigrad_predictor, Free> handle_;
  int inputs_ = 0, outputs_ = 0;
};

// How many threads `run` may use on many rows. Results do not depend on it. False: not a number of threads.
inline bool set_num_threads(int threads) noexcept { return trigrad_set_num_threads(threads) != 0; }

}  // namespace trigrad
