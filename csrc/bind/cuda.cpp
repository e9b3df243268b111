// trigrad._core's functions for devices: moving tensors, and what trigrad.cuda asks.
#include <pybind11/pybind11.h>

#include "bind/autocast.h"
#include "bind/device.h"
#include "bind/door.h"
#include "bind/dtype_type.h"
#include "bind/module.h"
#include "bind/recording.h"
#include "bind/tensor_type.h"
#include "core/memory.h"
#include "cuda/backend.h"
#include "cuda/streams.h"
#include "ops/dispatch.h"
#include "ops/table.h"

namespace py = pybind11;

namespace tg::bind {
namespace {

int checked_index(const char* op, int64_t index) {
  cuda::require(op, index);
  return static_cast<int>(index);
}
StreamId checked_stream(int64_t id) {
  if (id < 0 || id >= kMaxStreams)
    fail(ErrorKind::Value, "[cuda] got stream ", id, ", expected 0 to ", kMaxStreams - 1);
  return static_cast<StreamId>(id);
}
const Tensor& tensor_of(const py::object& t) {
  if (!is_tensor(t.ptr())) throw py::type_error("expected a Tensor");
  return value_of(t.ptr());
}
py::object given(Tensor t) { return py::reinterpret_steal<py::object>(wrap(std::move(t))); }

// The tensor at a place, or itself where it is there; outside the graph. A copy may go on while Python does, where the host's memory
// is page-locked.
py::object move(const py::object& tensor, const py::object& device, const char* op, bool non_blocking) {
  const Tensor& t = tensor_of(tensor);
  const Place to = to_place(op, device.ptr());
  if (t.place() == to) return tensor;
  refuse_moving(op, t);
  if (non_blocking && to.device == Device::Cuda && cuda::is_pinned(*t.storage.get()) && t.contiguous()) {
    const Tensor there = empty(t.shape, t.dtype, to);
    cuda::transfer(there, t, false);
    return given(there);
  }
  return given(dispatch::moved(t, to));
}

// Into a tensor at another place, of the same shape and dtype.
void transfer(const py::object& tensor, const py::object& source, bool non_blocking) {
  const Tensor to = tensor_of(tensor), from = tensor_of(source);  // whatever other threads do to them meanwhile
  refuse_reading("copy_");
  if (!(to.shape == from.shape) || to.dtype != from.dtype || !to.contiguous() || !from.contiguous())
    fail(ErrorKind::Value, "[transfer] got ", to.shape, " and ", from.shape,
         ", expected two tensors of one shape and dtype");
  if (!to.storage->writable())
    fail(ErrorKind::Runtime, "[copy_] the tensor is read-only, expected one that can be written");
  cuda::transfer(to, from, !non_blocking);
  to.storage->written();
}

// A copy in page-locked memory, or the tensor itself where it is that.
py::object pin(const py::object& tensor) {
  const Tensor& t = tensor_of(tensor);
  if (t.device() != Device::Cpu)
    fail(ErrorKind::Runtime, "[pin_memory] the tensor is on ", name(t.place()), ", expected cpu");
  if (cuda::is_pinned(*t.storage.get())) return tensor;
  cuda::require("pin_memory", 0);
  refuse_reading("pin_memory");
  Tensor made = t;
  made.offset = 0;
  made.strides = contiguous_strides(t.shape);
  made.storage = cuda::pinned_storage(static_cast<size_t>(t.numel() * size_of(t.dtype)));
  return given(call1(op(op_copy_), {made, t}));
}

void record_stream(const py::object& tensor, int64_t stream) {
  const Tensor& t = tensor_of(tensor);
  if (t.device() != Device::Cuda)
    fail(ErrorKind::Runtime, "[record_stream] the tensor is on ", name(t.place()), ", expected a GPU");
  if (!t.storage->foreign()) used_on(t.place(), t.storage->data(), checked_stream(stream));
}

py::object absence() {
  const std::string& why = cuda::absence();
  return why.empty() ? py::object(py::none()) : py::object(py::str(why));
}

py::list devices() {
  py::list all;
  for (const cuda::Description& d : cuda::devices())
    all.append(py::make_tuple(d.name, d.major, d.minor, d.multiprocessors, d.memory));
  return all;
}

py::dict as_dict(const MemoryStats& s) {
  return py::dict(py::arg("in_use") = s.in_use, py::arg("peak") = s.peak, py::arg("cached") = s.cached,
                  py::arg("reserved_peak") = s.reserved_peak, py::arg("allocations") = s.allocations,
                  py::arg("retries") = s.retries, py::arg("refusals") = s.refusals);
}

Place gpu(const char* op, int64_t index) { return {Device::Cuda, checked_index(op, index)}; }

void add_devices(py::module_& m) {
  m.def("move", move, py::arg("tensor"), py::arg("device"), py::arg("op") = "to", py::arg("non_blocking") = false,
        "The tensor on a device.");
  m.def("transfer", transfer, py::arg("tensor"), py::arg("source"), py::arg("non_blocking") = false,
        "The source's numbers into a tensor on another device.");
  m.def(
      "set_default_device",
      [](const py::object& device) { set_default_place(to_place("set_default_device", device.ptr())); },
      py::arg("device"), "Where this thread makes new tensors from now on.");
  m.def("cuda_absence", absence, "Why nothing can be computed on a GPU, None where it can.");
  m.def("cuda_devices", devices, "Name, compute capability (major, minor), multiprocessors and bytes of each GPU.");
  m.def(
      "cuda_build",
      [] {
        const cuda::Build b = cuda::build();
        return py::make_tuple(b.driver, b.runtime, b.architectures);
      },
      "The driver's and the runtime's CUDA, and what the module was compiled for.");
  m.def("cuda_current_device", cuda::current_device, "The GPU that stands for all where none is named.");
  m.def(
      "cuda_set_device", [](int64_t index) { cuda::set_current_device(checked_index("set_device", index)); },
      py::arg("index"), "Choose it, for this thread.");
  m.def(
      "cuda_synchronize", [](int64_t index) { cuda::synchronize(checked_index("synchronize", index)); },
      py::arg("index"), py::call_guard<py::gil_scoped_release>(), "Wait until the GPU has done all calls so far.");
}

void add_memory(py::module_& m) {
  m.def(
      "cuda_memory_stats", [](int64_t index) { return as_dict(memory_stats(gpu("memory_stats", index))); },
      py::arg("index"), "What tensors hold on the GPU.");
  m.def("cuda_pinned_stats", [] { return as_dict(pinned_memory_stats()); }, "What pinned tensors hold.");
  m.def(
      "cuda_reset_peak", [](int64_t index) { reset_peak(gpu("reset_peak_memory_stats", index)); }, py::arg("index"),
      "Count the peaks anew.");
  m.def(
      "cuda_empty_cache", [](int64_t index) { empty_cache(gpu("empty_cache", index)); }, py::arg("index"),
      py::call_guard<py::gil_scoped_release>(), "Give kept memory back to the GPU, once it is done with it.");
  m.def(
      "cuda_room",
      [](int64_t index) {
        const cuda::Room r = cuda::room(checked_index("mem_get_info", index));
        return py::make_tuple(r.free, r.total);
      },
      py::arg("index"), "Free and all bytes of the GPU's memory.");
  m.def("pin", pin, py::arg("tensor"), "A copy in page-locked memory.");
  m.def(
      "is_pinned", [](const py::object& t) { return cuda::is_pinned(*tensor_of(t).storage.get()); }, py::arg("tensor"),
      "Is the memory page-locked?");
  m.def("record_stream", record_stream, py::arg("tensor"), py::arg("stream"),
        "The memory is not handed on before the stream is done with what it was asked until then.");
}

void add_streams(py::module_& m) {
  m.def(
      "cuda_new_stream",
      [](int64_t index, int priority) { return cuda::new_stream(checked_index("Stream", index), priority); },
      py::arg("index"), py::arg("priority"), "A stream, by number.");
  m.def(
      "cuda_stream_of",
      [](int64_t index, uintptr_t handle) { return cuda::stream_of(checked_index("ExternalStream", index), handle); },
      py::arg("index"), py::arg("handle"), "The number of another library's stream.");
  m.def(
      "cuda_stream_handle",
      [](int64_t index, int64_t stream) {
        return cuda::handle_of(checked_index("cuda_stream", index), checked_stream(stream));
      },
      py::arg("index"), py::arg("stream"), "As CUDA knows it.");
  m.def(
      "cuda_current_stream", [](int64_t index) { return current_stream[checked_index("current_stream", index)]; },
      py::arg("index"), "The stream of this thread's calls on the GPU.");
  m.def(
      "cuda_set_stream",
      [](int64_t index, int64_t stream) {
        current_stream[checked_index("set_stream", index)] = checked_stream(stream);
      },
      py::arg("index"), py::arg("stream"), "Choose it.");
  m.def(
      "cuda_stream_done",
      [](int64_t index, int64_t stream, bool wait) {
        return cuda::stream_done(checked_index("synchronize", index), checked_stream(stream), wait);
      },
      py::arg("index"), py::arg("stream"), py::arg("wait"), py::call_guard<py::gil_scoped_release>(),
      "Has it done what it was asked?");
  py::class_<cuda::Event>(m, "CudaEvent", "The end of what a stream was asked.")
      .def(py::init<bool>(), py::arg("timed"))
      .def("record", [](cuda::Event& e, int64_t index,
                        int64_t stream) { e.record(checked_index("record", index), checked_stream(stream)); })
      .def("follow", [](const cuda::Event& e, int64_t index,
                        int64_t stream) { e.follow(checked_index("wait", index), checked_stream(stream)); })
      .def("done", &cuda::Event::done, py::call_guard<py::gil_scoped_release>())
      .def("milliseconds_until", &cuda::Event::milliseconds_until)
      .def_property_readonly("index", &cuda::Event::index)
      .def_property_readonly("handle", &cuda::Event::handle);
}

py::object autocast_now() {
  const std::optional<Dtype> t = autocast_dtype();
  return t ? py::reinterpret_steal<py::object>(Py_NewRef(dtype_object(*t))) : py::object(py::none());
}

// Sets what this thread's layers take on a GPU, and gives what was set before.
py::object autocast_from_now(const py::object& dtype) {
  py::object before = autocast_now();
  set_autocast(dtype.is_none() ? std::nullopt : std::optional(to_dtype("autocast", "dtype", dtype.ptr())));
  return before;
}

void add_precision(py::module_& m) {
  m.def("set_autocast", autocast_from_now, py::arg("dtype"),
        "The dtype of layers on a GPU in this thread, None for their own; gives what it was.");
  m.def("autocast_dtype", autocast_now, "The dtype of layers on a GPU in this thread, None for their own.");
  m.def(
      "set_allow_tf32", [](bool allowed) { dispatch::allow_everywhere(allowed ? kTf32 : kExact); }, py::arg("allowed"),
      "May products of float32 on a GPU round their operands to tf32?");
  m.def("allow_tf32", [] { return (dispatch::precision() & kTf32) != 0; }, "May they?");
}

}  // namespace

void init_cuda(PyObject* module) {
  auto m = py::reinterpret_borrow<py::module_>(module);
  cuda::set_waiter([](void (*wait)(void*), void* context) {
    const WithoutGil released(PyGILState_Check());  // a plan's calls have released it
    wait(context);
  });
  m.attr("OutOfMemoryError") = py::reinterpret_borrow<py::object>(out_of_memory_error());
  add_devices(m);
  add_memory(m);
  add_streams(m);
  add_precision(m);
}

}  // namespace tg::bind
