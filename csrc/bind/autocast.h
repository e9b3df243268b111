// Automatic mixed precision, as PyTorch's autocast: inside it, layers and products of matrices on a GPU take their operands in 16
// bits, and every other row takes what is in 16 bits as float32.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "bind/python.h"
#include "ops/op.h"

namespace tg::bind {

// Is this thread inside autocast? Most programs never are, and ask one integer alone.
extern int threads_autocasting;  // under the GIL
extern constinit thread_local bool autocasting;
inline bool is_autocasting() { return threads_autocasting && autocasting; }

// The dtype of this thread's autocast; none outside of one.
std::optional<Dtype> autocast_dtype();
void set_autocast(std::optional<Dtype> dtype);

// What a call is given instead; the casts are on the tape where the tensors are.
struct Autocast {
  Few<PyObject*> objects;
  Few<Tensor> in;
  std::vector<Ref> made;
};
// Null: the call stays as it is.
std::unique_ptr<Autocast> autocast(const Op& op, std::span<PyObject* const> objects, std::span<const Tensor> in);

// While it lives, this thread casts nothing: gradients have the dtypes of what they belong to.
class WithoutAutocast {
 public:
  WithoutAutocast() : before_(autocasting) { autocasting = false; }
  ~WithoutAutocast() { autocasting = before_; }
  WithoutAutocast(const WithoutAutocast&) = delete;
  WithoutAutocast& operator=(const WithoutAutocast&) = delete;

 private:
  bool before_;
};

}  // namespace tg::bind
