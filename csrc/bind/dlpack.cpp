#include "bind/dlpack.h"

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "bind/convert.h"
#include "bind/door.h"
#include "cuda/backend.h"
#include "cuda/streams.h"
#include "ops/dispatch.h"

namespace tg::bind {
namespace {

// ---- the protocol's structs, as its ABI lays them out

struct DlTensor {
  void* data;
  int32_t device_type, device_id;
  int32_t ndim;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t *shape, *strides;  // strides in elements; null: contiguous
  uint64_t byte_offset;
};

struct Managed {
  static constexpr const char *name = "dltensor", *used = "used_dltensor";
  DlTensor tensor;
  void* context;
  void (*deleter)(Managed*);
};

struct ManagedVersioned {
  static constexpr const char *name = "dltensor_versioned", *used = "used_dltensor_versioned";
  uint32_t major, minor;
  void* context;
  void (*deleter)(ManagedVersioned*);
  uint64_t flags;
  DlTensor tensor;
};
constexpr uint64_t kReadOnly = 1, kCopied = 2;

enum Code : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6 };

Code code_of(Dtype t) {
  if (t == Dtype::Bool) return kBool;
  if (t == Dtype::BFloat16) return kBfloat;
  if (is_floating(t)) return kFloat;
  return name(t)[0] == 'u' ? kUInt : kInt;
}

Dtype dtype_of(const DlTensor& d) {
  for (int i = 0; i < kDtypes; i++) {
    const Dtype t = static_cast<Dtype>(i);
    if (d.lanes == 1 && code_of(t) == d.code && size_of(t) * 8 == d.bits) return t;
  }
  fail(ErrorKind::Type, "[from_dlpack] got element type (code ", int{d.code}, ", ", int{d.bits}, " bits, ", d.lanes,
       " lanes), expected bool, int8 to int64, uint8 to uint32, float16 to float64 or bfloat16; cast it first");
}

// ---- out

// What a capsule keeps alive: the tensor, and its shape and strides in the form of the protocol.
template <class M>
struct Export {
  Tensor tensor;
  M managed{};
};

template <class M>
void delete_export(M* managed) {
  delete static_cast<Export<M>*>(managed->context);
}

template <class M>
void drop_capsule(PyObject* capsule) {  // nobody took it over
  if (auto* managed =
          static_cast<M*>(PyCapsule_IsValid(capsule, M::name) ? PyCapsule_GetPointer(capsule, M::name) : nullptr))
    managed->deleter(managed);
}

template <class M>
PyObject* make_capsule(const Tensor& t, bool copied) {
  auto e = std::make_unique<Export<M>>();
  e->tensor = t;
  M& m = e->managed;
  m.context = e.get();
  m.deleter = delete_export<M>;
  m.tensor = {t.data(),
              t.device() == Device::Cuda ? kDlpackCuda : kDlpackCpu,
              t.place().index,
              t.rank(),
              code_of(t.dtype),
              static_cast<uint8_t>(size_of(t.dtype) * 8),
              1,
              e->tensor.shape.begin(),
              e->tensor.strides.begin(),
              0};
  if constexpr (requires { m.flags; }) {
    m.major = 1;
    m.flags = (t.storage->writable() ? 0 : kReadOnly) | (copied ? kCopied : 0);
  }
  PyObject* capsule = checked(PyCapsule_New(&m, M::name, drop_capsule<M>));
  e.release();
  t.storage->share_outside();
  return capsule;
}

bool given(PyObject* value) { return value && value != Py_None; }

// A pair of integers, as the protocol's keywords have it.
std::pair<int, int> read_pair(const char* param, PyObject* value) {
  std::pair<int, int> pair;
  if (PyTuple_Check(value) && PyArg_ParseTuple(value, "ii", &pair.first, &pair.second)) return pair;
  PyErr_Clear();
  fail(ErrorKind::Type, "[__dlpack__] ", param, " is a ", Py_TYPE(value)->tp_name,
       ", expected a tuple of two integers");
}

// The consumer's stream waits for what ours was asked so far. It is 1 for the default one, which None means too, or 2 for a
// thread's own, or an address; -1 wants no waiting.
void await_ours(const Tensor& t, PyObject* stream) {
  const int64_t theirs = given(stream) ? to_int("__dlpack__", "stream", stream) : 1;
  if (t.device() != Device::Cuda) {
    if (given(stream) && theirs != -1)
      fail(ErrorKind::Runtime, "[__dlpack__] stream is ", theirs, " for a tensor on cpu, expected None");
    return;
  }
  if (theirs == 0 || theirs < -1)
    fail(ErrorKind::Value, "[__dlpack__] stream is ", theirs,
         ", expected None, -1, 1 (the default one), 2 or an address");
  const bool same = theirs == 1 && current_stream[t.place().index] == 0;
  if (theirs != -1 && !same) cuda::await_ours(t.place().index, static_cast<uintptr_t>(theirs));
}

// ---- in

Place place_of(const DlTensor& d) {
  if (d.device_type == kDlpackCpu || d.device_type == kDlpackPinned) return {};
  if (d.device_type != kDlpackCuda && d.device_type != kDlpackManaged)
    fail(ErrorKind::Runtime, "[from_dlpack] got a tensor on device type ", d.device_type,
         ", expected the CPU (1) or a GPU (2); move it there first");
  cuda::require("from_dlpack", d.device_id);
  return {Device::Cuda, d.device_id};
}

template <class M>
void drop_managed(void* owner) {
  if (!Py_IsInitialized()) return;
  const PyGILState_STATE gil = PyGILState_Ensure();
  auto* managed = static_cast<M*>(owner);
  if (managed->deleter) managed->deleter(managed);
  PyGILState_Release(gil);
}

template <class M>
Tensor take(PyObject* capsule) {
  M* managed = static_cast<M*>(checked(PyCapsule_GetPointer(capsule, M::name)));
  const DlTensor& d = managed->tensor;
  bool writable = true;
  if constexpr (requires { managed->flags; }) {
    if (managed->major != 1)
      fail(ErrorKind::Value, "[from_dlpack] got version ", managed->major, ".", managed->minor,
           " of the protocol, expected 1");
    writable = !(managed->flags & kReadOnly);
  }
  const Place place = place_of(d);
  Tensor t;
  t.dtype = dtype_of(d);
  t.shape = Dims(d.shape, d.ndim);
  t.strides = d.strides ? Dims(d.strides, d.ndim) : contiguous_strides(t.shape);
  int64_t low = 0, high = 0;
  const bool empty = count(t.shape) == 0;
  for (int i = 0; i < d.ndim && !empty; i++) {
    const int64_t reach = (t.shape[i] - 1) * t.strides[i];
    (reach < 0 ? low : high) += reach;
  }
  const int64_t size = size_of(t.dtype);
  std::byte* first = static_cast<std::byte*>(d.data) + d.byte_offset;
  if (!empty && reinterpret_cast<uintptr_t>(first) % static_cast<uintptr_t>(size))
    fail(ErrorKind::Value, "[from_dlpack] the memory is not aligned to its ", size, "-byte elements; pass a copy");
  t.offset = -low;
  t.storage = StorageRef(new Storage(first + low * size, empty ? 0 : static_cast<size_t>((high - low + 1) * size),
                                     writable, managed, drop_managed<M>, place));
  t.storage->share_outside();
  PyCapsule_SetName(capsule, M::used);
  return t;
}

// The stream that is to wait for what the other library does with the object; null where it is not on a GPU.
Ref stream_for(PyObject* source) {
  const Ref where(PyObject_CallMethod(source, "__dlpack_device__", nullptr));
  int type = kDlpackCpu, index = 0;
  if (!where || !PyTuple_Check(where.get()) || !PyArg_ParseTuple(where.get(), "ii", &type, &index) ||
      type != kDlpackCuda) {
    PyErr_Clear();
    return {};
  }
  cuda::require("from_dlpack", index);
  const uintptr_t ours = cuda::handle_of(index, current_stream[index]);
  return owned(PyLong_FromUnsignedLongLong(ours ? ours : 1));
}

// obj.__dlpack__(max_version=(1, 0)), or without arguments for libraries from before version 1.
Ref ask_for_capsule(PyObject* source) {
  const Ref method(PyObject_GetAttrString(source, "__dlpack__"));
  if (!method) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) throw PythonError{};
    PyErr_Clear();
    fail(ErrorKind::Type, "[from_dlpack] got a ", Py_TYPE(source)->tp_name,
         ", expected an object with __dlpack__; for numbers and lists use trigrad.tensor");
  }
  const Ref none = owned(PyTuple_New(0)), keywords = owned(Py_BuildValue("{s:(ii)}", "max_version", 1, 0));
  const Ref stream = stream_for(source);
  if (stream && PyDict_SetItemString(keywords.get(), "stream", stream.get()) < 0) throw PythonError{};
  Ref capsule(PyObject_Call(method.get(), none.get(), keywords.get()));
  if (capsule || !PyErr_ExceptionMatches(PyExc_TypeError)) return owned(capsule.release());
  PyErr_Clear();
  if (PyDict_DelItemString(keywords.get(), "max_version") < 0) throw PythonError{};
  return owned(PyObject_Call(method.get(), none.get(), keywords.get()));
}

}  // namespace

