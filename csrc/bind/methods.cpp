// Methods of Tensor that are no ops: copies, elements, facts. The views are in views.cpp.
#include "bind/arguments.h"
#include "bind/convert.h"
#include "bind/cuda_arrays.h"
#include "bind/dlpack.h"
#include "bind/door.h"
#include "bind/dtype_type.h"
#include "bind/indexing.h"
#include "bind/numpy.h"
#include "bind/recording.h"
#include "bind/size_type.h"
#include "bind/tape.h"
#include "bind/tensor_type.h"
#include "core/float_env.h"
#include "ops/dispatch.h"
#include "ops/table.h"

namespace tg::bind {
namespace {

// ---- copies

PyObject* contiguous(PyObject* self, PyObject*) {
  return guarded([&] { return value_of(self).contiguous() ? Py_NewRef(self) : clone_object(self); });
}
PyObject* clone(PyObject* self, PyObject*) {
  return guarded([&] { return clone_object(self); });
}
PyObject* zero_(PyObject* self, PyObject*) {
  return guarded([&] {
    Attrs zero;
    zero.add(Attr::integer(0));
    const Tensor in = value_of(self);
    overwrite_object(op(op_fill_), {&self, 1}, {&in, 1}, zero);
    return Py_NewRef(self);
  });
}

// numpy knows no history: what it would compute would be lost to the backward pass.
void require_no_grad(const char* op, PyObject* self) {
  if (requires_grad(self))
    fail(ErrorKind::Runtime, "[", op, "] got a tensor that requires a gradient, expected one outside the graph; use ",
         ".detach().numpy()");
}

// ---- elements

PyObject* item(PyObject* self, PyObject*) {
  return guarded([&] { return to_python(element("item", value_of(self))); });
}

PyObject* nested_list(const Tensor& t, int axis, int64_t offset) {
  if (axis == t.rank()) return checked(to_python(load(t, offset)));
  Ref list = owned(PyList_New(t.shape[axis]));
  for (int64_t i = 0; i < t.shape[axis]; i++)
    PyList_SET_ITEM(list.get(), i, nested_list(t, axis + 1, offset + i * t.strides[axis]));
  return list.release();
}
PyObject* tolist(PyObject* self, PyObject*) {
  return guarded([&] {
    refuse_reading("tolist");
    const FloatEnv env;  // widening a denormal must not flush it
    const Tensor t = dispatch::moved(value_of(self), {});
    return nested_list(t, 0, t.offset);
  });
}

// The elements' bytes in order, for pickles.
PyObject* bytes(PyObject* self, PyObject*) {
  return guarded([&] {
    refuse_reading("pickle");
    const Tensor t = dispatch::moved(value_of(self), {});
    const Tensor packed = t.contiguous() ? t : contiguous_copy(t);
    return PyBytes_FromStringAndSize(packed.data<char>(), packed.numel() * size_of(packed.dtype));
  });
}

// ---- facts

PyObject* length_or_all(const char* op, const Dims& all, PyObject* (*make)(const Dims&), PyObject* const* args,
                        Py_ssize_t n, PyObject* keywords) {
  PyObject* dim[1];
  read_names(op, {"dim"}, args, n, keywords, dim);
  if (!dim[0] || dim[0] == Py_None) return make(all);
  const int axis = normalize_axis(op, to_int(op, "dim", dim[0]), all.size());
  if (all.empty()) fail(ErrorKind::Index, "[", op, "] a 0-d tensor has no dimensions");
  return PyLong_FromLongLong(all[axis]);
}
PyObject* size(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] { return length_or_all("size", value_of(self).shape, make_size, args, n, keywords); });
}
PyObject* stride(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] { return length_or_all("stride", value_of(self).strides, make_tuple, args, n, keywords); });
}
PyObject* dim(PyObject* self, PyObject*) { return PyLong_FromLong(value_of(self).rank()); }
PyObject* numel(PyObject* self, PyObject*) { return PyLong_FromLongLong(value_of(self).numel()); }
PyObject* element_size(PyObject* self, PyObject*) { return PyLong_FromLongLong(size_of(value_of(self).dtype)); }
PyObject* storage_offset(PyObject* self, PyObject*) { return PyLong_FromLongLong(value_of(self).offset); }
PyObject* is_contiguous(PyObject* self, PyObject*) { return PyBool_FromLong(value_of(self).contiguous()); }
PyObject* is_floating_point(PyObject* self, PyObject*) { return PyBool_FromLong(is_floating(value_of(self).dtype)); }
PyObject* data_ptr(PyObject* self, PyObject*) {
  return guarded([&] {
    refuse_reading("data_ptr");
    value_of(self).storage->share_outside();  // whoever asks for the address may write there
    return PyLong_FromVoidPtr(value_of(self).data());
  });
}

// ---- other libraries

