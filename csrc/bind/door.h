// The door as this room enters it: the GIL is released where the work is long enough to pay for it.
#pragma once
#include <span>

#include "ops/op.h"

namespace tg::bind {

void call(const Op& op, std::span<const Tensor> in, const Attrs& attrs, std::span<Tensor> out, Place place = {});
Tensor call_inplace(const Op& op, std::span<const Tensor> in, const Attrs& attrs);
Tensor call1(const Op& op, std::initializer_list<Tensor> in, const Attrs& attrs = {});

Tensor contiguous_copy(const Tensor& t);
Tensor cast(const Tensor& t, Dtype dtype);

}  // namespace tg::bind
