// Tensors exchanged with other libraries by the DLPack protocol, unversioned and version 1.
#pragma once
#include "bind/python.h"
#include "core/tensor.h"

namespace tg::bind {

inline constexpr int kDlpackCpu = 1, kDlpackCuda = 2, kDlpackPinned = 3, kDlpackManaged = 13;

// The arguments of __dlpack__; each may be null or None.
PyObject* to_dlpack(const Tensor& t, PyObject* stream, PyObject* max_version, PyObject* device, PyObject* copy);
// A capsule, or an object with __dlpack__.
Tensor from_dlpack(PyObject* source);

}  // namespace tg::bind
