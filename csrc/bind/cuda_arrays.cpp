#include "bind/cuda_arrays.h"

#include <cstring>

#include "bind/convert.h"
#include "bind/numpy.h"
#include "bind/recording.h"
#include "bind/size_type.h"
#include "bind/tape.h"
#include "bind/tensor_type.h"
#include "cuda/backend.h"
#include "cuda/streams.h"

namespace tg::bind {
namespace {

constexpr const char* kName = "__cuda_array_interface__";

Ref entry(PyObject* dict, const char* key) {
  PyObject* value = PyDict_GetItemString(dict, key);
  return value && value != Py_None ? borrowed(value) : Ref{};
}

Ref needed(const char* op, PyObject* dict, const char* key) {
  Ref value = entry(dict, key);
  if (!value) fail(ErrorKind::Value, "[", op, "] the ", kName, " has no '", key, "'");
  return value;
}

Dtype dtype_of(const char* op, PyObject* typestr) {
  const char* given = PyUnicode_Check(typestr) ? PyUnicode_AsUTF8(typestr) : nullptr;
  for (int i = 0; given && i < kDtypes; i++) {
    const Dtype t = static_cast<Dtype>(i);
    const char* ours = array_typestr(t);
    if (ours && (*given == *ours || *given == '=' || (size_of(t) == 1 && *given == '<')) &&
        !std::strcmp(given + 1, ours + 1))
      return t;
  }
  fail(ErrorKind::Type, "[", op, "] got elements of type '", given ? given : "?",
       "', expected bool, int8 to int64, uint8 to uint32 or float16 to float64 in the machine's byte order; cast it "
       "first");
}

void drop_object(void* owner) {
  if (!Py_IsInitialized()) return;
  const PyGILState_STATE gil = PyGILState_Ensure();
  Py_DECREF(static_cast<PyObject*>(owner));
  PyGILState_Release(gil);
}

}  // namespace

PyObject* cuda_array_interface(PyObject* tensor) {
  const Tensor& t = value_of(tensor);
  if (t.device() != Device::Cuda) {
    PyErr_Format(PyExc_AttributeError, "[%s] the tensor is on %s, expected a GPU; move it with .to('cuda')", kName,
                 name(t.place()).c_str());
    throw PythonError{};
  }
  if (requires_grad(tensor))
    fail(ErrorKind::Runtime, "[", kName,
         "] got a tensor that requires a gradient, expected one outside the graph; use .detach()");
  refuse_reading(kName);
  const char* typestr = array_typestr(t.dtype);
  if (!typestr)
    fail(ErrorKind::Type, "[", kName, "] got ", name(t.dtype), ", which it cannot tell; cast it first with .float()");
  Dims steps = t.strides;
  for (int64_t& s : steps) s *= size_of(t.dtype);
  const Ref shape = owned(make_tuple(t.shape)), strides = t.contiguous() ? borrowed(Py_None) : owned(make_tuple(steps));
  const int index = t.place().index;
  const uintptr_t stream = cuda::handle_of(index, current_stream[index]);
  PyObject* made = checked(Py_BuildValue(
      "{s:i,s:O,s:O,s:s,s:(NO),s:N}", "version", 3, "shape", shape.get(), "strides", strides.get(), "typestr", typestr,
      "data", PyLong_FromVoidPtr(t.numel() ? t.data() : nullptr), t.storage->writable() ? Py_False : Py_True, "stream",
      PyLong_FromUnsignedLongLong(stream ? stream : 1)));
  t.storage->share_outside();
  return made;
}

Tensor from_cuda_array(const char* op, PyObject* source) {
  const Ref dict = owned(PyObject_GetAttrString(source, kName));
  if (!PyDict_Check(dict.get()))
    fail(ErrorKind::Type, "[", op, "] the ", kName, " is a ", Py_TYPE(dict.get())->tp_name, ", expected a dict");
  if (entry(dict.get(), "mask"))
    fail(ErrorKind::Value, "[", op, "] got a masked array, expected one without a mask; fill it in first");
  cuda::require(op, 0);
  Tensor t;
  t.dtype = dtype_of(op, needed(op, dict.get(), "typestr").get());
  t.shape = to_dims(op, "shape", needed(op, dict.get(), "shape").get());
  t.strides = contiguous_strides(t.shape);
  const int64_t size = size_of(t.dtype);
  if (const Ref strides = entry(dict.get(), "strides")) {
    t.strides = to_dims(op, "strides", strides.get());
    if (t.strides.size() != t.shape.size())
      fail(ErrorKind::Value, "[", op, "] got ", t.strides.size(), " strides for a shape of ", t.shape.size(),
           " lengths");
    for (int i = 0; i < t.shape.size(); i++) {
      if (t.shape[i] > 1 && t.strides[i] % size)
        fail(ErrorKind::Value, "[", op, "] the strides ", t.strides, " are not multiples of the ", size,
             "-byte elements; pass a copy");
      t.strides[i] = t.shape[i] > 1 ? t.strides[i] / size : 1;
    }
  }
  const Ref data = needed(op, dict.get(), "data");
  if (!PyTuple_Check(data.get()) || PyTuple_GET_SIZE(data.get()) != 2)
    fail(ErrorKind::Type, "[", op, "] the 'data' of the ", kName, " is no pair of an address and a flag");
  const unsigned long long address = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(data.get(), 0));
  const int read_only = PyObject_IsTrue(PyTuple_GET_ITEM(data.get(), 1));
  if (PyErr_Occurred() || read_only < 0) throw PythonError{};
  int64_t low = 0, high = 0;
  const bool nothing = count(t.shape) == 0;
  for (int i = 0; i < t.shape.size() && !nothing; i++) {
    const int64_t reach = (t.shape[i] - 1) * t.strides[i];
    (reach < 0 ? low : high) += reach;
  }
  auto* first = reinterpret_cast<std::byte*>(static_cast<uintptr_t>(address));
  if (!nothing && address % static_cast<unsigned long long>(size))
    fail(ErrorKind::Value, "[", op, "] the memory is not aligned to its ", size, "-byte elements; pass a copy");
  const int index = nothing ? cuda::current_device() : cuda::device_of(op, first);
  cuda::require(op, index);
  if (const Ref stream = entry(dict.get(), "stream")) {  // what they do with it comes first
    const unsigned long long theirs = PyLong_AsUnsignedLongLong(stream.get());
    if (PyErr_Occurred()) throw PythonError{};
    if (theirs == 0)
      fail(ErrorKind::Value, "[", op, "] the 'stream' is 0, expected None, 1 (the default one), 2 or an address");
    if (theirs != 1 || current_stream[index] != 0) cuda::await_theirs(index, static_cast<uintptr_t>(theirs));
  }
  t.offset = -low;
  t.storage = StorageRef(new Storage(first + low * size, nothing ? 0 : static_cast<size_t>((high - low + 1) * size),
                                     !read_only, Py_NewRef(source), drop_object, {Device::Cuda, index}));
  t.storage->share_outside();
  return t;
}

}  // namespace tg::bind