PyObject* numpy(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    if (n) fail(ErrorKind::Type, "[numpy] takes keywords only: numpy(force=True)");
    refuse_reading("numpy");
    PyObject* force[1] = {};  // PyTorch's: a tensor elsewhere, or one that is recorded, would be copied
    if (keywords) read_names("numpy", {"force"}, args, n, keywords, force);
    if (!force[0] || !to_bool("numpy", "force", force[0])) require_no_grad("numpy", self);
    return to_numpy(self);
  });
}
PyObject* dlpack(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    PyObject* given[4];
    if (n) fail(ErrorKind::Type, "[__dlpack__] takes keywords only");
    read_names("__dlpack__", {"stream", "max_version", "dl_device", "copy"}, args, n, keywords, given);
    refuse_reading("__dlpack__");
    return to_dlpack(value_of(self), given[0], given[1], given[2], given[3]);
  });
}
PyObject* dlpack_device(PyObject* self, PyObject*) {
  const Place p = value_of(self).place();
  return Py_BuildValue("(ii)", p.device == Device::Cuda ? kDlpackCuda : kDlpackCpu, static_cast<int>(p.index));
}

// ---- attributes

PyObject* shape(PyObject* self, void*) {
  return guarded([&] { return make_size(value_of(self).shape); });
}
PyObject* dtype(PyObject* self, void*) { return Py_NewRef(dtype_object(value_of(self).dtype)); }
PyObject* ndim(PyObject* self, void*) { return PyLong_FromLong(value_of(self).rank()); }
PyObject* itemsize(PyObject* self, void*) { return PyLong_FromLongLong(size_of(value_of(self).dtype)); }
PyObject* nbytes(PyObject* self, void*) {
  return PyLong_FromLongLong(value_of(self).numel() * size_of(value_of(self).dtype));
}
PyObject* version(PyObject* self, void*) { return PyLong_FromUnsignedLongLong(value_of(self).storage->version()); }
PyObject* storage_id(PyObject* self, void*) { return PyLong_FromVoidPtr(value_of(self).storage.get()); }
PyObject* device_name(PyObject* self, void*) { return PyUnicode_FromString(name(value_of(self).place()).c_str()); }
PyObject* interface(PyObject* self, void*) {
  return guarded([&] {
    require_no_grad("__array_interface__", self);
    refuse_reading("numpy");
    return array_interface("__array_interface__", value_of(self));
  });
}
PyObject* cuda_interface(PyObject* self, void*) {
  return guarded([&] { return cuda_array_interface(self); });
}

}  // namespace

PyMethodDef tensor_methods[] = {
    {"contiguous", contiguous, METH_NOARGS,
     "contiguous() -> Tensor\n\nThe tensor itself, or a copy laid out row by row."},
    {"clone", clone, METH_NOARGS, "clone() -> Tensor\n\nA copy with its own memory."},
    {"zero_", zero_, METH_NOARGS, "zero_() -> Tensor\n\nAll elements set to 0."},
    {"index_put_", keywords(index_put), kKeywords,
     "index_put_(indices, values, accumulate=False) -> Tensor\n\nWrites values, or adds them, at the places that "
     "tensors "
     "of indices address."},
    {"item", item, METH_NOARGS, "item() -> float | int | bool\n\nThe single element as a Python number."},
    {"tolist", tolist, METH_NOARGS, "tolist() -> list\n\nThe elements as nested lists of Python numbers."},
    {"size", keywords(size), kKeywords, "size(dim=None) -> Size | int\n\nThe shape, or one length of it."},
    {"stride", keywords(stride), kKeywords,
     "stride(dim=None) -> tuple | int\n\nSteps between neighbours, in elements."},
    {"dim", dim, METH_NOARGS, "dim() -> int\n\nThe number of axes."},
    {"numel", numel, METH_NOARGS, "numel() -> int\n\nThe number of elements."},
    {"nelement", numel, METH_NOARGS, "nelement() -> int\n\nThe same as numel."},
    {"element_size", element_size, METH_NOARGS, "element_size() -> int\n\nBytes of one element."},
    {"storage_offset", storage_offset, METH_NOARGS,
     "storage_offset() -> int\n\nPlace of the first element in the storage."},
    {"is_contiguous", is_contiguous, METH_NOARGS, "is_contiguous() -> bool\n\nDo the elements lie row by row?"},
    {"is_floating_point", is_floating_point, METH_NOARGS, "is_floating_point() -> bool"},
    {"data_ptr", data_ptr, METH_NOARGS, "data_ptr() -> int\n\nThe address of the first element."},
    {"numpy", keywords(numpy), kKeywords,
     "numpy(*, force=False) -> numpy.ndarray\n\nAn array on the same memory; read-only if the tensor is."},
    {"_bytes", bytes, METH_NOARGS, nullptr},
    {"__dlpack__", keywords(dlpack), kKeywords, nullptr},
    {"__dlpack_device__", dlpack_device, METH_NOARGS, nullptr},
    {},
};

PyGetSetDef tensor_attributes[] = {
    {"shape", shape, nullptr, "The lengths of the axes.", nullptr},
    {"dtype", dtype, nullptr, "The element type.", nullptr},
    {"ndim", ndim, nullptr, "The number of axes.", nullptr},
    {"itemsize", itemsize, nullptr, "Bytes of one element.", nullptr},
    {"nbytes", nbytes, nullptr, "Bytes of all elements.", nullptr},
    {"_storage_id", storage_id, nullptr, nullptr, nullptr},
    {"_version", version, nullptr, "Rises with every write.", nullptr},
    {"_device_name", device_name, nullptr, nullptr, nullptr},
    {"__array_interface__", interface, nullptr, nullptr, nullptr},
    {"__cuda_array_interface__", cuda_interface, nullptr, nullptr, nullptr},
    {},
};

}  // namespace tg::bind
