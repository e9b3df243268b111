// trigrad._core's functions for devices: moving tensors, and what trigrad.cuda asks.
#include <pybind11/pybind11.h>

#include "bind/device.h"
#include "bind/module.h"
#include "bind/recording.h"
#include "bind/tensor_type.h"
#include "core/memory.h"
#include "cuda/backend.h"
#include "ops/dispatch.h"

namespace py = pybind11;

namespace tg::bind {
namespace {

Place place_of(const char* op, const std::string& type, int64_t index) {
  if (type == "cpu") return {};
  if (type == "test") return Device::Test;
  cuda::require(op, index);
  return {Device::Cuda, static_cast<int>(index)};
}

// The tensor at a place, or itself where it is there; outside the graph.
py::object move(const py::object& tensor, const py::object& device, const char* op) {
  if (!is_tensor(tensor.ptr())) throw py::type_error("expected a Tensor");
  const Tensor& t = value_of(tensor.ptr());
  const Place to = to_place(op, device.ptr());
  if (t.place() == to) return tensor;
  refuse_reading(op);
  return py::reinterpret_steal<py::object>(wrap(dispatch::moved(t, to)));
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

py::dict memory(int64_t index) {
  const MemoryStats s = memory_stats(place_of("memory_stats", "cuda", index));
  return py::dict(py::arg("in_use") = s.in_use, py::arg("peak") = s.peak, py::arg("cached") = s.cached,
                  py::arg("allocations") = s.allocations);
}

}  // namespace

void init_cuda(PyObject* module) {
  auto m = py::reinterpret_borrow<py::module_>(module);
  m.def("move", move, py::arg("tensor"), py::arg("device"), py::arg("op") = "to", "The tensor on a device.");
  m.def("cuda_absence", absence, "Why nothing can be computed on a GPU, None where it can.");
  m.def("cuda_devices", devices, "Name, compute capability (major, minor), multiprocessors and bytes of each GPU.");
  m.def(
      "cuda_synchronize", [](int64_t index) { cuda::synchronize(place_of("synchronize", "cuda", index).index); },
      py::arg("index"), py::call_guard<py::gil_scoped_release>(), "Wait until the GPU has done all calls so far.");
  m.def("cuda_memory_stats", memory, py::arg("index"), "What tensors hold on the GPU.");
  m.def(
      "cuda_reset_peak", [](int64_t index) { reset_peak(place_of("reset_peak_memory_stats", "cuda", index)); },
      py::arg("index"), "Count the peak anew.");
  m.def(
      "cuda_empty_cache", [](int64_t index) { empty_cache(place_of("empty_cache", "cuda", index)); }, py::arg("index"),
      "Give kept memory back to the GPU.");
}

}  // namespace tg::bind
