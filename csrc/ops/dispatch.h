// The one door: every computation goes through call().
#pragma once
#include <span>

#include "ops/op.h"

namespace tg::dispatch {

// Checks, infers, promotes, allocates, runs, bumps versions, records. Everything that can be refused is refused before
// the first write. `out` receives op.n_outputs tensors. They are where the inputs are; those of a call without tensors are at
// `place`.
void call(const Op& op, std::span<const Tensor> in, const Attrs& attrs, std::span<Tensor> out, Place place = {});

// The same op with output 0 written into input 0 (the op must allow it, the shape must stay).
Tensor call_inplace(const Op& op, std::span<const Tensor> in, const Attrs& attrs);

// For ops of one output.
Tensor call1(const Op& op, std::initializer_list<Tensor> in, const Attrs& attrs = {});

// A copy on another device, or the tensor itself where it is there already. No op: it is not recorded.
Tensor moved(const Tensor& t, Place place);

// The Precision of this thread's calls: what all threads allow, and what it allows itself.
uint8_t precision();
uint8_t own_precision();
void allow_everywhere(uint8_t precision);
void allow_here(uint8_t precision);
class WithPrecision {  // of this thread, while it lives
 public:
  explicit WithPrecision(uint8_t own);
  ~WithPrecision();
  WithPrecision(const WithPrecision&) = delete;
  WithPrecision& operator=(const WithPrecision&) = delete;

 private:
  uint8_t before_;
};

// Null switches recording off. Thread-local.
Recorder* recorder();
void set_recorder(Recorder* r);

// Replaces the backend of its device for this process (tests); the explicit list in backends.cpp is what ships.
void register_backend(const Backend* backend);

}  // namespace tg::dispatch
