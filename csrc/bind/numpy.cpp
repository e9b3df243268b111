#include "bind/numpy.h"

#include <pybind11/numpy.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bind/recording.h"
#include "bind/size_type.h"
#include "bind/tensor_type.h"

namespace tg::bind {
namespace {

// numpy.ndarray and numpy.generic, once somebody has imported numpy; before that nothing can be an instance of them.
struct NumpyTypes {
  PyObject *array = nullptr, *generic = nullptr;
};
const NumpyTypes& numpy_types() {
  static NumpyTypes types;
  if (types.array) [[likely]]
    return types;
  const Ref name = owned(PyUnicode_FromString("numpy"));
  const Ref numpy(PyImport_GetModule(name.get()));
  if (numpy) {
    Ref array(PyObject_GetAttrString(numpy.get(), "ndarray")), generic(PyObject_GetAttrString(numpy.get(), "generic"));
    if (array && generic) types = {array.release(), generic.release()};
  }
  PyErr_Clear();  // numpy may be half imported
  return types;
}

bool is_instance(PyObject* value, PyObject* type) {
  return type && PyObject_TypeCheck(value, reinterpret_cast<PyTypeObject*>(type));
}

bool starts_with(const char* text, const char* prefix) { return !std::strncmp(text, prefix, std::strlen(prefix)); }

// The dtype of a buffer's format string, which may carry a byte-order mark.
Dtype dtype_of_format(const char* op, const char* format, Py_ssize_t itemsize) {
  const char* code = format ? format : "B";
  bool swapped = false;
  if (std::strchr("@=<>!^", *code)) {
    const bool big = *code == '>' || *code == '!';
    swapped = itemsize > 1 && (big || *code == '<') && big != (PY_BIG_ENDIAN != 0);
    code++;
  }
  while (*code >= '0' && *code <= '9') code++;  // the length of a string
  if (swapped)
    fail(ErrorKind::Type, "[", op, "] got an array in foreign byte order ('", format,
         "'), expected the machine's own; convert it with array.astype(array.dtype.newbyteorder('='))");
  const char kind = *code && !code[1] ? *code : *code == 'Z' && !code[2] ? 'Z' : 'V';
  if (kind == '?') return Dtype::Bool;
  if (kind == 'e' || kind == 'f' || kind == 'd')
    return itemsize == 2 ? Dtype::Float16 : itemsize == 4 ? Dtype::Float32 : Dtype::Float64;
  if (std::strchr("bhilq", kind) && kind)
    return itemsize == 1 ? Dtype::Int8 : itemsize == 2 ? Dtype::Int16 : itemsize == 4 ? Dtype::Int32 : Dtype::Int64;
  if (std::strchr("BHILQ", kind) && kind && itemsize <= 4)
    return itemsize == 1 ? Dtype::UInt8 : itemsize == 2 ? Dtype::UInt16 : Dtype::UInt32;
  const char* what = kind == 'O'                          ? "objects"
                     : kind == 'Z'                        ? "complex numbers"
                     : kind == 'g'                        ? "long doubles"
                     : kind == 's' || kind == 'w'         ? "strings"
                     : kind && std::strchr("BHILQ", kind) ? "uint64"
                                                          : "records";
  const char* remedy = kind == 'Z'                                 ? "pass array.real and array.imag"
                       : kind && std::strchr("ILQ", kind)          ? "convert it with array.astype('int64')"
                       : kind == 'w' || kind == 's' || kind == 'V' ? "pass the numeric columns"
                                                                   : "convert it with array.astype('float64')";
  fail(ErrorKind::Type, "[", op, "] got an array of ", what, " (format '", format,
       "'), expected bool, int8 to int64, uint8 to uint32 or float16 to float64; ", remedy);
}

// Releases the foreign buffer; the last view of a storage may die on any thread.
void drop_buffer(void* owner) {
  if (!Py_IsInitialized()) return;
  const PyGILState_STATE gil = PyGILState_Ensure();
  auto* view = static_cast<Py_buffer*>(owner);
  PyBuffer_Release(view);
  delete view;
  PyGILState_Release(gil);
}

void require_numpy(const char* op, const Tensor& t) {
  if (t.device() != Device::Cpu)
    fail(ErrorKind::Type, "[", op, "] the tensor is on ", name(t.place()), ", expected cpu; move it with .to('cpu')");
  if (!info(t.dtype).interface)
    fail(ErrorKind::Type, "[", op, "] got ", name(t.dtype), ", which numpy does not have; cast it first with .float()");
}

Dims byte_strides(const Tensor& t) {
  Dims strides = t.strides;
  for (int64_t& s : strides) s *= size_of(t.dtype);
  return strides;
}

}  // namespace

bool is_numpy_array(PyObject* value) { return is_instance(value, numpy_types().array); }

char numpy_scalar_kind(PyObject* value) {
  if (!is_instance(value, numpy_types().generic)) return 0;
  const char* name = Py_TYPE(value)->tp_name;
  if (!std::strcmp(name, "numpy.bool") || !std::strcmp(name, "numpy.bool_")) return 'b';
  if (PyIndex_Check(value)) return 'i';
  return starts_with(name, "numpy.float") || starts_with(name, "numpy.longdouble") ? 'f' : 0;
}

Tensor from_buffer(const char* op, PyObject* array) {
  refuse_array(op);
  if (!PyObject_CheckBuffer(array))
    fail(ErrorKind::Type, "[", op, "] got a ", Py_TYPE(array)->tp_name,
         ", expected a numpy array; for lists use trigrad.tensor");
  auto release = [](Py_buffer* v) {
    PyBuffer_Release(v);
    delete v;
  };
  std::unique_ptr<Py_buffer, decltype(release)> view(new Py_buffer{}, release);
  if (PyObject_GetBuffer(array, view.get(), PyBUF_RECORDS_RO) < 0) {
    Ref text;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    const Ref t(type), v(value), tr(trace);
    text = Ref(value ? PyObject_Str(value) : nullptr);
    PyErr_Clear();
    fail(ErrorKind::Type, "[", op, "] got a ", Py_TYPE(array)->tp_name, " that does not share its memory (",
         text ? PyUnicode_AsUTF8(text.get()) : "no reason given", "), expected an array of plain numbers");
  }
  if (view->ndim > kMaxRank)
    fail(ErrorKind::Value, "[", op, "] got an array of ", view->ndim, " dimensions, but a tensor has at most ",
         kMaxRank);
  Tensor t;
  t.dtype = dtype_of_format(op, view->format, view->itemsize);
  const int64_t size = view->itemsize;
  int64_t low = 0, high = 0;  // bytes from the first element to the lowest and highest one
  bool empty = false;
  for (int i = 0; i < view->ndim; i++) {
    const int64_t length = view->shape[i], stride = view->strides[i];
    empty |= length == 0;
    t.shape.push_back(length);
    if (length > 1 && stride % size)
      fail(ErrorKind::Value, "[", op, "] the array's strides ", stride, " at dimension ", i,
           " are not a multiple of its ", size,
           "-byte elements (a field of records?); pass numpy.ascontiguousarray(array)");
    t.strides.push_back(length > 1 ? stride / size : 1);
    if (length > 1) (stride < 0 ? low : high) += (length - 1) * stride;
  }
  if (empty) low = high = 0;
  if (reinterpret_cast<uintptr_t>(view->buf) % static_cast<uintptr_t>(size) && !empty)
    fail(ErrorKind::Value, "[", op, "] the array's memory is not aligned to its ", size,
         "-byte elements; pass array.copy()");
  t.offset = -low / size;
  void* start = static_cast<std::byte*>(view->buf) + low;
  const size_t bytes = empty ? 0 : static_cast<size_t>(high - low + size);
  t.storage = StorageRef(new Storage(start, bytes, !view->readonly, view.get(), drop_buffer));
  view.release();
  t.storage->share_outside();
  return t;
}

const char* array_typestr(Dtype t) { return info(t).interface; }

PyObject* array_interface(const char* op, const Tensor& t) {
  require_numpy(op, t);
  const char* typestr = info(t.dtype).interface;
  const Dims strides = byte_strides(t);
  const Ref shape = owned(make_tuple(t.shape)), steps = owned(make_tuple(strides));
  PyObject* result = checked(Py_BuildValue("{s:i,s:O,s:O,s:s,s:(NO)}", "version", 3, "shape", shape.get(), "strides",
                                           steps.get(), "typestr", typestr, "data", PyLong_FromVoidPtr(t.data()),
                                           t.storage->writable() ? Py_False : Py_True));
  t.storage->share_outside();
  return result;
}

PyObject* to_numpy(PyObject* tensor) {
  namespace py = pybind11;
  using Lengths = std::vector<py::ssize_t>;
  static py::handle dtypes[kDtypes] = {};  // numpy's, looked up once and never freed
  const Tensor& t = value_of(tensor);
  require_numpy("numpy", t);
  try {
    py::handle& dtype = dtypes[static_cast<int>(t.dtype)];
    if (!dtype) dtype = py::dtype(info(t.dtype).interface).release();
    const Dims strides = byte_strides(t);
    py::array array(py::reinterpret_borrow<py::dtype>(dtype), Lengths(t.shape.begin(), t.shape.end()),
                    Lengths(strides.begin(), strides.end()), t.data(), tensor);
    if (!t.storage->writable())
      py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
    t.storage->share_outside();
    return array.release().ptr();
  } catch (py::error_already_set& e) {
    e.restore();
    throw PythonError{};
  }
}

}  // namespace tg::bind