PyObject* to_dlpack(const Tensor& t, PyObject* stream, PyObject* max_version, PyObject* device, PyObject* copy) {
  bool elsewhere = false;
  if (given(device)) {
    const auto [type, index] = read_pair("dl_device", device);
    elsewhere = t.device() == Device::Cuda && type == kDlpackCpu;
    if (!elsewhere && (type != (t.device() == Device::Cuda ? kDlpackCuda : kDlpackCpu) || index != t.place().index))
      fail(ErrorKind::Runtime, "[__dlpack__] dl_device asks for device type ", type, ", index ", index, ", expected ",
           t.device() == Device::Cuda ? name(t.place()) + " or " : "", "the CPU (1); move the tensor with .to()");
  }
  const bool versioned = given(max_version) && read_pair("max_version", max_version).first >= 1;
  const bool copied = elsewhere || (given(copy) && PyObject_IsTrue(copy) > 0);
  if (elsewhere && given(copy) && PyObject_IsTrue(copy) == 0) {
    PyErr_SetString(PyExc_BufferError, "[__dlpack__] the tensor is on a GPU: without a copy it cannot be on the CPU");
    throw PythonError{};
  }
  const Tensor source = elsewhere ? dispatch::moved(t, {}) : copied ? contiguous_copy(t) : t;
  if (!elsewhere) await_ours(source, stream);
  if (versioned) return make_capsule<ManagedVersioned>(source, copied);
  if (!source.storage->writable()) {
    PyErr_SetString(PyExc_BufferError,
                    "[__dlpack__] the tensor is read-only, which this consumer cannot be told; pass a .clone()");
    throw PythonError{};
  }
  return make_capsule<Managed>(source, copied);
}

Tensor from_dlpack(PyObject* source) {
  const Ref capsule = PyCapsule_CheckExact(source) ? borrowed(source) : ask_for_capsule(source);
  if (PyCapsule_IsValid(capsule.get(), ManagedVersioned::name)) return take<ManagedVersioned>(capsule.get());
  if (PyCapsule_IsValid(capsule.get(), Managed::name)) return take<Managed>(capsule.get());
  fail(ErrorKind::Value, "[from_dlpack] the capsule holds no tensor, or one that was taken already; ask for a new one");
}

}  // namespace tg::bind
