#include "bind/door.h"

#include "bind/python.h"
#include "ops/dispatch.h"
#include "ops/table.h"

namespace tg::bind {
namespace {

constexpr int64_t kElementsWorthAThread = 64 * 1024;  // some 20 us of work at least; a switch of threads costs about 5

// About how many elements a call walks over; a product of matrices counts its multiply-adds, 16 to the element.
int64_t work(const Op& op, std::span<const Tensor> in, const Attrs& attrs) {
  int64_t elements = 0;
  for (const Tensor& t : in)
    if (t.defined()) elements += t.numel();
  double size = static_cast<double>(elements);
  if (!attrs.list.empty() && op.tensors.empty()) {
    size = 1;
    for (int64_t n : attrs.list) size *= static_cast<double>(n);
  } else if (op.id >= op_dense && op.id <= op_matmul && in.size() >= 2 && in[1].defined() && in[1].rank()) {
    size += static_cast<double>(in[0].numel()) * static_cast<double>(in[1].shape.back()) / 16;
  } else if (op.id == op_arange || op.id == op_permutation) {
    size = attrs.real(op.id == op_arange ? 2 : 0);
  }
  return size > 1e18 ? int64_t{1} << 60 : static_cast<int64_t>(size);
}

}  // namespace

// The tensors of `in` are the caller's, not those within Python's objects, which other threads may set while the GIL is released.
void call(const Op& op, std::span<const Tensor> in, const Attrs& attrs, std::span<Tensor> out, Place place) {
  const WithoutGil released(work(op, in, attrs) >= kElementsWorthAThread);
  dispatch::call(op, in, attrs, out, place);
}

Tensor call_inplace(const Op& op, std::span<const Tensor> in, const Attrs& attrs) {
  const WithoutGil released(work(op, in, attrs) >= kElementsWorthAThread);
  return dispatch::call_inplace(op, in, attrs);
}

Tensor call1(const Op& op, std::initializer_list<Tensor> in, const Attrs& attrs) {
  Tensor out;
  call(op, {in.begin(), in.size()}, attrs, {&out, 1});
  return out;
}

Tensor contiguous_copy(const Tensor& t) { return call1(op(op_copy_), {empty(t.shape, t.dtype, t.place()), t}); }

Tensor cast(const Tensor& t, Dtype dtype) {
  Attrs attrs;
  attrs.add(Attr::type(dtype));
  return call1(op(op_cast), {t}, attrs);
}

}  // namespace tg::bind
