// What Python says of devices, as places.
#pragma once
#include "bind/python.h"
#include "core/place.h"

namespace tg::bind {

// Where a new tensor goes: "cuda:1", a trigrad.device, the index of a GPU, or a tensor beside which it is to lie. None is the
// default, null the CPU. Errors name `op`.
Place to_place(const char* op, PyObject* device);

// Where this thread makes tensors of which nothing says where; the CPU unless set.
void set_default_place(Place place);

}  // namespace tg::bind
